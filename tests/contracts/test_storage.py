"""What every store of buckets must keep, on the embedded one."""

from __future__ import annotations

import base64
import hashlib
import threading
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from sintonia.errors import AlreadyExists, InvalidArgument, NotFound, PermissionDenied
from sintonia.storage import BucketStore, ObjectMetadata, ObjectUri
from sintonia.storage.names import is_bucket_name, name_of_key, object_key

ODD_NAMES = [
    "a", "a/b", "a/b/c", "a/", "/", "//", "/etc/passwd", "../../escape", "..", ".", ".hidden", "%2E", "%", "%%", "%~x",
    "a%2Fb", "a b", "a\tb", "a\x00b", "ação/coração.jsonl", "日本/データ", "📦", "A", "x" * 1024, "é" * 512,
    "x" * 255, "y/" * 300, "CON", "a?b#c", "records/../../bucket.json", "train.jsonl", "a\\b",
]  # fmt: skip

JSONL = ObjectMetadata(content_type="application/jsonl")

object_names = st.text(st.characters(exclude_categories=["Cs"], exclude_characters="\r\n"), min_size=1).filter(
    lambda name: len(name.encode()) <= 1024
)


@pytest.fixture
def store(tmp_path: Path) -> BucketStore:
    store = BucketStore(tmp_path / "buckets")
    store.create_bucket("data", "p1")
    return store


def put(store: BucketStore, name: str, content: bytes = b"x", bucket: str = "data") -> None:
    with store.write_object(bucket, name) as writer:
        writer.write(content)


def get(store: BucketStore, name: str, bucket: str = "data") -> bytes:
    with store.open_object(bucket, name) as stream:
        return stream.read()


def test_buckets_are_created_listed_and_unique(store: BucketStore) -> None:
    created = store.create_bucket("more-data", "p2")
    assert store.get_bucket("more-data") == created
    assert [bucket.name for bucket in store.list_buckets()] == ["data", "more-data"]
    assert [bucket.name for bucket in store.list_buckets("p2")] == ["more-data"]
    with pytest.raises(AlreadyExists):
        store.create_bucket("data", "p2")
    assert store.get_bucket("data").project == "p1"


@pytest.mark.parametrize(
    "name", ["", "ab", "A-bucket", "-abc", "abc-", "a..b", "a/b", "..", "../x", "10.0.0.1", "goog-x", "x" * 64, "a\0b"]
)
def test_bad_bucket_names_are_refused_and_never_found(store: BucketStore, name: str) -> None:
    with pytest.raises(InvalidArgument):
        store.create_bucket(name, "p1")
    with pytest.raises(NotFound):
        store.get_bucket(name)
    with pytest.raises(NotFound):
        store.list_objects(name)


@pytest.mark.parametrize("name", ["abc", "a-b_c.d", "1abc", "x" * 63, "sub.example.com"])
def test_good_bucket_names(name: str) -> None:
    assert is_bucket_name(name)


def test_objects_with_odd_names_live_side_by_side(store: BucketStore, tmp_path: Path) -> None:
    for name in ODD_NAMES:
        put(store, name, name.encode())
    for name in ODD_NAMES:
        assert get(store, name) == name.encode()
        assert store.stat_object("data", name).name == name
    listed = [stored.name for stored in store.list_objects("data").objects]
    assert listed == sorted(ODD_NAMES, key=str.encode)
    assert sorted(path.name for path in tmp_path.iterdir()) == ["buckets"]
    for name in ODD_NAMES:
        store.delete_object("data", name)
    assert store.list_objects("data").objects == []
    assert list((tmp_path / "buckets" / "data" / "data").iterdir()) == []


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], max_examples=200)
@given(object_names, object_names)
def test_keys_are_injective_plain_file_names(first: str, second: str) -> None:
    key = object_key(first)
    assert "/" not in key
    assert not key.startswith(".")
    assert key.isascii()
    assert key.isprintable()
    assert 0 < len(key) <= 200
    assert name_of_key(key) in {first, None}
    assert (key == object_key(second)) == (first == second)


