"""Objects of the embedded store: what is told of them, conditions, copies, and what lies on disk."""

from __future__ import annotations

import base64
import hashlib
import multiprocessing
import os
import threading
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import google_crc32c
import pytest

from sintonia.errors import (
    ConditionNotMet,
    InvalidArgument,
    NotFound,
    NotModified,
)
from sintonia.storage import BucketStore, Digests, ObjectMetadata, Preconditions, StoredObject

processes = multiprocessing.get_context("fork")

FULL = ObjectMetadata("text/plain", "gzip", "attachment", "pt", "no-store", {"owner": "ana", "ção": "日本"})


@pytest.fixture
def root(tmp_path: Path) -> Path:
    return tmp_path / "buckets"


@pytest.fixture
def store(root: Path) -> BucketStore:
    store = BucketStore(root)
    store.create_bucket("data", "p1")
    return store


def put(store: BucketStore, name: str, content: bytes = b"x", *, when: Preconditions | None = None) -> StoredObject:
    with store.write_object("data", name, when=when or Preconditions()) as writer:
        writer.write(content)
    assert writer.stored
    return writer.stored


def get(store: BucketStore, name: str) -> bytes:
    with store.open_object("data", name) as reader:
        return reader.read()


def md5(content: bytes) -> str:
    return base64.b64encode(hashlib.md5(content).digest()).decode()


def crc32c(content: bytes) -> str:
    return base64.b64encode(google_crc32c.Checksum(content).digest()).decode()


def data_files(root: Path) -> list[str]:
    return sorted(path.name for path in (root / "data" / "data").iterdir())


def test_all_that_its_writer_says_of_an_object_is_kept(store: BucketStore, root: Path) -> None:
    with store.write_object("data", "a", metadata=FULL) as writer:
        writer.write(b"123456789")
    stored = BucketStore(root).stat_object("data", "a")
    assert stored == writer.stored
    assert stored.metadata == FULL
    assert (stored.size, stored.md5, stored.crc32c) == (9, md5(b"123456789"), "4waSgw==")  # RFC 3720's check value
    assert (stored.metageneration, stored.component_count) == (1, None)
    assert stored.created == stored.updated
    assert put(store, "b").metadata == ObjectMetadata("application/octet-stream")


def test_an_update_changes_what_is_said_and_nothing_else(store: BucketStore) -> None:
    before = put(store, "a", b"bytes")
    after = store.update_object("data", "a", lambda old: replace(old, cache_control="private", custom={"k": "v"}))
    assert after == store.stat_object("data", "a")
    assert after == replace(
        before,
        metadata=replace(before.metadata, cache_control="private", custom={"k": "v"}),
        metageneration=2,
        updated=after.updated,
    )
    assert after.updated > before.updated
    assert get(store, "a") == b"bytes"
    with pytest.raises(ConditionNotMet):
        store.update_object("data", "a", lambda old: FULL, when=Preconditions(metageneration_match=1))
    with pytest.raises(NotFound):
        store.update_object("data", "a", lambda old: FULL, generation=1)
    assert put(store, "a").metageneration == 1


def test_changes_at_once_are_all_counted(store: BucketStore) -> None:
    put(store, "a")

    def add(number: int) -> None:
        store.update_object("data", "a", lambda old: replace(old, custom={**old.custom, str(number): ""}))

    in_threads([lambda number=number: add(number) for number in range(8)])
    stored = store.stat_object("data", "a")
    assert sorted(stored.metadata.custom) == [str(number) for number in range(8)]
    assert stored.metageneration == 9


def test_generations_grow_even_when_the_clock_goes_back(store: BucketStore, monkeypatch: pytest.MonkeyPatch) -> None:
    generations = [put(store, "a").generation]
    monkeypatch.setattr("time.time_ns", lambda: 10**15)
    generations.append(put(store, "a").generation)
    store.delete_object("data", "a")
    generations.append(put(store, "a").generation)
    assert generations == sorted(set(generations))
    for name in ("a", "none"):
        with pytest.raises(NotFound, match=f"data/{name}#{generations[0]}"):
            store.open_object("data", name, generation=generations[0])
    assert store.open_object("data", "a", generation=generations[-1]).stored.generation == generations[-1]


