"""Requests to create something that name themselves: a repeated one makes nothing, and the first's answers it.

So a client that has lost an answer may ask again (https://google.aip.dev/155). Names are known for a week, in one
collection of one project and location.
"""

from __future__ import annotations

import hashlib
import json
import re

from sintonia.database import Database, Transaction, requests
from sintonia.database.requests import Made, NamedRequest
from sintonia.errors import InvalidArgument
from sintonia.resources.base import JsonObject
from sintonia.resources.names import Parent

_NAME = re.compile("[!-~]{1,128}")


def named_request(parent: Parent, collection: str, name: str | None, asked: JsonObject) -> NamedRequest | None:
    """A request that calls itself ``name``, if it does; ``asked`` is all that decides what it makes.

    Raises:
        InvalidArgument: no request can be called so.
    """
    if name is None:
        return None
    if not _NAME.fullmatch(name):
        raise InvalidArgument(
            f"Invalid request id '{name[:140]}': 1 to 128 visible ASCII characters without spaces; a UUID is best."
        )
    text = json.dumps(asked, sort_keys=True, separators=(",", ":"))
    return NamedRequest(parent, collection, name, hashlib.sha256(text.encode()).hexdigest())


async def made_before(database: Database, request: NamedRequest | None) -> int | None:
    """The number of what an earlier request of this name made.

    Raises InvalidArgument if that asked for something else.
    """
    if request is None:
        return None
    named = request
    return _same(named, await database.read(lambda tx: requests.get(tx, named)))


async def made_meanwhile(tx: Transaction, request: NamedRequest | None, resource_id: int) -> int | None:
    """None: this transaction may make ``resource_id``; else what another request of this name has made meanwhile.

    Raises InvalidArgument if that asked for something else.
    """
    return None if request is None else _same(request, await requests.claim(tx, request, resource_id))


def _same(request: NamedRequest, made: Made | None) -> int | None:
    if made is None:
        return None
    if made.digest != request.digest:
        raise InvalidArgument(
            f"Request id '{request.name}' was used before, for a request that asked for something else; "
            "use another request id."
        )
    return made.resource_id
