"""Names of requests, on both databases: the first of a name makes something, until the name is forgotten."""

from __future__ import annotations

import asyncio

import pytest

from sintonia.database import Database, requests
from sintonia.database.requests import KEPT_DAYS, Made, NamedRequest
from sintonia.resources.names import Parent

DAY = 24 * 3600 * 10**9
REQUEST = NamedRequest(Parent("p", "us-central1"), "tuningJobs", "mine", "digest")


async def claim(database: Database, number: int, request: NamedRequest = REQUEST) -> Made | None:
    return await database.write(lambda tx: requests.claim(tx, request, number))


async def test_the_first_of_a_name_makes_something(database: Database) -> None:
    made = await asyncio.gather(*(claim(database, number) for number in range(1, 9)))
    (first,) = (number for number, found in enumerate(made, 1) if found is None)
    assert {found for found in made if found} == {Made(first, "digest")}
    assert await database.read(lambda tx: requests.get(tx, REQUEST)) == Made(first, "digest")
    for other in (Parent("q", "us-central1"), Parent("p", "europe-west4")):
        assert await claim(database, 9, NamedRequest(other, "tuningJobs", "mine", "digest")) is None
    assert await claim(database, 9, NamedRequest(REQUEST.parent, "endpoints", "mine", "digest")) is None


async def test_what_fails_leaves_its_name_free(database: Database) -> None:
    async def work(tx: object) -> None:
        assert await requests.claim(tx, REQUEST, 1) is None  # type: ignore[arg-type]
        raise LookupError

    with pytest.raises(LookupError):
        await database.write(work)
    assert await claim(database, 2) is None


async def test_names_are_forgotten_after_a_week(database: Database, monkeypatch: pytest.MonkeyPatch) -> None:
    now = requests.time.time_ns()
    for days, found in ((0, None), (KEPT_DAYS - 1, Made(1, "digest")), (KEPT_DAYS + 1, None)):
        monkeypatch.setattr(requests.time, "time_ns", lambda days=days: now + days * DAY)
        assert await claim(database, 1 + days) == found
