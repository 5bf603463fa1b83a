"""Whether the server lives, and whether it can do its work."""

from __future__ import annotations

from collections.abc import Awaitable, Callable

from fastapi import APIRouter, Response

import sintonia
from sintonia.api.bodies import json_response
from sintonia.api.openapi import speaks
from sintonia.api.routing import GatedRoute
from sintonia.resources.own import Health


def routes(check: Callable[[], Awaitable[None]]) -> APIRouter:
    """Args: check: raises Unavailable if the work cannot be done."""
    router = APIRouter(tags=["Health"], route_class=GatedRoute)
    well = Health(status="ok", version=sintonia.__version__)

    @router.get("/healthz", openapi_extra=speaks(Health))
    async def healthz() -> Response:
        """Answers while the process lives."""
        return json_response(well)

    @router.get("/readyz", openapi_extra=speaks(Health))
    async def readyz() -> Response:
        """Answers while the database does and jobs are moved on; UNAVAILABLE says which of them fails."""
        await check()
        return json_response(well)

    return router
