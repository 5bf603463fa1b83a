"""The gate of every address in a request: whose it is, below what it lies, and every trick that was thought of."""

from __future__ import annotations

import errno
import os
import shutil
import socket
import threading
from contextlib import suppress
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from sintonia.errors import (
    Aborted,
    ApiError,
    FailedPrecondition,
    InsufficientStorage,
    InvalidArgument,
    NotFound,
    PermissionDenied,
    Unavailable,
)
from sintonia.storage import BucketStore, Place, Storage, StorageConfig, read_places


@pytest.fixture
def root(tmp_path: Path) -> Path:
    """A listed folder; beside it lies what nobody may read."""
    (tmp_path / "shared" / "team").mkdir(parents=True)
    (tmp_path / "shared" / "team" / "rows.jsonl").write_bytes(b"good")
    (tmp_path / "shared-not").mkdir()
    for secret in ("secret", "shared-not/secret", "shared.secret"):
        (tmp_path / secret).write_bytes(b"secret")
    return tmp_path / "shared"


@pytest.fixture
def storage(root: Path, tmp_path: Path) -> Storage:
    return gate(tmp_path, Place(uri=f"file://{root}"))


def gate(tmp_path: Path, *places: Place, owners: bool = False) -> Storage:
    return Storage(StorageConfig(buckets_dir=tmp_path / "home" / "buckets", places=places, owners=owners))


def refused(storage: Storage, uri: str, *, project: str = "p") -> ApiError:
    """By every method alike, and nothing is left behind."""
    with pytest.raises(ApiError) as first:
        storage.stat(uri, project=project)
    with pytest.raises(type(first.value)):
        storage.open(uri, project=project)
    return first.value


def read(storage: Storage, uri: str, *, project: str = "p") -> bytes:
    with storage.open(uri, project=project).stream as stream:
        return stream.read()


def test_what_is_listed_is_read_and_written(storage: Storage, root: Path) -> None:
    assert read(storage, f"file://{root}/team/rows.jsonl") == b"good"
    storage.put(f"file://{root}/new/deep/x", b"mine", project="p")
    assert (root / "new" / "deep" / "x").read_bytes() == b"mine"
    assert sorted(path.name for path in (root / "new" / "deep").iterdir()) == ["x"]


OTHER_SCHEMES = [
    "http://127.0.0.1/x", "https://example.com/x", "ftp://example.com/x", "data:text/plain,x", "s3a://data/x",
    "gcs://data/x", "abfs://data/x", "hdfs://data/x", "memory://x/y", "local://x/y", "github://o:r@/x",
    "simplecache::file:///etc/passwd", "simplecache::s3://data/x", "zip://x::file:///a.zip", "tar://x::s3://data/x",
    "filecache::gs://data/x", "reference://x", "jar:file:///x!/y", "file:/etc/passwd", "file:etc/passwd", "file:",
    "file://", "file:///", "file://localhost/etc/passwd", "file://host/etc/passwd", "file://user:pw@host/etc/passwd",
    "file://127.0.0.1:80/etc/passwd", "//etc/passwd", "/etc/passwd", "etc/passwd", "../etc/passwd", "FILE:///etc/passwd",
    "File:///etc/passwd", "ｆｉｌｅ:///etc/passwd", " file:///etc/passwd", "file :///etc/passwd", "\x00file:///etc/passwd",
    "S3://data/x", "s3:/data/x", "s3:///x", "s3:data/x", "gs:/data/x", "", ":", "://", "://a/b", "s3", "s3://", "s3://data",
    "s3://data/", "arn:aws:s3:::data/x", "\\\\host\\share\\x", "C:\\x", "file:\\\\\\etc\\passwd", "s3:\\\\data\\x",
]  # fmt: skip


@pytest.mark.parametrize("uri", OTHER_SCHEMES)
def test_nothing_else_is_an_address(storage: Storage, uri: str) -> None:
    assert isinstance(refused(storage, uri), InvalidArgument)
    with pytest.raises(InvalidArgument):
        storage.put(uri, b"x", project="p")
    with pytest.raises(InvalidArgument):
        storage.check_writable(uri, project="p")


