"""Without sign-in, being on loopback is the only protection; web pages of others must not borrow it.

A page may make its visitor's browser send requests here (cross-site request forgery) or rename its own host to
127.0.0.1 (DNS rebinding). The first carries a foreign Origin, the second a foreign Host. Links to the console are let
through: its pages hold no data, start nothing by being opened, and cannot be framed.
"""

from __future__ import annotations

import ipaddress
import re
from urllib.parse import urlsplit

from starlette.datastructures import Headers
from starlette.types import ASGIApp, Receive, Scope, Send

from sintonia.api.errors import error_response
from sintonia.errors import PermissionDenied

_CONSOLE = re.compile("/|/console(/.*)?")


class LoopbackGuard:
    """ASGI middleware that lets only requests to a loopback name through, and none that another site sent."""

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] == "http":
            headers = Headers(scope=scope)
            problem = _problem(headers, linked=_follows_link(scope, headers))
            if problem:
                await error_response(PermissionDenied(problem))(scope, receive, send)
                return
        await self._app(scope, receive, send)


def _follows_link(scope: Scope, headers: Headers) -> bool:
    """Whether somebody opens a page of the console in a tab, wherever they came from."""
    path = scope["path"].removeprefix(scope.get("root_path", ""))
    return (
        scope["method"] == "GET"
        and _CONSOLE.fullmatch(path) is not None
        and headers.get("sec-fetch-mode", "").lower() == "navigate"
        and headers.get("sec-fetch-dest", "").lower() == "document"
    )


def _problem(headers: Headers, *, linked: bool) -> str | None:
    host = headers.get("host", "")
    if not _is_loopback(host):
        return f"Host '{host}' is not a name of this server; use 127.0.0.1 or localhost."
    origin = headers.get("origin")
    if origin is not None and origin.lower() not in (f"http://{host.lower()}", f"https://{host.lower()}"):
        return f"Requests from pages of '{origin}' are not allowed."
    if not linked and headers.get("sec-fetch-site", "none").lower() not in ("none", "same-origin"):
        return "Requests from pages of other sites are not allowed."
    return None


def _is_loopback(host: str) -> bool:
    try:
        name = urlsplit(f"//{host}").hostname or ""
    except ValueError:
        return False
    if name == "localhost" or name.endswith(".localhost"):
        return True
    try:
        return ipaddress.ip_address(name).is_loopback
    except ValueError:
        return False
