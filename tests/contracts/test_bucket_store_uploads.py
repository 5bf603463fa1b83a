"""Resumable uploads of the embedded store: pieces, interruptions, several at once, expiry and sweeping."""

from __future__ import annotations

import base64
import hashlib
import os
import re
import subprocess
import sys
import threading
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from sintonia.errors import (
    ConditionNotMet,
    FailedPrecondition,
    InvalidArgument,
    NotFound,
    Unavailable,
)
from sintonia.storage import BucketStore, Digests, ObjectMetadata, Preconditions
from sintonia.storage.uploads import RunningChecksums

MIB = 1 << 20
METADATA = ObjectMetadata("text/csv", custom={"k": "v"})


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


def test_pieces_become_an_object_at_the_end(store: BucketStore, root: Path) -> None:
    id = store.start_upload("my.data", "a", metadata=METADATA, size=10)
    assert re.fullmatch(r"my\.data\.[A-Za-z0-9_-]{43}", id)
    assert store.start_upload("my.data", "a") != id
    status = store.upload_status(id)
    assert (status.bucket, status.name, status.received, status.size, status.done) == ("my.data", "a", 0, 10, None)
    assert store.append(id, 0, [b"01", b"234"]).received == 5
    with pytest.raises(NotFound):
        store.stat_object("my.data", "a")
    with pytest.raises(FailedPrecondition, match="has 5 of 10 bytes"):
        store.finish(id)
    # Another process may go on, and a client may send again what it does not know to have arrived.
    assert BucketStore(root).append(id, 3, [b"3", b"", b"4567"]).received == 8
    assert store.append(id, 0, [b"01234567", b"89"]).received == 10
    stored = store.finish(id)
    assert get(store, "a") == b"0123456789"
    assert (stored.md5, stored.metadata, stored.size) == (md5(b"0123456789"), METADATA, 10)
    assert stored == store.stat_object("my.data", "a")
    assert store.finish(id) == stored == BucketStore(root).finish(id)
    assert store.upload_status(id).done == stored
    assert len(files(root, "data")) == 1
    assert not list((root / "my.data" / "uploads").glob(f"{id[8:]}.part"))
    with pytest.raises(FailedPrecondition, match="is finished"):
        store.open_upload(id, 10)


def test_what_became_of_an_upload_is_told_after_the_object_changed(store: BucketStore, root: Path) -> None:
    id = store.start_upload("my.data", "a")
    stored = store.finish(id)
    assert (stored.size, get(store, "a")) == (0, b"")
    store.write_object("my.data", "a").commit()
    assert store.finish(id) == store.upload_status(id).done == stored
    store.delete_object("my.data", "a")
    assert BucketStore(root).upload_status(id).done == stored


def test_bytes_that_cannot_be_right_are_refused(store: BucketStore) -> None:
    id = store.start_upload("my.data", "a", size=4)
    with pytest.raises(InvalidArgument, match="0 bytes of this upload have arrived"):
        store.append(id, 1, [b"x"])
    with pytest.raises(InvalidArgument, match="one of 4 bytes; there are more"):
        store.append(id, 0, [b"012", b"34"])
    assert store.upload_status(id).received == 3
    with pytest.raises(InvalidArgument, match="it was 4 before"):
        store.set_upload_size(id, 5)
    store.set_upload_size(id, 4)
    unknown = store.start_upload("my.data", "b")
    store.append(unknown, 0, [b"0123"])
    with pytest.raises(InvalidArgument, match="4 bytes of it have arrived"):
        store.set_upload_size(unknown, 3)
    store.set_upload_size(unknown, 5)
    with pytest.raises(FailedPrecondition):
        store.finish(unknown)
    assert BucketStore(store._root).upload_status(unknown).size == 5


TOKEN = "x" * 43


@pytest.mark.parametrize("id", ["", "x", "my.data", "my.data.x", "." * 50, "../" * 20, f"my.data.{TOKEN}", TOKEN,
                                f"nowhere.{TOKEN}", f"../my.data.{TOKEN}", "my.data." + "/" * 43, "\0"])  # fmt: skip
def test_uploads_that_never_were_are_not_found(store: BucketStore, id: str) -> None:
    store.start_upload("my.data", "a")
    for call in (store.upload_status, store.finish, store.cancel_upload, lambda id: store.append(id, 0, [b"x"])):
        with pytest.raises(NotFound, match="start a new one"):
            call(id)


