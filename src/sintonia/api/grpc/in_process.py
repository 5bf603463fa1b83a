"""Requests to an ASGI application of this process, as a web server makes them, without a network between."""

from __future__ import annotations

import asyncio
import contextlib
import logging
from collections.abc import AsyncIterator, Iterable
from urllib.parse import quote

from starlette.types import ASGIApp, Message, Scope

from sintonia.api.grpc.rules import HttpRequest

_log = logging.getLogger(__name__)

Headers = Iterable[tuple[bytes, bytes]]


class Reply:
    """An answer while it comes."""

    def __init__(self) -> None:
        self._messages: asyncio.Queue[Message | None] = asyncio.Queue()  # as much as was sent: the client is near
        self.status = 0

    async def pieces(self) -> AsyncIterator[bytes]:
        """The body, as it comes. Raises ConnectionError if it breaks off."""
        while message := await self._messages.get():
            yield message.get("body", b"")
            if not message.get("more_body", False):
                return
        raise ConnectionError("The answer broke off.")

    async def body(self) -> bytes:
        return b"".join([piece async for piece in self.pieces()])


class InProcess:
    """``app``, to be asked."""

    def __init__(self, app: ASGIApp) -> None:
        self._app = app
        self._running: set[asyncio.Task[None]] = set()

    @contextlib.asynccontextmanager
    async def ask(
        self, request: HttpRequest, headers: Headers, *, client: tuple[str, int] | None = None
    ) -> AsyncIterator[Reply]:
        """The answer, from its status on; who leaves the block before its end hangs up, as over a network."""
        reply, left = Reply(), asyncio.Event()
        told: list[Message] = [{"type": "http.request", "body": request.body, "more_body": False}]

        async def receive() -> Message:
            if told:
                return told.pop()
            await left.wait()
            return {"type": "http.disconnect"}

        async def send(message: Message) -> None:
            reply._messages.put_nowait(message)

        async def run() -> None:
            try:
                await self._app(_scope(request, headers, client), receive, send)
            except Exception:  # it has answered with an internal error, if it was not too late for that
                _log.debug("%s %s raised", request.verb, request.path, exc_info=True)
            finally:
                reply._messages.put_nowait(None)

        task = asyncio.create_task(run())
        self._running.add(task)
        task.add_done_callback(self._running.discard)
        try:
            if start := await reply._messages.get():
                reply.status = start["status"]
            yield reply
        finally:
            left.set()

    async def finish(self, seconds: float) -> None:
        """Wait for what still runs after its client left, and break off what takes longer."""
        if self._running:
            _, late = await asyncio.wait(self._running, timeout=seconds)
            for task in late:
                task.cancel()
            await asyncio.gather(*late, return_exceptions=True)


def _scope(request: HttpRequest, headers: Headers, client: tuple[str, int] | None) -> Scope:
    return {
        "type": "http",
        "asgi": {"version": "3.0", "spec_version": "2.3"},  # 2.3: responses learn by receive() that their client left
        "http_version": "1.1",
        "method": request.verb,
        "scheme": "http",
        "path": request.path,
        "raw_path": quote(request.path).encode(),
        "query_string": request.query.encode(),
        "root_path": "",
        "headers": [
            (b"host", b"localhost"),
            (b"content-type", b"application/json"),
            (b"content-length", str(len(request.body)).encode()),
            *headers,
        ],
        "client": client,
        "server": None,
    }
