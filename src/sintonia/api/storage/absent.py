"""What buckets of the cloud may have and those of this server do not. Clients ask for it on their ways.

They are answered as by a bucket of the cloud that has none of it; what would change it is refused.
"""

from __future__ import annotations

import asyncio
from typing import NoReturn

from fastapi import APIRouter, Response

from sintonia.api.bodies import json_response
from sintonia.api.storage.routing import StorageRoute
from sintonia.errors import Unimplemented
from sintonia.storage import BucketStore

_BUCKET = "/storage/v1/b/{bucket}"
# Lists that are empty, and what they are lists of.
_NONE_OF = {
    "folders": "storage#folders",
    "managedFolders": "storage#managedFolders",
    "anywhereCaches": "storage#anywhereCaches",
    "notificationConfigs": "storage#notifications",
}


def routes(store: BucketStore) -> APIRouter:
    """After all others: what is no route is said to be none."""
    router = APIRouter(route_class=StorageRoute, include_in_schema=False)

    @router.get(_BUCKET + "/storageLayout")
    async def storage_layout(bucket: str) -> Response:
        """gcloud asks before it moves or removes many objects: are folders things of their own?"""
        found = await asyncio.to_thread(store.get_bucket, bucket)
        layout = {
            "kind": "storage#storageLayout",
            "bucket": found.name,
            "location": found.location,
            "locationType": "region",
            "hierarchicalNamespace": {"enabled": False},
        }
        return json_response(layout)

    @router.get(_BUCKET + "/iam")
    async def policy(bucket: str) -> Response:
        """No roles are given at a bucket, but by project."""
        found = await asyncio.to_thread(store.get_bucket, bucket)
        resource = f"projects/_/buckets/{found.name}"
        return json_response({"kind": "storage#policy", "resourceId": resource, "version": 1, "bindings": []})

    @router.get(_BUCKET + "/{rest:path}")
    async def read_other(bucket: str, rest: str) -> Response:
        await asyncio.to_thread(store.get_bucket, bucket)
        if rest in _NONE_OF:
            return json_response({"kind": _NONE_OF[rest], "items": []})
        _refuse(rest)

    @router.api_route(_BUCKET + "/{rest:path}", methods=["POST", "PUT", "PATCH", "DELETE"])
    async def change_other(bucket: str, rest: str) -> Response:
        _refuse(rest)

    @router.get("/storage/v1/projects/{project}/{rest:path}")
    async def read_other_of_project(project: str, rest: str) -> Response:
        _refuse(rest)

    return router


def _refuse(rest: str) -> NoReturn:
    word = rest.partition("/")[0][:100]
    raise Unimplemented(
        f"Buckets of this server have no '{word}'; docs/how-to/use-storage-clients.md says what there is."
    )
