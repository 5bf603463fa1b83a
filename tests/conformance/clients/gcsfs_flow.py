"""gcsfs against a server: python gcsfs_flow.py ADDRESS PROJECT [TOKEN].

GCSFS_EXPERIMENTAL_ZB_HNS_SUPPORT must be false: else gcsfs asks by gRPC over TLS, on the same port, whether a bucket is
hierarchical, and waits a minute for that. Without a token, STORAGE_EMULATOR_HOST must be ADDRESS.
"""

import json
import pathlib
import sys
import tempfile

import fsspec
import gcsfs
import pandas
from calls import Calls, refusal
from google.oauth2.credentials import Credentials

address, project, *token = sys.argv[1:]

if not token:
    options = {"project": project, "token": "anon"}
else:
    options = {"project": project, "token": Credentials(token[0]), "endpoint_url": address}
over = "REST (endpoint_url, with sign-in)" if token else "REST (STORAGE_EMULATOR_HOST)"
calls = Calls("gcsfs", gcsfs.__version__, over)
fs = gcsfs.GCSFileSystem(**options, use_listings_cache=False)
bucket = "gcsfs-of-storage"
MIB = 2**20
big = bytes(range(256)) * 4096 * 6 + b"the end"  # just over 6 MiB: beyond what gcsfs sends in one request

with calls("mkdir, buckets, ls, exists, rmdir"):
    fs.mkdir(bucket)
    fs.mkdir(f"{bucket}-other")
    assert {f"{bucket}/", f"{bucket}-other/"} <= set(fs.buckets)
    assert f"{bucket}/" in fs.ls("")
    assert fs.exists(bucket)
    fs.rmdir(f"{bucket}-other")
    assert not fs.exists(f"{bucket}-other")
with calls("pipe_file, cat_file, cat_file of a range"):
    fs.pipe_file(f"{bucket}/a.txt", b"hello, world", content_type="text/plain", metadata={"colour": "azul"})
    assert fs.cat_file(f"{bucket}/a.txt") == b"hello, world"
    assert fs.cat_file(f"{bucket}/a.txt", start=7, end=10) == b"wor"
    assert fs.cat_file(f"{bucket}/a.txt", start=-5) == b"world"
    fs.pipe_file(f"{bucket}/big.bin", big, chunksize=MIB)
    assert fs.cat_file(f"{bucket}/big.bin") == big
    assert fs.cat_ranges([f"{bucket}/big.bin"] * 2, [0, 256], [3, 259]) == [big[:3], big[256:259]]
with calls("info, isfile, isdir, size, created, modified, checksum, getxattr, setxattrs"):
    info = fs.info(f"{bucket}/a.txt")
    assert (info["size"], info["type"], info["contentType"]) == (12, "file", "text/plain")
    assert info["metadata"] == {"colour": "azul"}
    assert fs.getxattr(f"{bucket}/a.txt", "colour") == "azul"
    assert fs.setxattrs(f"{bucket}/a.txt", colour=None, n="1") == {"n": "1"}
    assert fs.created(f"{bucket}/a.txt") <= fs.modified(f"{bucket}/a.txt")
    assert fs.checksum(f"{bucket}/a.txt") == fs.checksum(f"{bucket}/a.txt")
    assert fs.isfile(f"{bucket}/a.txt")
    assert fs.isdir(bucket)
    refusal(FileNotFoundError, lambda: fs.info(f"{bucket}/nothing"))
with calls("open('wb') in pieces, open('xb'), open('rb') with seek"):
    with fs.open(f"{bucket}/stream.bin", "wb", block_size=MIB, consistency="md5") as stream:
        for start in range(0, len(big), 100_000):
            stream.write(big[start : start + 100_000])
    with fs.open(f"{bucket}/stream.bin", "rb", block_size=MIB) as stream:
        assert stream.size == len(big)
        assert stream.read(4) == big[:4]
        stream.seek(3 * MIB)
        assert stream.read(100) == big[3 * MIB : 3 * MIB + 100]
        stream.seek(-7, 2)
        assert stream.read() == b"the end"
    with fs.open(f"{bucket}/small.txt", "wb") as stream:
        stream.write(b"small")
    with fs.open(f"{bucket}/once.txt", "xb") as stream:
        stream.write(b"once")
    refusal(FileExistsError, lambda: fs.pipe_file(f"{bucket}/once.txt", b"twice", mode="create"))
    assert fs.cat_file(f"{bucket}/once.txt") == b"once"
