"""Connections and transactions."""

from __future__ import annotations

import asyncio
import json
import os
import sqlite3
import stat
import time
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager, closing, suppress
from functools import partial
from pathlib import Path
from typing import Any, TypeVar

from alembic import command
from alembic.config import Config
from pydantic_core import from_json
from sqlalchemy import URL, Connection, Engine, event, make_url, text
from sqlalchemy.exc import ArgumentError, InterfaceError, OperationalError
from sqlalchemy.exc import TimeoutError as PoolTimeout
from sqlalchemy.ext.asyncio import AsyncConnection, AsyncEngine, create_async_engine

from sintonia.errors import FailedPrecondition, Unavailable

Transaction = AsyncConnection
"""An open transaction, as the repositories take it."""

MIGRATIONS = Path(__file__).parent / "migrations"

T = TypeVar("T")

# SQLite lets one writer in at a time; others wait this long for it, as they do for a row that another holds.
_BUSY_SECONDS = 15
_STATEMENT_SECONDS = 60


class Database:
    """A database by its SQLAlchemy URL; ``open`` brings its schema up to date.

    No network call and no waiting belongs inside a transaction.
    """

    def __init__(self, url: str) -> None:
        self.url = url
        parsed = _parse(url)
        self._sqlite = parsed.get_backend_name() == "sqlite"
        self._file = Path(parsed.database) if self._sqlite and parsed.database else None
        if self._file:
            self._file.parent.mkdir(parents=True, exist_ok=True)
        # SQLite finds the keys of an object by their very bytes: they are written as they are, not as \\u escapes.
        # They are read by pydantic's parser: three times as quick as the json module, which was most of a page of jobs.
        options: dict[str, Any] = {
            "json_serializer": partial(json.dumps, ensure_ascii=False, separators=(",", ":")),
            "json_deserializer": from_json,
        }
        if not self._sqlite:
            options |= {"pool_pre_ping": True, "connect_args": _patience(parsed)}
        try:
            self._engine: AsyncEngine = create_async_engine(parsed, **options)
        except ModuleNotFoundError as error:
            raise FailedPrecondition(
                f"Database driver '{error.name}' is not installed; for PostgreSQL: pip install 'sintonia[postgresql]' "
                "and a URL that begins with postgresql+psycopg://"
            ) from None
        if self._sqlite:
            _prepare_sqlite(self._engine.sync_engine)

    async def open(self) -> None:
        """Create or upgrade the schema."""
        async with _told_plainly():
            if self._file:
                await asyncio.to_thread(_use_wal, self._file)
            # All migrations are one transaction: whoever comes second finds them done, and half of them is none.
            async with self._engine.begin() as connection:
                await connection.run_sync(_migrate)

    async def close(self) -> None:
        await self._engine.dispose()

    async def ping(self) -> None:
        """Raises Unavailable if the database does not answer."""
        await self.read(lambda tx: tx.execute(text("SELECT 1")))

    async def read(self, work: Callable[[Transaction], Awaitable[T]]) -> T:
        """The result of ``work``, which only reads, on one consistent view of the data.

        Raises:
            Unavailable: the database does not answer; so do ``write`` and ``open``.
        """
        async with _told_plainly(), self._engine.connect() as connection:
            if self._sqlite:  # readers must not queue behind the one writer
                await connection.execution_options(sintonia_read_only=True)
            else:
                await connection.execution_options(isolation_level="REPEATABLE READ", postgresql_readonly=True)
            return await work(connection)

    async def write(self, work: Callable[[Transaction], Awaitable[T]]) -> T:
        """Run ``work`` in a transaction that commits if it returns and rolls back if it raises.

        Once begun it is carried to its end even if the caller is cancelled: a client that hangs up leaves no
        half-told story.
        """
        return await asyncio.shield(asyncio.ensure_future(self._write(work)))

    async def _write(self, work: Callable[[Transaction], Awaitable[T]]) -> T:
        async with _told_plainly(), self._engine.begin() as connection:
            return await work(connection)


