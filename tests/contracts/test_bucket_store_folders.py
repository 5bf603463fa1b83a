"""Buckets of the embedded store: their own records, links laid in their way, names alike, older versions, samples."""

from __future__ import annotations

import base64
import hashlib
import json
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path

import google_crc32c
import pytest

from sintonia.errors import BucketNotEmpty, ConditionNotMet, NotFound, PermissionDenied
from sintonia.storage import BucketStore, ObjectMetadata, Preconditions, StoredObject

FULL = ObjectMetadata("text/plain", "gzip", "attachment", "pt", "no-store", {"owner": "ana"})


@pytest.fixture
def root(tmp_path: Path) -> Path:
    return tmp_path / "buckets"


@pytest.fixture
def store(root: Path) -> BucketStore:
    store = BucketStore(root)
    store.create_bucket("data", "p1")
    return store


def put(store: BucketStore, name: str, content: bytes = b"x") -> StoredObject:
    with store.write_object("data", name) as writer:
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


def test_records_of_older_versions_are_read(store: BucketStore, root: Path) -> None:
    """They had no CRC32C and no metageneration, and their buckets no folder of uploads."""
    store.create_bucket("older", "p1")
    (root / "older" / "uploads").rmdir()
    (root / "older" / "bucket.json").write_text('{"project": "p1", "created": "2026-01-02T03:04:05+00:00"}')
    for name in ("a", "b"):
        (root / "older" / "data" / f"{name}@7").write_bytes(b"bytes")
        (root / "older" / "records" / f"{name}.json").write_text(
            json.dumps(
                {"name": name, "size": 5, "content_type": "text/csv", "md5": md5(b"bytes"), "generation": 7,
                 "created": "2026-01-02T03:04:05+00:00"}
            )
        )  # fmt: skip
    moment = datetime(2026, 1, 2, 3, 4, 5, tzinfo=UTC)
    assert store.get_bucket("older").updated == moment
    listed = store.list_objects("older").objects
    assert listed[0] == StoredObject(
        "older", "a", 5, md5(b"bytes"), crc32c(b"bytes"), 7, 1, moment, moment, ObjectMetadata("text/csv")
    )
    assert json.loads((root / "older" / "records" / "a.json").read_text())["crc32c"] == crc32c(b"bytes")
    (root / "older" / "records" / "b.json").write_text(
        (root / "older" / "records" / "a.json").read_text().replace('"a"', '"b"').replace('"crc32c"', '"_"')
    )
    updated = store.update_object("older", "b", lambda old: FULL)
    assert (updated.crc32c, updated.metageneration) == (crc32c(b"bytes"), 2)
    id = store.start_upload("older", "c")
    store.append(id, 0, [b"new"])
    store.finish(id)
    assert store.update_bucket("older", labels={"k": "v"}).metageneration == 2


def test_a_bucket_is_changed_under_conditions(store: BucketStore) -> None:
    bucket = store.create_bucket("more", "p1", labels={"team": "a"}, location="EU", storage_class="NEARLINE")
    assert store.get_bucket("more") == bucket
    assert (bucket.labels, bucket.location, bucket.storage_class) == ({"team": "a"}, "EU", "NEARLINE")
    changed = store.update_bucket("more", labels={"team": "b"}, when=Preconditions(metageneration_match=1))
    assert changed == replace(bucket, labels={"team": "b"}, metageneration=2, updated=changed.updated)
    for change in (lambda when: store.update_bucket("more", labels={}, when=when),
                   lambda when: store.delete_bucket("more", when=when)):  # fmt: skip
        with pytest.raises(ConditionNotMet):
            change(Preconditions(metageneration_match=1))
    assert [found.name for found in store.list_buckets(prefix="m")] == ["more"]


def test_a_bucket_goes_when_it_is_empty_with_its_uploads(store: BucketStore, root: Path) -> None:
    put(store, "a")
    with pytest.raises(BucketNotEmpty) as error:
        store.delete_bucket("data")
    assert error.value.http == 409
    store.delete_object("data", "a")
    id = store.start_upload("data", "b")
    upload = store.open_upload(id, 0)
    writer = store.write_object("data", "c")
    writer.write(b"late")
    store.delete_bucket("data")
    assert list(root.iterdir()) == []
    store.create_bucket("data", "p2")
    with pytest.raises(NotFound, match="bucket"):
        writer.commit()
    upload.write(b"late")
    for call in (upload.close, lambda: store.upload_status(id), lambda: store.finish(id)):
        with pytest.raises(NotFound, match="upload"):
            call()
    assert store.list_objects("data").objects == []
    with pytest.raises(NotFound):
        store.delete_bucket("none")