@pytest.mark.parametrize(
    ("when", "holds", "absent"),
    [
        (lambda at: Preconditions(generation_match=at.generation), True, False),
        (lambda at: Preconditions(generation_match=at.generation - 1), False, False),
        (lambda at: Preconditions(generation_match=0), False, True),
        (lambda at: Preconditions(generation_not_match=at.generation), False, True),
        (lambda at: Preconditions(generation_not_match=0), True, False),
        (lambda at: Preconditions(metageneration_match=2), True, False),
        (lambda at: Preconditions(metageneration_match=1), False, False),
        (lambda at: Preconditions(metageneration_not_match=2), False, True),
        (lambda at: Preconditions(metageneration_not_match=1), True, True),
        (lambda at: Preconditions(generation_match=at.generation, metageneration_match=1), False, False),
    ],
)
def test_conditions_are_kept_by_every_change(
    store: BucketStore, root: Path, when: Callable[[StoredObject], Preconditions], holds: bool, absent: bool
) -> None:
    put(store, "source", b"source")
    put(store, "a", b"old")
    stored = store.update_object("data", "a", lambda old: FULL)
    asked = when(stored)
    changes: list[Callable[[str], object]] = [
        lambda name: put(store, name, b"new", when=asked),
        lambda name: store.copy_object(("data", "source"), ("data", name), when=asked),
        lambda name: store.compose("data", [("source", None)], name, when=asked),
        lambda name: store.finish(store.start_upload("data", name, when=asked)),
    ]
    if not holds:
        for change in [
            *changes,
            lambda name: store.update_object("data", name, lambda old: old, when=asked),
            lambda name: store.delete_object("data", name, when=asked),
            lambda name: store.copy_object(("data", name), ("data", "b"), source_when=asked),
        ]:
            with pytest.raises(ConditionNotMet, match="pre-conditions"):
                change("a")
        assert store.stat_object("data", "a") == stored
    else:
        assert store.stat_object("data", "a", when=asked) == stored
        store.delete_object("data", "a", when=asked)
    for change in changes:
        if absent:
            change("none")
            store.delete_object("data", "none")
        else:
            with pytest.raises(ConditionNotMet):
                change("none")
    assert not [name for name in data_files(root) if name.startswith((".", "none"))]


def test_a_reader_is_told_that_nothing_changed(store: BucketStore) -> None:
    stored = put(store, "a")
    for when in (Preconditions(generation_not_match=stored.generation), Preconditions(metageneration_not_match=1)):
        with pytest.raises(NotModified):
            store.stat_object("data", "a", when=when)
    for when in (Preconditions(generation_match=1), Preconditions(metageneration_match=2)):
        with pytest.raises(ConditionNotMet) as error:
            store.stat_object("data", "a", when=when)
        assert error.value.http == 412


def test_conditions_are_looked_at_again_when_a_writer_commits(store: BucketStore, root: Path) -> None:
    new = Preconditions(generation_match=0)
    first, second = (store.write_object("data", "a", when=new) for _ in range(2))
    first.write(b"first")
    second.write(b"second")
    second.commit()
    with pytest.raises(ConditionNotMet):
        first.commit()
    first.abort()
    assert get(store, "a") == b"second"
    assert len(data_files(root)) == 1


def in_threads(works: list[Callable[[], object]]) -> None:
    threads = [threading.Thread(target=work) for work in works]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()


def test_of_many_writers_in_many_processes_one_wins_each_round(store: BucketStore, root: Path) -> None:
    """Three processes of three threads write the next generation, each its own letter, 20 times."""
    size, rounds, writers = 300_000, 20, [letter.encode() for letter in "abcdefghi"]
    put(store, "a", b"-" * size)
    results = processes.SimpleQueue()

    def write(letter: bytes, barrier: threading.Barrier) -> None:
        mine = BucketStore(root)
        for _ in range(rounds):
            barrier.wait()
            seen = mine.stat_object("data", "a").generation
            barrier.wait()
            try:
                won = put(mine, "a", letter * size, when=Preconditions(generation_match=seen))
            except ConditionNotMet:
                won = None
            results.put((seen, won.generation if won else None, letter))

    barrier = processes.Barrier(len(writers))

    def run(letters: list[bytes]) -> None:
        in_threads([lambda letter=letter: write(letter, barrier) for letter in letters])

    children = [processes.Process(target=run, args=(writers[start::3],)) for start in range(3)]
    for child in children:
        child.start()
    found = [results.get() for _ in range(rounds * len(writers))]
    for child in children:
        child.join()
        assert child.exitcode == 0
    wins = {seen: (generation, letter) for seen, generation, letter in found if generation}
    assert len(wins) == sum(generation is not None for _, generation, _ in found) == rounds
    assert {seen for seen, *_ in found} == set(wins)
    last = max(wins)
    assert (store.stat_object("data", "a").generation, get(store, "a")) == (wins[last][0], wins[last][1] * size)
    assert len(data_files(root)) == 1


