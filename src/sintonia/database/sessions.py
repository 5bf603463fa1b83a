"""Sessions of browsers as they are kept: never their ids, only what tells a true one."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import sqlalchemy as sa

from sintonia.database.connection import Transaction
from sintonia.database.tables import sessions as table


@dataclass(frozen=True)
class SessionRecord:
    """Times are in microseconds; ``proof`` is what its owner is recalled by."""

    digest: str
    proof: Mapping[str, Any]
    used: int
    expires: int


async def insert(tx: Transaction, record: SessionRecord) -> None:
    await tx.execute(sa.insert(table).values(**vars(record)))


async def get(tx: Transaction, digest: str) -> SessionRecord | None:
    row = (await tx.execute(sa.select(table).where(table.c.digest == digest))).first()
    return SessionRecord(**row._mapping) if row else None


async def touch(tx: Transaction, digest: str, *, at: int) -> None:
    await tx.execute(sa.update(table).where(table.c.digest == digest).values(used=at))


async def delete(tx: Transaction, digest: str) -> None:
    await tx.execute(sa.delete(table).where(table.c.digest == digest))


async def forget(tx: Transaction, *, expired: int, unused: int) -> None:
    """Those that ended at ``expired`` or before, and those that were used last at ``unused`` or before."""
    await tx.execute(sa.delete(table).where((table.c.expires <= expired) | (table.c.used <= unused)))
