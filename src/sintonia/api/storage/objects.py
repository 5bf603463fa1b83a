"""Objects but for their bytes' ways in: list, get, change, delete, copy, rewrite, move, compose."""

from __future__ import annotations

import asyncio
from collections.abc import Callable

from fastapi import APIRouter, Request, Response

from sintonia.api.bodies import json_response
from sintonia.api.storage.bodies import as_object, read_object
from sintonia.api.storage.downloads import check_etag, download
from sintonia.api.storage.parameters import conditions, flag, number, refuse_encryption, whole_number
from sintonia.api.storage.resources import metadata_of, object_resource
from sintonia.api.storage.routing import StorageRoute
from sintonia.errors import InvalidArgument, Unimplemented
from sintonia.resources.base import JsonObject
from sintonia.storage import BucketStore, ObjectMetadata, Preconditions, StoredObject
from sintonia.storage.buckets import MAX_PAGE_SIZE

_OBJECTS = "/storage/v1/b/{bucket}/o"
_OBJECT = _OBJECTS + "/{name:path}"


def routes(store: BucketStore) -> APIRouter:
    router = APIRouter(tags=["Buckets"], route_class=StorageRoute)

    @router.get(_OBJECTS)
    async def list_objects(request: Request, bucket: str) -> Response:
        query = request.query_params
        size = number(query, "maxResults")
        page = await asyncio.to_thread(
            store.list_objects,
            bucket,
            prefix=query.get("prefix", ""),
            delimiter=query.get("delimiter") or None,
            start_offset=query.get("startOffset") or None,
            end_offset=query.get("endOffset") or None,
            include_trailing_delimiter=flag(query, "includeTrailingDelimiter"),
            match_glob=query.get("matchGlob") or None,
            page_size=MAX_PAGE_SIZE if size is None else size,
            page_token=query.get("pageToken") or None,
        )
        base = str(request.base_url)
        body: JsonObject = {
            "kind": "storage#objects",
            "items": [object_resource(item, base) for item in page.objects],
        }
        if page.prefixes:
            body["prefixes"] = page.prefixes
        if page.next_page_token:
            body["nextPageToken"] = page.next_page_token
        return json_response(body)

    @router.post(_OBJECT + "/compose")
    async def compose(request: Request, bucket: str, name: str) -> Response:
        refuse_encryption(request)
        document = await read_object(request)
        sources = await asyncio.to_thread(_sources, store, bucket, document)
        target = as_object(document.get("destination") or {})
        stored = await asyncio.to_thread(
            store.compose,
            bucket,
            sources,
            name,
            metadata=metadata_of(target),
            when=conditions(request.query_params),
        )
        return _told(request, stored)

    @router.post(_OBJECT + "/copyTo/b/{target_bucket}/o/{target_name:path}")
    async def copy(request: Request, bucket: str, name: str, target_bucket: str, target_name: str) -> Response:
        return _told(request, await _copied(store, request, (bucket, name), (target_bucket, target_name)))

    @router.post(_OBJECT + "/rewriteTo/b/{target_bucket}/o/{target_name:path}")
    async def rewrite(request: Request, bucket: str, name: str, target_bucket: str, target_name: str) -> Response:
        """Done in one answer, however large the object is."""
        stored = await _copied(store, request, (bucket, name), (target_bucket, target_name))
        return json_response(
            {
                "kind": "storage#rewriteResponse",
                "totalBytesRewritten": str(stored.size),
                "objectSize": str(stored.size),
                "done": True,
                "resource": object_resource(stored, str(request.base_url)),
            }
        )

    @router.post(_OBJECT + "/moveTo/o/{target_name:path}")
    async def move(request: Request, bucket: str, name: str, target_name: str) -> Response:
        """A copy, and then the source goes, if it is still the one that was copied."""
        if name == target_name:
            raise InvalidArgument("Invalid target: an object cannot be moved to its own name.")
        query = request.query_params
        source = await asyncio.to_thread(store.stat_object, bucket, name, generation=number(query, "sourceGeneration"))
        stored = await asyncio.to_thread(
            store.copy_object,
            (bucket, name),
            (bucket, target_name),
            generation=source.generation,
            when=conditions(query),
            source_when=conditions(query, "ifSource"),
        )
        same = Preconditions(generation_match=source.generation)
        await asyncio.to_thread(store.delete_object, bucket, name, when=same)
        return _told(request, stored)

    for word in ("acl", "acl/{entity}", "iam"):
        router.get(f"{_OBJECT}/{word}", include_in_schema=False)(_no_lists)
        router.api_route(f"{_OBJECT}/{word}", methods=["POST", "PUT", "PATCH", "DELETE"], include_in_schema=False)(
            _no_lists
        )

    # The rest of the path is the name: routes with a word behind it come before.
    @router.get(_OBJECT)
    @router.head(_OBJECT, include_in_schema=False)
    async def get_object(request: Request, bucket: str, name: str) -> Response:
        if request.query_params.get("alt") == "media":
            return await download(store, request, bucket, name)
        query = request.query_params
        stored = await asyncio.to_thread(
            store.stat_object, bucket, name, generation=number(query, "generation"), when=conditions(query)
        )
        check_etag(request.headers, stored)
        return _told(request, stored)

    @router.get("/download" + _OBJECT)
    @router.head("/download" + _OBJECT, include_in_schema=False)
    async def download_object(request: Request, bucket: str, name: str) -> Response:
        return await download(store, request, bucket, name)

    @router.patch(_OBJECT)
    async def patch_object(request: Request, bucket: str, name: str) -> Response:
        document = await read_object(request)
        return await _changed(store, request, bucket, name, lambda old: metadata_of(document, old=old))

    @router.put(_OBJECT)
    async def update_object(request: Request, bucket: str, name: str) -> Response:
        metadata = metadata_of(await read_object(request))
        return await _changed(store, request, bucket, name, lambda old: metadata)

    @router.delete(_OBJECT)
    async def delete_object(request: Request, bucket: str, name: str) -> Response:
        query = request.query_params
        await asyncio.to_thread(
            store.delete_object, bucket, name, generation=number(query, "generation"), when=conditions(query)
        )
        return Response(status_code=204)

    return router


