"""What arrives on the wire and is no request: refused at once, in the API's shape, and the connection is closed."""

from __future__ import annotations

import json
import socket
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import httpx
import pytest

from raw_http import answer_on, connect, get, post
from server import LOCATION, Server, until

JOBS = f"/v1/{LOCATION}/tuningJobs".encode()
MODEL = f"/v1/{LOCATION}/publishers/google/models/tiny"
SECONDS, CONNECTIONS = 2, 40


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory, tiny_model_dir: Path) -> Iterator[Server]:
    settings = (
        f"header_timeout_seconds = {SECONDS}\nbody_timeout_seconds = {SECONDS}\nmax_connections = {CONNECTIONS}\n"
        "serving_threads = 1\n"
    )
    server = Server(tmp_path_factory.mktemp("wire"), base_models={"tiny": tiny_model_dir}, settings=settings)
    server.start()
    yield server
    server.stop()


def head(*lines: bytes, end: bytes = b"\r\n") -> bytes:
    return end.join([*lines, b"", b""])


HTTP = b"GET /healthz HTTP/1.1"
MALFORMED: dict[str, bytes] = {
    "a TLS hello": bytes.fromhex("16030100c8010000c40303"),
    "HTTP/2": b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n",
    "HTTP/0.9": b"GET /healthz\r\n\r\n",
    "another protocol": b"SSH-2.0-OpenSSH_9.2\r\n\r\n",
    "an empty line": b"\r\nGET /healthz HTTP/1.1\r\n\r\n",
    "zeros": bytes(100),
    "an absolute address": head(b"GET http://localhost/healthz HTTP/1.1", b"Host: localhost"),
    "OPTIONS *": head(b"OPTIONS * HTTP/1.1", b"Host: localhost"),
    "CONNECT": head(b"CONNECT localhost:80 HTTP/1.1", b"Host: localhost"),
    "a tab in the request line": head(b"GET\t/healthz HTTP/1.1", b"Host: localhost"),
    "a space in the address": head(b"GET /health z HTTP/1.1", b"Host: localhost"),
    "an address that is no ASCII": head("GET /ação HTTP/1.1".encode(), b"Host: localhost"),
    "no host": head(HTTP),
    "two hosts": head(HTTP, b"Host: localhost", b"Host: 127.0.0.1"),
    "bare line feeds": head(HTTP, b"Host: localhost", end=b"\n"),
    "one bare line feed": b"GET /healthz HTTP/1.1\r\nHost: localhost\r\nA: b\nC: d\r\n\r\n",
    "a bare carriage return": head(HTTP, b"Host: localhost", b"A: b\rC: d"),
    "a folded header": head(HTTP, b"Host: localhost", b"A: b", b" c"),
    "a NUL in a header": head(HTTP, b"Host: localhost", b"A: b\0c"),
    "a space before a colon": head(HTTP, b"Host: localhost", b"A : b"),
    "a header without a name": head(HTTP, b"Host: localhost", b": b"),
    "a header without a colon": head(HTTP, b"Host: localhost", b"A"),
    "an endless address": get(b"/" + b"a" * 70000),
    "an endless query": get(b"/healthz?" + b"a" * 70000),
    "an endless header": get(b"/healthz", b"A: " + b"a" * 70000),
    "endless headers": get(b"/healthz", *[b"A%d: b" % number for number in range(9000)]),
    "a head that has no end": get(b"/healthz", b"A: " + b"a" * 300000)[:-4],
    "a length and chunks": post(JOBS, b"Content-Length: 2", b"Transfer-Encoding: chunked", body=b"{}"),
    "chunks of HTTP/1.0": head(b"POST " + JOBS + b" HTTP/1.0", b"Host: localhost", b"Transfer-Encoding: chunked"),
    "two lengths": post(JOBS, b"Content-Length: 2", b"Content-Length: 3", body=b"{} "),
    "a length of two numbers": post(JOBS, b"Content-Length: 2, 3", body=b"{} "),
    "a length below zero": post(JOBS, b"Content-Length: -2", body=b"{}"),
    "a length with a plus": post(JOBS, b"Content-Length: +2", body=b"{}"),
    "a length that is no number": post(JOBS, b"Content-Length: two", body=b"{}"),
    "a length of thousands of digits": post(JOBS, b"Content-Length: " + b"9" * 5000, body=b"{}"),
    "another transfer encoding": post(JOBS, b"Transfer-Encoding: gzip, chunked", body=b"0\r\n\r\n"),
    "chunked twice": post(JOBS, b"Transfer-Encoding: chunked, chunked", body=b"0\r\n\r\n"),
    "almost chunked": post(JOBS, b"Transfer-Encoding: \x0bchunked", body=b"0\r\n\r\n"),
    "a chunk of no number": post(JOBS, b"Transfer-Encoding: chunked", body=b"2x\r\n{}\r\n0\r\n\r\n"),
    "a chunk below zero": post(JOBS, b"Transfer-Encoding: chunked", body=b"-2\r\n{}\r\n0\r\n\r\n"),
    "a chunk larger than any": post(JOBS, b"Transfer-Encoding: chunked", body=b"f" * 30 + b"\r\n{}"),
    "a chunk that is longer than it says": post(JOBS, b"Transfer-Encoding: chunked", body=b"1\r\n{}\r\n0\r\n\r\n"),
}


