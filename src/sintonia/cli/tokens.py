"""``sintonia tokens``: who may sign in; on this machine, straight in the server's database, with no server needed.

Whoever may write to the database may do everything anyway. From afar, admins do the same by the REST API.
"""

from __future__ import annotations

import asyncio
import re
from collections.abc import Awaitable, Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, TypeVar

import typer

from sintonia.cli.session import Session, guarded

if TYPE_CHECKING:
    from sintonia.services.access import Role
    from sintonia.services.tokens import Token

T = TypeVar("T")
Home = Annotated[Path | None, typer.Option(help="Home of the server. (env: SINTONIA_HOME)", show_default=False)]
AsJson = Annotated[bool, typer.Option("--json", help="Print one JSON document on stdout and nothing else.")]

_PERIODS = {"h": "hours", "d": "days", "w": "weeks"}


def register(app: typer.Typer) -> None:
    group = typer.Typer(help="API tokens: who may sign in, and what they may do.", no_args_is_help=True)
    group.command("create")(guarded(create))
    group.command("list")(guarded(list_tokens))
    group.command("revoke")(guarded(revoke))
    app.add_typer(group, name="tokens")


def create(
    context: typer.Context,
    name: Annotated[str, typer.Argument(help="Whom or what it is for.")],
    grant: Annotated[
        list[str],
        typer.Option(metavar="PROJECT=ROLE", help="viewer, tuner or admin of a project, * for all; may be repeated."),
    ],
    expires: Annotated[str | None, typer.Option(metavar="30d", help="After so many hours, days or weeks.")] = None,
    home: Home = None,
    as_json: AsJson = False,
) -> None:
    """Make a token; it is printed once and cannot be shown again."""
    grants = dict(_grant(said) for said in grant)
    until = datetime.now(UTC) + _period(expires) if expires else None
    made = _with_tokens(home, lambda tokens, by: tokens.create(name, grants, by=by, expires=until), "create")
    session = _session(context, as_json)
    if session.as_json:
        session.print_json(_document(made))
        return
    session.err.print(f"made {made.id} for {made.name}: {_grants(made)}{_ending(made)}")
    session.err.print("this is the only time that it is shown:")
    typer.echo(made.secret)


def list_tokens(context: typer.Context, home: Home = None, as_json: AsJson = False) -> None:
    """List all tokens, newest first, revoked and expired ones too."""
    found = _with_tokens(home, lambda tokens, by: tokens.list(by))
    session = _session(context, as_json)
    if session.as_json:
        session.print_json({"tokens": [_document(token) for token in found]})
        return
    from rich.table import Table

    table = Table(box=None, pad_edge=False)
    for heading in ("TOKEN", "NAME", "GRANTS", "STATE", "CREATED", "BY", "EXPIRES"):
        table.add_column(heading, overflow="fold")
    for token in found:
        ends = f"{token.expires:%Y-%m-%d}" if token.expires else ""
        made = f"{token.created:%Y-%m-%d}"
        table.add_row(token.id, token.name, _grants(token), _state(token), made, token.created_by, ends)
    session.out.print(table)


def revoke(
    context: typer.Context,
    token: Annotated[
        str, typer.Argument(metavar="ID", help="As `sintonia tokens list` shows it; not the token itself.")
    ],
    home: Home = None,
    as_json: AsJson = False,
) -> None:
    """Refuse a token from now on, also by servers that run."""
    if match := re.fullmatch(r"sin_([0-9a-f]{12})_.*", token):  # now in the shell's history: all the more so
        token = match[1]
    revoked = _with_tokens(home, lambda tokens, by: tokens.revoke(token, by=by), "revoke")
    _session(context, as_json).tell(_document(revoked), f"revoked {revoked.id} ({revoked.name})")


def _with_tokens(home: Path | None, work: Callable[..., Awaitable[T]], change: str = "") -> T:
    """What ``work`` makes of the tokens of a home; a ``change`` is written into the audit log."""
    from sintonia.database import Database
    from sintonia.services.access import EVERY_PROJECT, Principal, Role
    from sintonia.services.audit import AuditLog, Entry
    from sintonia.services.tokens import Tokens
    from sintonia.settings import Settings

    settings = Settings.load(home=home)
    settings.home.mkdir(parents=True, exist_ok=True, mode=0o700)
    operator = Principal("operator", {EVERY_PROJECT: Role.ADMIN})

    async def run() -> T:
        database = Database(settings.database)
        await database.open()
        try:
            return await work(Tokens(database), operator)
        finally:
            await database.close()

    found = asyncio.run(run())
    if change:
        path = f"tokens {change} {getattr(found, 'id', '')}"
        AuditLog(settings.audit_file).write(Entry(operator.name, "sintonia", path, "", 200, "", ""))
    return found


def _session(context: typer.Context, as_json: bool) -> Session:
    shared: Session = context.obj or Session()
    return Session(as_json=as_json or shared.as_json)


def _grant(said: str) -> tuple[str, Role]:
    from sintonia.services.access import Role

    project, _, role = said.rpartition("=")
    if not project or role.upper() not in Role.__members__:
        raise typer.BadParameter(f"'{said}': write PROJECT=ROLE, with viewer, tuner or admin.", param_hint="--grant")
    return project, Role[role.upper()]


def _period(said: str) -> timedelta:
    match = re.fullmatch(r"([1-9][0-9]{0,4})([hdw])", said)
    if match is None:
        raise typer.BadParameter(f"'{said}': write 12h, 30d or 8w.", param_hint="--expires")
    return timedelta(**{_PERIODS[match[2]]: int(match[1])})


def _state(token: Token) -> str:
    return token.state(datetime.now(UTC))


def _grants(token: Token) -> str:
    return ", ".join(f"{project}={role.name.lower()}" for project, role in token.grants.items())


def _ending(token: Token) -> str:
    return f", until {token.expires:%Y-%m-%d %H:%M} UTC" if token.expires else ""


def _document(token: Token) -> dict[str, Any]:
    document = {
        "id": token.id,
        "displayName": token.name,
        "grants": {project: role.name for project, role in token.grants.items()},
        "state": _state(token),
        "createdBy": token.created_by,
        "createTime": token.created.isoformat(),
        "expireTime": token.expires.isoformat() if token.expires else None,
        "revokeTime": token.revoked.isoformat() if token.revoked else None,
        "token": token.secret,
    }
    return {key: value for key, value in document.items() if value is not None}
