"""Many small requests in one: each goes through the whole application, as if it had come by itself."""

from __future__ import annotations

import asyncio
import logging
import re
import secrets
from dataclasses import dataclass, field
from http import HTTPStatus
from urllib.parse import parse_qs, unquote, urlsplit

from fastapi import APIRouter, Request, Response
from starlette.types import ASGIApp, Message, Scope

from sintonia.api.storage.bodies import boundary_of, unquoted
from sintonia.api.storage.errors import storage_error
from sintonia.api.storage.routing import StorageRoute
from sintonia.errors import InvalidArgument

_log = logging.getLogger(__name__)

_MOST = 1000
_ALONGSIDE = 8
_BLANK_LINE = re.compile(rb"\r?\n\r?\n")
_CREDENTIALS = {b"authorization", b"x-goog-api-key"}
# What belongs to the outer body or connection and to no request in it.
_NOT_INHERITED = {
    b"content-type",
    b"content-length",
    b"transfer-encoding",
    b"connection",
    b"expect",
    b"accept-encoding",
}


def routes() -> APIRouter:
    router = APIRouter(tags=["Buckets"], route_class=StorageRoute)

    @router.post("/batch/storage/v1")
    async def batch(request: Request) -> Response:
        parts = _parts(request.headers.get("content-type", ""), await _body(request))
        turn = asyncio.Semaphore(_ALONGSIDE)
        room: int = request.app.state.max_request_bytes

        async def answer(part: bytes) -> bytes:
            nonlocal room
            async with turn:
                told = await _answer(request, part, is_room=room > 0)
                room -= len(told)
                return told

        boundary = f"batch_{secrets.token_hex(16)}"
        answers = await asyncio.gather(*map(answer, parts))
        body = b"".join(b"--%s\r\n%s\r\n" % (boundary.encode(), text) for text in answers)
        return Response(body + b"--%s--\r\n" % boundary.encode(), media_type=f"multipart/mixed; boundary={boundary}")

    return router


@dataclass
class _Inner:
    """One request of a batch."""

    method: str
    target: str
    headers: list[tuple[bytes, bytes]]
    body: bytes
    status: int = 500
    answer_headers: list[tuple[bytes, bytes]] = field(default_factory=list)
    answer: bytearray = field(default_factory=bytearray)

    @classmethod
    def parse(cls, text: bytes) -> _Inner:
        """Raises InvalidArgument."""
        start, _, rest = text.lstrip().partition(b"\n")
        words = start.decode("latin-1").split()
        if len(words) < 2 or not words[0].isalpha() or not words[1].isascii():
            raise InvalidArgument("Invalid part of a batch: it must begin as METHOD /storage/v1/PATH HTTP/1.1.")
        headers, body = _message(rest)
        own = [(name.lower().encode("latin-1"), value.encode("latin-1")) for name, value in headers.items()]
        url = urlsplit(words[1])
        if not url.path.startswith("/storage/v1/") or "media" in parse_qs(url.query).get("alt", []):
            raise InvalidArgument(
                f"Invalid part of a batch: {words[1][:200]}; it may have requests for /storage/v1/ without media."
            )
        target = f"{url.path}?{url.query}" if url.query else url.path
        return cls(words[0].upper(), target, own, body)

    def scope(self, around: Scope) -> Scope:
        """As a server would tell it of this request; who sends it is told by the request around it, or by itself."""
        path, _, query = self.target.partition("?")
        told = {name for name, _ in self.headers} | _NOT_INHERITED
        signed = bool(told & _CREDENTIALS) or "key" in parse_qs(query)
        refused = told | _CREDENTIALS if signed else told
        inherited = [(name, value) for name, value in around["headers"] if name not in refused]
        if not signed:  # the outer credential, in whichever form it came
            outer = parse_qs(around["query_string"].decode("latin-1"))
            inherited += [(b"x-goog-api-key", key.encode()) for key in outer.get("key", [])]
        plain = [(name, value) for name, value in self.headers if name not in _NOT_INHERITED]
        length = (b"content-length", str(len(self.body)).encode())
        kept = ("type", "asgi", "http_version", "scheme", "root_path", "client", "server")
        return {
            **{key: around[key] for key in kept if key in around},
            "method": self.method,
            "path": unquote(path),
            "raw_path": path.encode(),
            "query_string": query.encode(),
            "headers": [*inherited, *plain, (b"content-type", b"application/json"), length],
        }

    def told(self) -> bytes:
        """The part of the answer."""
        try:
            phrase = HTTPStatus(self.status).phrase
        except ValueError:
            phrase = "Unknown"
        lines = [b"HTTP/1.1 %d %s" % (self.status, phrase.encode())]
        lines += [name.title() + b": " + value for name, value in self.answer_headers]
        return b"\r\n".join([*lines, b"", bytes(self.answer)])


