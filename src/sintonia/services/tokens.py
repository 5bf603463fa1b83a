"""API tokens: made, shown once, found again by their digest, and revoked; knows neither HTTP nor the command line.

A token is ``sin_ID_SECRET``. ID is public: it finds the row, and names the token in lists and in the audit log. SECRET
is 32 random bytes, so that a fast hash is enough and guessing is hopeless at any rate.
"""

from __future__ import annotations

import hashlib
import hmac
import re
import secrets
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Any

from sintonia.database import Database, Transaction, micros
from sintonia.database import tokens as table
from sintonia.database.tokens import TokenRecord
from sintonia.errors import InvalidArgument, NotFound, PermissionDenied, Unauthenticated
from sintonia.resources.names import is_project
from sintonia.services.access import EVERY_PROJECT, Principal, Role

_FORM = re.compile(r"sin_([0-9a-f]{12})_[A-Za-z0-9_-]{43}")


@dataclass(frozen=True)
class Token:
    """What may be told of a token. ``secret`` is the whole token, known when it is made and never again."""

    id: str
    name: str
    grants: Mapping[str, Role]
    created_by: str
    created: datetime
    expires: datetime | None = None
    revoked: datetime | None = None
    secret: str | None = field(default=None, repr=False)

    def state(self, now: datetime) -> str:
        """``valid``, ``expired`` or ``revoked``."""
        if self.revoked is not None:
            return "revoked"
        return "expired" if self.expires is not None and self.expires <= now else "valid"


@dataclass(frozen=True)
class Tokens:
    """The tokens of this installation; an Authenticator.

    Nothing is remembered between two requests: a token that is revoked is refused at once by every server that shares
    the database.
    """

    database: Database

    async def create(
        self, name: str, grants: Mapping[str, Role], *, by: Principal, expires: datetime | None = None
    ) -> Token:
        """A new token, with its secret.

        Raises:
            InvalidArgument: the name is empty or too long, a project's id is not valid, or it has expired already.
            PermissionDenied: ``by`` is no admin of all its projects.
        """
        now = datetime.now(UTC)
        _check(name, grants, expires, now)
        _check_admin(by, grants)
        number = secrets.token_hex(6)
        secret = f"sin_{number}_{secrets.token_urlsafe(32)}"
        record = TokenRecord(
            id=number,
            digest=_digest(secret),
            name=name,
            grants={project: role.name for project, role in grants.items()},
            created_by=by.name,
            created=micros(now),
            expires=None if expires is None else micros(expires),
        )
        await self.database.write(lambda tx: table.insert(tx, record))
        return _told(record, secret)

    async def list(self, by: Principal) -> list[Token]:
        """Newest first: those that reach a project ``by`` is admin of, with their grants there and no others."""
        told = []
        for record in await self.database.read(table.newest_first):
            token = _told(record)
            grants = {
                project: role for project, role in token.grants.items() if by.role_in(project) is Role.ADMIN
            }  # * only for those who are admin of all
            if grants:
                told.append(Token(**{**vars(token), "grants": grants}))
        return told

    async def are_there(self) -> bool:
        """Whether anybody can sign in with one."""
        now = datetime.now(UTC)
        return any(_told(record).state(now) == "valid" for record in await self.database.read(table.newest_first))

    async def revoke(self, token_id: str, *, by: Principal, project: str = EVERY_PROJECT) -> Token:
        """Refuse the token from now on; no error if it is revoked already.

        Args:
            project: it must reach this one, or else it is not there; all are for ``*``.

        Raises:
            NotFound: there is none.
            PermissionDenied: it reaches further than ``by`` is admin.
        """

        async def work(tx: Transaction) -> TokenRecord:
            record = await table.get(tx, token_id)
            if record is None or (project != EVERY_PROJECT and not {project, EVERY_PROJECT} & set(record.grants)):
                raise NotFound(f"Token `{token_id}` not found.")
            _check_admin(by, record.grants)
            await table.revoke(tx, token_id, at=micros(datetime.now(UTC)))
            found = await table.get(tx, token_id)
            assert found is not None
            return found

        return _told(await self.database.write(work))

    async def authenticate(self, credential: str) -> Principal | None:
        """See Authenticator."""
        match = _FORM.fullmatch(credential)
        if match is None:
            return None
        record = await self.database.read(lambda tx: table.get(tx, match[1]))
        if record is None or not hmac.compare_digest(record.digest, _digest(credential)):
            raise Unauthenticated("The API token is not valid: this server did not make it.")
        return _owner(_told(record))

    async def recall(self, proof: Mapping[str, Any]) -> Principal | None:
        """See Authenticator."""
        if "token" not in proof:
            return None
        record = await self.database.read(lambda tx: table.get(tx, proof["token"]))
        assert record is not None, "tokens are revoked, and never deleted"
        return _owner(_told(record))


def _owner(token: Token) -> Principal:
    """Raises Unauthenticated if it is not valid any more."""
    if (state := token.state(datetime.now(UTC))) != "valid":
        raise Unauthenticated(f"The API token {token.id} ('{token.name}') is {state}; ask an admin for another one.")
    return Principal(
        f"token:{token.id}",
        token.grants,
        display_name=token.name,
        proof={"token": token.id},
        until=token.expires,
    )


def _check(name: str, grants: Mapping[str, Role], expires: datetime | None, now: datetime) -> None:
    if not 1 <= len(name) <= 128 or not name.isprintable():
        raise InvalidArgument("A token needs a name of 1 to 128 printable characters: whom or what it is for.")
    assert grants, "those who ask name a project each"
    for project in grants:
        if project != EVERY_PROJECT and not is_project(project):
            raise InvalidArgument(f"'{project}' is no valid project id; write one, or * for all projects.")
    if expires is not None and not now < expires < now + timedelta(days=36500):
        raise InvalidArgument("A token must expire in the future, and within a hundred years.")


def _check_admin(by: Principal, grants: Mapping[str, object]) -> None:
    for project in grants:
        if by.role_in(project) is not Role.ADMIN:
            raise PermissionDenied(f"Only an admin of '{project}' may make or revoke a token that reaches it.")


def _digest(token: str) -> str:
    return hashlib.sha256(token.encode()).hexdigest()


def _told(record: TokenRecord, secret: str | None = None) -> Token:
    return Token(
        id=record.id,
        name=record.name,
        grants={project: Role[role] for project, role in record.grants.items()},
        created_by=record.created_by,
        created=_moment(record.created),
        expires=None if record.expires is None else _moment(record.expires),
        revoked=None if record.revoked is None else _moment(record.revoked),
        secret=secret,
    )


def _moment(stamp: int) -> datetime:
    return datetime.fromtimestamp(0, UTC) + timedelta(microseconds=stamp)
