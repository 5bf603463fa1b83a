"""The refusals of the storage API."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import httpx

from server import Server

Provoke = Callable[[Server], httpx.Response]

BUCKETS = "/storage/v1/b"
BUCKET = f"{BUCKETS}/refusals"
OBJECT = f"{BUCKET}/o/there"
UPLOAD = f"/upload{BUCKET}/o"
PIECE = b"x" * 2**18


def call(method: str, path: str, **options: Any) -> Provoke:
    """A request about a bucket with one object, ``there``."""

    def provoke(server: Server) -> httpx.Response:
        server.upload("gs://refusals/there", b"abc")
        return server.request(method, path, **options)

    return provoke


def patch(**document: Any) -> Provoke:
    return call("PATCH", OBJECT, json=document)


def media(headers: dict[str, str] | None = None, content: bytes = b"abc", **params: str) -> Provoke:
    return call("POST", UPLOAD, params={"name": "x", **params}, headers=headers, content=content)


def related(content: str, kind: str = "multipart/related; boundary=b") -> Provoke:
    return call(
        "POST", UPLOAD, params={"uploadType": "multipart"}, headers={"Content-Type": kind}, content=content.encode()
    )


def pieces(*ranges: str, size: int | None = None, bucket: str = "refusals", content: bytes = PIECE) -> Provoke:
    """The answer to the last of the pieces; without a range one is sent as the whole."""

    def provoke(server: Server) -> httpx.Response:
        where = call(
            "POST",
            UPLOAD,
            params={"uploadType": "resumable", "name": "x"},
            headers={} if size is None else {"X-Upload-Content-Length": str(size)},
        )(server).headers["location"]
        for text in ranges[:-1]:
            httpx.put(where, content=content, headers={"Content-Range": text})
        headers = {"Content-Range": ranges[-1]} if ranges[-1] else {}
        asked = ranges[-1].startswith("bytes */")
        return httpx.put(where.replace("b/refusals", f"b/{bucket}"), content=b"" if asked else content, headers=headers)

    return provoke


def batch(content: str, kind: str = "multipart/mixed; boundary=b") -> Provoke:
    return call("POST", "/batch/storage/v1", headers={"Content-Type": kind}, content=content.encode())


def inside(request: str, *, take_last: bool = False) -> Provoke:
    """The answer to the one request of a batch, or to the last."""

    def provoke(server: Server) -> httpx.Response:
        whole = batch(f"--b\nContent-Type: application/http\n\n{request}\n--b--")(server)
        answer = whole.text.rpartition("HTTP/1.1 ") if take_last else whole.text.partition("HTTP/1.1 ")
        head, _, body = answer[2].partition("\r\n\r\n")
        text = body.rpartition("\r\n--batch")[0]
        kind = {"content-type": "application/json; charset=UTF-8"}
        return httpx.Response(int(head[:3]), headers=kind, text=text.rstrip("\r"))

    return provoke


def _parts(first: str = "{}", second: str = "", head: str = "") -> str:
    return f"--b\n\n{first}\n--b\n{head}\n{second}\n--b"


REQUESTS: dict[str, Provoke] = {
    "a bucket without a name": call("POST", f"{BUCKETS}?project=p"),
    "a bucket without a project": call("POST", BUCKETS, json={"name": "mine"}),
    "a bucket name that cannot be": call("POST", f"{BUCKETS}?project=p", json={"name": "No!"}),
    "a list of buckets without a project": call("GET", BUCKETS),
    "a bucket with the name of the built-in samples": call(
        "POST", f"{BUCKETS}?project=p", json={"name": "cloud-samples-data"}
    ),
    "a bucket that is there already": call("POST", f"{BUCKETS}?project=q", json={"name": "refusals"}),
    "a bucket that keeps old versions": call(
        "POST", f"{BUCKETS}?project=p", json={"name": "mine", "versioning": {"enabled": True}}
    ),
    "an unknown bucket": call("GET", f"{BUCKETS}/nowhere"),
    "a bucket that is not empty, deleted": call("DELETE", BUCKET),
    "a part of a bucket that there is not": call("GET", f"{BUCKET}/defaultObjectAcl"),
    "an unknown object": call("GET", f"{BUCKET}/o/nothing"),
    "an object name that cannot be": media(name="a\nb"),
    "an object name that is too long": media(name="x" * 1025),
    "writing to the built-in samples": call("POST", f"/upload{BUCKETS}/cloud-samples-data/o?name=x", content=b"x"),
    "a page of objects that is no number": call("GET", f"{BUCKET}/o?maxResults=ten"),
    "a page of no objects": call("GET", f"{BUCKET}/o?maxResults=0"),
    "an object page token of nobody": call("GET", f"{BUCKET}/o?pageToken=%21"),
    "a glob that is none": call("GET", f"{BUCKET}/o", params={"matchGlob": "{a"}),
    "a glob beside another delimiter": call("GET", f"{BUCKET}/o", params={"matchGlob": "*", "delimiter": "-"}),
    "a storage body that is no object": call("PATCH", OBJECT, json=[]),
    "metadata that is no object": patch(metadata="x"),
    "metadata with a number": patch(metadata={"a": 1}),
    "metadata over the limit": patch(metadata={"a": "x" * 8192}),
    "a content type over the limit": patch(contentType="x" * 1025),
    "a content type on two lines": patch(contentType="a\nb"),
    "an object that is to be held": patch(temporaryHold=True),
    "access control lists of an object": call("GET", f"{OBJECT}/acl"),
    "a condition that does not hold": call("DELETE", OBJECT, params={"ifGenerationMatch": "1"}),
    "a range behind an object's end": call("GET", f"{OBJECT}?alt=media", headers={"Range": "bytes=3-"}),
    "an object moved to its own name": call("POST", f"{OBJECT}/moveTo/o/there"),
    "an object composed of nothing": call("POST", f"{BUCKET}/o/x/compose", json={"sourceObjects": []}),
    "an object composed of no list": call("POST", f"{BUCKET}/o/x/compose", json={}),
    "an object composed of objects without names": call("POST", f"{BUCKET}/o/x/compose", json={"sourceObjects": [{}]}),
    "an upload without a name": media(name=""),
    "an upload of another type": media(uploadType="carrier"),
    "an upload by a key of one's own": media({"x-goog-encryption-key": "x"}),
    "an upload by a key of a key service": media(kmsKeyName="x"),
    "a checksum that is none": media({"X-Goog-Hash": "md5=x"}),
    "a checksum of other bytes": media({"X-Goog-Hash": "crc32c=AAAAAA=="}),
    "a multipart upload of no parts": related("", kind="text/plain"),
    "a multipart upload with another boundary": related("--c\n"),
    "a multipart upload that ends early": related("--b\n\n{}"),
    "a multipart upload of three parts": related(_parts('{"name": "x"}') + "\n\n--b--"),
    "a multipart upload in another encoding": related(_parts(head="Content-Transfer-Encoding: base64\n")),
    "a multipart upload with a very long line": related("-" * 2**17),
    "a multipart upload with a very long head": related("--b\n" + "a: b\n" * 2**15),
    "a resumable upload without its id": call("PUT", UPLOAD),
    "an unknown resumable upload": call("PUT", UPLOAD, params={"upload_id": "x"}),
    "a resumable upload at another bucket": pieces("bytes */*", bucket="my-data"),
    "a content range that is none": pieces("0-3"),
    "a content range that cannot be": pieces("bytes 3-1/*"),
    "a content range of another upload": pieces("bytes 0-262143/262145", size=2**18),
    "a content range of another length": pieces("bytes 0-9/10"),
    "a piece that is too short": pieces("bytes 0-2/*", content=b"abc"),
    "a resumable upload with too many bytes": pieces("", size=3),
    "a resumable upload with too few bytes": pieces("", size=2**18 + 1),
    "a resumable upload of a size that was passed": pieces("bytes 0-262143/*", "bytes */3"),
    "a batch of no parts": batch("--b--"),
    "a batch of too many parts": batch("--b\n\nGET /\n" * 1001 + "--b--"),
    "a part of a batch that is no request": inside("nonsense"),
    "a part of a batch whose answers are too large (setting `max_request_bytes`)": inside(
        "\n--b\n\n".join([f"GET {BUCKET} HTTP/1.1\n"] * 200), take_last=True
    ),
    "a part of a batch for another API": inside("GET /v1/projects/p/locations/l/tuningJobs HTTP/1.1\n"),
}