TAILS = [
    "../secret", "team/../../secret", "./team/rows.jsonl", "team/./rows.jsonl", "team//rows.jsonl", "/team/rows.jsonl",
    "team/rows.jsonl/", "team/", "..", ".", "../shared-not/secret", "..%2fsecret", "%2e%2e/secret", "team%2Frows.jsonl",
    "team/rows.jsonl%00", "team/rows.jsonl\x00.jsonl", "team\\rows.jsonl", "..\\secret", "team/rows.jsonl?versionId=1",
    "team/rows.jsonl#1", "team/rows.jsonl?", "team/rows\n.jsonl", "team/rows.jsonl\r", "team/\x7f", "team/\x85",
    "．．/secret", "․․/secret", "‥/secret", "team／rows.jsonl", "team/．/rows.jsonl", "team/％2e", "team/rows.jsonl？x",
    "team＼rows.jsonl", "team/﹨", "﹪2e/x",
]  # fmt: skip


@pytest.mark.parametrize("tail", TAILS)
@pytest.mark.parametrize("base", ["file://{root}/", "s3://data/team/"])
def test_names_that_some_system_might_read_otherwise(root: Path, tmp_path: Path, base: str, tail: str) -> None:
    storage = gate(tmp_path, Place(uri=f"file://{root}"), Place(uri="s3://data/team"))
    uri = base.format(root=root) + tail
    assert "between its slashes" in refused(storage, uri).message
    with pytest.raises(InvalidArgument):
        storage.put(uri, b"x", project="p")


@pytest.mark.parametrize(
    "uri",
    [
        "file://{root}-not/secret", "file://{root}.secret", "file://{above}/secret", "file:///etc/passwd",
        "file://{root}", "file:///proc/self/environ", "file://{root}\u0301/x", "file://{upper}/team/rows.jsonl",
        "s3://data/teams/x", "s3://data/tea/x", "s3://data/team", "s3://data/Team/x", "s3://data/tеam/x",
        "s3://data2/team/x", "s3://dat/team/x", "s3://Data/team/x", "s3://dаta/team/x", "s3://key:secret@data/team/x",
        "s3://data:443/team/x", "s3://data.example.com/team/x", "s3://user@data/team/x", "s3://arn:aws:s3:::data/team/x",
        "s3://data?x/team/y", "s3://data#x/team/y", "s3://data%2fteam/x",
    ],
)  # fmt: skip
def test_only_what_lies_below_a_place_by_whole_steps(root: Path, tmp_path: Path, uri: str) -> None:
    storage = gate(tmp_path, Place(uri=f"file://{root}"), Place(uri="s3://data/team"))
    uri = uri.format(root=root, above=root.parent, upper=str(root).upper())
    for call in (storage.stat, storage.open, storage.check_writable):
        with pytest.raises(PermissionDenied, match=r"is not below a place that project 'p' may use"):
            call(uri, project="p")
    with pytest.raises(PermissionDenied):
        storage.put(uri, b"x", project="p")


def test_without_a_list_nothing_outside_is_reached(tmp_path: Path) -> None:
    storage = gate(tmp_path)
    for uri in ("s3://data/x", f"file://{tmp_path}/secret", "file:///etc/passwd"):
        assert isinstance(refused(storage, uri), PermissionDenied)


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], max_examples=300, deadline=None)
@given(st.text(st.sampled_from("ab./\\%2e\x00～．／․?#é "), max_size=24))
def test_no_name_leads_out(storage: Storage, root: Path, tail: str) -> None:
    try:
        found = read(storage, f"file://{root}/{tail}")
    except ApiError:
        return
    assert found == b"good"


# Folders


