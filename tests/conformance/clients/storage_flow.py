"""google-cloud-storage against a server: python storage_flow.py ADDRESS PROJECT [TOKEN]."""

import gzip
import io
import json
import os
import pathlib
import sys
import tempfile

from calls import Calls, refusal
from google.api_core import exceptions
from google.auth.credentials import AnonymousCredentials
from google.cloud import storage
from google.cloud.storage import transfer_manager
from google.oauth2.credentials import Credentials

address, project, *token = sys.argv[1:]
if not token:
    os.environ["STORAGE_EMULATOR_HOST"] = address
    client = storage.Client(project=project, credentials=AnonymousCredentials())
else:
    client = storage.Client(
        project=project, credentials=Credentials(token[0]), client_options={"api_endpoint": address}
    )
over = "REST (api_endpoint, with sign-in)" if token else "REST (STORAGE_EMULATOR_HOST)"
calls = Calls("google-cloud-storage", storage.__version__, over)
name = "clients-of-storage"
MIB = 2**20
ODD_NAMES = (
    "a b", "é/ü 日本", "#hash?query&x=y", "100%", "%2F", "a//b", "/leading", "trailing/", "../up", "x/compose",
    "+plus+", "'quotes\"", "b/copyTo/b/c/o/d", "...", "a\\b", "📦", "\t", "n" * 1000,
)  # fmt: skip
big = bytes(range(256)) * 4096 * 3 + b"the end"  # just over 3 MiB

with calls("Client.create_bucket, get_bucket, lookup_bucket, list_buckets"):
    bucket = client.create_bucket(name)
    client.create_bucket(f"{name}-other")
    assert client.get_bucket(name).name == name
    assert client.lookup_bucket(f"{name}-nowhere") is None
    assert {item.name for item in client.list_buckets(prefix=name)} == {name, f"{name}-other"}
    assert [len(list(page)) for page in client.list_buckets(prefix=name, page_size=1).pages] == [1, 1]
    refusal(exceptions.Conflict, lambda: client.create_bucket(name))
with calls("Bucket.labels, patch, reload, exists"):
    bucket.labels = {"team": "search", "stage": "test"}
    bucket.patch()
    bucket.labels = {"team": "search"}
    bucket.patch()
    again = client.get_bucket(name)
    assert again.labels == {"team": "search"}, again.labels
    assert again.metageneration > 1
    assert again.time_created
    assert bucket.exists()

blob = bucket.blob("notes/hello.txt")
with calls("Blob.upload_from_string, download_as_bytes, download_as_text"):
    blob.upload_from_string("olá, mundo")
    assert blob.content_type == "text/plain"
    assert blob.size == 11
    assert blob.md5_hash
    assert blob.crc32c
    assert blob.download_as_text() == "olá, mundo"
    assert bucket.blob("notes/hello.txt").download_as_bytes() == "olá, mundo".encode()
with calls("checksum='md5' and 'crc32c', up and down"):
    for kind in ("md5", "crc32c", "auto"):
        blob.upload_from_string(b"checked " + kind.encode(), checksum=kind)
        assert blob.download_as_bytes(checksum=kind) == b"checked " + kind.encode()
with calls("Blob.metadata, cache_control, patch, update, reload"):
    blob.metadata = {"colour": "azul", "n": "1"}
    blob.cache_control = "no-store"
    blob.patch()
    blob.metadata = {"colour": None}
    blob.patch()
    found = bucket.get_blob("notes/hello.txt")
    assert found.metadata == {"n": "1"}, found.metadata
    assert found.cache_control == "no-store"
    found.content_type = "text/markdown"
    found.update()
    blob.reload()
    assert (blob.content_type, blob.metadata) == ("text/markdown", {"n": "1"})
    assert blob.metageneration == 4, blob.metageneration
