"""A database that does not go on holds up nobody for ever: who waited is told so."""

from __future__ import annotations

import asyncio

import pytest
from sqlalchemy import text

from sintonia.database import Database, Transaction
from sintonia.errors import Unavailable


async def hold(database: Database, release: asyncio.Event, held: asyncio.Event) -> None:
    async def work(tx: Transaction) -> None:
        await tx.execute(text("LOCK TABLE tuning_jobs IN ACCESS EXCLUSIVE MODE"))
        held.set()
        await release.wait()

    await database.write(work)


@pytest.mark.parametrize("url", ["postgresql"], indirect=True)
@pytest.mark.parametrize("patience", ["lock_timeout", "statement_timeout"])
async def test_waiting_for_a_lock_ends(url: str, patience: str) -> None:
    holder, waiter = Database(url), Database(f"{url}&options=-c%20{patience}%3D200ms")
    await holder.open()
    held, release = asyncio.Event(), asyncio.Event()
    holding = asyncio.create_task(hold(holder, release, held))
    await held.wait()
    with pytest.raises(Unavailable, match="The database is not available at the moment: "):
        await waiter.read(lambda tx: tx.execute(text("SELECT count(*) FROM tuning_jobs")))
    release.set()
    await holding
    await waiter.read(lambda tx: tx.execute(text("SELECT count(*) FROM tuning_jobs")))
    await holder.close()
    await waiter.close()


@pytest.mark.parametrize("url", ["postgresql"], indirect=True)
async def test_there_is_an_end_to_waiting_unless_the_url_says_otherwise(url: str) -> None:
    for options, expected in (("", "15s"), ("&options=-c%20lock_timeout%3D7s", "7s")):
        database = Database(url + options)
        found = await database.read(lambda tx: tx.execute(text("SHOW lock_timeout")))
        assert found.scalar_one() == expected
        await database.close()
