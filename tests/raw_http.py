"""Bytes sent to a server as they are, well formed or not, and what comes back."""

from __future__ import annotations

import http.client
import socket
from collections.abc import Callable
from urllib.parse import urlsplit

import httpx

from server import PATIENCE, Server

HOST = b"Host: localhost\r\n"


def connect(server: Server) -> socket.socket:
    address = urlsplit(server.url)
    assert address.port
    return socket.create_connection((address.hostname or "", address.port), PATIENCE)


def answer_on(connection: socket.socket) -> httpx.Response:
    """The next answer."""
    answer = http.client.HTTPResponse(connection)
    answer.begin()
    return httpx.Response(answer.status, headers=answer.getheaders(), content=answer.read())


def raw(data: bytes) -> Callable[[Server], httpx.Response]:
    """A provocation: these bytes and nothing more, on a connection of their own."""

    def send(server: Server) -> httpx.Response:
        with connect(server) as connection:
            connection.sendall(data)
            return answer_on(connection)

    return send


def get(path: bytes = b"/healthz", *headers: bytes) -> bytes:
    """A request without a body, and without an end of its connection."""
    return b"GET " + path + b" HTTP/1.1\r\n" + HOST + b"".join(line + b"\r\n" for line in headers) + b"\r\n"


def post(path: bytes, *headers: bytes, body: bytes = b"") -> bytes:
    """A request with the head as given: it tells its length only if ``headers`` do."""
    return get(path, *headers).replace(b"GET", b"POST", 1) + body
