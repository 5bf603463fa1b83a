"""A disk without room: told as such, nothing is lost, and all goes on when there is room again."""

from __future__ import annotations

import os
import resource
import shutil
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

import pytest

from sintonia.errors import InsufficientStorage
from sintonia.storage import BucketStore, ObjectMetadata

KIB = 1 << 10


@contextmanager
def files_up_to(size: int) -> Iterator[None]:
    """The system refuses to let any file of this process grow beyond ``size`` bytes, as a quota would."""
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (size, hard))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))


def get(store: BucketStore, name: str) -> bytes:
    with store.open_object("data", name) as reader:
        return reader.read()


def put(store: BucketStore, name: str, content: bytes) -> None:
    with store.write_object("data", name) as writer:
        for start in range(0, len(content), 64 * KIB):
            writer.write(content[start : start + 64 * KIB])


def test_what_a_quota_refuses_is_told_and_nothing_is_lost(tmp_path: Path) -> None:
    store = BucketStore(tmp_path)
    store.create_bucket("data", "p1")
    content = os.urandom(300 * KIB)
    put(store, "a", b"old")
    put(store, "large", content)
    id = store.start_upload("data", "a", size=len(content))
    with files_up_to(200_001):
        with pytest.raises(InsufficientStorage, match="no room left") as error:
            put(store, "a", content)
        assert (error.value.http, error.value.status) == (507, "RESOURCE_EXHAUSTED")
        with pytest.raises(InsufficientStorage):
            store.append(id, 0, [content[:150_000], content[150_000:]])
        with pytest.raises(InsufficientStorage):
            store.compose("data", [("large", None), ("large", None)], "a")
        assert get(store, "a") == b"old"
        assert len(list((tmp_path / "data" / "data").iterdir())) == 2
        received = store.upload_status(id).received
        assert received == 200_001
    with files_up_to(0):
        with pytest.raises(InsufficientStorage):
            store.create_bucket("more", "p1")
        with pytest.raises(InsufficientStorage):
            store.start_upload("data", "b")
        with pytest.raises(InsufficientStorage):
            store.update_object("data", "a", lambda old: ObjectMetadata())
        with pytest.raises(InsufficientStorage):
            store.update_bucket("data", labels={})
        with pytest.raises(InsufficientStorage):
            store.copy_object(("data", "large"), ("data", "a"))
        store.delete_object("data", "large")
    assert [bucket.name for bucket in store.list_buckets()] == ["data"]
    assert len(list((tmp_path / "data" / "uploads").iterdir())) == 2
    assert BucketStore(tmp_path).append(id, received, [content[received:]]).received == len(content)
    with files_up_to(0), pytest.raises(InsufficientStorage):
        store.finish(id)
    assert get(store, "a") == b"old"
    store.finish(id)
    assert get(store, "a") == content
    assert [stored.name for stored in store.list_objects("data").objects] == ["a"]
    assert len(list((tmp_path / "data" / "data").iterdir())) == 1


def test_a_disk_that_is_really_full_loses_nothing(tmp_path: Path) -> None:
    """On a file system of 2 MiB of its own, which the system lets anybody mount in a namespace of their own."""
    mount = 'mount -t tmpfs -o size=2m tmpfs "$0"'
    for space in (["unshare", "--map-root-user", "--mount"], ["unshare", "--mount"]):
        probe = [*space, "sh", "-c", mount, str(tmp_path)]
        if shutil.which("unshare") and subprocess.run(probe, capture_output=True, check=False).returncode == 0:
            command = [*space, "sh", "-c", f'{mount} && exec "$@"', str(tmp_path), sys.executable, __file__, tmp_path]
            subprocess.run(command, check=True)
            return
    pytest.skip("this system lets nobody mount a file system")


def fill(file: Path) -> None:
    with suppress(OSError), file.open("ab", buffering=0) as stream:
        while True:
            stream.write(bytes(KIB))


def on_small_disk(root: Path) -> None:
    store = BucketStore(root)
    store.create_bucket("data", "p1")
    content = os.urandom(900 * KIB)
    put(store, "a", b"old")
    put(store, "spare", bytes(600 * KIB))
    id = store.start_upload("data", "a", size=len(content))
    with pytest.raises(InsufficientStorage, match="No space left on device"):
        put(store, "a", bytes(3000 * KIB))
    first = store.append(id, 0, [content[: 500 * KIB]]).received
    filler = root / "filler"
    fill(filler)
    with pytest.raises(InsufficientStorage):
        store.append(id, first, [content[first:]])
    for change in (
        lambda: store.start_upload("data", "b"),
        lambda: store.create_bucket("more", "p1"),
        lambda: store.copy_object(("data", "a"), ("data", "b")),
    ):
        with pytest.raises(InsufficientStorage):
            change()
    assert get(store, "a") == b"old"
    store.delete_object("data", "spare")  # what the message says to do, on a disk as full as can be
    received = store.upload_status(id).received
    assert received >= first
    assert BucketStore(root).append(id, received, [content[received:]]).received == len(content)
    fill(filler)
    with pytest.raises(InsufficientStorage):
        store.finish(id)
    assert (get(store, "a"), store.upload_status(id).received) == (b"old", len(content))
    filler.unlink()
    assert store.finish(id).size == len(content)
    assert get(store, "a") == content
    assert [stored.name for stored in store.list_objects("data").objects] == ["a"]
    assert len(list((root / "data" / "data").iterdir())) == 1


if __name__ == "__main__":
    on_small_disk(Path(sys.argv[1]))
