"""Bodies of uploads as they come: in blocks, and those of two parts, a resource and the bytes it is about.

Nothing here holds more than a block of an object.
"""

from __future__ import annotations

from collections.abc import AsyncIterator
from dataclasses import dataclass
from email.message import Message

from fastapi import Request
from starlette.requests import ClientDisconnect

from sintonia.api.bodies import parse_json, read_json
from sintonia.errors import InvalidArgument
from sintonia.resources.base import JsonObject

BLOCK = 2**20
_LONGEST_HEAD = 2**16
_LONGEST_CONTENT_TYPE = 1000


async def blocks(request: Request) -> AsyncIterator[bytes]:
    """The body in blocks of about a mebibyte: each is worth a thread's while.

    Raises ClientDisconnect if the client leaves before its end; what came until then is given first.
    """
    block = bytearray()
    left = None
    try:
        async for chunk in request.stream():
            block += chunk
            if len(block) >= BLOCK:
                yield bytes(block)
                block.clear()
    except ClientDisconnect as error:
        left = error
    if block:
        yield bytes(block)
    if left:
        raise left


async def read_object(request: Request) -> JsonObject:
    """A body that is a JSON object, {} if it is empty. Raises InvalidArgument."""
    return as_object(await read_json(request))


def as_object(document: object) -> JsonObject:
    """Raises InvalidArgument."""
    if not isinstance(document, dict):
        raise InvalidArgument("Invalid JSON payload received. It must be an object.")
    return document


def boundary_of(content_type: str, kind: str) -> bytes:
    """The boundary that a header names, as it is written there. Raises InvalidArgument."""
    header = Message()
    header["Content-Type"] = content_type[:_LONGEST_CONTENT_TYPE]  # takes the square of its length to read
    found = header.get_param("boundary")
    if header.get_content_type() != kind or not isinstance(found, str) or not 1 <= len(found) <= 200:
        raise InvalidArgument(f"Invalid Content-Type: '{content_type[:200]}'; it must be {kind} with a boundary.")
    return found.encode("latin-1", "replace")


def unquoted(boundary: bytes) -> bytes:
    """gcloud writes its boundary in single quotes, which are no part of it."""
    return boundary[1:-1] if len(boundary) > 2 and boundary[:1] == boundary[-1:] == b"'" else boundary


@dataclass
class RelatedBody:
    """A body of ``multipart/related``: ``document`` is its first part, ``media`` are the bytes of its second.

    Its lines may end with CRLF, as they should, or with LF. Source: RFC 2387, and what clients send.
    """

    document: JsonObject
    content_type: str | None
    media: AsyncIterator[bytes]

    @classmethod
    async def read(cls, request: Request) -> RelatedBody:
        """Up to the first byte of the media. Raises InvalidArgument, as ``media`` does when it ends too early."""
        boundary = boundary_of(request.headers.get("content-type", ""), "multipart/related")
        body = _Body(blocks(request))
        line = await body.line()
        while not line.strip():
            line = await body.line()
        if line.rstrip() == b"--" + unquoted(boundary):
            boundary = unquoted(boundary)
        if line.rstrip() != b"--" + boundary:
            raise InvalidArgument("Invalid multipart body: it does not begin with its boundary.")
        end = (b"\r\n--" if line.endswith(b"\r\n") else b"\n--") + boundary
        await body.head()
        limit: int = request.app.state.max_request_bytes
        document = bytearray()
        async for piece in body.until(end):
            document += piece
            if len(document) > limit:
                raise InvalidArgument(f"Request payload size exceeds the limit: {limit} bytes.")
        await body.line()
        head = await body.head()
        if head.get("content-transfer-encoding", "binary").lower() not in ("binary", "8bit", "7bit"):
            raise InvalidArgument("Invalid multipart body: the object must come as Content-Transfer-Encoding: binary.")
        return cls(as_object(parse_json(document)), head.get("content-type"), body.last(end))


class _Body:
    """What of a body has come and is not used yet."""

    def __init__(self, stream: AsyncIterator[bytes]) -> None:
        self._stream = stream
        self._held = bytearray()

    async def line(self) -> bytes:
        """With its end."""
        start = 0
        while (found := self._held.find(b"\n", start)) < 0:
            start = len(self._held)
            if start > _LONGEST_HEAD:
                raise InvalidArgument("Invalid multipart body: a line of its heads is too long.")
            await self._more()
        return self._take(found + 1)

    async def head(self) -> dict[str, str]:
        """Headers of a part, by their names in lower case."""
        found: dict[str, str] = {}
        size = 0
        while (line := await self.line()).strip():
            size += len(line)
            if size > _LONGEST_HEAD:
                raise InvalidArgument("Invalid multipart body: the head of a part is too long.")
            name, _, value = line.decode("latin-1").partition(":")
            found[name.strip().lower()] = value.strip()
        return found

    async def until(self, end: bytes) -> AsyncIterator[bytes]:
        """What is before ``end``, which is used up."""
        while (found := self._held.find(end)) < 0:
            if (safe := len(self._held) - len(end) + 1) > 0:
                yield self._take(safe)
            await self._more()
        yield self._take(found)
        self._take(len(end))

    async def last(self, end: bytes) -> AsyncIterator[bytes]:
        """As ``until``; behind it nothing may be but the sign that it is the last."""
        async for piece in self.until(end):
            yield piece
        while len(self._held) < 2:
            await self._more()
        if not self._held.startswith(b"--"):
            raise InvalidArgument("Invalid multipart body: it must have two parts, a resource and the object's bytes.")
        async for _ in self._stream:
            pass

    async def _more(self) -> None:
        try:
            self._held += await anext(self._stream)
        except StopAsyncIteration:
            raise InvalidArgument("Invalid multipart body: it ends before its closing boundary.") from None

    def _take(self, size: int) -> bytes:
        taken = bytes(self._held[:size])
        del self._held[:size]
        return taken
