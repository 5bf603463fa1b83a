"""Routes that hold names of objects: found by the path as it was sent, answering errors as storage clients read them.

An object's name may be anything, so it comes as one segment with its slashes encoded; decoded first, ``a%2Fcompose``
could not be told from ``a/compose``. Clients that leave slashes as they are get by where that is no other route.
"""

from __future__ import annotations

from collections.abc import Callable, Coroutine
from typing import Any
from urllib.parse import quote, unquote

from fastapi import Request, Response
from starlette.routing import Match
from starlette.types import Scope

from sintonia.api.routing import BucketRoute
from sintonia.api.storage.errors import storage_error
from sintonia.errors import ApiError


class StorageRoute(BucketRoute):
    """A route of the storage API."""

    def matches(self, scope: Scope) -> tuple[Match, Scope]:
        if scope["type"] != "http":
            return Match.NONE, {}
        raw = scope.get("raw_path") or quote(scope["path"]).encode()  # a server in the same process may give no raw one
        match, found = super().matches({**scope, "path": raw.decode("latin-1")})
        if "path_params" in found:
            decoded = {name: unquote(value) for name, value in found["path_params"].items()}
            found["path_params"] = decoded
        return match, found

    def get_route_handler(self) -> Callable[[Request], Coroutine[Any, Any, Response]]:
        handle = super().get_route_handler()

        async def handler(request: Request) -> Response:
            try:
                return await handle(request)
            except ApiError as error:
                return storage_error(error)

        return handler
