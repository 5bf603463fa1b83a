"""The storage API on the wire, where clients do not look: answers, errors, and what may be left behind."""

from __future__ import annotations

import base64
import hashlib
import http.client
import json
import socket
from collections.abc import Iterator
from typing import Any
from urllib.parse import quote, urlsplit

import httpx
import pytest

from server import Server, until

BUCKET = "wire"
KIB = 1024
PIECE = 256 * KIB
CONTENT = bytes(range(256)) * 4 * KIB  # 1 MiB


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    server = Server(tmp_path_factory.mktemp("storage-wire"), base_models={})
    server.start()
    for name in (BUCKET, "other"):
        server.call("POST", "/storage/v1/b?project=p", {"name": name})
    yield server
    server.stop()


def put(server: Server, name: str, content: bytes = b"x", **params: Any) -> dict[str, Any]:
    return server.call(
        "POST",
        f"/upload/storage/v1/b/{BUCKET}/o",
        params={"uploadType": "media", "name": name, **params},
        content=content,
    )


def at(name: str) -> str:
    return f"/storage/v1/b/{BUCKET}/o/{quote(name, safe='')}"


def content(server: Server, name: str) -> bytes:
    answer = server.request("GET", at(name), params={"alt": "media"})
    assert answer.status_code == 200, answer.text
    return answer.content


def exists(server: Server, name: str) -> bool:
    return server.request("GET", at(name)).status_code == 200


def refused(answer: httpx.Response, code: int, reason: str) -> str:
    """What is wrong, in the shape that storage clients read."""
    error = answer.json()["error"]
    assert (answer.status_code, error["code"]) == (code, code), answer.text
    assert error["status"]
    assert error["errors"] == [{"domain": "global", "reason": reason, "message": error["message"]}]
    assert answer.headers["content-type"] == "application/json; charset=UTF-8"
    return str(error["message"])


def drafts(server: Server) -> list[str]:
    """Files of the bucket that hold bytes and are no object."""
    folder = server.home / "buckets" / BUCKET
    uploads = [path.name for path in (folder / "uploads").glob("*.part")]
    return uploads + [path.name for path in (folder / "data").glob(".*")]


@pytest.mark.parametrize(
    ("asked", "start", "end"),
    [
        ("bytes=0-0", 0, 1),
        ("bytes=5-", 5, 26),
        ("bytes=20-99", 20, 26),
        ("bytes=-6", 20, 26),
        ("bytes=-99", 0, 26),
        ("bytes = 1 - 2", 1, 3),
    ],
)
def test_a_range_is_answered_in_part(server: Server, asked: str, start: int, end: int) -> None:
    letters = b"abcdefghijklmnopqrstuvwxyz"
    put(server, "letters", letters)
    for path in (at("letters"), "/download" + at("letters")):
        answer = server.request("GET", path, params={"alt": "media"}, headers={"Range": asked})
        assert answer.status_code == 206
        assert answer.content == letters[start:end]
        assert answer.headers["content-range"] == f"bytes {start}-{end - 1}/26"
        assert answer.headers["x-goog-stored-content-length"] == "26"


@pytest.mark.parametrize("asked", ["bytes=2-1", "bytes=-", "bytes=0-1,3-4", "lines=1-2", "bytes=a-b"])
def test_what_is_no_range_is_all(server: Server, asked: str) -> None:
    put(server, "all", b"abc")
    answer = server.request("GET", at("all"), params={"alt": "media"}, headers={"Range": asked})
    assert (answer.status_code, answer.content) == (200, b"abc")


@pytest.mark.parametrize(("size", "asked"), [(3, "bytes=3-"), (3, "bytes=-0"), (0, "bytes=0-"), (0, "bytes=-5")])
def test_a_range_behind_the_end_is_refused(server: Server, size: int, asked: str) -> None:
    put(server, "short", b"x" * size)
    answer = server.request("GET", at("short"), params={"alt": "media"}, headers={"Range": asked})
    refused(answer, 416, "requestedRangeNotSatisfiable")
    assert answer.headers["content-range"] == f"bytes */{size}"


