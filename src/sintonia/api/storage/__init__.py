"""The storage API over the embedded buckets: the part of Cloud Storage's JSON API that its clients use."""

from __future__ import annotations

from fastapi import APIRouter

from sintonia.api.storage import batch, buckets, objects, uploads
from sintonia.storage import BucketStore


def routes(store: BucketStore) -> APIRouter:
    """All of it. The order matters where a path may hold a name with slashes in it."""
    router = APIRouter()
    for part in (uploads.routes(store), objects.routes(store), buckets.routes(store), batch.routes()):
        router.include_router(part)
    router.include_router(buckets.other_routes())
    return router


__all__ = ["routes"]