def is_refusal(response: httpx.Response) -> bool:
    error = response.json()["error"]
    assert set(error) <= {"code", "message", "status", "details"}
    assert response.headers["content-type"] == "application/json; charset=UTF-8"
    return bool(error["code"] == response.status_code and error["message"] and error["status"])


@pytest.mark.parametrize("name", MALFORMED)
def test_malformed_requests_are_refused_and_end_their_connection(server: Server, name: str) -> None:
    with connect(server) as connection:
        connection.sendall(MALFORMED[name])
        response = answer_on(connection)
        assert is_refusal(response)
        assert response.status_code in (400, 431, 501)
        assert connection.recv(1) == b"", "it is closed"


@pytest.mark.parametrize(
    ("path", "header"),
    [
        (b"/v1/100%", b"A: b"),
        (b"/v1/%zz", b"A: b"),
        (b"/v1/%ff", b"A: b"),
        (b"/v1/%c0%af", b"A: b"),
        (b"/v1/%ed%a0%80", b"A: b"),
        (b"/v1/a%00b", b"A: b"),
        (JOBS + b"?filter=%", b"A: b"),
        (JOBS + b"?filter=%ff", b"A: b"),
        (JOBS + b"?filter=%00", b"A: b"),
        (JOBS, b"A: \xff"),
    ],
)
def test_addresses_and_headers_that_nobody_can_read(server: Server, path: bytes, header: bytes) -> None:
    with connect(server) as connection:
        connection.sendall(get(path, header))
        assert is_refusal(refused := answer_on(connection))
        assert refused.status_code == 400
        connection.sendall(get())
        assert answer_on(connection).status_code == 200, "the connection goes on"


@pytest.mark.parametrize(
    ("sent", "status"),
    [
        (b"GET /healthz HTTP/1.1\r\nHost", 408),
        (post(JOBS, b"Content-Length: 10", body=b"{"), 408),
        (post(JOBS, b"Transfer-Encoding: chunked", body=b"5\r\n{"), 408),
        (post(b"/upload/storage/v1/b/my-data/o?uploadType=media&name=x", b"Content-Length: 10", body=b"{"), 408),
        (post(JOBS, b"Content-Length: 99999999999", body=b" "), 400),
        (get() + b"GET /healthz", 200),
        (get(), 200),
        (b"", None),
    ],
)
def test_who_does_not_go_on_is_not_waited_for(server: Server, sent: bytes, status: int | None) -> None:
    server.upload("gs://my-data/other", b"x")
    with connect(server) as connection:
        connection.sendall(sent)
        if status is not None:
            response = answer_on(connection)
            assert response.status_code == status
            assert status == 200 or is_refusal(response)
        while connection.recv(65536):
            pass
    assert server.request("GET", "/storage/v1/b/my-data/o").json()["items"][0]["name"] == "other", "and nothing more"


