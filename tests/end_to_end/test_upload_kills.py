"""Uploads go on behind kill -9 of the server, of the client and behind broken connections, and send nothing again."""

from __future__ import annotations

import hashlib
import json
import os
import subprocess
import sys
from base64 import b64encode
from collections.abc import Iterator
from pathlib import Path

import httpx
import psutil
import pytest

from relay import Relay
from server import PATIENCE, Server, until

ROOT = Path(__file__).parents[2]
CLIENTS = ROOT / ".cache" / "clients-storage" / "bin" / "python"
PROGRAMS = ROOT / "tests" / "conformance" / "clients"
PIECE = 2**18
HEADS = 2**14
"""More than the heads of all requests of a test here have together."""


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    server = Server(tmp_path_factory.mktemp("kills"), base_models={})
    server.start()
    server.call("POST", "/storage/v1/b?project=p", {"name": "kills"})
    yield server
    server.stop()


@pytest.fixture
def relay(server: Server) -> Iterator[Relay]:
    with Relay(lambda: server.url) as relay:
        yield relay


def restart(server: Server) -> None:
    server.kill()
    server.start()


def drafts(server: Server) -> list[Path]:
    return [path for path in (server.home / "buckets" / "kills").rglob("*.part") if path.stat().st_size]


def test_a_client_goes_on_behind_the_killed_server_and_sends_nothing_again(server: Server, relay: Relay) -> None:
    size = 6 * PIECE + 100
    client = subprocess.Popen(
        [CLIENTS, PROGRAMS / "resumed_flow.py", relay.url, "kills", str(size)],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    )
    assert client.stdin
    assert client.stdout
    said = []
    for line in client.stdout:
        said.append(line.strip())
        if line.startswith("PIECE"):
            if len(said) in (3, 5):
                restart(server)
            client.stdin.write("go on\n")
            client.stdin.flush()
    assert client.wait(PATIENCE) == 0
    assert said[-1] == "SEEN {}"
    assert size <= relay.sent < size + HEADS, "pieces that had arrived were sent again"


def test_a_piece_that_is_cut_by_kill_9_is_kept_as_far_as_it_came(server: Server) -> None:
    content = os.urandom(8 * PIECE)
    start = server.request("POST", "/upload/storage/v1/b/kills/o?uploadType=resumable&name=cut.bin")
    where = start.headers["location"].removeprefix(server.url)
    sent = 0

    def half() -> Iterator[bytes]:
        nonlocal sent
        for begin in range(0, 6 * PIECE, PIECE):
            yield content[begin : begin + PIECE]
            sent += PIECE
        until(lambda: drafts(server), what="a part of the piece on disk", server=server)
        server.kill()
        yield content[6 * PIECE :]

    head = {"Content-Range": f"bytes 0-{len(content) - 1}/{len(content)}", "Content-Length": str(len(content))}
    with pytest.raises(httpx.TransportError):
        server.request("PUT", where, content=half(), headers=head)
    server.start()
    told = server.request("PUT", where, headers={"Content-Range": f"bytes */{len(content)}"})
    assert told.status_code == 308
    there = int(told.headers["range"].removeprefix("bytes=0-")) + 1
    assert 0 < there <= 6 * PIECE
    rest = {"Content-Range": f"bytes {there}-{len(content) - 1}/{len(content)}"}
    stored = server.call("PUT", where, content=content[there:], headers=rest)
    assert stored["md5Hash"] == b64encode(hashlib.md5(content, usedforsecurity=False).digest()).decode()
    assert server.request("GET", "/storage/v1/b/kills/o/cut.bin?alt=media").content == content
    assert drafts(server) == []


