"""API tokens on both databases: made once, known by their digest, refused as soon as they shall be."""

from __future__ import annotations

import contextlib
import hashlib
from datetime import UTC, datetime, timedelta

import pytest
import sqlalchemy as sa

from sintonia.database import Database, Transaction
from sintonia.database import tokens as table
from sintonia.errors import InvalidArgument, NotFound, PermissionDenied, Unauthenticated
from sintonia.services.access import Principal, Role
from sintonia.services.tokens import Tokens

ROOT = Principal("operator", {"*": Role.ADMIN})
ADMIN = Principal("token:ada", {"p": Role.ADMIN, "q": Role.TUNER})


async def test_a_token_is_its_owner_until_it_is_revoked(database: Database) -> None:
    tokens = Tokens(database)
    assert not await tokens.are_there()
    made = await tokens.create("ci", {"p": Role.TUNER, "*": Role.VIEWER}, by=ROOT)
    assert await tokens.are_there()
    assert made.secret is not None
    assert made.secret.startswith(f"sin_{made.id}_")
    assert await tokens.authenticate(made.secret) == Principal(f"token:{made.id}", {"p": Role.TUNER, "*": Role.VIEWER})
    # Another server on the same database knows nothing that this one does not.
    elsewhere = Database(database.url)
    await Tokens(elsewhere).revoke(made.id, by=ROOT)
    await elsewhere.close()
    with pytest.raises(Unauthenticated, match="revoked") as refused:
        await tokens.authenticate(made.secret)
    assert made.secret not in refused.value.message
    again = await tokens.revoke(made.id, by=ROOT)
    assert again.revoked == (await tokens.list(ROOT))[0].revoked
    assert again.state(datetime.now(UTC)) == "revoked"
    assert not await tokens.are_there()


async def test_the_database_holds_no_token(database: Database) -> None:
    made = await Tokens(database).create("ci", {"p": Role.VIEWER}, by=ROOT)
    assert made.secret is not None

    async def read(tx: Transaction) -> list[sa.RowMapping]:
        return [row._mapping for row in await tx.execute(sa.select(table.table))]

    (row,) = await database.read(read)
    assert row["digest"] == hashlib.sha256(made.secret.encode()).hexdigest()
    assert made.secret.split("_", 2)[2] not in str(dict(row))
    assert made.secret not in repr(made)


async def test_tokens_are_unlike_each_other(database: Database) -> None:
    made = [await Tokens(database).create("same", {"p": Role.VIEWER}, by=ROOT) for _ in range(20)]
    assert len({token.secret for token in made} | {token.id for token in made}) == 40
    # Enough of them is random: 32 bytes.
    assert all(token.secret and len(token.secret.partition(f"sin_{token.id}_")[2]) == 43 for token in made)


@pytest.mark.parametrize("change", ["other secret", "other id", "longer", "shorter", "upper", "space", "empty", "kind"])
async def test_what_is_nearly_a_token_is_none(database: Database, change: str) -> None:
    tokens = Tokens(database)
    made, other = [await tokens.create("x", {"p": Role.VIEWER}, by=ROOT) for _ in range(2)]
    assert made.secret is not None
    changed = {
        "other secret": f"sin_{made.id}_{'A' * 43}",
        "other id": made.secret.replace(made.id, other.id),
        "longer": made.secret + "A",
        "shorter": made.secret[:-1],
        "upper": made.secret.upper(),
        "space": made.secret + "\n",
        "empty": "",
        "kind": "ya29." + made.secret,
    }[change]
    with contextlib.suppress(Unauthenticated):  # if it looks like one
        assert await tokens.authenticate(changed) is None


async def test_a_token_ends_when_it_was_said_to(database: Database) -> None:
    tokens = Tokens(database)
    now = datetime.now(UTC)
    made = await tokens.create("x", {"p": Role.VIEWER}, by=ROOT, expires=now + timedelta(hours=1))
    assert await tokens.authenticate(made.secret or "")
    assert made.state(now + timedelta(minutes=59)) == "valid"
    assert made.state(now + timedelta(hours=1)) == "expired"
    assert (await tokens.list(ROOT))[0].expires == made.expires
    for moment in (now - timedelta(seconds=1), datetime(9999, 1, 1, tzinfo=UTC)):
        with pytest.raises(InvalidArgument, match="must expire"):
            await tokens.create("x", {"p": Role.VIEWER}, by=ROOT, expires=moment)


async def test_an_admin_reaches_their_projects_and_no_further(database: Database) -> None:
    tokens = Tokens(database)
    mine = await tokens.create("mine", {"p": Role.ADMIN}, by=ADMIN)
    assert mine.created_by == "token:ada"
    both = await tokens.create("both", {"p": Role.VIEWER, "q": Role.ADMIN}, by=ROOT)
    everywhere = await tokens.create("everywhere", {"*": Role.VIEWER}, by=ROOT)
    for grants in ({"q": Role.VIEWER}, {"p": Role.VIEWER, "q": Role.VIEWER}, {"*": Role.VIEWER}, {"r": Role.VIEWER}):
        with pytest.raises(PermissionDenied):
            await tokens.create("x", grants, by=ADMIN)
    assert [(token.id, dict(token.grants)) for token in await tokens.list(ADMIN)] == [
        (both.id, {"p": Role.VIEWER}),
        (mine.id, {"p": Role.ADMIN}),
    ]
    assert [token.id for token in await tokens.list(ROOT)] == [everywhere.id, both.id, mine.id]
    assert await tokens.list(Principal("viewer", {"p": Role.VIEWER})) == []
    for token in (both, everywhere):
        with pytest.raises(PermissionDenied):
            await tokens.revoke(token.id, by=ADMIN, project="p")
    with pytest.raises(NotFound):
        await tokens.revoke(mine.id, by=ROOT, project="q")
    await tokens.revoke(mine.id, by=ADMIN, project="p")
    with pytest.raises(NotFound):
        await tokens.revoke("000000000000", by=ROOT)


@pytest.mark.parametrize("name", ["", "x" * 129, "a\nb", "a\x1b[2J"])
async def test_a_name_can_be_printed(database: Database, name: str) -> None:
    with pytest.raises(InvalidArgument, match="name"):
        await Tokens(database).create(name, {"p": Role.VIEWER}, by=ROOT)


@pytest.mark.parametrize("project", ["", "a b", "../p", "p/q", "**", "\N{KELVIN SIGN}", "x" * 64])
async def test_a_project_can_be_one(database: Database, project: str) -> None:
    with pytest.raises(InvalidArgument, match="valid project id"):
        await Tokens(database).create("x", {project: Role.VIEWER}, by=ROOT)