def test_checksums_told_at_either_end_are_checked(store: BucketStore, root: Path) -> None:
    for at_start, at_end in ((Digests(md5=md5(b"x")), Digests()), (Digests(), Digests(crc32c="AAAAAA=="))):
        id = store.start_upload("my.data", "a", told=at_start)
        store.append(id, 0, [b"bytes"])
        with pytest.raises(InvalidArgument, match="Send them again"):
            store.finish(id, told=at_end)
        with pytest.raises(NotFound):
            store.upload_status(id)
    assert files(root, "data") == files(root, "uploads") == []
    id = store.start_upload("my.data", "a", told=Digests(md5=md5(b"bytes")))
    store.append(id, 0, [b"bytes"])
    assert store.finish(id, told=Digests(md5=md5(b"bytes"))).size == 5


def test_of_two_uploads_of_a_new_object_one_wins(store: BucketStore, root: Path) -> None:
    new = Preconditions(generation_match=0)
    first, second = (store.start_upload("my.data", "a", when=new) for _ in range(2))
    store.append(first, 0, [b"first"])
    store.append(second, 0, [b"second"])
    store.finish(second)
    with pytest.raises(ConditionNotMet):
        store.finish(first)
    with pytest.raises(NotFound):
        store.upload_status(first)
    with pytest.raises(ConditionNotMet):
        store.start_upload("my.data", "a", when=new)
    assert get(store, "a") == b"second"
    assert (len(files(root, "data")), len(files(root, "uploads"))) == (1, 1)


def test_two_requests_never_append_at_once(store: BucketStore, root: Path) -> None:
    id = store.start_upload("my.data", "a")
    with store.open_upload(id, 0) as first:
        first.write(b"one ")
        for other in (store, BucketStore(root)):
            with pytest.raises(Unavailable, match="Another request"):
                other.open_upload(id, 4)
            with pytest.raises(Unavailable):
                other.finish(id)
            assert other.upload_status(id).received == 4
        first.write(b"two")
    store.append(id, 7, [b"."])
    store.finish(id)
    assert get(store, "a") == b"one two."


