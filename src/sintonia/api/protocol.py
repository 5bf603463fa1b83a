"""HTTP/1.1 as it arrives: within limits of size and time, and refused in the API's shape where no route can answer.

Adds to uvicorn's protocol what that leaves open: a client must finish its head, go on with its body and take its
answer, each within a time; what another server on the way might read differently is refused. Knows no route.
"""

from __future__ import annotations

import asyncio
import re
import socket
from dataclasses import dataclass
from http import HTTPStatus
from typing import Any, ClassVar, cast

import h11
from uvicorn.protocols.http.h11_impl import H11Protocol

from sintonia.api.errors import error_response
from sintonia.errors import ApiError, HeadTooLarge, InvalidArgument, RequestTimeout, Unavailable, Unimplemented

# An answer that ends a connection has so long to be read before what is still coming breaks it off.
_LINGER_SECONDS = 2.0
_BLANK_LINE = re.compile(rb"\n\r?\n")
_ODD_LINE_END = re.compile(rb"(?<!\r)\n|\r(?!\n)")
_FOLDED_LINE = re.compile(rb"\n[ \t]")
# A peer that is gone without a word is found out by the system within two minutes, also while it is waited for.
_KEEP_ALIVE_PROBES = {"TCP_KEEPIDLE": 60, "TCP_KEEPINTVL": 15, "TCP_KEEPCNT": 4}


@dataclass(frozen=True)
class Limits:
    """What a client may ask for.

    Args:
        head_bytes: largest request line with all headers.
        head_seconds: until the head is whole.
        idle_seconds: between two pieces of a body, or of an answer that the client takes.
        connections: open at the same time.
    """

    head_bytes: int
    head_seconds: float
    idle_seconds: float
    connections: int


def protocol(limits: Limits) -> type[asyncio.Protocol]:
    """The class that uvicorn makes for each connection."""
    return cast(type[asyncio.Protocol], type("LimitedProtocol", (LimitedProtocol,), {"limits": limits}))


class StrictConnection(h11.Connection):
    """h11's, but stricter. ``refusal`` is what is wrong once ``next_event`` has raised RemoteProtocolError."""

    def __init__(self, head_bytes: int) -> None:
        super().__init__(h11.SERVER, head_bytes)
        self._head_bytes = head_bytes
        self._head: bytearray | None = bytearray()
        self.refusal: ApiError

    @property
    def awaits_head(self) -> bool:
        return self.their_state is h11.IDLE

    @property
    def has_begun(self) -> bool:
        """Has something of a head arrived?"""
        return bool(self._head)

    def receive_data(self, data: bytes) -> None:
        if self._head is not None:
            self._head += data
        super().receive_data(data)

    def next_event(self) -> Any:
        if self.their_state is h11.IDLE and self._head is None:
            self._head = bytearray(self.trailing_data[0])
        try:
            event = super().next_event()
        except h11.RemoteProtocolError as error:
            self.refusal = self._told(error)
            raise
        except ValueError:  # a Content-Length of thousands of digits
            self._refuse(InvalidArgument("Invalid HTTP request: bad Content-Length."))
        if isinstance(event, h11.Request):
            self._check(event, bytes(self._head or b""))
            self._head = None
        return event

    def _told(self, error: h11.RemoteProtocolError) -> ApiError:
        if error.error_status_hint == 431:
            return HeadTooLarge(f"The request's head exceeds the limit: {self._head_bytes} bytes.")
        if error.error_status_hint == 501:
            return Unimplemented("Transfer-Encoding must be 'chunked' alone.")
        what, _, _ = str(error).partition(": ")  # what was sent follows
        return InvalidArgument(f"Invalid HTTP request: {what}.")

    def _check(self, request: h11.Request, received: bytes) -> None:
        blank = _BLANK_LINE.search(received)
        head = received[: blank.end()] if blank else received
        if len(head) > self._head_bytes:
            self._refuse(HeadTooLarge(f"The request's head exceeds the limit: {self._head_bytes} bytes."))
        if _ODD_LINE_END.search(head):
            self._refuse(InvalidArgument("Invalid HTTP request: lines of the head must end with CR LF."))
        if _FOLDED_LINE.search(head):
            self._refuse(InvalidArgument("Invalid HTTP request: a header must be one line."))
        if request.http_version not in (b"1.0", b"1.1"):
            self._refuse(InvalidArgument("Invalid HTTP request: this server speaks HTTP/1.1."))
        names = [name for name, _ in request.headers]
        if b"transfer-encoding" in names and (b"content-length" in names or request.http_version == b"1.0"):
            self._refuse(InvalidArgument("Invalid HTTP request: two ways to tell the length of its body."))
        if not request.target.startswith(b"/"):
            self._refuse(InvalidArgument("Invalid HTTP request: its target must be a path that begins with '/'."))

    def _refuse(self, error: ApiError) -> None:
        self.refusal = error
        raise h11.RemoteProtocolError(error.message)


