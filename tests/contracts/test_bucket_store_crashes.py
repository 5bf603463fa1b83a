"""The embedded store is killed at any moment, and loses nothing that was acknowledged."""

from __future__ import annotations

import base64
import hashlib
import os
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from sintonia.storage import BucketStore, ObjectMetadata, Preconditions


@pytest.fixture
def root(tmp_path: Path) -> Path:
    return tmp_path / "buckets"


@pytest.fixture
def store(root: Path) -> BucketStore:
    store = BucketStore(root)
    store.create_bucket("my.data", "p1")
    return store


def get(store: BucketStore, name: str) -> bytes:
    with store.open_object("my.data", name) as reader:
        return reader.read()


def put(store: BucketStore, content: bytes, name: str = "a") -> None:
    with store.write_object("my.data", name) as writer:
        writer.write(content)


def files(root: Path, kind: str) -> list[str]:
    return sorted(path.name for path in (root / "my.data" / kind).iterdir())


def md5(content: bytes) -> str:
    return base64.b64encode(hashlib.md5(content).digest()).decode()


SENDER = """
import sys
from pathlib import Path
from sintonia.storage import BucketStore
store = BucketStore(Path(sys.argv[1]))
piece, pieces = int(sys.argv[3]), int(sys.argv[4])
for number in range(store.upload_status(sys.argv[2]).received // piece, pieces):
    with store.open_upload(sys.argv[2], number * piece) as upload:
        upload.write(bytes([number % 251]) * piece)
    print(number, flush=True)
    sys.stdin.readline()
"""


def test_what_was_acknowledged_is_never_sent_again_after_kill_9(store: BucketStore, root: Path) -> None:
    """The sender is killed after every third acknowledgement."""
    piece, pieces = 200_000, 12
    content = b"".join(bytes([number]) * piece for number in range(pieces))
    id = store.start_upload("my.data", "a", size=len(content))
    acknowledged = -1
    while acknowledged < pieces - 1:
        command = [sys.executable, "-c", SENDER, str(root), id, str(piece), str(pieces)]
        child = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
        assert child.stdin
        assert child.stdout
        for _ in range(3):
            assert int(child.stdout.readline()) == acknowledged + 1
            acknowledged += 1
            child.stdin.write("\n" * (acknowledged % 3 < 2))
            child.stdin.flush()
        child.kill()
        child.communicate()
        received = BucketStore(root).upload_status(id).received
        assert received == (acknowledged + 1) * piece
        with BucketStore(root).open_upload(id, received - 10) as upload:  # as a client does that is not sure
            upload.write(content[received - 10 : received])
    assert BucketStore(root).finish(id).md5 == md5(content)
    assert get(store, "a") == content


def steps_of(work: Callable[[], object], stop: int) -> bool:
    """Do ``work`` in a process that is killed, as by kill -9, before the change of files number ``stop``.

    Returns whether it came that far.
    """
    child = os.fork()
    if child == 0:
        seen = 0

        def counted(function: Callable[..., object]) -> Callable[..., object]:
            def call(*arguments: object, **options: object) -> object:
                nonlocal seen
                if seen == stop:
                    os.kill(os.getpid(), signal.SIGKILL)
                seen += 1
                return function(*arguments, **options)

            return call

        for name in ("link", "rename", "replace", "unlink", "fsync", "write"):
            setattr(os, name, counted(getattr(os, name)))
        try:
            work()
        finally:
            os._exit(0)
    return os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == -signal.SIGKILL


def crashes(work: Callable[[], object]) -> Iterator[int]:
    """The numbers of all moments at which ``work`` can be killed; it is killed there before each is given."""
    stop = 0
    while steps_of(work, stop):
        yield stop
        stop += 1


@pytest.mark.parametrize("over", [True, False], ids=["over an old object", "of a new object"])
def test_finishing_may_be_killed_at_any_moment(store: BucketStore, root: Path, over: bool) -> None:
    def prepare() -> str:
        if over:
            put(store, b"old")
        elif store.list_objects("my.data").objects:
            store.delete_object("my.data", "a")
        id = store.start_upload("my.data", "a", when=Preconditions() if over else Preconditions(generation_match=0))
        store.append(id, 0, [b"new"])
        return id

    killed, id = 0, prepare()
    for _ in crashes(lambda: BucketStore(root).finish(id)):  # noqa: B023 - the one of the moment is meant
        killed += 1
        after = BucketStore(root)
        status = after.upload_status(id)
        assert status.received == 3
        assert [get(after, stored.name) for stored in after.list_objects("my.data").objects] == (
            [b"new"] if status.done else [b"old"] if over else []
        )
        stored = after.finish(id)
        assert stored == after.stat_object("my.data", "a") == after.finish(id)
        assert (stored.md5, get(after, "a")) == (md5(b"new"), b"new")
        id = prepare()
    assert killed > 5
    assert get(store, "a") == b"new"
    swept_clean(store, root)


def test_finishing_that_was_killed_is_done_once_though_others_write(store: BucketStore, root: Path) -> None:
    """Another writer comes before the client asks again: its bytes stay, if the upload had become the object before."""

    def prepare() -> str:
        put(store, b"old")
        id = store.start_upload("my.data", "a")
        store.append(id, 0, [b"upload"])
        return id

    id, seen = prepare(), set()
    for _ in crashes(lambda: BucketStore(root).finish(id)):  # noqa: B023 - the one of the moment is meant
        was_done = get(store, "a") == b"upload"
        put(store, b"other")
        after = BucketStore(root)
        stored = after.finish(id)
        assert stored == after.upload_status(id).done
        assert get(after, "a") == (b"other" if was_done else b"upload")
        seen.add(was_done)
        id = prepare()
    assert seen == {True, False}
    swept_clean(store, root)


def test_writing_copying_and_deleting_may_be_killed_at_any_moment(store: BucketStore, root: Path) -> None:
    for name in ("a", "b", "c"):
        put(store, b"old " + name.encode(), name)

    def change() -> None:
        mine = BucketStore(root)
        put(mine, b"new a")
        mine.copy_object(("my.data", "a"), ("my.data", "b"))
        mine.update_object("my.data", "b", lambda old: ObjectMetadata("text/csv"))
        mine.delete_object("my.data", "c")
        mine.compose("my.data", [("a", None), ("b", None)], "d")
        mine.start_upload("my.data", "e")

    killed = 0
    for _ in crashes(change):
        killed += 1
        after = BucketStore(root)
        for stored in after.list_objects("my.data").objects:
            content = get(after, stored.name)
            assert content in (b"old " + stored.name.encode(), b"new a", b"new anew a")
            assert stored.md5 in (None, md5(content))
            assert stored.size == len(content)
        for name in ("a", "b", "c"):
            put(after, b"old " + name.encode(), name)
    assert killed > 20
    swept_clean(store, root)


def swept_clean(store: BucketStore, root: Path) -> None:
    """After some days nothing is left but the objects, each with its bytes."""
    store.sweep(datetime.now(UTC) + timedelta(days=9))
    listed = store.list_objects("my.data").objects
    for stored in listed:
        assert len(get(store, stored.name)) == stored.size
    assert len(files(root, "data")) == len(files(root, "records")) == len(listed)
    assert files(root, "uploads") == []
    assert {path.name for path in (root / "my.data").iterdir()} <= {
        "bucket.json", "data", "deleted.json", "records", "uploads"
    }  # fmt: skip
