"""Resumable uploads under way: pieces as they come, what has arrived, the end.

What a 308 says has arrived is safe on disk, also when the connection breaks amid a piece: nothing of it is sent again.
Source: "Resumable uploads" in the documentation of Cloud Storage, and what its clients send.
"""

from __future__ import annotations

import asyncio
import re
from dataclasses import dataclass

from fastapi import Request, Response

from sintonia.api.bodies import json_response
from sintonia.api.storage.bodies import blocks
from sintonia.api.storage.parameters import digests
from sintonia.api.storage.resources import object_resource
from sintonia.errors import InvalidArgument, NotFound
from sintonia.storage import BucketStore, StoredObject, Upload

_GRANULE = 256 * 2**10
_CONTENT_RANGE = re.compile(r"bytes (?:(\d{1,19})-(\d{1,19})|\*)/(\d{1,19}|\*)")


@dataclass(frozen=True)
class _Piece:
    """What a ``Content-Range`` says. ``start`` is None where only the status is asked for, ``end`` where the piece is
    all that is left; ``total`` where nobody knows it yet.
    """

    start: int | None
    end: int | None = None
    total: int | None = None

    @classmethod
    def of(cls, request: Request) -> _Piece:
        """Raises InvalidArgument."""
        text = request.headers.get("content-range")
        if text is None:
            return cls(0)
        found = _CONTENT_RANGE.fullmatch(text.strip())
        if found is None:
            raise InvalidArgument(
                f"Invalid Content-Range: '{text[:100]}'; write it as bytes FIRST-LAST/TOTAL, with * for unknown."
            )
        total = None if found[3] == "*" else int(found[3])
        if found[1] is None:
            return cls(None, None, total)
        start, end = int(found[1]), int(found[2]) + 1
        if end <= start or (total is not None and end > total):
            raise InvalidArgument(f"Invalid Content-Range: '{text[:100]}'; its last byte comes too early or too late.")
        return cls(start, end, total)


async def append(store: BucketStore, request: Request, bucket: str, id: str) -> Response:
    """A piece, or the question what has arrived."""
    upload = await _find(store, bucket, id)
    piece = _Piece.of(request)
    if upload.done:
        return _done(request, upload.done)
    if piece.total is not None and upload.size is None:
        await asyncio.to_thread(store.set_upload_size, id, piece.total)
    elif piece.total not in (None, upload.size):
        raise InvalidArgument(
            f"Invalid Content-Range: the upload was started as one of {upload.size} bytes, not {piece.total}."
        )
    if piece.start is not None and piece.start <= upload.received:
        await _receive(store, request, upload, piece)
        upload = await asyncio.to_thread(store.upload_status, id)
    # Of a piece that begins behind a gap nothing is taken: the answer says where to go on.
    size = piece.total if piece.total is not None else upload.size
    whole = upload.received if piece.start is not None and request.headers.get("content-range") is None else size
    if whole != upload.received:
        return _incomplete(upload)
    return _done(request, await asyncio.to_thread(store.finish, id, told=digests(request, {})))


async def cancel(store: BucketStore, bucket: str, id: str) -> Response:
    await _find(store, bucket, id)
    await asyncio.to_thread(store.cancel_upload, id)
    return Response(status_code=499)  # "client closed request", in the words of the protocol


async def _receive(store: BucketStore, request: Request, upload: Upload, piece: _Piece) -> None:
    """Add the body to what has arrived. Raises InvalidArgument if it is not as long as it says."""
    expected = None if piece.end is None or piece.start is None else piece.end - piece.start
    announced = request.headers.get("content-length", "")
    if expected is not None:
        if announced.isdecimal() and int(announced) != expected:
            raise InvalidArgument(
                f"Invalid request: Content-Range speaks of {expected} bytes, and the body has {announced}."
            )
        if piece.end not in (piece.total, upload.size) and expected < _GRANULE:
            raise InvalidArgument(
                f"Invalid request: {expected} bytes. All pieces but the last must have {_GRANULE} bytes or a multiple."
            )
    appender = await asyncio.to_thread(store.open_upload, upload.id, piece.start or 0)
    try:
        taken = 0
        async for block in blocks(request):
            taken += len(block)
            if expected is not None and taken > expected:
                raise InvalidArgument(
                    f"Invalid request: Content-Range speaks of {expected} bytes, and the body has more."
                )
            await asyncio.to_thread(appender.write, block)
    finally:
        await asyncio.to_thread(appender.close)  # what has arrived is kept, whoever left
    if expected is not None and taken < expected:
        raise InvalidArgument(f"Invalid request: Content-Range speaks of {expected} bytes, and the body has {taken}.")


async def _find(store: BucketStore, bucket: str, id: str) -> Upload:
    """Raises NotFound; an upload is found in its own bucket only, whoever knows its id."""
    upload = await asyncio.to_thread(store.upload_status, id)
    if upload.bucket != bucket:
        raise NotFound(f"No such upload in the bucket '{bucket}': {id}")
    return upload


def _incomplete(upload: Upload) -> Response:
    headers = {"X-GUploader-UploadID": upload.id}
    if upload.received:
        headers["Range"] = f"bytes=0-{upload.received - 1}"
    return Response(status_code=308, headers=headers)


def _done(request: Request, stored: StoredObject) -> Response:
    return json_response(object_resource(stored, str(request.base_url)))
