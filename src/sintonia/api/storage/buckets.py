"""Buckets: create, list, get, change, delete."""

from __future__ import annotations

import asyncio
import base64

from fastapi import APIRouter, Request, Response

from sintonia.api.bodies import json_response
from sintonia.api.gate import gate_of
from sintonia.api.storage.bodies import read_object
from sintonia.api.storage.parameters import conditions, number, required
from sintonia.api.storage.resources import bucket_resource, labels_of
from sintonia.api.storage.routing import StorageRoute
from sintonia.errors import InvalidArgument, PermissionDenied
from sintonia.resources.base import JsonObject
from sintonia.resources.names import check_project
from sintonia.services.metrics_files import BUCKETS, bucket_of
from sintonia.storage import Bucket, BucketStore

_BUCKETS = "/storage/v1/b"
_BUCKET = _BUCKETS + "/{bucket}"
_LARGEST_PAGE = 1000


def routes(store: BucketStore) -> APIRouter:
    router = APIRouter(tags=["Buckets"], route_class=StorageRoute)

    @router.post(_BUCKETS)
    async def create_bucket(request: Request) -> Response:
        document = await read_object(request)
        name = document.get("name")
        if not isinstance(name, str):
            raise InvalidArgument("Required field 'name' is not set: the name of the bucket.")
        project = required(request.query_params, "project")
        check_project(project)  # nobody could have a role in another, and so none could use the bucket
        if gate_of(request).signs_in and name.startswith(BUCKETS) and name != bucket_of(project):
            raise PermissionDenied(
                f"Names that begin with '{BUCKETS}' are of buckets that the server makes, one for each project; choose "
                "another name."
            )
        bucket = await asyncio.to_thread(store.create_bucket, name, project, labels=labels_of(document))
        return _told(request, bucket)

    @router.get(_BUCKETS)
    async def list_buckets(request: Request) -> Response:
        query = request.query_params
        found = await asyncio.to_thread(store.list_buckets, required(query, "project"), prefix=query.get("prefix", ""))
        after = _read_token(query.get("pageToken", ""))
        size = min(_LARGEST_PAGE, number(query, "maxResults") or _LARGEST_PAGE)
        rest = [bucket for bucket in found if bucket.name > after]
        base = str(request.base_url)
        page: JsonObject = {
            "kind": "storage#buckets",
            "items": [bucket_resource(bucket, base) for bucket in rest[:size]],
        }
        if rest[size:]:
            page["nextPageToken"] = base64.urlsafe_b64encode(rest[size - 1].name.encode()).decode()
        return json_response(page)

    @router.get(_BUCKET)
    async def get_bucket(request: Request, bucket: str) -> Response:
        found = await asyncio.to_thread(store.get_bucket, bucket)
        conditions(request.query_params).check_read(found)
        return _told(request, found)

    @router.patch(_BUCKET)
    async def patch_bucket(request: Request, bucket: str) -> Response:
        return await changed(request, bucket, keep=True)

    @router.put(_BUCKET)
    async def update_bucket(request: Request, bucket: str) -> Response:
        return await changed(request, bucket, keep=False)

    async def changed(request: Request, name: str, *, keep: bool) -> Response:
        document = await read_object(request)
        old = await asyncio.to_thread(store.get_bucket, name)
        labels = labels_of(document, old=old.labels if keep else None)
        when = conditions(request.query_params)
        return _told(request, await asyncio.to_thread(store.update_bucket, name, labels=labels, when=when))

    @router.delete(_BUCKET)
    async def delete_bucket(request: Request, bucket: str) -> Response:
        await asyncio.to_thread(store.delete_bucket, bucket, when=conditions(request.query_params))
        return Response(status_code=204)

    return router


def _told(request: Request, bucket: Bucket) -> Response:
    return json_response(bucket_resource(bucket, str(request.base_url)))


def _read_token(token: str) -> str:
    try:
        return base64.b64decode(token, altchars=b"-_", validate=True).decode()
    except ValueError:
        raise InvalidArgument(f"Invalid value for pageToken: '{token}'; use a nextPageToken as it was given.") from None