def test_head_tells_what_get_would(server: Server) -> None:
    stored = put(server, "head", b"abc")
    for path in (at("head"), "/download" + at("head")):
        answer = server.request("HEAD", path, params={"alt": "media"})
        assert (answer.status_code, answer.headers["content-length"], answer.content) == (200, "3", b"")
        assert answer.headers["x-goog-generation"] == stored["generation"]
        assert f"md5={stored['md5Hash']}" in answer.headers["x-goog-hash"]
    assert server.request("HEAD", at("none")).status_code == 404


def test_etags_and_conditions_of_reads(server: Server) -> None:
    stored = put(server, "etag", b"abc")
    media = {"alt": "media"}
    tag = server.request("GET", at("etag"), params=media).headers["etag"]
    assert tag.strip('"') == stored["etag"]
    for known in (tag, tag.strip('"'), f"W/{tag}", f'"x", {tag}', "*"):
        answer = server.request("GET", at("etag"), params=media, headers={"If-None-Match": known})
        assert (answer.status_code, answer.content) == (304, b""), known
    assert server.request("GET", at("etag"), params=media, headers={"If-None-Match": '"x"'}).status_code == 200
    refused(server.request("GET", at("etag"), headers={"If-Match": '"x"'}), 412, "conditionNotMet")
    part = {"Range": "bytes=0-0", "If-Range": tag}
    assert server.request("GET", at("etag"), params=media, headers=part).status_code == 206
    part["If-Range"] = '"x"'
    assert server.request("GET", at("etag"), params=media, headers=part).content == b"abc"
    for condition in ({"ifGenerationMatch": 1}, {"ifMetagenerationMatch": 9}):
        refused(server.request("GET", at("etag"), params=media | condition), 412, "conditionNotMet")
    same = {"ifGenerationNotMatch": stored["generation"]}
    assert server.request("GET", at("etag"), params=media | same).status_code == 304


def test_what_a_stranger_stored_is_no_page(server: Server) -> None:
    body = {"name": "page", "contentType": "text/html", "contentDisposition": "inline", "metadata": {"a": "b"}}
    multipart(server, body, b"<script>")
    answer = server.request("GET", at("page"), params={"alt": "media"})
    assert answer.headers["content-type"].startswith("text/html")
    assert answer.headers["content-disposition"] == "attachment"
    assert answer.headers["x-content-type-options"] == "nosniff"
    two = {"name": "two", "contentType": "text/plain\r\nSet-Cookie: a=b"}
    refused(multipart(server, two, b"x", check=False), 400, "invalid")


def multipart(
    server: Server,
    document: Any,
    media: bytes,
    *,
    end: str = "\r\n",
    boundary: str = "==b==",
    header: str = '"==b=="',
    closing: str = "--==b==--",
    check: bool = True,
    **params: Any,
) -> httpx.Response:
    text = f"--{boundary}{end}Content-Type: application/json{end}{end}{json.dumps(document)}{end}--{boundary}{end}"
    text += f"Content-Type: text/plain{end}{end}"
    answer = server.request(
        "POST",
        f"/upload/storage/v1/b/{BUCKET}/o",
        params={"uploadType": "multipart", **params},
        content=text.encode() + media + (end + closing).encode(),
        headers={"Content-Type": f"multipart/related; boundary={header}"},
    )
    assert not check or answer.status_code == 200, answer.text
    return answer


@pytest.mark.parametrize("end", ["\r\n", "\n"])
@pytest.mark.parametrize("header", ['"==b=="', "==b==", "'==b=='"])
@pytest.mark.parametrize("media", [b"", b"abc", b"a\r\n--==b=c\n--==b=\r\n", b"\r\n\r\n", CONTENT * 3])
def test_multipart_in_every_dialect(server: Server, end: str, header: str, media: bytes) -> None:
    answer = multipart(server, {"name": "parts", "metadata": {"k": "é"}}, media, end=end, header=header).json()
    assert (answer["contentType"], answer["metadata"]) == ("text/plain", {"k": "é"})
    assert content(server, "parts") == media


