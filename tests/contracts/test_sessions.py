"""Sessions of browsers on both databases: their owner's until they, time or what proved it end them."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
import sqlalchemy as sa

from sintonia.database import Database, Transaction
from sintonia.database import sessions as table
from sintonia.errors import ResourceExhausted, Unauthenticated
from sintonia.services.access import Principal, Role
from sintonia.services.oidc import OidcGrant, OidcTokens
from sintonia.services.sessions import Sessions
from sintonia.services.tokens import Tokens

ROOT = Principal("operator", {"*": Role.ADMIN})
HOUR = timedelta(hours=1)


@dataclass
class Clock:
    now: datetime = field(default_factory=lambda: datetime.now(UTC))

    def __call__(self) -> datetime:
        return self.now


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def sessions(database: Database, clock: Clock) -> Sessions:
    return Sessions(database, [Tokens(database)], idle=2 * HOUR, longest=5 * HOUR, clock=clock)


async def somebody(database: Database, **how: Any) -> Principal:
    made = await Tokens(database).create("ada", {"p": Role.TUNER}, by=ROOT, **how)
    assert made.secret
    found = await Tokens(database).authenticate(made.secret)
    assert found
    return found


async def rows(database: Database) -> list[Mapping[str, Any]]:
    async def read(tx: Transaction) -> list[Mapping[str, Any]]:
        return [dict(row._mapping) for row in await tx.execute(sa.select(table.table))]

    return await database.read(read)


async def test_a_session_is_its_owners_until_they_end_it(database: Database, sessions: Sessions) -> None:
    ada = await somebody(database)
    first, second = await sessions.begin(ada), await sessions.begin(ada)
    elsewhere = Sessions(
        database, [Tokens(database)], idle=HOUR, longest=HOUR
    )  # also of another server, or after a restart
    owner = await elsewhere.owner(first.id)
    assert (owner, owner.display_name) == (ada, "ada")
    await sessions.end(first.id)
    await sessions.end(first.id)
    with pytest.raises(Unauthenticated, match="has ended"):
        await elsewhere.owner(first.id)
    assert await sessions.owner(second.id) == ada
    for wrong in ("", "x" * 10000, second.id[:-1], second.id + "A", hashlib.sha256(second.id.encode()).hexdigest()):
        with pytest.raises(Unauthenticated) as refused:
            await sessions.owner(wrong)
        assert not wrong or wrong not in refused.value.message


async def test_the_database_holds_neither_session_nor_token(database: Database, sessions: Sessions) -> None:
    made = await Tokens(database).create("ada", {"p": Role.TUNER}, by=ROOT)
    assert made.secret
    owner = await Tokens(database).authenticate(made.secret)
    assert owner
    session = await sessions.begin(owner)
    (row,) = await rows(database)
    assert row["digest"] == hashlib.sha256(session.id.encode()).hexdigest()
    assert row["proof"] == {"token": made.id}
    assert session.id not in str(row)
    assert made.secret.split("_", 2)[2] not in str(row)
    assert session.id not in repr(session)
    assert len(session.id) == 43, "32 random bytes"


async def test_revoking_the_token_ends_its_sessions(database: Database, sessions: Sessions) -> None:
    ada = await somebody(database)
    begun = [await sessions.begin(ada) for _ in range(2)]
    await Tokens(database).revoke(ada.proof["token"], by=ROOT)
    for session in begun:
        with pytest.raises(Unauthenticated, match="revoked"):
            await sessions.owner(session.id)


async def test_a_session_ends_when_it_is_not_used(database: Database, sessions: Sessions, clock: Clock) -> None:
    session = await sessions.begin(await somebody(database))
    for _ in range(2):
        clock.now += 2 * HOUR - timedelta(seconds=1)
        await sessions.owner(session.id)
    clock.now += timedelta(minutes=1)
    other = await sessions.begin(await somebody(database))
    clock.now += 2 * HOUR
    for ended in (session, other):
        with pytest.raises(Unauthenticated, match="has ended"):
            await sessions.owner(ended.id)


async def test_a_session_ends_however_much_it_is_used(database: Database, sessions: Sessions, clock: Clock) -> None:
    session = await sessions.begin(await somebody(database))
    assert session.expires == clock.now + 5 * HOUR
    for _ in range(4):
        clock.now += HOUR
        await sessions.owner(session.id)
    clock.now += HOUR
    with pytest.raises(Unauthenticated, match="has ended"):
        await sessions.owner(session.id)
    await sessions.begin(await somebody(database))
    assert len(await rows(database)) == 1, "what has ended is forgotten"


async def test_uses_are_written_down_now_and_then(database: Database, sessions: Sessions, clock: Clock) -> None:
    session = await sessions.begin(await somebody(database))
    used = [(await rows(database))[0]["used"]]
    for _ in range(3):
        clock.now += timedelta(seconds=50)
        await sessions.owner(session.id)
        used.append((await rows(database))[0]["used"])
    assert [used[0] == used[1] == used[2], used[2] < used[3]] == [True, True]


async def test_a_session_ends_with_its_token(database: Database, sessions: Sessions, clock: Clock) -> None:
    until = datetime.now(UTC) + HOUR
    ada = await somebody(database, expires=until)
    assert abs((await sessions.begin(ada)).expires - until) < timedelta(milliseconds=1)
    clock.now = until
    with pytest.raises(Unauthenticated, match="expired"):
        await sessions.begin(ada)


async def test_too_many_sessions(database: Database, sessions: Sessions) -> None:
    ada, bob = await somebody(database), await somebody(database)
    begun = [await sessions.begin(ada) for _ in range(60)]
    with pytest.raises(ResourceExhausted) as refused:
        await sessions.begin(ada)
    assert refused.value.retry_after
    assert await sessions.owner(begun[0].id) == ada
    assert await sessions.begin(bob)


def issuer(*grants: OidcGrant, audience: str = "sintonia") -> OidcTokens:
    return OidcTokens(issuer="https://id.example.com", audience=audience, claim="groups", grants=grants)


async def test_who_came_by_an_issuer_is_recalled_by_the_settings_of_now(database: Database) -> None:
    """Changing the grants takes a restart, and then counts for sessions that go on as well."""
    look, tune = OidcGrant("team", "p", Role.VIEWER), OidcGrant("team", "p", Role.TUNER)
    proof = {"oidc": ["https://id.example.com", "sintonia", "groups"], "name": "oidc:alice", "values": ["team"]}
    alice = Principal("oidc:alice", {"p": Role.VIEWER}, proof=proof)

    def told(*ways: Any) -> Sessions:
        return Sessions(database, [Tokens(database), *ways], idle=HOUR, longest=HOUR)

    session = await told(issuer(look)).begin(alice)
    assert await told(issuer(look)).owner(session.id) == alice
    assert (await told(issuer(tune)).owner(session.id)).grants == {"p": Role.TUNER}
    assert (await told(issuer()).owner(session.id)).grants == {}
    for ways in ([], [issuer(look, audience="another")]):
        with pytest.raises(Unauthenticated, match="has ended"):
            await told(*ways).owner(session.id)
