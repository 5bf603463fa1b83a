"""The cookie that goes on with a browser's session, and which pages may use it.

A browser sends its cookies with every request to this host, whoever's page has it sent. So a session counts only for
requests that the browser says come from our own pages, or that people typed; others must show a token, which no
browser sends by itself. ``SameSite=Strict`` keeps the cookie from most other pages in the first place.
"""

from __future__ import annotations

from datetime import UTC, datetime
from urllib.parse import urlsplit

from fastapi import Request, Response

from sintonia.errors import PermissionDenied

_READING = ("GET", "HEAD", "OPTIONS")


def session_of(request: Request) -> str | None:
    """The id of the session that the request goes on with."""
    wanted = _name(request)
    for header in request.headers.getlist("cookie"):
        for part in header.split(";"):
            name, _, value = part.strip().partition("=")
            if name == wanted and value:
                return value  # of several the first is the one for the longest path (RFC 6265, section 5.4)
    return None


def keep_session(request: Request, response: Response, session_id: str, *, expires: datetime) -> None:
    """Let the browser go on with the session until it ends at the latest."""
    _set(request, response, session_id, round((expires - datetime.now(UTC)).total_seconds()))


def drop_session(request: Request, response: Response) -> None:
    """Let the browser forget its session."""
    _set(request, response, "", 0)


def refuse_pages_of_others(request: Request) -> None:
    """Raises PermissionDenied unless the browser says that a page of this server sends the request."""
    headers = request.headers
    site, origin = headers.get("sec-fetch-site"), headers.get("origin")
    if site is not None:
        ours = site.lower() in ("same-origin", "none")
    elif origin is not None:  # over http browsers tell no more, but on the machine itself
        ours = origin.lower() in [f"{scheme}://{headers.get('host', '').lower()}" for scheme in ("http", "https")]
    else:
        ours = request.method in _READING
    if not ours:
        raise PermissionDenied(
            "A browser's session counts for this server's own pages only; others send a token. If this is one of them, "
            "the proxy before the server must pass on the header Host."
        )


def _set(request: Request, response: Response, value: str, max_age: int) -> None:
    response.set_cookie(
        _name(request), value, max_age=max_age, path=_path(request), secure=_is_safe(request), httponly=True,
        samesite="strict",
    )  # fmt: skip


def _name(request: Request) -> str:
    """With the port in it, as browsers send cookies of one to the others; and by https one that http cannot set."""
    try:
        port = urlsplit(f"//{request.headers.get('host', '')}").port
    except ValueError:
        port = None
    name = f"sintonia_session_{port}" if port else "sintonia_session"
    if not _is_safe(request):
        return name
    return f"__Host-{name}" if _path(request) == "/" else f"__Secure-{name}"


def _path(request: Request) -> str:
    return str(request.scope.get("root_path", "")) or "/"


def _is_safe(request: Request) -> bool:
    return request.url.scheme == "https"
