"""Requests that named themselves, and what each of them made: a repeated one finds it. Old ones are forgotten."""

from __future__ import annotations

import time
from dataclasses import dataclass

import sqlalchemy as sa
from sqlalchemy.dialects.postgresql import insert as postgresql_insert
from sqlalchemy.dialects.sqlite import insert as sqlite_insert

from sintonia.database.connection import Transaction
from sintonia.database.tables import requests as table
from sintonia.resources.names import Parent

KEPT_DAYS = 7
_KEPT_MICROS = KEPT_DAYS * 24 * 3600 * 10**6


@dataclass(frozen=True)
class NamedRequest:
    """A request to create something in a collection of a place, by the name that its sender gave it.

    ``digest`` is of what it asks for.
    """

    parent: Parent
    collection: str
    name: str
    digest: str


@dataclass(frozen=True)
class Made:
    """What a request made: the number of the resource, and the digest of what was asked for."""

    resource_id: int
    digest: str


async def get(tx: Transaction, request: NamedRequest) -> Made | None:
    """What the first request of this name made."""
    row = (await tx.execute(sa.select(table.c.resource_id, table.c.digest).where(*_named(request)))).first()
    return Made(row.resource_id, row.digest) if row else None


async def claim(tx: Transaction, request: NamedRequest, resource_id: int) -> Made | None:
    """None: it is the first of its name, and from now on known to have made ``resource_id``; else what that one made.

    Another transaction with the same name is waited for. Names older than a week are forgotten.
    """
    now = time.time_ns() // 1000
    await tx.execute(sa.delete(table).where(table.c.created < now - _KEPT_MICROS))
    insert = postgresql_insert if tx.dialect.name == "postgresql" else sqlite_insert
    parent = request.parent
    stored = await tx.execute(
        insert(table)
        .values(
            project=parent.project,
            location=parent.location,
            collection=request.collection,
            request_id=request.name,
            digest=request.digest,
            resource_id=resource_id,
            created=now,
        )
        .on_conflict_do_nothing()
        .returning(table.c.resource_id)
    )
    return None if stored.first() else await get(tx, request)


def _named(request: NamedRequest) -> list[sa.ColumnElement[bool]]:
    return [
        table.c.project == request.parent.project,
        table.c.location == request.parent.location,
        table.c.collection == request.collection,
        table.c.request_id == request.name,
    ]