def test_a_slow_upload_may_take_longer_than_its_pieces(server: Server) -> None:
    pieces = [b"slow "] * 6
    path = b"/upload/storage/v1/b/my-data/o?uploadType=media&name=slow"
    with connect(server) as connection:
        server.upload("gs://my-data/other", b"x")
        connection.sendall(post(path, b"Content-Length: %d" % len(b"".join(pieces))))
        for piece in pieces:
            time.sleep(SECONDS / 4)  # what is tested, not a way to wait for something
            connection.sendall(piece)
        assert answer_on(connection).json()["size"] == "30"


def test_whoever_waits_for_leave_to_go_on_gets_it_or_an_answer(server: Server) -> None:
    expects = b"Expect: 100-continue"
    with connect(server) as connection:
        connection.sendall(post(JOBS, expects, b"Content-Length: 2"))
        assert connection.recv(1000).startswith(b"HTTP/1.1 100 ")
        connection.sendall(b"{}")
        assert is_refusal(answer_on(connection))
    with connect(server) as connection:
        connection.sendall(post(JOBS, expects, b"Content-Length: 99999999999"))
        assert answer_on(connection).status_code == 400
        assert connection.recv(1) == b"", "nobody could tell what comes next"


def test_more_connections_than_there_may_be_are_told_so(server: Server) -> None:
    held = [connect(server) for _ in range(CONNECTIONS)]
    with connect(server) as refused:
        refused.sendall(get())
        response = answer_on(refused)
    assert (response.status_code, response.json()["error"]["status"]) == (503, "UNAVAILABLE")
    for connection in held:
        connection.close()
    until(lambda: server.request("GET", "/healthz").status_code == 200, what="room for another", server=server)


def test_who_does_not_read_an_answer_is_not_waited_for(server: Server) -> None:
    server.upload("gs://my-data/large", bytes(64 * 2**20))
    with connect(server) as connection:
        connection.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
        connection.sendall(get(b"/storage/v1/b/my-data/o/large?alt=media"))
        connection.recv(1)

        def is_over() -> bool:
            return f":{connection.getsockname()[1]} " not in _connections(server)

        until(is_over, what="the end of a connection", server=server)


def _connections(server: Server) -> str:
    """The peers of the server's open connections."""
    import psutil

    assert server.process is not None
    found = psutil.Process(server.process.pid).net_connections("tcp")
    return "".join(f":{item.raddr.port} " for item in found if item.raddr and item.status == "ESTABLISHED")


def test_a_request_has_a_name(server: Server) -> None:
    assert server.request("GET", "/healthz", headers={"X-Request-Id": "mine:1"}).headers["x-request-id"] == "mine:1"
    made = {server.request("GET", "/v1/nothing").headers["x-request-id"] for _ in range(2)}
    assert len(made) == 2
    odd = server.request("GET", "/healthz", headers={"X-Request-Id": "a b\t<script>"})
    assert "script" not in odd.headers["x-request-id"]


def test_offers_to_speak_otherwise_are_answered_as_ever(server: Server) -> None:
    for protocol in ("websocket", "h2c"):
        answer = server.request("GET", "/healthz", headers={"Connection": "Upgrade", "Upgrade": protocol})
        assert answer.status_code == 200


def test_nothing_of_all_this_is_a_fault(server: Server) -> None:
    log = server.log.read_text()
    assert "Traceback" not in log
    assert " ERROR " not in log


def test_a_server_that_stops_says_so(server: Server) -> None:
    with ThreadPoolExecutor(1) as thread, connect(server) as connection:
        body = json.dumps({"contents": {"parts": {"text": "hi"}}}).encode()
        path = f"{MODEL}:generateContent".encode()
        # A body that does not come: the handler is still at work when the server is told to stop.
        connection.sendall(post(path, b"Content-Length: %d" % (len(body) + 1), b"Expect: 100-continue"))
        assert connection.recv(1000).startswith(b"HTTP/1.1 100 ")
        stopped = thread.submit(server.terminate)
        for byte in body:
            connection.sendall(bytes([byte]))
            if stopped.done():
                break
            time.sleep(0.05)
        response = answer_on(connection)
        stopped.result()
    server.start()
    assert (response.status_code, response.json()["error"]["status"]) == (503, "UNAVAILABLE")
    assert "Traceback" not in server.log.read_text()
