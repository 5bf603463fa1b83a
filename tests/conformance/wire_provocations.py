"""The refusals of what no route reads: bytes that are no HTTP, bodies that are no JSON, requests that repeat others."""

from __future__ import annotations

from collections.abc import Callable

import httpx

from raw_http import get, post, raw
from server import LOCATION, Server

Provoke = Callable[[Server], httpx.Response]

JOBS = f"/v1/{LOCATION}/tuningJobs"
ENDPOINTS = f"/v1/{LOCATION}/endpoints"
_PATH = JOBS.encode()


def sent(body: bytes, **headers: str) -> Provoke:
    """tuningJobs.create with this body."""
    return lambda server: server.request("POST", JOBS, content=body, headers=headers)


def used_otherwise(server: Server) -> httpx.Response:
    server.call("POST", f"{ENDPOINTS}?requestId=otherwise", {})
    return server.request("POST", f"{ENDPOINTS}?requestId=otherwise", json={"displayName": "another"})


def operation_gone(server: Server) -> httpx.Response:
    made = server.call("POST", f"{ENDPOINTS}?requestId=gone", {})
    server.call("DELETE", f"/v1/{made['name']}")
    return server.request("POST", f"{ENDPOINTS}?requestId=gone", json={})


REQUESTS: dict[str, Provoke] = {
    "bytes that are no HTTP": raw(bytes.fromhex("16030100c8010000c40303")),
    "another version of HTTP": raw(b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"),
    "an address that is no path": raw(b"GET http://localhost/healthz HTTP/1.1\r\nHost: localhost\r\n\r\n"),
    "lines that end with a line feed alone": raw(b"GET /healthz HTTP/1.1\nHost: localhost\n\n"),
    "a header on two lines": raw(get(b"/healthz", b"A: b", b" c")),
    "two lengths of one body": raw(post(_PATH, b"Content-Length: 2", b"Transfer-Encoding: chunked", body=b"{}")),
    "a length of very many digits": raw(post(_PATH, b"Content-Length: " + b"9" * 5000)),
    "a transfer encoding of another kind": raw(post(_PATH, b"Transfer-Encoding: gzip, chunked")),
    "a head over the limit (setting `max_header_bytes`)": raw(get(b"/healthz", b"A: " + b"a" * 70000)),
    "a head that is not sent in time (setting `header_timeout_seconds`)": raw(b"GET /healthz HTTP/1.1\r\n"),
    "a body that does not go on (setting `body_timeout_seconds`)": raw(post(_PATH, b"Content-Length: 9", body=b"{")),
    "an escape of an address that is none": raw(get(b"/v1/100%")),
    "an address that is not UTF-8": raw(get(_PATH + b"?filter=%ff")),
    "an address with a NUL": raw(get(_PATH + b"?filter=%00")),
    "a header that is not UTF-8": raw(get(_PATH, b"A: \xff")),
    "a body with an encoding": sent(b"\x1f\x8b", **{"Content-Encoding": "gzip"}),
    "a name twice in one object": sent(b'{"baseModel": "tiny", "baseModel": "tiny"}'),
    "a number beyond all doubles": sent(b'{"labels": {"a": 1e999}}'),
    "a whole number beyond all doubles": sent(b'{"labels": {"a": ' + b"9" * 5000 + b"}}"),
    "a request id that cannot be": lambda server: server.request("POST", f"{ENDPOINTS}?requestId=a%20b", json={}),
    "a request id that was used otherwise": used_otherwise,
    "a request id whose operation is gone": operation_gone,
}  # fmt: skip