async def _answer(request: Request, part: bytes, *, is_room: bool) -> bytes:
    head, text = _message(part)
    content_id = head.get("content-id", "").strip("<>")
    try:
        if not is_room:  # all answers are held until the last: a thousand lists would take the whole memory
            raise InvalidArgument(
                "The answers to this batch are too large together; nothing was done for this request."
            )
        inner = _Inner.parse(text)
        await _call(request.app, inner, request.scope)
    except InvalidArgument as error:
        refused = storage_error(error)
        inner = _Inner("", "", [], b"", refused.status_code, refused.raw_headers)
        inner.answer += refused.body
    return (
        b"Content-Type: application/http\r\nContent-ID: <response-%s>\r\n\r\n" % content_id.encode("latin-1")
        + inner.told()
    )


async def _call(app: ASGIApp, inner: _Inner, around: Scope) -> None:
    sent = False

    async def receive() -> Message:
        nonlocal sent
        if sent:
            return {"type": "http.disconnect"}
        sent = True
        return {"type": "http.request", "body": inner.body, "more_body": False}

    async def send(message: Message) -> None:
        if message["type"] == "http.response.start":
            inner.status = message["status"]
            inner.answer_headers = list(message.get("headers", []))
        elif message["type"] == "http.response.body":
            inner.answer += message.get("body", b"")

    try:
        await app(inner.scope(around), receive, send)
    except Exception:  # it has answered with an internal error, if it was not too late for that
        _log.debug("%s %s raised", inner.method, inner.target, exc_info=True)


async def _body(request: Request) -> bytes:
    """Raises InvalidArgument if it is too large."""
    limit: int = request.app.state.max_request_bytes
    body = bytearray()
    async for chunk in request.stream():
        body += chunk
        if len(body) > limit:
            raise InvalidArgument(f"Request payload size exceeds the limit: {limit} bytes.")
    return bytes(body)


def _parts(content_type: str, body: bytes) -> list[bytes]:
    """Raises InvalidArgument."""
    boundary = boundary_of(content_type, "multipart/mixed")
    delimiter = b"--" + unquoted(boundary)
    pieces = (b"\n" + body).split(b"\n" + delimiter)
    if len(pieces) < 3 or not pieces[-1].startswith(b"--"):
        raise InvalidArgument("Invalid batch: it needs parts between its boundaries, and a closing one.")
    if len(pieces) - 2 > _MOST:
        raise InvalidArgument(f"Invalid batch: it has {len(pieces) - 2} requests; at most {_MOST} are allowed.")
    return [piece.partition(b"\n")[2] for piece in pieces[1:-1]]


def _message(text: bytes) -> tuple[dict[str, str], bytes]:
    """Headers, by names in lower case, and what is behind them."""
    head, *behind = _BLANK_LINE.split(text, maxsplit=1)
    lines = (line.partition(":") for line in head.decode("latin-1").splitlines())
    return {name.strip().lower(): value.strip() for name, _, value in lines}, b"".join(behind)
