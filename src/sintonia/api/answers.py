"""Around every request: headers that keep browsers from mischief, and the line of the audit log."""

from __future__ import annotations

import re
from typing import Any

from starlette.datastructures import Headers, MutableHeaders
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from sintonia.api.gate import Access
from sintonia.errors import Cancelled, Internal
from sintonia.services.audit import AuditLog, Entry

# Pages with styles of their own say so themselves.
_HEADERS = {
    "X-Content-Type-Options": "nosniff",
    "X-Frame-Options": "DENY",
    "Referrer-Policy": "no-referrer",
    "Content-Security-Policy": "default-src 'none'; frame-ancestors 'none'",
    "Cache-Control": "no-store",
}
_TLS_ONLY = "max-age=31536000"
_REFUSALS = {401, 403, 429}


def protect(headers: MutableHeaders, scope: Scope) -> None:
    """Put into ``headers`` what is not there."""
    for name, value in _HEADERS.items():
        headers.setdefault(name, value)
    if scope["scheme"] == "https":
        headers.setdefault("Strict-Transport-Security", _TLS_ONLY)


class Answers:
    """ASGI middleware, the outermost one."""

    def __init__(self, app: ASGIApp, *, audit: AuditLog) -> None:
        self._app = app
        self._audit = audit

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        state = scope.setdefault("state", {})
        code = 0

        async def answer(message: Message) -> None:
            nonlocal code
            if message["type"] == "http.response.start":
                code = message["status"]
                headers = MutableHeaders(scope=message)
                protect(headers, scope)
                self._write(scope, state, code)  # before it is answered: what was done is written down
            await send(message)

        try:
            await self._app(scope, receive, answer)
        except Exception:
            if not code:  # answered behind our back
                code = Internal.http
                self._write(scope, state, code)
            raise
        finally:
            if not code:
                self._write(scope, state, Cancelled.http)

    def _write(self, scope: Scope, state: dict[str, Any], code: int) -> None:
        access: Access | None = state.get("access")
        if not (code in _REFUSALS or (access and access.need.changes)):
            return
        client = scope.get("client")
        self._audit.write(
            Entry(
                principal=access.principal.name if access and access.principal else "",
                method=scope["method"],
                path=scope["path"],
                project=access.project if access else "",
                code=code,
                client=client[0] if client else "",
                request=_request_id(Headers(scope=scope)),
            )
        )


def _request_id(headers: Headers) -> str:
    """What the request calls itself, if it does so shortly."""
    said = headers.get("x-request-id", "")
    return said if re.fullmatch("[!-~]{1,128}", said) else ""