def test_links_are_not_followed(storage: Storage, root: Path, tmp_path: Path) -> None:
    (root / "out").symlink_to(tmp_path / "secret")
    (root / "out-relative").symlink_to("../secret")
    (root / "up").symlink_to("..")
    (root / "in").symlink_to("team")
    (root / "team" / "same").symlink_to("rows.jsonl")
    (root / "loop").symlink_to("loop")
    (root / "dangling").symlink_to("nowhere")
    for name in ("out", "out-relative", "up/secret", "in/rows.jsonl", "team/same", "loop", "loop/x", "dangling"):
        told = refused(storage, f"file://{root}/{name}")
        assert "symbolic link, which is not followed" in told.message, name
    for name in ("up/new", "in/new", "loop/new"):
        with pytest.raises(PermissionDenied, match="symbolic link"):
            storage.put(f"file://{root}/{name}", b"x", project="p")
        with pytest.raises(PermissionDenied, match="symbolic link"):
            storage.check_writable(f"file://{root}/{name}", project="p")
    assert not (tmp_path / "new").exists()


def test_writing_over_a_link_replaces_the_link(storage: Storage, root: Path, tmp_path: Path) -> None:
    (root / "out").symlink_to(tmp_path / "secret")
    storage.put(f"file://{root}/out", b"mine", project="p")
    assert (tmp_path / "secret").read_bytes() == b"secret"
    assert (root / "out").read_bytes() == b"mine"


def test_a_second_name_of_a_file_elsewhere_is_refused(storage: Storage, root: Path, tmp_path: Path) -> None:
    os.link(tmp_path / "secret", root / "hard")
    assert "several names" in refused(storage, f"file://{root}/hard").message
    storage.put(f"file://{root}/hard", b"mine", project="p")
    assert (tmp_path / "secret").read_bytes() == b"secret"


def test_only_plain_files_are_opened_and_nothing_hangs(storage: Storage, root: Path) -> None:
    os.mkfifo(root / "pipe")
    with socket.socket(socket.AF_UNIX) as listener:
        listener.bind(str(root / "socket")[-100:] if len(str(root)) > 90 else str(root / "socket"))
        for name in ("pipe", "socket", "team"):
            assert "is no plain file" in refused(storage, f"file://{root}/{name}").message
    for call in (storage.stat, storage.open):
        with pytest.raises(NotFound):
            call(f"file://{root}/pipe/x", project="p")


def test_devices_are_no_files(tmp_path: Path) -> None:
    storage = gate(tmp_path, Place(uri="file:///dev", read_only=True))
    for name in ("null", "zero", "tty"):
        assert isinstance(refused(storage, f"file:///dev/{name}"), (PermissionDenied, NotFound))


def test_a_folder_is_not_written_over(storage: Storage, root: Path) -> None:
    with pytest.raises(PermissionDenied, match="cannot be used"):
        storage.put(f"file://{root}/team", b"x", project="p")
    assert sorted(path.name for path in root.iterdir()) == ["team"]
    with pytest.raises(NotFound):
        storage.put(f"file://{root}/team/rows.jsonl/x", b"x", project="p")


