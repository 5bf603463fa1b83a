"""Sessions of browsers: begun by whoever has proven who they are, and ended by them, by time, or with what proved it.

The browser keeps the session's id, 32 random bytes; the database keeps a digest of it, and what its owner is recalled
by. So a browser holds nothing that is of use elsewhere, and whoever reads the database cannot go on with a session.
Knows neither HTTP nor cookies.
"""

from __future__ import annotations

import hashlib
import logging
import math
import secrets
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta

from sintonia.database import Database, Transaction, micros
from sintonia.database import sessions as table
from sintonia.database.sessions import SessionRecord
from sintonia.errors import ResourceExhausted, Unauthenticated, Unavailable
from sintonia.services.access import Authenticator, Principal
from sintonia.services.allowances import Allowance

_log = logging.getLogger(__name__)

_ENDED = "The session has ended. Sign in again."
_TOUCHES = 60
"""By how many of its parts at most the time without use is too long: writing down each use would cost a write each."""


def _now() -> datetime:
    return datetime.now(UTC)


@dataclass(frozen=True)
class Session:
    """A session that has just begun; ``id`` is its secret, and known to nobody else."""

    id: str = field(repr=False)
    expires: datetime


@dataclass(frozen=True)
class Sessions:
    """The sessions of this installation. Nothing is remembered between two requests, so that all servers agree.

    Args:
        authenticators: those who recall the owners.
        idle: how long a session lasts without being used.
        longest: how long it lasts in any case.
    """

    database: Database
    authenticators: Sequence[Authenticator]
    idle: timedelta
    longest: timedelta
    clock: Callable[[], datetime] = _now
    _begun: Allowance = field(default_factory=lambda: Allowance(burst=60, per_second=0.2))

    async def begin(self, owner: Principal) -> Session:
        """A session that ends no later than what ``owner`` has proven who they are by.

        Raises:
            Unauthenticated: that has ended just now.
            ResourceExhausted: they have begun too many.
        """
        now = self.clock()
        expires = min(now + self.longest, owner.until or now + self.longest)
        if expires <= now:
            raise Unauthenticated("The token has expired; get a new one.")
        if wait := self._begun.take(owner.name):
            raise ResourceExhausted(
                "Too many sessions were begun with this token. Those that there are go on.",
                retry_after=math.ceil(wait),
            )
        secret = secrets.token_urlsafe(32)
        record = SessionRecord(_digest(secret), dict(owner.proof), micros(now), micros(expires))

        async def work(tx: Transaction) -> None:
            await table.forget(tx, expired=micros(now), unused=micros(now - self.idle))
            await table.insert(tx, record)

        await self.database.write(work)
        return Session(secret, expires)

    async def owner(self, session_id: str) -> Principal:
        """Who goes on with the session, and what they may do by now.

        Raises:
            Unauthenticated: there is none, or it has ended, or what began it is not valid any more.
        """
        digest, now = _digest(session_id), self.clock()
        record = await self.database.read(lambda tx: table.get(tx, digest))
        if record is None or record.expires <= micros(now) or record.used <= micros(now - self.idle):
            raise Unauthenticated(_ENDED)
        for authenticator in self.authenticators:
            if found := await authenticator.recall(record.proof):
                break
        else:  # by a way to sign in that there is no more
            raise Unauthenticated(_ENDED)
        if record.used <= micros(now - self.idle / _TOUCHES):
            try:
                await self.database.write(lambda tx: table.touch(tx, digest, at=micros(now)))
            except Unavailable:  # the next request tries again
                _log.warning("The use of a session could not be written down.")
        return found

    async def end(self, session_id: str) -> None:
        """No error if there is none."""
        digest = _digest(session_id)
        await self.database.write(lambda tx: table.delete(tx, digest))


def _digest(session_id: str) -> str:
    return hashlib.sha256(session_id.encode()).hexdigest()