@pytest.mark.parametrize("name", ["", "x" * 1025, "é" * 513, "a\nb", "a\rb", "\ud800"])
def test_names_that_no_object_may_have(store: BucketStore, name: str) -> None:
    with pytest.raises(InvalidArgument):
        store.write_object("data", name)
    with pytest.raises(NotFound):
        store.stat_object("data", name)
    with pytest.raises(NotFound):
        store.open_object("data", name)


def test_an_object_tells_its_size_type_hash_and_generation(store: BucketStore) -> None:
    with store.write_object("data", "rows.jsonl", metadata=JSONL) as writer:
        writer.write(b"one\n")
        writer.write(b"two\n")
    stored = store.stat_object("data", "rows.jsonl")
    assert (stored.size, stored.metadata.content_type, stored.uri) == (8, "application/jsonl", "gs://data/rows.jsonl")
    assert stored.md5 == base64.b64encode(hashlib.md5(b"one\ntwo\n").digest()).decode()
    put(store, "rows.jsonl", b"three")
    again = store.stat_object("data", "rows.jsonl")
    assert again.generation > stored.generation
    assert again.metadata.content_type == "application/octet-stream"
    assert again.created >= stored.created


def test_nothing_is_seen_before_commit_nor_after_abort(store: BucketStore, tmp_path: Path) -> None:
    put(store, "a", b"old")
    writer = store.write_object("data", "a")
    writer.write(b"new")
    assert get(store, "a") == b"old"
    writer.abort()
    with pytest.raises(TypeError), store.write_object("data", "a") as broken:
        broken.write("not bytes")  # type: ignore[arg-type]
    assert get(store, "a") == b"old"
    assert len(list((tmp_path / "buckets" / "data" / "data").iterdir())) == 1


def test_a_reader_keeps_what_it_opened(store: BucketStore) -> None:
    put(store, "a", b"old")
    with store.open_object("data", "a") as stream:
        put(store, "a", b"new")
        assert stream.read() == b"old"
    with store.open_object("data", "a") as stream:
        store.delete_object("data", "a")
        assert stream.read() == b"new"