@asynccontextmanager
async def _told_plainly() -> AsyncIterator[None]:
    try:
        yield
    except PoolTimeout as error:
        raise Unavailable("The database is not available at the moment: all connections to it are in use.") from error
    except (OperationalError, InterfaceError) as error:
        reason = str(error.orig).strip().splitlines()[0] if error.orig else "no answer"
        raise Unavailable(f"The database is not available at the moment: {reason}.") from error


def _patience(url: URL) -> dict[str, Any]:
    """How long PostgreSQL may keep a request waiting; what the URL says of it counts.

    Source: the parameters of libpq, and of the server's client connections.
    """
    asked = {"connect_timeout": "10", "tcp_user_timeout": "15000"}
    asked["options"] = f"-c lock_timeout={_BUSY_SECONDS}s -c statement_timeout={_STATEMENT_SECONDS}s"
    return {name: value for name, value in asked.items() if name not in url.query}


def _parse(url: str) -> URL:
    """``url`` with the driver that this server uses, if it names none."""
    try:
        parsed = make_url(url)
    except (ArgumentError, ValueError):  # the second for a port that is no number
        raise FailedPrecondition("The database URL cannot be read; only sqlite and postgresql are known.") from None
    drivers = {"sqlite": "sqlite+aiosqlite", "postgresql": "postgresql+psycopg", "postgres": "postgresql+psycopg"}
    parsed = parsed.set(drivername=drivers.get(parsed.drivername, parsed.drivername))
    if parsed.get_backend_name() not in ("sqlite", "postgresql"):
        raise FailedPrecondition(f"Database URL '{parsed.render_as_string()}': only sqlite and postgresql are known.")
    return parsed


def _use_wal(file: Path) -> None:
    """Readers beside a writer, from now on: the file itself remembers it.

    Processes that switch a new file at the same moment are told that it is locked without any waiting, whatever
    the busy timeout is, so the waiting is done here.
    """
    # A new one is its owner's alone, and SQLite makes those beside it alike. Nothing is opened here: to close it again
    # would take the locks away that others in this process have on it.
    with suppress(OSError):
        os.mknod(file, 0o600 | stat.S_IFREG)
    deadline = time.monotonic() + _BUSY_SECONDS
    while True:
        try:
            with closing(sqlite3.connect(file, timeout=_BUSY_SECONDS)) as connection:
                connection.execute("PRAGMA journal_mode=WAL")
            return
        except sqlite3.Error as error:
            locked = isinstance(error, sqlite3.OperationalError) and error.sqlite_errorcode == sqlite3.SQLITE_BUSY
            if not locked or time.monotonic() > deadline:
                raise Unavailable(f"The database '{file}' cannot be opened: {error}.") from error
        time.sleep(0.02)


def _prepare_sqlite(engine: Engine) -> None:
    """Transactions that take the write lock at once, so none dies half-way of it."""

    @event.listens_for(engine, "connect")
    def _on_connect(connection: Any, record: Any) -> None:
        connection.isolation_level = None  # the driver must not begin transactions of its own
        cursor = connection.cursor()
        for pragma in (
            f"busy_timeout={_BUSY_SECONDS * 1000}",
            "synchronous=NORMAL",
            "foreign_keys=ON",
        ):
            cursor.execute(f"PRAGMA {pragma}")
        cursor.close()

    @event.listens_for(engine, "begin")
    def _on_begin(connection: Any) -> None:
        read_only = connection.get_execution_options().get("sintonia_read_only")
        connection.exec_driver_sql("BEGIN" if read_only else "BEGIN IMMEDIATE")


def _migrate(connection: Connection) -> None:
    if connection.dialect.name == "postgresql":  # servers that start together migrate one after the other
        connection.execute(text("SET LOCAL lock_timeout = 0"))
        connection.execute(text("SET LOCAL statement_timeout = 0"))
        connection.execute(text("SELECT pg_advisory_xact_lock(7467)"))
    config = Config()
    # A percent sign begins a substitution in alembic's options.
    config.set_main_option("script_location", str(MIGRATIONS).replace("%", "%%"))
    config.attributes["connection"] = connection
    command.upgrade(config, "head")