with calls("open('wb', autocommit=False): commit, discard"):
    stream = fs.open(f"{bucket}/kept.bin", "wb", block_size=MIB, autocommit=False)
    stream.write(big)
    stream.close()
    assert not fs.exists(f"{bucket}/kept.bin")
    stream.commit()
    assert fs.cat_file(f"{bucket}/kept.bin") == big
    stream = fs.open(f"{bucket}/dropped.bin", "wb", block_size=MIB, autocommit=False)
    stream.write(big)
    stream.close()
    stream.discard()
    assert not fs.exists(f"{bucket}/dropped.bin")
with calls("touch, ls, find, glob, walk, du, tree"):
    for item in ("tree/a.txt", "tree/b c.txt", "tree/deep/é.txt", "tree/deep/er/#d?.md"):
        fs.touch(f"{bucket}/{item}")
    assert fs.ls(f"{bucket}/tree") == [f"{bucket}/tree/a.txt", f"{bucket}/tree/b c.txt", f"{bucket}/tree/deep"]
    assert [item["type"] for item in fs.ls(f"{bucket}/tree", detail=True)] == ["file", "file", "directory"]
    assert len(fs.find(f"{bucket}/tree")) == 4
    assert fs.glob(f"{bucket}/tree/**/*.txt") == [
        f"{bucket}/tree/a.txt", f"{bucket}/tree/b c.txt", f"{bucket}/tree/deep/é.txt"
    ]  # fmt: skip
    assert [place for place, _, _ in fs.walk(f"{bucket}/tree")] == [
        f"{bucket}/tree", f"{bucket}/tree/deep", f"{bucket}/tree/deep/er"
    ]  # fmt: skip
    assert fs.du(bucket) > 3 * len(big)
with calls("cp, mv, merge, also recursive"):
    fs.cp(f"{bucket}/a.txt", f"{bucket}/copy.txt")
    assert fs.cat_file(f"{bucket}/copy.txt") == b"hello, world"
    fs.mv(f"{bucket}/copy.txt", f"{bucket}/moved here.txt")
    assert not fs.exists(f"{bucket}/copy.txt")
    assert fs.cat_file(f"{bucket}/moved here.txt") == b"hello, world"
    fs.cp(f"{bucket}/tree/", f"{bucket}/second/", recursive=True)
    fs.mv(f"{bucket}/second", f"{bucket}/third", recursive=True)
    assert len(fs.find(f"{bucket}/third")) == 4
    assert not fs.find(f"{bucket}/second")
    fs.merge(f"{bucket}/merged.txt", [f"{bucket}/a.txt", f"{bucket}/small.txt"])
    assert fs.cat_file(f"{bucket}/merged.txt") == b"hello, worldsmall"
with calls("put, get, also recursive"), tempfile.TemporaryDirectory() as folder:
    path = pathlib.Path(folder)
    (path / "up" / "in").mkdir(parents=True)
    (path / "up" / "in" / "x.txt").write_text("x")
    (path / "up" / "big.bin").write_bytes(big)
    fs.put(str(path / "up"), f"{bucket}/put/", recursive=True)
    assert fs.cat_file(f"{bucket}/put/up/in/x.txt") == b"x"
    fs.put_file(str(path / "up" / "big.bin"), f"{bucket}/pieces.bin", chunksize=MIB, consistency="md5")
    fs.get(f"{bucket}/put/up", str(path / "down"), recursive=True)
    assert (path / "down" / "big.bin").read_bytes() == big
    assert (path / "down" / "in" / "x.txt").read_text() == "x"
with calls("pandas.read_json, to_json, fsspec.open (gs://)"):
    rows = pandas.DataFrame({"row": range(100), "text": ["olá"] * 100})
    where = f"gs://{bucket}/rows.jsonl"
    rows.to_json(where, orient="records", lines=True, storage_options=options)
    assert pandas.read_json(where, lines=True, storage_options=options).equals(rows)
    with fsspec.open(where, "rt", encoding="utf-8", **options) as stream:
        assert [json.loads(line)["row"] for line in stream] == list(range(100))
with calls("rm, also recursive and of a bucket"):
    fs.rm(f"{bucket}/a.txt")
    assert not fs.exists(f"{bucket}/a.txt")
    fs.rm(f"{bucket}/tree", recursive=True)
    assert not fs.find(f"{bucket}/tree")
    fs.rm(bucket, recursive=True)
    assert f"{bucket}/" not in fs.buckets
print("SEEN {}")