def test_links_in_the_store_lead_nowhere(store: BucketStore, root: Path, tmp_path: Path) -> None:
    outside = tmp_path / "outside"
    outside.mkdir()
    (outside / "secret").write_text('{"name": "secret", "size": 6}')
    (root / "linked").symlink_to(outside)
    for directory in ("records", "data", "uploads"):
        (outside / directory).mkdir()
    for call in (store.get_bucket, store.list_objects, store.delete_bucket):
        with pytest.raises(NotFound):
            call("linked")
    assert [bucket.name for bucket in store.list_buckets()] == ["data"]
    stored = put(store, "a")
    bytes_file = root / "data" / "data" / f"a@{stored.generation}"
    bytes_file.unlink()
    bytes_file.symlink_to(outside / "secret")
    with pytest.raises(FileNotFoundError):
        store.open_object("data", "a")
    (root / "data" / "records" / "b.json").symlink_to(outside / "secret")
    with pytest.raises(NotFound):
        store.stat_object("data", "b")
    put(store, "b", b"new")  # in the place of the link, not where it leads
    id = store.start_upload("data", "c")
    part = next((root / "data" / "uploads").glob("*.part"))
    part.unlink()
    part.symlink_to(outside / "secret")
    with pytest.raises(NotFound):
        store.upload_status(id)
    for name in ("records", "uploads"):
        (root / "data" / name).rename(root / "data" / f"{name}-elsewhere")
        (root / "data" / name).symlink_to(root / "data" / f"{name}-elsewhere")
        with pytest.raises(NotFound):
            store.upload_status(id)
    store.sweep(datetime(2100, 1, 1, tzinfo=UTC))
    assert (outside / "secret").read_text() == '{"name": "secret", "size": 6}'


def test_names_that_look_alike_are_different_objects(store: BucketStore) -> None:
    names = ["\u00e9", "e\u0301", "A", "\u0391", "\u0410", "\ufb01", "fi", "K", "\u212a", "a", "a/", "a//", "a/.",
             "a/..", "x" * 1024, "x" * 1023]  # fmt: skip
    for name in names:
        put(store, name, name.encode())
    assert [get(store, name) for name in names] == [name.encode() for name in names]
    assert [stored.name for stored in store.list_objects("data").objects] == sorted(names, key=str.encode)


def test_built_in_buckets_are_copied_from_and_never_changed(root: Path, tmp_path: Path) -> None:
    folder = tmp_path / "samples" / "samples-of-all" / "folder"
    folder.mkdir(parents=True)
    (folder / "rows.jsonl").write_bytes(b"{}\n")
    store = BucketStore(root, tmp_path / "samples")
    store.create_bucket("data", "p1")
    stored = store.stat_object("samples-of-all", "folder/rows.jsonl")
    assert (stored.md5, stored.crc32c) == (md5(b"{}\n"), crc32c(b"{}\n"))
    store.copy_object(("samples-of-all", "folder/rows.jsonl"), ("data", "mine"))
    assert (folder / "rows.jsonl").stat().st_nlink == 1  # a package may be changed in place
    assert get(store, "mine") == b"{}\n"
    for call in (
        lambda: store.update_object("samples-of-all", "folder/rows.jsonl", lambda old: FULL),
        lambda: store.copy_object(("data", "mine"), ("samples-of-all", "x")),
        lambda: store.compose("samples-of-all", [("folder/rows.jsonl", None)], "x"),
        lambda: store.start_upload("samples-of-all", "x"),
        lambda: store.update_bucket("samples-of-all", labels={}),
        lambda: store.delete_bucket("samples-of-all"),
    ):
        with pytest.raises(PermissionDenied, match="built in"):
            call()
    with pytest.raises(NotFound):
        store.open_object("samples-of-all", "folder/rows.jsonl", generation=1)
