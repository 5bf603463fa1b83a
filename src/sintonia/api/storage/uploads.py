"""Uploads in one request: the bytes alone, or a resource and the bytes; and where the resumable ones begin."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator

from fastapi import APIRouter, Request, Response

from sintonia.api.bodies import json_response
from sintonia.api.storage import sessions
from sintonia.api.storage.bodies import RelatedBody, blocks, read_object
from sintonia.api.storage.parameters import conditions, digests, refuse_encryption, whole_number
from sintonia.api.storage.resources import metadata_of, object_resource
from sintonia.api.storage.routing import StorageRoute
from sintonia.errors import InvalidArgument
from sintonia.resources.base import JsonObject
from sintonia.storage import BucketStore, ObjectMetadata, StoredObject

# gcloud begins its resumable uploads at the second one.
_PLACES = ("/upload/storage/v1/b/{bucket}/o", "/resumable/upload/storage/v1/b/{bucket}/o")
_DEFAULT_CONTENT_TYPE = "application/octet-stream"


def routes(store: BucketStore) -> APIRouter:
    router = APIRouter(tags=["Buckets"], route_class=StorageRoute)

    async def upload(request: Request, bucket: str) -> Response:
        refuse_encryption(request)
        query = request.query_params
        if id := query.get("upload_id"):
            return await sessions.append(store, request, bucket, id)  # gcsfs sends its pieces by POST
        kind = query.get("uploadType", "media")
        if kind == "resumable":
            return await start(request, bucket)
        if kind == "multipart":
            body = await RelatedBody.read(request)
            document, media, content_type = body.document, body.media, body.content_type
        elif kind == "media":
            document, media, content_type = {}, blocks(request), request.headers.get("content-type")
        else:
            raise InvalidArgument(f"Invalid value for uploadType: {kind}; use media, multipart or resumable.")
        stored = await _stored(store, request, bucket, document, content_type, media)
        return json_response(object_resource(stored, str(request.base_url)))

    async def start(request: Request, bucket: str) -> Response:
        document = await read_object(request)
        size = request.headers.get("x-upload-content-length")
        id = await asyncio.to_thread(
            store.start_upload,
            bucket,
            _name(request, document),
            metadata=_metadata(request, document, request.headers.get("x-upload-content-type")),
            when=conditions(request.query_params),
            size=None if size is None else whole_number("X-Upload-Content-Length", size),
            told=digests(request, document),
        )
        where = f"{request.base_url}upload/storage/v1/b/{bucket}/o?uploadType=resumable&upload_id={id}"
        return Response(headers={"Location": where, "X-GUploader-UploadID": id})

    async def continue_upload(request: Request, bucket: str) -> Response:
        return await sessions.append(store, request, bucket, _upload_id(request))

    async def cancel_upload(request: Request, bucket: str) -> Response:
        return await sessions.cancel(store, bucket, _upload_id(request))

    for place in _PLACES:
        shown = place == _PLACES[0]
        router.post(place, include_in_schema=shown)(upload)
        router.put(place, include_in_schema=shown)(continue_upload)
        router.delete(place, include_in_schema=shown)(cancel_upload)
    return router


async def _stored(
    store: BucketStore,
    request: Request,
    bucket: str,
    document: JsonObject,
    content_type: str | None,
    media: AsyncIterator[bytes],
) -> StoredObject:
    writer = await asyncio.to_thread(
        store.write_object,
        bucket,
        _name(request, document),
        metadata=_metadata(request, document, content_type),
        when=conditions(request.query_params),
        told=digests(request, document),
    )
    try:
        async for block in media:
            await asyncio.to_thread(writer.write, block)
        return await asyncio.to_thread(writer.commit)
    except BaseException:  # the client left amid the upload, or the disk is full: nothing half-written stays
        writer.abort()
        raise


def _name(request: Request, document: JsonObject) -> str:
    """Raises InvalidArgument if nothing says it."""
    name = request.query_params.get("name") or document.get("name")
    if not isinstance(name, str):
        raise InvalidArgument("Required parameter: name")
    return name


def _metadata(request: Request, document: JsonObject, content_type: str | None) -> ObjectMetadata:
    """What the resource says, and where it is silent the request."""
    said = {"contentType": content_type or _DEFAULT_CONTENT_TYPE}
    if encoding := request.query_params.get("contentEncoding"):
        said["contentEncoding"] = encoding
    return metadata_of({**said, **{key: value for key, value in document.items() if value is not None}})


def _upload_id(request: Request) -> str:
    id = request.query_params.get("upload_id")
    if not id:
        raise InvalidArgument("Required parameter: upload_id")
    return id
