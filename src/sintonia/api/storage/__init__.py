"""The storage API over the embedded buckets: the part of Cloud Storage's JSON API that its clients use."""

from __future__ import annotations

from fastapi import APIRouter, Depends

from sintonia.api.storage import absent, batch, buckets, objects, uploads
from sintonia.errors import FailedPrecondition
from sintonia.storage import BucketStore


def routes(store: BucketStore, *, gs_is_ours: bool = True) -> APIRouter:
    """All of it. The order matters where a path may hold a name with slashes in it.

    Args:
        gs_is_ours: otherwise every route only says where the buckets are.
    """
    router = APIRouter(dependencies=[] if gs_is_ours else [Depends(_refuse)])
    for part in (
        uploads.routes(store),
        objects.routes(store),
        buckets.routes(store),
        batch.routes(),
        absent.routes(store),
    ):
        router.include_router(part)
    return router


async def _refuse() -> None:
    raise FailedPrecondition(
        "This server keeps no buckets: its gs:// addresses are Google's (setting gs). Point storage clients at "
        "https://storage.googleapis.com."
    )


__all__ = ["routes"]