def test_writers_and_readers_at_once_see_whole_objects(store: BucketStore, tmp_path: Path) -> None:
    put(store, "a", b"0" * 1000)
    seen: list[bytes] = []

    def write(letter: int) -> None:
        for _ in range(10):
            put(BucketStore(tmp_path / "buckets"), "a", b"%d" % letter * 1000)

    def read() -> None:
        for _ in range(50):
            seen.append(get(store, "a"))

    threads = [threading.Thread(target=write, args=(letter,)) for letter in (1, 2)] + [threading.Thread(target=read)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(seen) == 50
    assert all(len(content) == 1000 and len(set(content)) == 1 for content in seen)
    assert len(list((tmp_path / "buckets" / "data" / "data").iterdir())) == 1


def test_missing_things_are_not_found(store: BucketStore) -> None:
    for call in (store.stat_object, store.open_object, store.delete_object):
        with pytest.raises(NotFound, match="No such object: data/none"):
            call("data", "none")
        with pytest.raises(NotFound, match="bucket"):
            call("missing", "none")
    with pytest.raises(NotFound):
        store.write_object("missing", "a")


def test_prefix_and_delimiter_list_like_folders(store: BucketStore) -> None:
    for name in ("a", "a/1", "a/2", "a/b/3", "ab", "b/1", "c"):
        put(store, name)
    top = store.list_objects("data", delimiter="/")
    assert [stored.name for stored in top.objects] == ["a", "ab", "c"]
    assert top.prefixes == ["a/", "b/"]
    inside = store.list_objects("data", prefix="a/", delimiter="/")
    assert [stored.name for stored in inside.objects] == ["a/1", "a/2"]
    assert inside.prefixes == ["a/b/"]
    assert [stored.name for stored in store.list_objects("data", prefix="a").objects] == [
        "a",
        "a/1",
        "a/2",
        "a/b/3",
        "ab",
    ]
    assert store.list_objects("data", prefix="zz").objects == []


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], max_examples=25, deadline=None)
@given(
    names=st.sets(st.text("ab/", min_size=1, max_size=4), max_size=8),
    prefix=st.text("ab/", max_size=2),
    delimiter=st.sampled_from([None, "/", "a", "ab"]),
    page_size=st.integers(1, 3),
)
def test_pages_give_each_item_once_in_order(
    tmp_path_factory: pytest.TempPathFactory, names: set[str], prefix: str, delimiter: str | None, page_size: int
) -> None:
    store = BucketStore(tmp_path_factory.mktemp("buckets"))
    store.create_bucket("data", "p1")
    for name in names:
        put(store, name)
    matching = sorted(name for name in names if name.startswith(prefix))
    rolled = {
        name[: name.index(delimiter, len(prefix)) + len(delimiter)]
        for name in matching
        if delimiter and delimiter in name[len(prefix) :]
    }
    whole = [name for name in matching if not (delimiter and delimiter in name[len(prefix) :])]
    objects: list[str] = []
    prefixes: list[str] = []
    token = None
    while True:
        page = store.list_objects("data", prefix=prefix, delimiter=delimiter, page_size=page_size, page_token=token)
        assert len(page.objects) + len(page.prefixes) <= page_size
        objects += [stored.name for stored in page.objects]
        prefixes += page.prefixes
        token = page.next_page_token
        if token is None:
            break
        assert len(page.objects) + len(page.prefixes) == page_size
    assert objects == whole
    assert prefixes == sorted(rolled)


@pytest.mark.parametrize("token", ["x", "!!", "eHl6", "é"])
def test_a_made_up_page_token_is_refused(store: BucketStore, token: str) -> None:
    with pytest.raises(InvalidArgument, match="pageToken"):
        store.list_objects("data", page_token=token)


def test_sample_buckets_are_public_and_read_only(tmp_path: Path) -> None:
    folder = tmp_path / "samples" / "cloud-samples-data" / "some" / "folder"
    folder.mkdir(parents=True)
    (folder / "rows.jsonl").write_bytes(b"{}\n")
    (tmp_path / "samples" / "README.txt").write_text("x")
    store = BucketStore(tmp_path / "buckets", tmp_path / "samples")
    assert store.list_buckets() == []
    assert store.get_bucket("cloud-samples-data").project is None
    assert [stored.name for stored in store.list_objects("cloud-samples-data").objects] == ["some/folder/rows.jsonl"]
    assert store.stat_object("cloud-samples-data", "some/folder/rows.jsonl").size == 3
    assert get(store, "some/folder/rows.jsonl", "cloud-samples-data") == b"{}\n"
    for name in ("some/folder", "some/../some/folder/rows.jsonl", "../README.txt", "/etc/passwd"):
        with pytest.raises(NotFound):
            store.open_object("cloud-samples-data", name)
    with pytest.raises(PermissionDenied):
        store.write_object("cloud-samples-data", "mine")
    with pytest.raises(PermissionDenied):
        store.delete_object("cloud-samples-data", "some/folder/rows.jsonl")
    with pytest.raises(PermissionDenied):
        store.create_bucket("cloud-samples-data", "p1")


def test_uris() -> None:
    uri = ObjectUri.parse("gs://data/a/b?c#d%2F")
    assert (uri.bucket, uri.name, str(uri)) == ("data", "a/b?c#d%2F", "gs://data/a/b?c#d%2F")
    assert ObjectUri.parse("gs://data//x").name == "/x"
    for bad in ("", "data/a", "gs://", "gs://data", "gs://data/", "gs:///a", "s4://data/a", "/etc/passwd", "file:///"):
        with pytest.raises(InvalidArgument):
            ObjectUri.parse(bad)
