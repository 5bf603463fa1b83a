"""API tokens as they are kept: never themselves, only what tells a true one."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import sqlalchemy as sa

from sintonia.database.connection import Transaction
from sintonia.database.tables import tokens as table


@dataclass(frozen=True)
class TokenRecord:
    """Times are in microseconds; ``grants`` are names of roles by project."""

    id: str
    digest: str
    name: str
    grants: Mapping[str, str]
    created_by: str
    created: int
    expires: int | None = None
    revoked: int | None = None


async def insert(tx: Transaction, record: TokenRecord) -> None:
    await tx.execute(sa.insert(table).values(**{**vars(record), "grants": dict(record.grants)}))


async def get(tx: Transaction, token_id: str) -> TokenRecord | None:
    row = (await tx.execute(_all.where(table.c.id == token_id))).first()
    return TokenRecord(**row._mapping) if row else None


async def newest_first(tx: Transaction) -> list[TokenRecord]:
    """All of them: people make them by hand, so there are few."""
    rows = await tx.execute(_all.order_by(table.c.created.desc(), table.c.id))
    return [TokenRecord(**row._mapping) for row in rows]


async def revoke(tx: Transaction, token_id: str, *, at: int) -> None:
    """From now on, or from when it was revoked before."""
    await tx.execute(sa.update(table).where(table.c.id == token_id, table.c.revoked.is_(None)).values(revoked=at))


_all = sa.select(table)