def test_an_upload_of_a_killed_client_is_finished_by_another(server: Server, relay: Relay) -> None:
    """Which has its address from where the first one noted it, as gcloud and gsutil do."""
    content = bytes(range(256)) * 4096
    start = httpx.post(relay.url + "/upload/storage/v1/b/kills/o?uploadType=resumable&name=orphan.bin")
    where = start.headers["location"]
    program = f"""
import httpx, sys
def pieces():
    yield bytes(range(256)) * 2048
    print("half", flush=True)
    sys.stdin.read()
length = {{"Content-Range": "bytes 0-{len(content) - 1}/*", "Content-Length": "{len(content)}"}}
httpx.put("{where}", content=pieces(), headers=length)
"""
    client = subprocess.Popen([sys.executable, "-c", program], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
    assert client.stdout
    assert client.stdout.readline() == "half\n"
    client.kill()
    client.wait()
    ask = {"Content-Range": f"bytes */{len(content)}"}
    there = (
        int(until(lambda: httpx.put(where, headers=ask).headers.get("range"), what="what arrived", server=server)[8:])
        + 1
    )
    rest = {"Content-Range": f"bytes {there}-{len(content) - 1}/{len(content)}"}
    until(
        lambda: httpx.put(where, content=content[there:], headers=rest).status_code == 200,
        what="the end of the first sender",
        server=server,
    )
    assert server.request("GET", "/storage/v1/b/kills/o/orphan.bin?alt=media").content == content


def test_the_command_line_goes_on_up_and_down(server: Server, relay: Relay, tmp_path: Path) -> None:
    """Pieces of 8 MiB: behind the first one the server is killed; on the way down the connection breaks."""
    content = os.urandom(1 << 20) * 20
    file = tmp_path / "big.bin"
    file.write_bytes(content)
    command = [sys.executable, "-m", "sintonia", "--url", relay.url, "--json"]

    relay.when_sent = (9 << 20, lambda: restart(server))
    done = subprocess.run([*command, "cp", file, "gs://kills/cli/"], capture_output=True, text=True, timeout=PATIENCE)
    assert done.returncode == 0, done.stderr
    assert "going on" in done.stderr
    stored = json.loads(done.stdout)
    assert (stored["name"], stored["size"]) == ("cli/big.bin", str(len(content)))
    assert stored["md5Hash"] == b64encode(hashlib.md5(content, usedforsecurity=False).digest()).decode()
    assert relay.sent < len(content) + (8 << 20), "more than the piece that was cut was sent again"

    relay.received, relay.when_received = 0, (9 << 20, relay.cut)
    back = tmp_path / "back.bin"
    done = subprocess.run(
        [*command, "cp", "gs://kills/cli/big.bin", back], capture_output=True, text=True, timeout=PATIENCE
    )
    assert done.returncode == 0, done.stderr
    assert "going on" in done.stderr
    assert back.read_bytes() == content


def test_the_command_line_goes_on_behind_its_own_death(server: Server, relay: Relay, tmp_path: Path) -> None:
    content = os.urandom(1 << 20) * 20
    file = tmp_path / "orphan.bin"
    file.write_bytes(content)
    environment = {**os.environ, "XDG_CACHE_HOME": str(tmp_path / "cache")}
    command = [sys.executable, "-m", "sintonia", "--url", relay.url, "--json", "cp", str(file), "gs://kills/cli/"]
    first = subprocess.Popen(command, env=environment, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    relay.when_sent = (9 << 20, first.kill)
    assert first.wait(PATIENCE) == -9
    assert len(list((tmp_path / "cache").rglob("uploads/*"))) == 1
    before = relay.sent

    done = subprocess.run(command, env=environment, capture_output=True, text=True, timeout=PATIENCE, check=False)
    assert done.returncode == 0, done.stderr
    stored = json.loads(done.stdout)
    assert stored["md5Hash"] == b64encode(hashlib.md5(content, usedforsecurity=False).digest()).decode()
    assert relay.sent - before < len(content) - (8 << 20) + HEADS, "the piece that had arrived was sent again"
    assert list((tmp_path / "cache").rglob("uploads/*")) == []


def test_memory_does_not_grow_with_an_object(server: Server) -> None:
    """By what the server takes at most, beside an object several times as large."""
    assert server.process
    process = psutil.Process(server.process.pid)
    before = process.memory_info().rss
    block = os.urandom(1 << 20)
    size = 192 << 20
    most = 0

    def blocks() -> Iterator[bytes]:
        nonlocal most
        for number in range(size >> 20):
            if number % 16 == 0:
                most = max(most, process.memory_info().rss)
            yield block

    stored = server.call(
        "POST",
        "/upload/storage/v1/b/kills/o?uploadType=media&name=large.bin",
        content=blocks(),
        headers={"Content-Length": str(size)},
    )
    assert stored["size"] == str(size)
    with httpx.stream("GET", f"{server.url}/storage/v1/b/kills/o/large.bin?alt=media", timeout=PATIENCE) as answer:
        for number, _ in enumerate(answer.iter_raw(1 << 20)):
            if number % 16 == 0:
                most = max(most, process.memory_info().rss)
    assert most - before < size / 4, f"{(most - before) >> 20} MiB for an object of {size >> 20} MiB"
    server.request("DELETE", "/storage/v1/b/kills/o/large.bin")