@pytest.mark.parametrize(
    "change",
    [
        {"closing": ""},
        {"closing": "--==b=="},
        {"boundary": "other"},
        {"header": '""'},
        {"document": ["no object"]},
        {"document": {"metadata": {}}},
        {"document": {"name": "never", "metadata": {"n": 1}}},
        {"document": {"name": "never", "md5Hash": "no base64"}},
        {"document": {"name": "never", "temporaryHold": True}},
    ],
)
def test_a_multipart_upload_that_is_none_stores_nothing(server: Server, change: dict[str, Any]) -> None:
    call: dict[str, Any] = {"document": {"name": "never"}, "media": CONTENT * 2, "check": False, **change}
    answer = multipart(server, **call)
    assert answer.status_code == 400, answer.text
    assert answer.json()["error"]["errors"]
    assert not exists(server, "never")
    assert drafts(server) == []


def crc32c_of(server: Server, data: bytes) -> str:
    return str(put(server, "for its checksum", data)["crc32c"])


def test_checksums_that_differ_store_nothing(server: Server) -> None:
    md5 = base64.b64encode(hashlib.md5(b"other", usedforsecurity=False).digest()).decode()
    crc32c = crc32c_of(server, b"other")
    for headers in ({"X-Goog-Hash": f"md5={md5}"}, {"X-Goog-Hash": f"crc32c={crc32c}"}, {"Content-MD5": md5}):
        answer = server.request(
            "POST", f"/upload/storage/v1/b/{BUCKET}/o?uploadType=media&name=bad", content=b"abc", headers=headers
        )
        assert "doesn't match" in refused(answer, 400, "invalid")
    refused(multipart(server, {"name": "bad", "crc32c": crc32c}, b"abc", check=False), 400, "invalid")
    where = start(server, "bad", headers={"X-Goog-Hash": f"crc32c={crc32c}"})
    refused(httpx.put(where, content=b"abc"), 400, "invalid")
    where = start(server, "bad")
    refused(httpx.put(where, content=b"abc", headers={"X-Goog-Hash": f"md5={md5}"}), 400, "invalid")
    assert not exists(server, "bad")
    assert drafts(server) == []
    multipart(server, {"name": "good", "crc32c": crc32c, "md5Hash": md5}, b"other")


def test_writers_that_expect_something_else_store_nothing(server: Server) -> None:
    first = put(server, "twice", b"1", ifGenerationMatch=0)
    for condition in ({"ifGenerationMatch": 0}, {"ifGenerationMatch": 1}, {"ifMetagenerationMatch": 2}):
        place = f"/upload/storage/v1/b/{BUCKET}/o"
        params = {"uploadType": "media", "name": "twice", **condition}
        refused(server.request("POST", place, params=params, content=b"2"), 412, "conditionNotMet")
        refused(multipart(server, {"name": "twice"}, b"2", check=False, **condition), 412, "conditionNotMet")
        refused(server.request("POST", place, params={**params, "uploadType": "resumable"}), 412, "conditionNotMet")
        refused(server.request("PATCH", at("twice"), params=condition, json={}), 412, "conditionNotMet")
        refused(server.request("PUT", at("twice"), params=condition, json={}), 412, "conditionNotMet")
        refused(server.request("DELETE", at("twice"), params=condition), 412, "conditionNotMet")
        for verb in (f"copyTo/b/{BUCKET}/o/twice", f"rewriteTo/b/{BUCKET}/o/twice", "moveTo/o/twice"):
            if not verb.startswith("moveTo"):
                refused(server.request("POST", f"{at('letters')}/{verb}", params=condition), 412, "conditionNotMet")
        body = {"sourceObjects": [{"name": "twice"}]}
        refused(server.request("POST", f"{at('twice')}/compose", params=condition, json=body), 412, "conditionNotMet")
    assert content(server, "twice") == b"1"
    put(server, "twice", b"3", ifGenerationMatch=first["generation"])
    for number in ("-1", "x", "1e3", "9" * 30, ""):
        answer = server.request("GET", at("twice"), params={"ifGenerationMatch": number})
        assert "ifGenerationMatch" in refused(answer, 400, "invalid")


def test_a_condition_that_breaks_amid_a_resumable_upload_is_found_at_its_end(server: Server) -> None:
    where = start(server, "raced", ifGenerationMatch=0)
    put(server, "raced", b"the other's")
    refused(httpx.put(where, content=b"mine"), 412, "conditionNotMet")
    assert content(server, "raced") == b"the other's"