def test_who_closes_waits_for_who_writes(store: BucketStore, root: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A request that was cancelled closes while its thread still writes: not into a file that got its descriptor."""
    writing, go_on = threading.Event(), threading.Event()
    written: list[int] = []

    def write_all(descriptor: int, chunk: bytes) -> None:
        writing.set()
        go_on.wait()
        written.append(os.write(descriptor, chunk))

    for module in ("uploads", "streams"):
        monkeypatch.setattr(f"sintonia.storage.{module}.write_all", write_all)
    id = store.start_upload("my.data", "a")
    upload, writer = store.open_upload(id, 0), store.write_object("my.data", "b")
    for write, close in ((upload.write, upload.close), (writer.write, writer.abort)):
        threads = [threading.Thread(target=write, args=(b"bytes",)), threading.Thread(target=close)]
        threads[0].start()
        writing.wait()
        threads[1].start()
        threads[1].join(0.1)  # time enough to do harm
        go_on.set()
        for thread in threads:
            thread.join()
        writing.clear()
        go_on.clear()
    assert written == [5, 5]
    assert (store.upload_status(id).received, files(root, "data")) == (5, [])


def test_uploads_by_many_at_once_hold_one_senders_bytes_at_each_place(store: BucketStore, root: Path) -> None:
    """Eight threads send the same upload, each asking where to go on and sending pieces of its own length."""
    content = os.urandom(3 * MIB)
    id = store.start_upload("my.data", "a", size=len(content), told=Digests(md5=md5(content)))
    finished = []

    def send(piece: int) -> None:
        mine = BucketStore(root)
        while not (status := mine.upload_status(id)).done:
            try:
                if status.received == len(content):
                    mine.finish(id)
                else:
                    mine.append(id, status.received, [content[status.received : status.received + piece]])
            except (Unavailable, FailedPrecondition):
                continue
        finished.append(status.done)

    threads = [threading.Thread(target=send, args=(40_000 + 7919 * number,)) for number in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(finished) == 8
    assert set(map(str, finished)) == {str(store.stat_object("my.data", "a"))}
    assert get(store, "a") == content
    assert len(files(root, "data")) == 1


def test_an_upload_that_is_cancelled_is_gone(store: BucketStore, root: Path) -> None:
    id = store.start_upload("my.data", "a")
    upload = store.open_upload(id, 0)
    upload.write(b"x")
    store.cancel_upload(id)
    with pytest.raises(NotFound):
        upload.close()
    for call in (store.upload_status, store.finish, store.cancel_upload):
        with pytest.raises(NotFound):
            call(id)
    assert files(root, "uploads") == []


def test_checksums_of_more_uploads_than_are_kept_in_memory(store: BucketStore) -> None:
    running = RunningChecksums()
    kept = [running.of(str(number)) for number in range(300)]
    assert running.of("299") is kept[299]
    assert running.of("0") is not kept[0]
    assert len(running._known) <= 256
    ids = [store.start_upload("my.data", str(number)) for number in range(2)]
    for id in ids:
        store.append(id, 0, [b"one "])
    store._running = running
    for number, id in enumerate(ids):
        store.append(id, 4, [b"two"])
        assert store.finish(id).md5 == md5(b"one two")
        assert get(store, str(number)) == b"one two"


def test_a_sweep_takes_what_is_over_and_not_what_is_in_use(store: BucketStore, root: Path) -> None:
    now = datetime.now(UTC)
    old, open_one = store.start_upload("my.data", "a"), store.start_upload("my.data", "b")
    writer = store.write_object("my.data", "c")
    writer.write(b"slow")
    (root / "my.data" / "data" / ".incoming-dead").write_bytes(b"x")
    (root / "my.data" / "uploads" / f"{'x' * 43}.part").write_bytes(b"x")
    (root / ".new-dead").mkdir()
    (root / ".trash-dead" / "data").mkdir(parents=True)
    everything = sorted(str(path) for path in root.rglob("*"))
    store.sweep()
    assert sorted(str(path) for path in root.rglob("*")) == everything
    with store.open_upload(open_one, 0) as upload:
        store.sweep(now + timedelta(days=6))
        assert files(root, "uploads") == sorted(f"{id[8:]}.{end}" for id in (old, open_one) for end in ("json", "part"))
        assert len(files(root, "data")) == 1
        assert [path.name for path in root.iterdir()] == ["my.data"]
        store.sweep(now + timedelta(days=8))
        upload.write(b"x")
    assert files(root, "uploads") == sorted(f"{open_one[8:]}.{end}" for end in ("json", "part"))
    with pytest.raises(NotFound):
        store.upload_status(old)
    writer.commit()
    store.finish(open_one)
    assert (get(store, "b"), get(store, "c")) == (b"x", b"slow")
    store.sweep(now + timedelta(days=9))
    assert (files(root, "uploads"), len(files(root, "data"))) == ([], 2)
    BucketStore(root / "not-there").sweep()


def test_an_upload_is_good_for_a_week(store: BucketStore, root: Path) -> None:
    id = store.start_upload("my.data", "a")
    info = root / "my.data" / "uploads" / f"{id[8:]}.json"
    created = datetime.now(UTC) - timedelta(days=6, hours=23)
    stamp = store.upload_status(id).created.isoformat()
    info.write_text(info.read_text().replace(stamp, created.isoformat()))
    assert store.upload_status(id).received == 0
    info.write_text(info.read_text().replace(created.isoformat(), (created - timedelta(hours=2)).isoformat()))
    with pytest.raises(NotFound, match="over a week old"):
        store.upload_status(id)


def test_an_upload_takes_the_memory_of_a_piece(store: BucketStore, root: Path) -> None:
    program = """
import resource, sys
from pathlib import Path
from sintonia.storage import BucketStore
store = BucketStore(Path(sys.argv[1]))
block = bytes(1 << 20)
def send(name, pieces):
    id = store.start_upload("my.data", name)
    for piece in range(pieces):
        store.append(id, piece << 20, [block])
    BucketStore(Path(sys.argv[1])).finish(id)
    store.compose("my.data", [(name, None), (name, None)], "composed")
send("small", 4)
before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
send("large", 48)
print(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before)
"""
    told = subprocess.run([sys.executable, "-c", program, str(root)], capture_output=True, text=True, check=True)
    assert int(told.stdout) < 8 * 1024  # KiB
    assert store.stat_object("my.data", "composed").size == 96 * MIB
