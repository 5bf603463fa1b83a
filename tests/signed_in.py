"""A real server with sign-in, and people who ask it."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import httpx

from server import Server
from sintonia.database import Database, Transaction, micros
from sintonia.database import tokens as table
from sintonia.services.access import EVERY_PROJECT, Principal, Role
from sintonia.services.tokens import Tokens

OPERATOR = Principal("operator", {EVERY_PROJECT: Role.ADMIN})


class SignedInServer(Server):
    """With sign-in; requests are ``root``'s, who may do everything, unless they say otherwise."""

    def __init__(self, home: Path, *, settings: str = "", base_models: Mapping[str, Path] | None = None) -> None:
        super().__init__(home, base_models=base_models or {}, settings="sign_in = true\n" + settings)
        self.database = f"sqlite+aiosqlite:///{home / 'sintonia.db'}"
        self.root = self.token(**{"*": Role.ADMIN})
        # One connection for all, as opening one takes as long as a request.
        self.http = httpx.Client(timeout=60)

    def token(self, name: str = "somebody", /, *, expired: bool = False, revoked: bool = False, **grants: Role) -> str:
        """A token, made without the server's help; by name of the project, what it may do there."""

        async def make() -> str:
            database = Database(self.database)
            await database.open()
            made = await Tokens(database).create(name, grants, by=OPERATOR)
            if revoked:
                await Tokens(database).revoke(made.id, by=OPERATOR)
            if expired:
                await database.write(lambda tx: _expire(tx, made.id))
            await database.close()
            assert made.secret
            return made.secret

        return asyncio.run(make())

    @property
    def own_page(self) -> dict[str, str]:
        """What a browser says of requests that our own pages send."""
        return {"origin": self.url, "sec-fetch-site": "same-origin"}

    def session(self, token: str) -> str:
        """The cookie of a new session, as the browser says it."""
        begun = self.ask("POST", "/sintonia/v1/sessions", json={"token": token}, headers=self.own_page)
        assert begun.status_code == 200, begun.text
        self.http.cookies.clear()  # this client is many people's
        return begun.headers["set-cookie"].partition(";")[0]

    def request(self, method: str, path: str, **options: Any) -> httpx.Response:
        headers = {"authorization": f"Bearer {self.root}"} | options.pop("headers", {})
        return self.http.request(method, self.url + path, headers=headers, **options)

    def ask(self, method: str, path: str, token: str | None = None, **options: Any) -> httpx.Response:
        """With this token, or none."""
        headers = options.pop("headers", {}) | ({"authorization": f"Bearer {token}"} if token else {})
        return self.http.request(method, self.url + path, headers=headers, **options)


async def _expire(tx: Transaction, token_id: str) -> None:
    """By another row in its place: nothing in the product can make a token that has expired."""
    record = await table.get(tx, token_id)
    assert record is not None
    await tx.execute(table.table.delete().where(table.table.c.id == token_id))
    await table.insert(tx, replace(record, expires=micros(datetime.now(UTC) - timedelta(seconds=1))))
