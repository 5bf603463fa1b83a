"""Databases to hold the contracts on: SQLite, and a real PostgreSQL where there is one."""

from __future__ import annotations

import shutil
import tempfile
import uuid
from collections.abc import AsyncIterator, Iterator
from pathlib import Path

import pytest
import sqlalchemy as sa
from sqlalchemy.ext.asyncio import create_async_engine

from contracts.postgres import cluster
from sintonia.database import Database


@pytest.fixture(scope="package")
def postgres() -> Iterator[str]:
    # Socket paths are limited to about 100 characters: pytest's own folders may be longer.
    folder = Path(tempfile.mkdtemp(prefix="pg-"))
    try:
        with cluster(folder) as url:
            yield url
    finally:
        shutil.rmtree(folder)


@pytest.fixture(params=["sqlite", "postgresql"])
async def url(request: pytest.FixtureRequest, tmp_path: Path) -> str:
    """An empty database."""
    if request.param == "sqlite":
        return f"sqlite+aiosqlite:///{tmp_path / 'new folder' / 'sintonia.db'}"
    return await _created(request.getfixturevalue("postgres"))


async def _created(server: str) -> str:
    """A database of its own on the server."""
    name = f"test_{uuid.uuid4().hex}"
    engine = create_async_engine(server, isolation_level="AUTOCOMMIT")
    async with engine.connect() as connection:
        await connection.execute(sa.text(f"CREATE DATABASE {name}"))
    await engine.dispose()
    return server.replace("/postgres?", f"/{name}?")


@pytest.fixture
async def database(url: str) -> AsyncIterator[Database]:
    opened = Database(url)
    await opened.open()
    yield opened
    await opened.close()
