"""What every store behind an address must keep: embedded buckets, folders, S3, Cloud Storage, and our own server."""

from __future__ import annotations

import os
import threading
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import httpx
import pytest

import emulators
from server import Server
from sintonia.errors import Aborted, ApiError, NotFound
from sintonia.storage import BucketStore, Place, Storage, StorageConfig

KINDS = ("embedded", "folder", "s3", "google", "ours")
NAMES = [
    "plain.jsonl",
    "a/b/c.jsonl",
    "a b+c&d=e~f.jsonl",
    "ação/coração 日本.jsonl",
    "x" * 200,
    "'quoted' (1).jsonl",
    "a:b",
]


# The emulator of Cloud Storage counts generations in seconds, and reads the newest whichever is asked for; our own
# server, which is asked by the same store, stands for it.
pinning = pytest.mark.parametrize("corner", [kind for kind in KINDS if kind != "google"], indirect=True)


@dataclass(frozen=True)
class Corner:
    """A place where things can be put."""

    storage: Storage
    uri: str
    kind: str

    def put(self, name: str, content: bytes | Path) -> str:
        self.storage.put(f"{self.uri}/{name}", content, project="p")
        return f"{self.uri}/{name}"

    def get(self, uri: str) -> bytes:
        opened = self.storage.open(uri, project="p")
        with opened.stream as stream:
            return stream.read()


@pytest.fixture(scope="module")
def ends(tmp_path_factory: pytest.TempPathFactory) -> Iterator[dict[str, str]]:
    """URLs of the other ends, by kind; each has a bucket ``data``."""
    ours = Server(tmp_path_factory.mktemp("ours"), base_models={})
    with emulators.s3() as s3, emulators.google() as google:
        ours.start()
        try:
            httpx.put(f"{s3}/data").raise_for_status()
            for url in (google, ours.url):
                httpx.post(f"{url}/storage/v1/b?project=p", json={"name": "data"}).raise_for_status()
            yield {"s3": s3, "google": google, "ours": ours.url}
        finally:
            ours.stop()


@pytest.fixture(params=KINDS)
def corner(
    request: pytest.FixtureRequest, tmp_path: Path, ends: dict[str, str], monkeypatch: pytest.MonkeyPatch
) -> Corner:
    return corner_of(request.param, tmp_path, ends, monkeypatch, request.node.name)


def corner_of(kind: str, tmp_path: Path, ends: dict[str, str], monkeypatch: pytest.MonkeyPatch, folder: str) -> Corner:
    """Of one test alone."""
    folder = "".join(letter for letter in folder if letter.isalnum())
    buckets = tmp_path / "buckets"
    if kind == "embedded":
        BucketStore(buckets).create_bucket("data", "p")
        return Corner(Storage(StorageConfig(buckets_dir=buckets)), f"gs://data/{folder}", kind)
    if kind == "folder":
        uri = f"file://{tmp_path}/shared"
        (tmp_path / "shared").mkdir()
    else:
        uri = "s3://data" if kind == "s3" else "gs://data"
        for name in list(os.environ):
            if name.startswith(("AWS_", "STORAGE_", "GOOGLE_")):
                monkeypatch.delenv(name)
        point_at(ends[kind], kind, monkeypatch)
    gs = "google" if uri.startswith("gs:") else "embedded"
    config = StorageConfig(buckets_dir=buckets, gs=gs, places=(Place(uri=uri),))
    return Corner(Storage(config), f"{uri}/{folder}", kind)


def point_at(url: str, kind: str, monkeypatch: pytest.MonkeyPatch) -> None:
    if kind == "s3":
        for name, value in (emulators.S3_CREDENTIALS | {"AWS_ENDPOINT_URL": url}).items():
            monkeypatch.setenv(name, value)
    else:
        monkeypatch.setenv("STORAGE_EMULATOR_HOST", url)


@pytest.mark.parametrize("content", [b"", b"one\ntwo\n", os.urandom(300_000)], ids=len)
def test_what_was_put_is_told_and_read(corner: Corner, content: bytes) -> None:
    uri = corner.put("rows.jsonl", content)
    found = corner.storage.stat(uri, project="p")
    assert (str(found.address), found.size) == (uri, len(content))
    assert corner.get(uri) == content
    assert corner.storage.open(uri, project="p").found == found