async def _no_lists(bucket: str, name: str) -> Response:
    raise Unimplemented("Objects have no access control lists; roles are given by project.")


async def _copied(
    store: BucketStore, request: Request, source: tuple[str, str], target: tuple[str, str]
) -> StoredObject:
    refuse_encryption(request)
    query = request.query_params
    document = await read_object(request)
    return await asyncio.to_thread(
        store.copy_object,
        source,
        target,
        generation=number(query, "sourceGeneration"),
        # A resource in the body tells all of the metadata; without one they are the source's.
        metadata=_metadata_of_copy(document),
        when=conditions(query),
        source_when=conditions(query, "ifSource"),
    )


def _metadata_of_copy(document: JsonObject) -> ObjectMetadata | None:
    told = metadata_of(document)
    return None if told == ObjectMetadata() else told


async def _changed(
    store: BucketStore, request: Request, bucket: str, name: str, change: Callable[[ObjectMetadata], ObjectMetadata]
) -> Response:
    query = request.query_params
    stored = await asyncio.to_thread(
        store.update_object, bucket, name, change, generation=number(query, "generation"), when=conditions(query)
    )
    return _told(request, stored)


def _sources(store: BucketStore, bucket: str, document: JsonObject) -> list[tuple[str, int | None]]:
    """What is to be composed. Raises InvalidArgument, ConditionNotMet."""
    items = document.get("sourceObjects")
    if not isinstance(items, list):
        raise InvalidArgument("Required field 'sourceObjects' is not set: what the object is to be composed of.")
    found: list[tuple[str, int | None]] = []
    for item in map(as_object, items):
        name = item.get("name")
        if not isinstance(name, str):
            raise InvalidArgument("Required field 'sourceObjects.name' is not set: the name of an object.")
        generation = None if item.get("generation") is None else whole_number("generation", item["generation"])
        asked = as_object(item.get("objectPreconditions") or {}).get("ifGenerationMatch")
        if asked is not None:
            stored = store.stat_object(bucket, name, generation=generation)
            Preconditions(generation_match=whole_number("ifGenerationMatch", asked)).check(stored)
            generation = stored.generation
        found.append((name, generation))
    return found


def _told(request: Request, stored: StoredObject) -> Response:
    return json_response(object_resource(stored, str(request.base_url)))