def test_bytes_damaged_on_their_way_are_not_kept(store: BucketStore, root: Path) -> None:
    for told in (Digests(md5=md5(b"others")), Digests(crc32c=crc32c(b"others"))):
        with pytest.raises(InvalidArgument, match="doesn't match calculated"), store.write_object(
            "data", "a", told=told
        ) as writer:  # fmt: skip
            writer.write(b"bytes")
    assert data_files(root) == []
    with store.write_object("data", "a", told=Digests(md5(b"bytes"), crc32c(b"bytes"))) as writer:
        writer.write(b"bytes")
    assert get(store, "a") == b"bytes"


def test_a_copy_shares_its_bytes_and_nothing_else(store: BucketStore, root: Path) -> None:
    store.create_bucket("other", "p1")
    put(store, "a", b"bytes")
    original = store.update_object("data", "a", lambda old: FULL)
    copied = store.copy_object(("data", "a"), ("other", "b"))
    assert (copied.md5, copied.crc32c, copied.size) == (original.md5, original.crc32c, 5)
    assert (copied.metadata, copied.metageneration) == (FULL, 1)
    assert copied.generation > original.generation
    (file,) = (root / "other" / "data").iterdir()
    assert file.stat().st_nlink == 2
    store.delete_object("data", "a")
    with store.open_object("other", "b") as reader:
        assert reader.read() == b"bytes"
    plain = store.copy_object(("other", "b"), ("other", "b"), metadata=ObjectMetadata("text/csv"))
    assert plain.metadata == ObjectMetadata("text/csv")
    assert store.list_objects("other").objects == [plain]
    with pytest.raises(NotFound):
        store.copy_object(("other", "b"), ("data", "c"), generation=copied.generation)
    with pytest.raises(NotFound):
        store.copy_object(("other", "none"), ("data", "c"))
    assert data_files(root) == []


def test_without_links_a_copy_is_a_copy(store: BucketStore, root: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*arguments: object, **options: object) -> None:
        raise OSError(31, "Too many links")

    monkeypatch.setattr(os, "link", refuse)
    put(store, "a", b"bytes")
    store.copy_object(("data", "a"), ("data", "b"))
    id = store.start_upload("data", "c")
    store.append(id, 0, [b"more ", b"bytes"])
    store.finish(id)
    store.delete_object("data", "a")
    assert (get(store, "b"), get(store, "c")) == (b"bytes", b"more bytes")
    assert len(data_files(root)) == 2


def test_a_composed_object_has_all_bytes_and_no_md5(store: BucketStore) -> None:
    first, second = put(store, "a", b"one "), put(store, "b", b"two ")
    composed = store.compose("data", [("a", None), ("b", second.generation)], "c", metadata=FULL)
    assert (composed.size, composed.md5, composed.crc32c) == (8, None, crc32c(b"one two "))
    assert (composed.component_count, composed.metadata) == (2, FULL)
    again = store.compose("data", [("c", None), ("a", first.generation)], "a")
    assert (again.component_count, get(store, "a")) == (3, b"one two one ")
    assert store.copy_object(("data", "a"), ("data", "d")).component_count == 3
    for sources in ([("a", first.generation)], [("none", None)]):
        with pytest.raises(NotFound):
            store.compose("data", sources, "e")
    for sources in ([], [("a", None)] * 33):
        with pytest.raises(InvalidArgument, match="source components"):
            store.compose("data", sources, "e")
    assert [stored.name for stored in store.list_objects("data").objects] == ["a", "b", "c", "d"]
