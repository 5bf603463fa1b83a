"""Around the whole application: a request has a name, what no route could read is refused, and no answer is missing.

Every answer has headers that keep browsers from mischief.
"""

from __future__ import annotations

import asyncio
import re
import uuid
from urllib.parse import unquote_to_bytes

from starlette.datastructures import Headers, MutableHeaders
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from sintonia.api.errors import error_response
from sintonia.errors import ApiError, InvalidArgument, Unavailable

_NAME = re.compile(r"[\w.:-]{1,128}", re.ASCII)
# Where a route does not say them itself.
_HEADERS = {
    "X-Content-Type-Options": "nosniff",
    "X-Frame-Options": "DENY",
    "Referrer-Policy": "no-referrer",
    "Content-Security-Policy": "default-src 'none'; frame-ancestors 'none'",
    "Cache-Control": "no-store",
}
_OVER_TLS = {"Strict-Transport-Security": "max-age=31536000"}
_BROKEN_ESCAPE = re.compile(rb"%(?![0-9A-Fa-f]{2})")


class Envelope:
    """ASGI middleware, outside of everything that may fail.

    ``state.request_id`` of a request is what the header X-Request-Id calls it, or a name made here; answers tell it.
    """

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        said = Headers(scope=scope).get("x-request-id", "")
        name = scope.setdefault("state", {})["request_id"] = said if _NAME.fullmatch(said) else str(uuid.uuid4())
        begun = False

        async def answer(message: Message) -> None:
            nonlocal begun
            if message["type"] == "http.response.start":
                begun = True
                headers = MutableHeaders(scope=message)
                headers["X-Request-Id"] = name
                for key, value in (_HEADERS | (_OVER_TLS if scope["scheme"] == "https" else {})).items():
                    headers.setdefault(key, value)
            await send(message)

        async def refuse(error: ApiError) -> None:
            await error_response(error)(scope, receive, answer)

        if problem := _problem(scope):
            await refuse(InvalidArgument(problem))
            return
        try:
            await self._app(scope, receive, answer)
        except asyncio.CancelledError:  # the server stops, and this took longer than it waits
            if not begun:
                await refuse(Unavailable("The server is stopping. Send the request again when it is back."))
        except Exception:
            if not begun:
                raise


def _problem(scope: Scope) -> str | None:
    for part, raw in (("path", scope.get("raw_path") or b""), ("query", scope["query_string"])):
        if _BROKEN_ESCAPE.search(raw):
            return (
                f"The {part} of the URL is not valid: '%' must be followed by two hexadecimal digits; write it as %25."
            )
        try:
            text = unquote_to_bytes(raw).decode()
        except UnicodeDecodeError:
            return f"The {part} of the URL is not valid: it is not UTF-8."
        if "\0" in text:
            return f"The {part} of the URL is not valid: it has a NUL character."
    for name, value in scope["headers"]:
        try:
            value.decode()
        except UnicodeDecodeError:
            return f"Header '{name.decode('latin-1')}' is not UTF-8."
    return None