def test_what_the_system_refuses_is_told(storage: Storage, root: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(os, "access", lambda *_, **__: False)  # root may do everything
    with pytest.raises(
        PermissionDenied, match=r"This server has not the right to use 'file://.*' \(Permission denied\)"
    ):
        storage.check_writable(f"file://{root}/team/x", project="p")

    def refuse(number: int) -> None:
        def rename(*_: object, **__: object) -> None:
            raise OSError(number, os.strerror(number))

        monkeypatch.setattr(os, "rename", rename)

    for number, told in (
        (errno.EROFS, PermissionDenied),
        (errno.ENOSPC, InsufficientStorage),
        (errno.EDQUOT, InsufficientStorage),
        (errno.ESTALE, Unavailable),
        (errno.EIO, Unavailable),
    ):
        refuse(number)
        with pytest.raises(told, match=f"file://{root}/x"):
            storage.put(f"file://{root}/x", b"x", project="p")
        assert sorted(path.name for path in root.iterdir()) == ["team"]


def test_a_file_that_changes_is_not_believed(storage: Storage, root: Path) -> None:
    file = root / "team" / "rows.jsonl"
    with storage.open(f"file://{root}/team/rows.jsonl", project="p").stream as stream:
        file.write_bytes(b"other")
        with pytest.raises(Aborted, match="was changed while it was read"):
            stream.read()
    with storage.open(f"file://{root}/team/rows.jsonl", project="p").stream as stream:
        file.write_bytes(b"other once more")
        with pytest.raises(Aborted):
            list(stream)


def test_swapping_a_folder_for_a_link_meanwhile_leads_nowhere(storage: Storage, root: Path, tmp_path: Path) -> None:
    """Somebody who may write into the place exchanges a folder and a link to one outside, as fast as can be."""
    outside = tmp_path / "outside"
    outside.mkdir()
    (outside / "rows.jsonl").write_bytes(b"secret")
    (root / "link").symlink_to(outside)
    stop = threading.Event()

    def swap() -> None:
        while not stop.is_set():
            try:
                for names in (("team", "real"), ("link", "team"), ("team", "link"), ("real", "team")):
                    os.rename(root / names[0], root / names[1])
            except OSError:  # a folder was made in the gap
                with suppress(OSError):
                    if (root / "team").is_symlink():
                        os.rename(root / "team", root / "link")
                    else:
                        shutil.rmtree(root / "team")
                    os.rename(root / "real", root / "team")

    swapping = threading.Thread(target=swap)
    swapping.start()
    seen = set()
    try:
        for _ in range(2000):
            try:
                seen.add(read(storage, f"file://{root}/team/rows.jsonl"))
            except (PermissionDenied, NotFound):
                continue
        for _ in range(200):
            try:
                storage.put(f"file://{root}/team/new", b"mine", project="p")
            except ApiError:
                continue
    finally:
        stop.set()
        swapping.join()
    assert seen <= {b"good"}
    assert sorted(path.name for path in outside.iterdir()) == ["rows.jsonl"]


# Who may use what


def test_the_narrowest_place_says_who_may_use_it(root: Path, tmp_path: Path) -> None:
    storage = gate(
        tmp_path,
        Place(uri=f"file://{root}", read_only=True),
        Place(uri=f"file://{root}/team", projects=("a",)),
        Place(uri=f"file://{root}/team", projects=("b",), read_only=True),
    )
    (root / "all").write_bytes(b"all")
    for project in ("a", "b", "c"):
        assert read(storage, f"file://{root}/all", project=project) == b"all"
        with pytest.raises(PermissionDenied, match="lists it as read-only"):
            storage.put(f"file://{root}/x", b"x", project=project)
    for project in ("a", "b"):
        assert read(storage, f"file://{root}/team/rows.jsonl", project=project) == b"good"
    assert "may use" in refused(storage, f"file://{root}/team/rows.jsonl", project="c").message
    storage.put(f"file://{root}/team/x", b"x", project="a")
    with pytest.raises(PermissionDenied, match="read-only"):
        storage.check_writable(f"file://{root}/team/x", project="b")
    for other in ("A", "a ", "а", ""):
        assert isinstance(refused(storage, f"file://{root}/team/rows.jsonl", project=other), PermissionDenied)


def test_buckets_of_others_where_people_sign_in(tmp_path: Path) -> None:
    storage = gate(tmp_path, owners=True)
    assert storage.buckets is not None
    storage.buckets.create_bucket("mine", "p")
    storage.buckets.create_bucket("theirs", "q")
    storage.put("gs://theirs/x", b"theirs", project="q")
    storage.put("gs://mine/x", b"mine", project="p")
    assert read(storage, "gs://mine/x") == b"mine"
    for uri in ("gs://theirs/x", "gs://theirs/none"):
        for call in (storage.stat, storage.open, storage.check_writable):
            with pytest.raises(PermissionDenied, match="The bucket 'theirs' belongs to another project"):
                call(uri, project="p")
    with pytest.raises(PermissionDenied):
        storage.put("gs://theirs/x", b"x", project="p")
    assert read(storage, "gs://theirs/x", project="q") == b"theirs"
    assert read(gate(tmp_path), "gs://theirs/x") == b"theirs"  # nobody signs in: nobody can be told apart


def test_a_bucket_made_anew_by_another_does_not_leak(tmp_path: Path) -> None:
    storage = gate(tmp_path, owners=True)
    assert storage.buckets is not None
    storage.buckets.create_bucket("data", "p")
    storage.put("gs://data/x", b"mine", project="p")
    storage.stat("gs://data/x", project="p")  # as when a job is created
    storage.buckets.delete_object("data", "x")
    storage.buckets.delete_bucket("data")
    storage.buckets.create_bucket("data", "q")
    storage.put("gs://data/x", b"theirs", project="q")
    for call in (storage.stat, storage.open, storage.check_writable):
        with pytest.raises(PermissionDenied):
            call("gs://data/x", project="p")
    with pytest.raises(PermissionDenied):
        storage.put("gs://data/x", b"x", project="p")


def test_the_built_in_samples_are_everybody_s(tmp_path: Path) -> None:
    (tmp_path / "samples" / "cloud-samples-data" / "a").mkdir(parents=True)
    (tmp_path / "samples" / "cloud-samples-data" / "a" / "rows.jsonl").write_bytes(b"rows")
    config = StorageConfig(buckets_dir=tmp_path / "buckets", samples_dir=tmp_path / "samples", owners=True)
    assert read(Storage(config), "gs://cloud-samples-data/a/rows.jsonl") == b"rows"


# What the operator may list


@pytest.mark.parametrize(
    ("entry", "says"),
    [
        ({"uri": "s3://"}, "write gs://BUCKET"),
        ({"uri": "file:///"}, "write gs://BUCKET"),
        ({"uri": "file://relative/x"}, "write gs://BUCKET"),
        ({"uri": "/srv/data"}, "write gs://BUCKET"),
        ({"uri": "http://example.com/x"}, "write gs://BUCKET"),
        ({"uri": "s3://data/../x"}, "between its slashes"),
        ({"uri": "s3://key:secret@data/x"}, "is no name of a bucket"),
        ({"uri": "s3://data:443/x"}, "is no name of a bucket"),
        ({"uri": "s3://data", "projects": []}, "projects"),
        ({"uri": "s3://data", "readonly": True}, "readonly"),
        ({"uri": "s3://data", "secret": "x"}, "secret"),
        ({}, "uri"),
    ],
)
def test_places_that_are_none(entry: dict[str, object], says: str, tmp_path: Path) -> None:
    with pytest.raises(InvalidArgument, match=r"^Storage place ") as told:
        read_places([entry], home=tmp_path)
    assert says in told.value.message


def test_no_place_opens_the_server_s_own_files(tmp_path: Path) -> None:
    home = tmp_path / "srv" / "home"
    home.mkdir(parents=True)
    (tmp_path / "link").symlink_to(home)
    for folder in (home, home / "buckets", home.parent, tmp_path / "link"):
        with pytest.raises(InvalidArgument, match="would open this server's own files"):
            read_places([{"uri": f"file://{folder}"}], home=home)
    (place,) = read_places([{"uri": f"file://{tmp_path}/other/"}], home=home)
    assert (place.folder, place.read_only, place.projects) == (tmp_path / "other", False, None)


def test_a_place_for_a_store_that_is_not_there(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(FailedPrecondition, match="gs:// is the embedded store here"):
        gate(tmp_path, Place(uri="gs://data"))
    monkeypatch.setattr("importlib.util.find_spec", lambda name: None)
    with pytest.raises(FailedPrecondition, match=r"needs 's3fs': pip install 'sintonia\[s3\]'"):
        gate(tmp_path, Place(uri="s3://data"))


def test_google_s_buckets_need_a_place_and_ours_are_not_seen(tmp_path: Path) -> None:
    config = StorageConfig(buckets_dir=tmp_path / "buckets", gs="google")
    BucketStore(tmp_path / "buckets").create_bucket("data", "p")
    storage = Storage(config)
    assert storage.buckets is None
    assert "is not below a place" in refused(storage, "gs://data/x").message


def test_a_configuration_goes_through_json_without_secrets(tmp_path: Path) -> None:
    config = StorageConfig(buckets_dir=tmp_path, places=(Place(uri="s3://data", projects=("p",)),), owners=True)
    assert StorageConfig.model_validate_json(config.model_dump_json()) == config