with (
    calls("Blob.upload_from_file, upload_from_filename, download_to_filename (resumable in pieces)"),
    tempfile.TemporaryDirectory() as folder,
):
    path = pathlib.Path(folder) / "big.bin"
    path.write_bytes(big)
    pieces = bucket.blob("big.bin", chunk_size=MIB // 4)
    pieces.upload_from_filename(str(path))
    assert pieces.size == len(big)
    with path.open("rb") as stream:
        bucket.blob("whole.bin").upload_from_file(stream, size=len(big))
    bucket.blob("big.bin").download_to_filename(str(path) + ".back")
    assert pathlib.Path(str(path) + ".back").read_bytes() == big
    into = io.BytesIO()
    bucket.blob("big.bin", chunk_size=MIB).download_to_file(into)
    assert into.getvalue() == big
with calls("Blob.open for writing, of unknown size, and reading with seek"):
    with bucket.blob("stream.bin").open("wb", chunk_size=MIB // 4) as stream:
        for start in range(0, len(big), 100_000):
            stream.write(big[start : start + 100_000])
    with bucket.blob("stream.bin").open("rb", chunk_size=MIB // 2) as stream:
        assert stream.read(10) == big[:10]
        stream.seek(-7, 2)
        assert stream.read() == b"the end"
    with bucket.blob("lines.jsonl").open("w") as stream:
        stream.writelines(json.dumps({"row": row}) + "\n" for row in range(10))
    with bucket.blob("lines.jsonl").open("r") as stream:
        assert [json.loads(line)["row"] for line in stream] == list(range(10))
    with bucket.blob("empty.bin").open("wb"):
        pass
    assert bucket.get_blob("empty.bin").size == 0
    assert bucket.blob("empty.bin").download_as_bytes() == b""
with calls("Blob.create_resumable_upload_session"):
    where = bucket.blob("session.bin").create_resumable_upload_session(size=len(big))
    half = MIB
    first = client._http.put(where, data=big[:half], headers={"Content-Range": f"bytes 0-{half - 1}/{len(big)}"})
    assert (first.status_code, first.headers["Range"]) == (308, f"bytes=0-{half - 1}"), first.headers
    told = client._http.put(where, headers={"Content-Range": f"bytes */{len(big)}"})
    assert (told.status_code, told.headers["Range"]) == (308, f"bytes=0-{half - 1}")
    rest = client._http.put(
        where, data=big[half:], headers={"Content-Range": f"bytes {half}-{len(big) - 1}/{len(big)}"}
    )
    assert rest.status_code == 200, rest.text
    assert bucket.blob("session.bin").download_as_bytes() == big
    where = bucket.blob("never.bin").create_resumable_upload_session()
    assert client._http.delete(where).status_code == 499
    assert client._http.put(where, data=b"x").status_code == 404
    assert not bucket.blob("never.bin").exists()
with calls("download_as_bytes(start, end)"):
    blob = bucket.blob("big.bin")
    assert blob.download_as_bytes(start=5, end=9) == big[5:10]
    assert blob.download_as_bytes(start=len(big) - 7) == b"the end"
    assert blob.download_as_bytes(start=-7) == b"the end"
    refusal(exceptions.RequestRangeNotSatisfiable, lambda: blob.download_as_bytes(start=len(big)))
with calls("list_blobs: prefix, delimiter, match_glob, offsets, pages"):
    for item in ("tree/a.txt", "tree/b.txt", "tree/deep/c.txt", "tree/deep/d.md", "tree/e/"):
        bucket.blob(item).upload_from_string(item)
    found = client.list_blobs(bucket, prefix="tree/", delimiter="/")
    assert [item.name for item in found] == ["tree/a.txt", "tree/b.txt"]
    assert found.prefixes == {"tree/deep/", "tree/e/"}
    found = client.list_blobs(bucket, prefix="tree/", delimiter="/", include_trailing_delimiter=True)
    assert [item.name for item in found] == ["tree/a.txt", "tree/b.txt", "tree/e/"]
    assert [item.name for item in bucket.list_blobs(match_glob="tree/**.txt")] == [
        "tree/a.txt", "tree/b.txt", "tree/deep/c.txt"
    ]  # fmt: skip
    found = client.list_blobs(
        bucket, start_offset="tree/b", end_offset="tree/deep/d", fields="items(name),nextPageToken"
    )
    assert [item.name for item in found] == ["tree/b.txt", "tree/deep/c.txt"]
    pages = client.list_blobs(bucket, prefix="tree/", page_size=2).pages
    assert [[item.name for item in page] for page in pages] == [
        ["tree/a.txt", "tree/b.txt"], ["tree/deep/c.txt", "tree/deep/d.md"], ["tree/e/"]
    ]  # fmt: skip
    assert len(list(client.list_blobs(bucket, max_results=3))) == 3
with calls("Bucket.copy_blob, Blob.rewrite, Bucket.rename_blob, move_blob"):
    source = bucket.get_blob("notes/hello.txt")
    other = client.bucket(f"{name}-other")
    copied = bucket.copy_blob(source, other, "copies/hello.txt")
    assert copied.md5_hash == source.md5_hash
    assert other.get_blob("copies/hello.txt").metadata == {"n": "1"}
    token, rewritten, total = other.blob("rewritten").rewrite(source)
    assert (token, rewritten, total) == (None, source.size, source.size)
    renamed = bucket.rename_blob(bucket.blob("tree/a.txt"), "tree/z.txt")
    assert renamed.download_as_bytes() == b"tree/a.txt"
    assert bucket.get_blob("tree/a.txt") is None
    moved = bucket.move_blob(bucket.blob("tree/z.txt"), "tree/a.txt")
    assert moved.name == "tree/a.txt"
    assert not bucket.blob("tree/z.txt").exists()
with calls("Blob.compose"):
    composed = bucket.blob("composed.txt")
    composed.content_type = "text/plain"
    composed.compose([bucket.blob("tree/a.txt"), bucket.blob("tree/b.txt")])
    assert composed.download_as_bytes() == b"tree/a.txttree/b.txt"
    assert (composed.component_count, composed.md5_hash) == (2, None)
    assert composed.crc32c
with calls("if_generation_match and its kin"):
    blob = bucket.blob("once.txt")
    blob.upload_from_string("1", if_generation_match=0)
    first = blob.generation
    refusal(
        exceptions.PreconditionFailed, lambda: bucket.blob("once.txt").upload_from_string("2", if_generation_match=0)
    )
    blob.upload_from_string("2", if_generation_match=first)
    refusal(exceptions.PreconditionFailed, lambda: blob.delete(if_generation_match=first))
    refusal(exceptions.PreconditionFailed, lambda: blob.patch(if_metageneration_match=9))
    refusal(exceptions.PreconditionFailed, lambda: blob.reload(if_generation_match=first))
    refusal(exceptions.NotModified, lambda: blob.reload(if_generation_not_match=blob.generation))
    refusal(
        exceptions.PreconditionFailed, lambda: bucket.copy_blob(blob, bucket, "x", if_source_generation_match=first)
    )
    blob.reload(if_etag_match=blob.etag)
    refusal(exceptions.NotModified, lambda: blob.reload(if_etag_not_match=blob.etag))
    refusal(exceptions.NotFound, lambda: bucket.blob("once.txt", generation=first).download_as_bytes())
    assert bucket.blob("once.txt", generation=blob.generation).download_as_bytes() == b"2"
    large = io.BytesIO(big)
    again = bucket.blob("big.bin", chunk_size=MIB)
    refusal(exceptions.PreconditionFailed, lambda: again.upload_from_file(large, size=len(big), if_generation_match=0))
with calls("objects with odd names"):
    for odd in ODD_NAMES:
        content = odd.encode()
        blob = bucket.blob(odd)
        blob.upload_from_string(content)
        assert blob.name == odd
        assert bucket.blob(odd).download_as_bytes() == content, odd
        assert next(iter(bucket.list_blobs(prefix=odd))).name == odd
        bucket.get_blob(odd).reload()
        assert bucket.copy_blob(blob, bucket, f"copy of {odd[:900]}").size == len(content)
        blob.delete()
        assert not blob.exists(), odd
with calls("content_encoding='gzip'"):
    blob = bucket.blob("rows.jsonl.gz")
    blob.content_encoding = "gzip"
    blob.upload_from_string(gzip.compress(b"row\n" * 100), content_type="application/jsonl")
    assert blob.download_as_bytes() == b"row\n" * 100
    assert gzip.decompress(blob.download_as_bytes(raw_download=True)) == b"row\n" * 100
with calls("Client.batch: deletes, patches"):
    copies = list(bucket.list_blobs(prefix="copy of "))
    with client.batch():
        for item in copies:
            item.delete()
        blob.metadata = {"from": "a batch"}
        blob.patch()
assert not list(bucket.list_blobs(prefix="copy of "))
assert bucket.get_blob("rows.jsonl.gz").metadata == {"from": "a batch"}
with calls("Bucket.delete_blobs, with one that is missing"):
    missing = []
    bucket.delete_blobs([bucket.blob("tree/a.txt"), bucket.blob("tree/none")], on_error=missing.append)
    assert [item.name for item in missing] == ["tree/none"]
    refusal(exceptions.NotFound, lambda: bucket.delete_blobs([bucket.blob("tree/none")]))
with (
    calls("transfer_manager: upload_many, upload_many_from_filenames, download_many, download_chunks_concurrently"),
    tempfile.TemporaryDirectory() as folder,
):
    path = pathlib.Path(folder)
    for row in range(4):
        (path / f"{row}.bin").write_bytes(big[row:])
    names = [f"{row}.bin" for row in range(4)]
    options = {"worker_type": transfer_manager.THREAD, "max_workers": 4}
    done = transfer_manager.upload_many_from_filenames(
        bucket, names, source_directory=folder, blob_name_prefix="many/", **options
    )
    assert done == [None] * 4, done
    pairs = [(str(path / one), bucket.blob(f"again/{one}")) for one in names]
    assert transfer_manager.upload_many(pairs, **options) == [None] * 4
    done = transfer_manager.download_many_to_path(
        bucket, names, destination_directory=str(path / "back"), blob_name_prefix="many/", **options
    )
    assert done == [None] * 4, done
    assert (path / "back" / "3.bin").read_bytes() == big[3:]
    transfer_manager.download_chunks_concurrently(
        bucket.blob("again/0.bin"), str(path / "chunks"), chunk_size=MIB, **options
    )
    assert (path / "chunks").read_bytes() == big
with (
    calls("transfer_manager.upload_chunks_concurrently", "refused, 404: it speaks the XML API"),
    tempfile.TemporaryDirectory() as folder,
):
    path = pathlib.Path(folder) / "big.bin"
    path.write_bytes(big)
    error = refusal(
        Exception,
        lambda: transfer_manager.upload_chunks_concurrently(
            str(path), bucket.blob("xml.bin"), chunk_size=MIB, worker_type=transfer_manager.THREAD
        ),
    )
    assert error.response.status_code == 404, error
with calls("Bucket.delete, also with force=True"):
    refusal(exceptions.Conflict, lambda: bucket.delete())
    for item in other.list_blobs():
        item.delete()
    other.delete()
    for item in list(bucket.list_blobs())[:-3]:
        item.delete()
    bucket.delete(force=True)
    assert not client.bucket(name).exists()
print("SEEN {}")
