"""A relay between clients and a server: it counts bytes, and its port stays the same when the server restarts."""

from __future__ import annotations

import contextlib
import socket
import threading
from collections.abc import Callable
from urllib.parse import urlsplit

Event = tuple[int, Callable[[], None]] | None


class Relay:
    """Passes connections on to where ``target`` says at that moment (``http://HOST:PORT``).

    ``sent`` counts the bytes of clients that a server took, ``received`` those of servers. ``when_sent`` and
    ``when_received`` are a number of bytes, and what is done once so many have passed, before any more do. As a context
    manager it ends with all its connections.
    """

    def __init__(self, target: Callable[[], str]) -> None:
        self._target = target
        self._listener = socket.create_server(("127.0.0.1", 0))
        self.url = f"http://127.0.0.1:{self._listener.getsockname()[1]}"
        self.sent = self.received = 0
        self.when_sent: Event = None
        self.when_received: Event = None
        self._open: set[socket.socket] = set()
        threading.Thread(target=self._accept, daemon=True).start()

    def cut(self) -> None:
        """Break all connections that are open now."""
        for end in list(self._open):
            with contextlib.suppress(OSError):
                end.shutdown(socket.SHUT_RDWR)

    def __enter__(self) -> Relay:
        return self

    def __exit__(self, *_: object) -> None:
        self._listener.close()
        self.cut()

    def _accept(self) -> None:
        with contextlib.suppress(OSError):
            while True:
                client, _ = self._listener.accept()
                url = urlsplit(self._target())
                try:
                    server = socket.create_connection((url.hostname or "", url.port or 0))
                except OSError:
                    client.close()
                    continue
                self._open |= {client, server}
                threading.Thread(target=self._pass, args=(client, server, True), daemon=True).start()
                threading.Thread(target=self._pass, args=(server, client, False), daemon=True).start()
                del client, server  # closed when both threads are done with them

    def _pass(self, source: socket.socket, sink: socket.socket, up: bool) -> None:
        with contextlib.suppress(OSError):
            while data := source.recv(1 << 16):
                sink.sendall(data)
                if up:
                    self.sent += len(data)
                    if (event := self.when_sent) and self.sent >= event[0]:
                        self.when_sent = None
                        event[1]()
                else:
                    self.received += len(data)
                    if (event := self.when_received) and self.received >= event[0]:
                        self.when_received = None
                        event[1]()
        self._open -= {source, sink}
        for end in (source, sink):
            with contextlib.suppress(OSError):
                end.shutdown(socket.SHUT_RDWR)