def test_names_are_taken_as_they_are(corner: Corner) -> None:
    for name in NAMES:
        corner.put(name, name.encode())
    for name in NAMES:
        assert corner.get(f"{corner.uri}/{name}") == name.encode()


def test_a_file_larger_than_what_is_sent_at_once(corner: Corner, tmp_path: Path) -> None:
    content = os.urandom(1 << 20) * 21 + b"end"
    file = tmp_path / "adapter.safetensors"
    file.write_bytes(content)
    uri = corner.put("adapter.safetensors", file)
    assert corner.storage.stat(uri, project="p").size == len(content)
    opened = corner.storage.open(uri, project="p")
    with opened.stream as stream:
        assert stream.read(4) == content[:4]
        stream.seek(0)
        chunks = list(iter(lambda: stream.read(1 << 18), b""))
        assert stream.tell() == len(content)
        stream.seek(-3, os.SEEK_END)
        assert stream.read() == b"end"
    assert b"".join(chunks) == content


def test_lines_are_read_as_from_a_file(corner: Corner) -> None:
    lines = [b"%d %s\n" % (i, b"x" * (i % 700)) for i in range(20_000)]
    uri = corner.put("lines.jsonl", b"".join(lines))
    with corner.storage.open(uri, project="p").stream as stream:
        assert list(stream) == lines


@pinning
def test_overwriting_changes_the_version(corner: Corner) -> None:
    uri = corner.put("a.jsonl", b"old")
    before = corner.storage.stat(uri, project="p")
    corner.put("a.jsonl", b"newer")
    after = corner.storage.stat(uri, project="p")
    assert (after.size, after.version != before.version) == (5, True)
    assert corner.get(uri) == b"newer"


@pinning
def test_a_reader_never_sees_two_versions(corner: Corner) -> None:
    old, new = b"o" * (9 << 20), b"n" * (9 << 20)
    uri = corner.put("a.jsonl", old)
    with corner.storage.open(uri, project="p").stream as stream:
        begin = stream.read(1000)
        corner.put("a.jsonl", new)
        try:
            seen = {begin + stream.read()}
        except Aborted as error:
            seen = {error.message}
    assert seen <= {old, f"'{uri}' was changed while it was read; begin again."}
    assert corner.get(uri) == new


def test_what_is_not_there_is_not_found(corner: Corner) -> None:
    corner.put("there", b"x")
    for uri in (f"{corner.uri}/none", f"{corner.uri}/there/none", f"{corner.uri}/nowhere/none"):
        for call in (corner.storage.stat, corner.storage.open):
            with pytest.raises(NotFound, match=r"^No such object: "):
                call(uri, project="p")


def test_looking_whether_it_can_be_written_leaves_nothing(corner: Corner) -> None:
    uri = f"{corner.uri}/deep/down/x"
    corner.storage.check_writable(uri, project="p")
    with pytest.raises(NotFound):
        corner.storage.stat(uri, project="p")
    assert [problem for _, problem in corner.storage.look_around() if problem] == []


@pytest.mark.parametrize("kind", ["s3", "google", "ours"])
def test_a_bucket_that_is_not_there_cannot_be_written(
    kind: str, tmp_path: Path, ends: dict[str, str], monkeypatch: pytest.MonkeyPatch
) -> None:
    corner = corner_of(kind, tmp_path, ends, monkeypatch, "x")
    scheme = corner.uri.partition(":")[0]
    config = corner.storage.config.model_copy(update={"places": (Place(uri=f"{scheme}://nowhere"),)})
    storage = Storage(config)
    for call in (storage.check_writable, storage.stat):
        with pytest.raises(NotFound):
            call(f"{scheme}://nowhere/x", project="p")
    ((_, problem),) = storage.look_around()
    assert isinstance(problem, NotFound)


def test_threads_do_not_disturb_each_other(corner: Corner) -> None:
    failures: list[BaseException] = []

    def work(number: int) -> None:
        try:
            content = b"%d\n" % number * 50_000
            assert corner.get(corner.put(f"{number}.jsonl", content)) == content
        except BaseException as error:
            failures.append(error)

    threads = [threading.Thread(target=work, args=(number,)) for number in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert failures == []


def test_what_cannot_be_put_leaves_what_was_there(corner: Corner, tmp_path: Path) -> None:
    uri = corner.put("a", b"old")
    with pytest.raises((OSError, ApiError)):
        corner.put("a", tmp_path / "missing")
    assert corner.get(uri) == b"old"
