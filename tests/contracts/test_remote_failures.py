"""When storages that are not ours refuse, break or are away: what is told, what is tried again, what is never told."""

from __future__ import annotations

import logging
import os
import socket
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import httpx
import pytest

import emulators
from sintonia.errors import ApiError, FailedPrecondition, NotFound, PermissionDenied, Unavailable
from sintonia.storage import Place, Storage, StorageConfig
from sintonia.storage.elsewhere import remote

SECRETS = ("AKIAEXAMPLE", "very-secret-key", "Signature", "upload_id", "http://", "X-Amz", "Bearer")
URIS = {"s3": "s3://data/x.jsonl", "google": "gs://data/x.jsonl"}


@pytest.fixture(autouse=True)
def _impatient(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(remote, "_PATIENCE_SECONDS", 0)


def storage_at(url: str, kind: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Storage:
    for name in list(os.environ):
        if name.startswith(("AWS_", "STORAGE_", "GOOGLE_")):
            monkeypatch.delenv(name)
    for name, value in (emulators.S3_CREDENTIALS | {"AWS_ENDPOINT_URL": url}).items():
        monkeypatch.setenv(name, value)
    monkeypatch.setenv("STORAGE_EMULATOR_HOST", url)
    place = Place(uri=URIS[kind].rpartition("/")[0])
    gs = "google" if kind == "google" else "embedded"
    return Storage(StorageConfig(buckets_dir=tmp_path, gs=gs, places=(place,)))


@contextmanager
def answering(status: int, body: Callable[[BaseHTTPRequestHandler], str]) -> Iterator[str]:
    """A server that gives everybody the same answer."""

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def do_GET(self) -> None:
            self.rfile.read(int(self.headers.get("Content-Length") or 0))
            content = body(self).encode()
            self.send_response(status)
            self.send_header("Content-Length", str(len(content)))
            self.end_headers()
            if self.command != "HEAD":
                self.wfile.write(content)

        do_HEAD = do_PUT = do_POST = do_DELETE = do_GET

        def log_message(self, *_: object) -> None:
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    try:
        yield f"http://127.0.0.1:{server.server_address[1]}"
    finally:
        server.shutdown()
        server.server_close()


def xml(code: str) -> Callable[[BaseHTTPRequestHandler], str]:
    """S3's form of an error, with more in it than anybody should pass on."""
    return lambda request: (
        f'<?xml version="1.0"?><Error><Code>{code}</Code><Message>no: {request.headers["Authorization"]} '
        f"http://127.0.0.1{request.path}?X-Amz-Signature=abc</Message></Error>"
    )


def json(status: int) -> Callable[[BaseHTTPRequestHandler], str]:
    """Cloud Storage's."""
    text = f'{{"error": {{"message": "no: http://x/upload?upload_id=abc Bearer token", "code": {status}}}}}'
    return lambda request: text


@pytest.mark.parametrize(
    ("kind", "status", "code", "told"),
    [
        ("s3", 403, "AccessDenied", PermissionDenied),
        ("s3", 403, "InvalidAccessKeyId", PermissionDenied),
        ("s3", 403, "SignatureDoesNotMatch", PermissionDenied),
        ("s3", 400, "ExpiredToken", PermissionDenied),
        ("s3", 404, "NoSuchBucket", NotFound),
        ("s3", 400, "AuthorizationHeaderMalformed", FailedPrecondition),
        ("google", 401, "", PermissionDenied),
        ("google", 403, "", PermissionDenied),
        ("google", 404, "", NotFound),
        ("google", 400, "", FailedPrecondition),
    ],
)
def test_refusals_are_told_in_our_words(
    kind: str,
    status: int,
    code: str,
    told: type[ApiError],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
) -> None:
    caplog.set_level(logging.INFO)
    with answering(status, xml(code) if kind == "s3" else json(status)) as url:
        storage = storage_at(url, kind, tmp_path, monkeypatch)
        calls: list[Callable[[], object]] = [
            lambda: storage.check_writable(URIS[kind], project="p"),
            lambda: storage.put(URIS[kind], b"x", project="p"),
        ]
        if code not in ("ExpiredToken", "AuthorizationHeaderMalformed"):  # HEAD tells a number only
            calls += [lambda: storage.stat(URIS[kind], project="p"), lambda: storage.open(URIS[kind], project="p")]
        for call in calls:
            with pytest.raises(told) as raised:
                call()
            assert "data" in raised.value.message
            assert not any(secret in raised.value.message for secret in SECRETS), raised.value.message
            assert raised.value.__cause__ is None
            assert raised.value.__context__ is None
    assert not any(secret in caplog.text for secret in SECRETS), caplog.text


@pytest.mark.parametrize("kind", URIS)
def test_a_storage_that_is_away(
    kind: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.INFO)
    monkeypatch.setattr(f"sintonia.storage.elsewhere.{kind}.QUICK_SECONDS", 2)
    with socket.create_server(("127.0.0.1", 0)) as unheard:
        url = f"http://127.0.0.1:{unheard.getsockname()[1]}"
    storage = storage_at(url, kind, tmp_path, monkeypatch)
    with pytest.raises(Unavailable, match="cannot be reached at the moment") as raised:
        storage.stat(URIS[kind], project="p")
    assert not any(secret in raised.value.message + caplog.text for secret in SECRETS)


def test_without_credentials(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with answering(200, lambda _: "") as url:
        storage = storage_at(url, "s3", tmp_path, monkeypatch)
        for name in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY"):
            monkeypatch.delenv(name)
        monkeypatch.setenv("AWS_EC2_METADATA_DISABLED", "true")
        monkeypatch.setenv("HOME", str(tmp_path))
        with pytest.raises(PermissionDenied, match="credentials"):
            storage.stat(URIS["s3"], project="p")


class Cutting:
    """A way to ``target`` that breaks ``left`` more answers in their midst."""

    def __init__(self, target: str, left: int) -> None:
        host, _, port = target.removeprefix("http://").partition(":")
        self._target = host, int(port)
        self.left = left
        self._listener = socket.create_server(("127.0.0.1", 0))
        self.url = f"http://127.0.0.1:{self._listener.getsockname()[1]}"
        threading.Thread(target=self._accept, daemon=True).start()

    def _accept(self) -> None:
        while True:
            try:
                client, _ = self._listener.accept()
            except OSError:
                return
            server = socket.create_connection(self._target)
            threading.Thread(target=self._pass_on, args=(client, server, False), daemon=True).start()
            threading.Thread(target=self._pass_on, args=(server, client, True), daemon=True).start()

    def _pass_on(self, source: socket.socket, target: socket.socket, answer: bool) -> None:
        passed = 0
        with suppress(OSError):
            while chunk := source.recv(1 << 16):
                passed += len(chunk)
                if answer and self.left and passed > 1 << 20:
                    self.left -= 1
                    break
                target.sendall(chunk)
        for end in (source, target):
            with suppress(OSError):
                end.shutdown(socket.SHUT_RDWR)

    def close(self) -> None:
        self._listener.close()


@pytest.mark.parametrize("kind", URIS)
def test_broken_connections_are_mended_while_reading(
    kind: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(remote, "_PATIENCE_SECONDS", 60)
    content = os.urandom(1 << 20) * 10
    with getattr(emulators, kind)() as url:
        if kind == "s3":
            httpx.put(f"{url}/data")
        else:
            httpx.post(f"{url}/storage/v1/b?project=p", json={"name": "data"})
        storage_at(url, kind, tmp_path, monkeypatch).put(URIS[kind], content, project="p")
        way = Cutting(url, left=2)
        storage = storage_at(way.url, kind, tmp_path, monkeypatch)
        with storage.open(URIS[kind], project="p").stream as stream:
            assert stream.read() == content
        assert way.left == 0
        way.close()