def start(
    server: Server, name: str, size: int | None = None, place: str = "upload", headers: Any = None, **params: Any
) -> str:
    """The address of a new resumable upload."""
    answer = server.request(
        "POST",
        f"/{place}/storage/v1/b/{BUCKET}/o",
        params={"uploadType": "resumable", "name": name, **params},
        headers={**({} if size is None else {"X-Upload-Content-Length": str(size)}), **(headers or {})},
    )
    assert answer.status_code == 200, answer.text
    assert answer.headers["x-guploader-uploadid"] in answer.headers["location"]
    return str(answer.headers["location"])


def piece(where: str, begin: int, end: int, total: int | str, *, method: str = "PUT") -> httpx.Response:
    headers = {"Content-Range": f"bytes {begin}-{end - 1}/{total}"}
    return httpx.request(method, where, content=CONTENT[begin:end], headers=headers)


def received(where: str, total: int | str = "*") -> int:
    answer = httpx.put(where, headers={"Content-Range": f"bytes */{total}"})
    assert answer.status_code == 308, answer.text
    return int(answer.headers["range"].removeprefix("bytes=0-")) + 1 if "range" in answer.headers else 0


@pytest.mark.parametrize("place", ["upload", "resumable/upload"])
@pytest.mark.parametrize("method", ["PUT", "POST"])
def test_resumable_in_pieces_of_unknown_number(server: Server, place: str, method: str) -> None:
    where = start(server, "pieces", place=place)
    assert received(where) == 0
    for begin in range(0, len(CONTENT), PIECE):
        last = begin + PIECE == len(CONTENT)
        answer = piece(where, begin, begin + PIECE, len(CONTENT) if last else "*", method=method)
        assert answer.status_code == (200 if last else 308)
    assert content(server, "pieces") == CONTENT
    again = httpx.put(where, headers={"Content-Range": "bytes */*"})  # who missed the answer asks again
    assert (again.status_code, again.json()["name"]) == (200, "pieces")


def test_resumable_in_one_request_and_of_nothing(server: Server) -> None:
    assert httpx.put(start(server, "one"), content=CONTENT).json()["size"] == str(len(CONTENT))
    assert httpx.put(start(server, "one", size=len(CONTENT)), content=CONTENT).status_code == 200
    assert httpx.put(start(server, "empty"), headers={"Content-Range": "bytes */0"}).json()["size"] == "0"
    assert httpx.put(start(server, "empty"), content=b"").json()["size"] == "0"
    where = start(server, "closed")
    assert piece(where, 0, PIECE, "*").status_code == 308
    assert httpx.post(where, headers={"Content-Range": f"bytes */{PIECE}"}).json()["size"] == str(PIECE)


def test_resumable_pieces_that_come_twice_or_too_early(server: Server) -> None:
    where = start(server, "overlap", size=len(CONTENT))
    piece(where, 0, 2 * PIECE, len(CONTENT))
    gap = piece(where, 3 * PIECE, 4 * PIECE, len(CONTENT))
    assert (gap.status_code, gap.headers["range"]) == (308, f"bytes=0-{2 * PIECE - 1}")
    assert piece(where, PIECE, 3 * PIECE, len(CONTENT)).headers["range"] == f"bytes=0-{3 * PIECE - 1}"
    assert piece(where, 0, len(CONTENT), len(CONTENT)).status_code == 200
    assert content(server, "overlap") == CONTENT


def test_resumable_pieces_that_cannot_be(server: Server) -> None:
    where = start(server, "never", size=len(CONTENT))
    for wrong in ("bytes 1-0/5", "bytes 0-5/3", "0-5/3", "bytes a-b/c", "bytes 0-9", f"bytes 0-{10**25}/*"):
        refused(httpx.put(where, content=b"abc", headers={"Content-Range": wrong}), 400, "invalid")
    refused(piece(where, 0, 100, "*"), 400, "invalid")  # too short for one that is not the last
    refused(httpx.put(where, content=b"abc", headers={"Content-Range": "bytes 0-9/*"}), 400, "invalid")
    refused(piece(where, 0, PIECE, len(CONTENT) + 1), 400, "invalid")
    assert received(where) == 0
    for address in (where.replace(BUCKET, "other"), where[:-4] + "AAAA", where.split("upload_id")[0] + "upload_id=x"):
        refused(httpx.put(address, content=CONTENT), 404, "notFound")
        refused(httpx.delete(address), 404, "notFound")
    assert httpx.delete(where).status_code == 499
    refused(httpx.put(where, content=CONTENT), 404, "notFound")
    assert not exists(server, "never")
    assert drafts(server) == []
    refused(server.request("PUT", f"/upload/storage/v1/b/{BUCKET}/o", content=b"x"), 400, "required")
    refused(server.request("POST", f"/upload/storage/v1/b/{BUCKET}/o?uploadType=resumable"), 400, "required")
    refused(server.request("POST", f"/upload/storage/v1/b/{BUCKET}/o?uploadType=carrier&name=x"), 400, "invalid")


