"""An object's bytes: all of them or a range, with the headers by which clients check and name what they got."""

from __future__ import annotations

import asyncio
import re
from collections.abc import AsyncIterator
from email.utils import format_datetime

from fastapi import Request, Response
from fastapi.responses import StreamingResponse
from starlette.datastructures import Headers

from sintonia.api.storage.bodies import BLOCK
from sintonia.api.storage.errors import storage_error
from sintonia.api.storage.parameters import conditions, number, refuse_encryption
from sintonia.api.storage.resources import etag
from sintonia.errors import ConditionNotMet, NotModified, RangeNotSatisfiable
from sintonia.storage import BucketStore, ObjectReader, StoredObject

_RANGE = re.compile(r"bytes=(\d{0,19})-(\d{0,19})")


async def download(store: BucketStore, request: Request, bucket: str, name: str) -> Response:
    """The answer to ``alt=media``. The bytes are sent as they were stored, compressed ones too."""
    refuse_encryption(request)
    generation = number(request.query_params, "generation")
    reader = await asyncio.to_thread(store.open_object, bucket, name, generation=generation)
    try:
        stored = reader.stored
        conditions(request.query_params).check_read(stored)
        check_etag(request.headers, stored)
        headers = _headers(stored)
        start, end = 0, stored.size
        if asked := _range(request.headers, stored):
            start, end = asked
            if start >= end:
                refused = storage_error(
                    RangeNotSatisfiable(f"The requested range cannot be satisfied: the object has {stored.size} bytes.")
                )
                refused.headers["Content-Range"] = f"bytes */{stored.size}"
                reader.close()
                return refused
            headers["Content-Range"] = f"bytes {start}-{end - 1}/{stored.size}"
        headers["Content-Length"] = str(end - start)
        status = 206 if asked else 200
        if request.method == "HEAD":
            reader.close()
            return Response(status_code=status, headers=headers)
        return StreamingResponse(_bytes(reader, start, end), status_code=status, headers=headers)
    except BaseException:
        reader.close()
        raise


def check_etag(headers: Headers, stored: StoredObject) -> None:
    """``If-Match`` and ``If-None-Match``, with or without quotes. Raises ConditionNotMet, NotModified."""
    if (wanted := headers.get("if-match")) and not _matches(wanted, stored):
        raise ConditionNotMet("At least one of the pre-conditions you specified did not hold: the etag is another.")
    if (known := headers.get("if-none-match")) and _matches(known, stored):
        raise NotModified("Not modified: the etag is the same.")


def _matches(header: str, stored: StoredObject) -> bool:
    tags = {part.strip().removeprefix("W/").strip('"') for part in header.split(",")}
    return "*" in tags or etag(stored) in tags


def _headers(stored: StoredObject) -> dict[str, str]:
    metadata = stored.metadata
    disposition = metadata.content_disposition or ""
    told = {
        "Content-Type": metadata.content_type or "application/octet-stream",
        "Content-Encoding": metadata.content_encoding,
        "Content-Language": metadata.content_language,
        "Cache-Control": metadata.cache_control or "no-cache",
        # A file of an unknown person is never a page of this server.
        "Content-Disposition": disposition if disposition.lower().startswith("attachment") else "attachment",
        "X-Content-Type-Options": "nosniff",
        "Accept-Ranges": "bytes",
        "ETag": f'"{etag(stored)}"',
        "Last-Modified": format_datetime(stored.updated, usegmt=True),
        "X-Goog-Generation": str(stored.generation),
        "X-Goog-Metageneration": str(stored.metageneration),
        "X-Goog-Hash": f"crc32c={stored.crc32c}" + (f",md5={stored.md5}" if stored.md5 else ""),
        "X-Goog-Storage-Class": "STANDARD",
        "X-Goog-Stored-Content-Encoding": metadata.content_encoding or "identity",
        "X-Goog-Stored-Content-Length": str(stored.size),
    }
    return {name: value for name, value in told.items() if value is not None}


def _range(headers: Headers, stored: StoredObject) -> tuple[int, int] | None:
    """First byte and the one behind the last; None for all. Several ranges, and what is none, are all (RFC 9110)."""
    found = _RANGE.fullmatch(headers.get("range", "").replace(" ", ""))
    if not found or found.groups() == ("", ""):
        return None
    if (known := headers.get("if-range")) and not _matches(known, stored):
        return None
    first, last = found.groups()
    if not first:
        return max(0, stored.size - int(last)), stored.size
    if last and int(last) < int(first):
        return None
    return int(first), min(int(last) + 1, stored.size) if last else stored.size


async def _bytes(reader: ObjectReader, start: int, end: int) -> AsyncIterator[bytes]:
    with reader:
        reader.seek(start)
        while start < end and (block := await asyncio.to_thread(reader.read, min(BLOCK, end - start))):
            start += len(block)
            yield block
