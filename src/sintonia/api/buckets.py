"""The buckets' JSON routes in the small: create and list buckets; list, upload and read objects."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from typing import Any, BinaryIO
from urllib.parse import quote

from fastapi import APIRouter, Request, Response
from fastapi.responses import StreamingResponse

from sintonia.api.bodies import json_response, read_json
from sintonia.api.routing import BucketRoute
from sintonia.errors import FailedPrecondition, InvalidArgument
from sintonia.resources.base import format_timestamp
from sintonia.storage import Bucket, BucketStore, ObjectMetadata, StoredObject

_BLOCK = 2**20


def routes(store: BucketStore) -> APIRouter:
    router = APIRouter(tags=["Buckets"], route_class=BucketRoute)

    @router.post("/storage/v1/b")
    async def create_bucket(request: Request, project: str = "") -> Response:
        body = await read_json(request)
        name = body.get("name") if isinstance(body, dict) else None
        if not isinstance(name, str):
            raise InvalidArgument("Required field 'name' is not set: the name of the bucket.")
        if not project:
            raise InvalidArgument("Required parameter: project")
        bucket = await asyncio.to_thread(store.create_bucket, name, project)
        return json_response(_bucket(bucket))

    @router.get("/storage/v1/b")
    async def list_buckets(project: str = "") -> Response:
        if not project:
            raise InvalidArgument("Required parameter: project")
        found = await asyncio.to_thread(store.list_buckets, project)
        return json_response({"kind": "storage#buckets", "items": [_bucket(bucket) for bucket in found]})

    @router.get("/storage/v1/b/{bucket}")
    async def get_bucket(bucket: str) -> Response:
        return json_response(_bucket(await asyncio.to_thread(store.get_bucket, bucket)))

    @router.get("/storage/v1/b/{bucket}/o")
    async def list_objects(request: Request, bucket: str) -> Response:
        query = request.query_params
        size = query.get("maxResults", "1000")
        if not size.isdecimal():
            raise InvalidArgument(f"Invalid value for maxResults: {size}; it must be a whole number.")
        page = await asyncio.to_thread(
            store.list_objects,
            bucket,
            prefix=query.get("prefix", ""),
            delimiter=query.get("delimiter") or None,
            page_size=int(size),
            page_token=query.get("pageToken") or None,
        )
        body: dict[str, Any] = {"kind": "storage#objects", "items": [_object(item) for item in page.objects]}
        if page.prefixes:
            body["prefixes"] = page.prefixes
        if page.next_page_token:
            body["nextPageToken"] = page.next_page_token
        return json_response(body)

    # Object names may hold slashes, as such or as %2F; the rest of the path is the name.
    @router.get("/storage/v1/b/{bucket}/o/{name:path}")
    async def read_object(bucket: str, name: str, alt: str = "json") -> Response:
        stored = await asyncio.to_thread(store.stat_object, bucket, name)
        return await _content(store, stored) if alt == "media" else json_response(_object(stored))

    @router.get("/download/storage/v1/b/{bucket}/o/{name:path}")
    async def download(bucket: str, name: str) -> Response:
        return await _content(store, await asyncio.to_thread(store.stat_object, bucket, name))

    @router.post("/upload/storage/v1/b/{bucket}/o")
    async def upload(request: Request, bucket: str) -> Response:
        query = request.query_params
        kind, name = query.get("uploadType", "media"), query.get("name")
        if kind != "media":
            raise FailedPrecondition(f"uploadType={kind} is not supported by this server yet; use uploadType=media.")
        if not name:
            raise InvalidArgument("Required parameter: name")
        content_type = request.headers.get("content-type")
        metadata = ObjectMetadata(content_type=content_type)
        writer = await asyncio.to_thread(store.write_object, bucket, name, metadata=metadata)
        try:
            async for chunk in request.stream():
                await asyncio.to_thread(writer.write, chunk)
            stored = await asyncio.to_thread(writer.commit)
        except BaseException:  # the client left amid the upload, or the disk is full: nothing half-written stays
            writer.abort()
            raise
        return json_response(_object(stored))

    return router


async def _content(store: BucketStore, stored: StoredObject) -> Response:
    stream = await asyncio.to_thread(store.open_object, stored.bucket, stored.name)
    # A file of an unknown person is never a page of this server.
    headers = {
        "Content-Length": str(stored.size),
        "X-Content-Type-Options": "nosniff",
        "Content-Disposition": "attachment",
        "x-goog-generation": str(stored.generation),
    }
    return StreamingResponse(_blocks(stream), media_type=stored.metadata.content_type, headers=headers)


async def _blocks(stream: BinaryIO) -> AsyncIterator[bytes]:
    with stream:
        while block := await asyncio.to_thread(stream.read, _BLOCK):
            yield block


def _bucket(bucket: Bucket) -> dict[str, Any]:
    created = format_timestamp(bucket.created)
    return {
        "kind": "storage#bucket",
        "id": bucket.name,
        "name": bucket.name,
        "selfLink": f"/storage/v1/b/{bucket.name}",
        "location": "LOCAL",
        "storageClass": "STANDARD",
        "timeCreated": created,
        "updated": created,
    }


def _object(item: StoredObject) -> dict[str, Any]:
    created = format_timestamp(item.created)
    path = f"/storage/v1/b/{item.bucket}/o/{quote(item.name, safe='')}"
    return {
        "kind": "storage#object",
        "id": f"{item.bucket}/{item.name}/{item.generation}",
        "name": item.name,
        "bucket": item.bucket,
        "selfLink": path,
        "mediaLink": f"/download{path}?alt=media",
        "contentType": item.metadata.content_type,
        "size": str(item.size),
        "md5Hash": item.md5,
        "generation": str(item.generation),
        "metageneration": "1",
        "storageClass": "STANDARD",
        "timeCreated": created,
        "updated": created,
    }