def leave_amid(where: str, headers: dict[str, str], sent: bytes) -> None:
    """Send a part of a body and break the connection."""
    url = urlsplit(where)
    connection = http.client.HTTPConnection(url.hostname or "", url.port)
    connection.putrequest(*headers.pop(":").split())
    for name, value in headers.items():
        connection.putheader(name, value)
    connection.endheaders()
    connection.send(sent)
    connection.sock.shutdown(socket.SHUT_RDWR)
    connection.close()


def test_who_leaves_amid_a_resumable_piece_finds_what_arrived(server: Server) -> None:
    where = start(server, "left", size=len(CONTENT))
    url = urlsplit(where)
    total = f"bytes 0-{len(CONTENT) - 1}/{len(CONTENT)}"
    target = f"PUT {url.path}?{url.query}"
    leave_amid(where, {":": target, "Content-Range": total, "Content-Length": str(len(CONTENT))}, CONTENT[: 3 * PIECE])
    there = until(lambda: received(where), what="the part of the piece that arrived", server=server)
    assert there <= 3 * PIECE

    def rest() -> bool:  # 503 as long as the server does not know that the first sender left
        return piece(where, there, len(CONTENT), len(CONTENT)).status_code == 200

    until(rest, what="the rest of the upload", server=server)
    assert content(server, "left") == CONTENT


def test_who_leaves_amid_a_simple_upload_leaves_nothing(server: Server) -> None:
    put(server, "kept", b"as it was")
    target = f"POST /upload/storage/v1/b/{BUCKET}/o?uploadType=media&name=kept"
    leave_amid(server.url, {":": target, "Content-Length": str(10 * len(CONTENT))}, CONTENT * 3)
    until(lambda: drafts(server) == [], what="the draft's end", server=server)
    assert content(server, "kept") == b"as it was"


@pytest.mark.parametrize("name", ["a/b", "/a", "a//b/", "a b", "a/compose", "á"])
def test_slashes_may_come_as_they_are(server: Server, name: str) -> None:
    put(server, name, name.encode())
    plain = f"/storage/v1/b/{BUCKET}/o/{quote(name, safe='/')}"
    assert server.call("GET", plain)["name"] == name
    assert server.request("GET", plain, params={"alt": "media"}).content == name.encode()
    assert server.call("PATCH", plain, {"metadata": {"k": "v"}})["metadata"] == {"k": "v"}
    assert server.request("DELETE", plain).status_code == 204
    assert not exists(server, name)


def test_names_that_cannot_be(server: Server) -> None:
    assert server.request("GET", f"/storage/v1/b/{BUCKET}/o/%ff").status_code == 400
    refused(server.request("GET", f"/storage/v1/b/{BUCKET}/o/{'x' * 1025}"), 404, "notFound")
    refused(server.request("GET", "/storage/v1/b/%2e%2e/o/x"), 404, "notFound")
    for name in ("x" * 1025, "a\nb", ""):
        answer = server.request(
            "POST", f"/upload/storage/v1/b/{BUCKET}/o", params={"uploadType": "media", "name": name}, content=b"x"
        )
        assert answer.status_code == 400


def batch(server: Server, *parts: str, boundary: str = "b", header: str = "b", end: str = "\r\n") -> httpx.Response:
    body = "".join(
        f"--{boundary}{end}Content-Type: application/http{end}Content-ID: <{number}>{end}{end}{part}{end}"
        for number, part in enumerate(parts)
    )
    return server.request(
        "POST",
        "/batch/storage/v1",
        content=(body + f"--{boundary}--").encode(),
        headers={"Content-Type": f"multipart/mixed; boundary={header}"},
    )


