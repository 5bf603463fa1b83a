"""Writes the audit log: of each request what the gate knew, and how it was answered."""

from __future__ import annotations

from typing import Any

from starlette.types import ASGIApp, Message, Receive, Scope, Send

from sintonia.api.gate import Access
from sintonia.errors import Cancelled, Internal
from sintonia.services.audit import AuditLog, Entry

_REFUSALS = {401, 403, 429}


class Audited:
    """ASGI middleware, around all that refuses anybody."""

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
                request=state.get("request_id", ""),
            )
        )