class LimitedProtocol(H11Protocol):
    """uvicorn's, with ``limits``."""

    limits: ClassVar[Limits]
    connections: set[LimitedProtocol]  # type: ignore[assignment]

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.conn: StrictConnection = StrictConnection(self.limits.head_bytes)
        self._awaited = ""
        self._heard = 0.0
        self._timer: asyncio.TimerHandle | None = None
        self._write_timer: asyncio.TimerHandle | None = None
        self._ending = False

    # What asyncio calls

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        super().connection_made(transport)
        _probe(transport.get_extra_info("socket"))
        if sum(not other._ending for other in self.connections) > self.limits.connections:
            most = self.limits.connections
            self._refuse(
                Unavailable(f"The server has {most} connections open already; try again."),
                linger=len(self.connections) <= 2 * most,
            )
        self._watch()

    def data_received(self, data: bytes) -> None:
        if self._ending:
            return
        self._heard = self.loop.time()
        super().data_received(data)
        self._watch()

    def connection_lost(self, exc: Exception | None) -> None:
        self._ending = True
        for timer in (self._timer, self._write_timer):
            if timer:
                timer.cancel()
        super().connection_lost(exc)

    def pause_writing(self) -> None:
        super().pause_writing()
        self._expect_reader(self.transport.get_write_buffer_size())

    def resume_writing(self) -> None:
        super().resume_writing()
        if self._write_timer:
            self._write_timer.cancel()
            self._write_timer = None

    # What uvicorn calls

    def on_response_complete(self) -> None:
        super().on_response_complete()
        if self.conn.they_are_waiting_for_100_continue:  # whether the body comes or the next request, nobody can tell
            self._end()
        self._watch()

    def send_400_response(self, msg: str) -> None:
        self._refuse(self.conn.refusal)

    def _unsupported_upgrade_warning(self) -> None:
        """Nothing: who offers to speak something else is answered in HTTP/1.1."""

    def shutdown(self) -> None:
        if self._ending:
            self.transport.close()
        else:
            super().shutdown()

    # Time

    def _watch(self) -> None:
        """Begin to count the time of what is waited for now, if that is something else than before."""
        answered = self.cycle is not None and self.cycle.response_complete
        if self._ending or self.transport.is_closing():
            awaited = ""
        elif self.conn.awaits_head:  # a kept connection without a new request is uvicorn's to close
            awaited = "head" if self.conn.has_begun or self.cycle is None else ""
        elif self.conn.their_state is h11.SEND_BODY:
            awaited = "rest" if answered else "body"
        else:
            awaited = ""
        if awaited != self._awaited:
            self._awaited = awaited
            if self._timer:
                self._timer.cancel()
                self._timer = None
            if awaited:
                seconds = {"head": self.limits.head_seconds, "body": self.limits.idle_seconds, "rest": _LINGER_SECONDS}
                self._timer = self.loop.call_later(seconds[awaited], self._too_late)

    def _too_late(self) -> None:
        if self._awaited == "head" and self.conn.has_begun:
            self._refuse(RequestTimeout(f"The request's head did not arrive within {self.limits.head_seconds:g} s."))
        elif self._awaited == "body":
            own_fault = self.flow.read_paused or self.conn.they_are_waiting_for_100_continue
            left = self.limits.idle_seconds - (0 if own_fault else self.loop.time() - self._heard)
            if left > 0:
                self._timer = self.loop.call_later(left, self._too_late)
            else:
                message = f"Nothing of the request's body arrived for {self.limits.idle_seconds:g} s."
                self._refuse(RequestTimeout(message))
        else:
            self._end(linger=False)

    def _expect_reader(self, size: int) -> None:
        """Break off if the client takes nothing of the ``size`` bytes that wait for it."""

        def look() -> None:
            now = self.transport.get_write_buffer_size()
            if now < size:
                self._expect_reader(now)
            else:
                self.transport.abort()

        self._write_timer = self.loop.call_later(self.limits.idle_seconds, look)

    # The end

    def _refuse(self, error: ApiError, *, linger: bool = True) -> None:
        """Answer with ``error``, if no answer has begun, and end the connection."""
        if self._ending or self.transport.is_closing():
            return
        if self.conn.our_state in (h11.IDLE, h11.SEND_RESPONSE):
            response = error_response(error)
            lines = [f"HTTP/1.1 {error.http} {HTTPStatus(error.http).phrase}".encode()]
            lines += [b": ".join(pair) for pair in (*self.server_state.default_headers, *response.raw_headers)]
            self.transport.write(b"\r\n".join([*lines, b"connection: close", b"", b""]) + bytes(response.body))
        if self.cycle is not None and not self.cycle.response_complete:  # its request will never be whole
            self.cycle.disconnected = True
            self.cycle.message_event.set()
        self._end(linger=linger)

    def _end(self, *, linger: bool = True) -> None:
        """Close, but not before the client had time to read: bytes of it that nobody takes would destroy the answer."""
        self._ending = True
        self._unset_keepalive_if_required()
        if linger and self.transport.can_write_eof():
            self.transport.write_eof()
            self.flow.resume_reading()
        else:
            self.transport.close()
        if self._timer:
            self._timer.cancel()
        self._timer = self.loop.call_later(_LINGER_SECONDS, self.transport.abort)


def _probe(connection: socket.socket) -> None:
    connection.setsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1)
    for name, value in _KEEP_ALIVE_PROBES.items():
        if hasattr(socket, name):
            connection.setsockopt(socket.IPPROTO_TCP, getattr(socket, name), value)