@pytest.mark.parametrize("end", ["\r\n", "\n"])
@pytest.mark.parametrize("header", ["b", '"b"', "'b'"])
def test_a_batch_answers_each_by_itself(server: Server, end: str, header: str) -> None:
    for name in ("batch/1", "batch/2"):
        put(server, name)
    patch = json.dumps({"metadata": {"k": "é"}})
    answer = batch(
        server,
        f"DELETE {at('batch/1')} HTTP/1.1{end}",
        f"PATCH {server.url}{at('batch/2')}?fields=metadata HTTP/1.1{end}X: y{end}{end}{patch}",
        f"GET {at('batch/none')} HTTP/1.1{end}Accept: */*{end}{end}",
        f"GET {at('batch/2')}?alt=media HTTP/1.1{end}",
        f"POST /v1/projects/p/locations/l/tuningJobs HTTP/1.1{end}",
        "nonsense",
        header=header,
        end=end,
    )
    assert answer.status_code == 200
    kind, _, boundary = answer.headers["content-type"].partition("; boundary=")
    assert kind == "multipart/mixed"
    parts = answer.text.split(f"--{boundary}")[1:-1]
    assert [part.split("HTTP/1.1 ")[1][:3] for part in parts] == ["204", "200", "404", "400", "400", "400"]
    assert [f"<response-{number}>" in part for number, part in enumerate(parts)] == [True] * 6
    assert '"k": "é"' in parts[1]
    assert '"reason": "notFound"' in parts[2]
    assert not exists(server, "batch/1")


@pytest.mark.parametrize("body", [b"", b"--b--", b"--b\r\nno end", b"x" * 100])
def test_a_batch_that_is_none(server: Server, body: bytes) -> None:
    headers = {"Content-Type": "multipart/mixed; boundary=b"}
    refused(server.request("POST", "/batch/storage/v1", content=body, headers=headers), 400, "invalid")
    refused(server.request("POST", "/batch/storage/v1", content=body), 400, "invalid")


@pytest.mark.parametrize("project", ["*", "../x", "a\nb", "a" * 5000])
def test_a_bucket_belongs_to_a_project_that_can_be(server: Server, project: str) -> None:
    answer = server.request("POST", "/storage/v1/b", params={"project": project}, json={"name": "of-nobody"})
    refused(answer, 400, "invalid")


@pytest.mark.parametrize("query", ["alt=media", "alt=%6dedia", "%61lt=media", "alt=json&alt=media"])
def test_a_batch_gives_out_no_contents(server: Server, query: str) -> None:
    put(server, "batch/media", b"abc")
    assert b"without media" in batch(server, f"GET {at('batch/media')}?{query} HTTP/1.1").content


def test_a_content_type_is_read_in_no_time(server: Server) -> None:
    """The library takes the square of its length, 8 s for this one, in which nobody else was answered."""
    headers = {"Content-Type": 'multipart/mixed; a="' + ";" * 60_000}
    refused(server.request("POST", "/batch/storage/v1", content=b"--b--", headers=headers), 400, "invalid")


def test_a_batch_has_a_limit(server: Server) -> None:
    refused(batch(server, *["GET /storage/v1/b?project=p HTTP/1.1"] * 1001), 400, "invalid")


def test_what_there_is_not_is_said(server: Server) -> None:
    for path in (f"/storage/v1/b/{BUCKET}/defaultObjectAcl", at("letters") + "/acl"):
        refused(server.request("GET", path), 400, "notImplemented")
    refused(server.request("POST", "/storage/v1/b?project=p", json={"name": "v", "versioning": {"enabled": True}}),
            400, "failedPrecondition")  # fmt: skip
    key = {"x-goog-encryption-algorithm": "AES256", "x-goog-encryption-key": "k"}
    refused(server.request("GET", at("letters"), params={"alt": "media"}, headers=key), 400, "notImplemented")
    place = f"/upload/storage/v1/b/{BUCKET}/o?uploadType=media&name=x"
    refused(server.request("POST", place, content=b"x", headers=key), 400, "notImplemented")
    refused(server.request("POST", place + "&kmsKeyName=k", content=b"x"), 400, "notImplemented")


def test_what_clients_look_for_on_their_way(server: Server) -> None:
    bucket = f"/storage/v1/b/{BUCKET}"
    assert server.call("GET", f"{bucket}/storageLayout")["hierarchicalNamespace"] == {"enabled": False}
    assert server.call("GET", f"{bucket}/iam")["bindings"] == []
    for part in ("folders", "managedFolders", "anywhereCaches", "notificationConfigs"):
        assert server.call("GET", f"{bucket}/{part}")["items"] == []
        refused(server.request("GET", f"/storage/v1/b/nowhere/{part}"), 404, "notFound")
        refused(server.request("POST", f"{bucket}/{part}", json={}), 400, "notImplemented")
    refused(server.request("PUT", f"{bucket}/iam", json={"bindings": []}), 400, "notImplemented")


def test_an_answer_without_a_body_is_no_matter_for_fields(server: Server) -> None:
    """gsutil names fields when it starts an upload."""
    place = f"/upload/storage/v1/b/{BUCKET}/o?uploadType=resumable&name=chosen&fields=size"
    started = server.request("POST", place, json={})
    assert (started.status_code, started.content) == (200, b"")
    assert server.request("PUT", started.headers["location"].removeprefix(server.url), content=b"x").status_code == 200
    server.request("DELETE", at("chosen"))


def test_samples_are_read_only(server: Server) -> None:
    samples = "/storage/v1/b/cloud-samples-data"
    item = server.call("GET", samples + "/o")["items"][0]
    where = f"{samples}/o/{quote(item['name'], safe='')}"
    whole = server.request("GET", where, params={"alt": "media"})
    assert len(whole.content) == int(item["size"])
    part = server.request("GET", where, params={"alt": "media"}, headers={"Range": "bytes=10-19"})
    assert (part.status_code, part.content) == (206, whole.content[10:20])
    copied = server.call("POST", f"{where}/rewriteTo/b/{BUCKET}/o/sample", {})
    assert copied["resource"]["crc32c"] == item["crc32c"]
    for method, path in (
        ("DELETE", where),
        ("PATCH", where),
        ("DELETE", samples),
        ("PATCH", samples),
        ("POST", f"{where}/moveTo/o/x"),
        ("POST", "/upload" + samples + "/o?uploadType=media&name=x"),
        ("POST", "/upload" + samples + "/o?uploadType=resumable&name=x"),
    ):
        refused(server.request(method, path, json={}), 403, "forbidden")


def test_buckets_have_conditions_and_pages(server: Server) -> None:
    for name in ("paged-1", "paged-2", "paged-3"):
        server.call("POST", "/storage/v1/b?project=pages", {"name": name, "labels": {"n": name}})
    page = server.call("GET", "/storage/v1/b", params={"project": "pages", "maxResults": 2})
    assert [item["name"] for item in page["items"]] == ["paged-1", "paged-2"]
    rest = server.call("GET", "/storage/v1/b", params={"project": "pages", "pageToken": page["nextPageToken"]})
    assert [item["name"] for item in rest["items"]] == ["paged-3"]
    assert "nextPageToken" not in rest
    refused(server.request("GET", "/storage/v1/b?project=pages&pageToken=%21"), 400, "invalid")
    assert server.call("PATCH", "/storage/v1/b/paged-1", {"labels": {"m": "1"}})["labels"] == {"m": "1", "n": "paged-1"}
    assert server.call("PUT", "/storage/v1/b/paged-1", {"labels": {"m": "2"}})["labels"] == {"m": "2"}
    old = {"ifMetagenerationMatch": 1}
    refused(server.request("PATCH", "/storage/v1/b/paged-1", params=old, json={}), 412, "conditionNotMet")
    refused(server.request("DELETE", "/storage/v1/b/paged-1", params=old), 412, "conditionNotMet")
    refused(server.request("GET", "/storage/v1/b/paged-1", params=old), 412, "conditionNotMet")
    put(server, "something")
    refused(server.request("DELETE", f"/storage/v1/b/{BUCKET}"), 409, "conflict")
    assert server.request("DELETE", "/storage/v1/b/paged-1").status_code == 204
