"""The refusals of sign-in, provoked on a server with sign-in beside the one that has none."""

from __future__ import annotations

from collections.abc import Callable
from functools import cache
from typing import Any

import httpx

from server import Server
from signed_in import SignedInServer
from sintonia.services.access import Role

Provoke = Callable[[Server], httpx.Response]

JOBS = "/v1/projects/p/locations/us-central1/tuningJobs"
TOKENS = "/sintonia/v1/projects/p/tokens"
SESSIONS = "/sintonia/v1/sessions"

_started: list[SignedInServer] = []


@cache
def beside(server: Server) -> SignedInServer:
    started = SignedInServer(server.home.parent / "with-sign-in")
    started.start()
    _started.append(started)
    return started


def stop() -> None:
    for server in _started:
        server.stop()
    _started.clear()


def by(token: str | None, method: str = "GET", path: str = JOBS, **options: Any) -> Provoke:
    return lambda server: beside(server).ask(method, path, token, **options)


def by_a(role: Role, method: str, path: str) -> Provoke:
    def provoke(server: Server) -> httpx.Response:
        return beside(server).ask(method, path, beside(server).token(p=role), json={})

    return provoke


def with_a(name: str, **how: Any) -> Provoke:
    """By a token that is valid no more."""
    return lambda server: beside(server).ask("GET", JOBS, beside(server).token(name, p=Role.ADMIN, **how))


def as_root(method: str, path: str, body: Any = None) -> Provoke:
    return lambda server: beside(server).request(method, path, json=body)


def many(server: Server) -> httpx.Response:
    for _ in range(20):
        with_address(server)
    return with_address(server)


def with_address(server: Server) -> httpx.Response:
    return beside(server).ask("GET", JOBS, "guess", headers={"x-forwarded-for": "10.9.8.7"})


def revoke_further(server: Server) -> httpx.Response:
    there = beside(server)
    admin, wide = there.token(p=Role.ADMIN), there.token(p=Role.VIEWER, theirs=Role.VIEWER)
    return there.ask("DELETE", f"{TOKENS}/{wide.split('_')[1]}", admin)


def two(server: Server) -> httpx.Response:
    there = beside(server)
    return there.ask("GET", JOBS, there.root, headers={"x-goog-api-key": "another"})


def with_a_session(method: str, path: str, **headers: str) -> Provoke:
    """By a browser that goes on with a session."""

    def provoke(server: Server) -> httpx.Response:
        there = beside(server)
        cookie = {"cookie": there.session(there.token(p=Role.TUNER))}
        return there.ask(method, path, headers={**cookie, **headers}, json=None if method == "GET" else {})

    return provoke


def with_an_ended_session(server: Server) -> httpx.Response:
    there = beside(server)
    cookie = {"cookie": there.session(there.token(p=Role.TUNER))}
    there.ask("DELETE", SESSIONS + "/current", headers={**cookie, **there.own_page})
    return there.ask("GET", JOBS, headers=cookie)


def too_many_sessions(server: Server) -> httpx.Response:
    token = beside(server).token("a program", p=Role.VIEWER)
    for _ in range(60):
        beside(server).session(token)
    return by(None, "POST", SESSIONS, json={"token": token}, headers=beside(server).own_page)(server)


REQUESTS: dict[str, Provoke] = {
    "no credential": by(None),
    "a credential of no known kind": by("ya29.something"),
    "a token of another server": by("sin_0123456789ab_" + "x" * 43),
    "a token that is revoked": with_a("gone", revoked=True),
    "a token that has expired": with_a("late", expired=True),
    "two credentials": two,
    "many failures in a row": many,
    "another's project": by_a(Role.ADMIN, "GET", JOBS.replace("/p/", "/theirs/")),
    "a change by a viewer": by_a(Role.VIEWER, "POST", JOBS),
    "a bucket with the name of another project's metrics": as_root(
        "POST", "/storage/v1/b?project=p", {"name": "sintonia-metrics-theirs"}
    ),
    "a token without a name": as_root("POST", TOKENS, {"role": "VIEWER"}),
    "a token without a role": as_root("POST", TOKENS, {"displayName": "x"}),
    "a token for a project that cannot be": as_root(
        "POST", TOKENS.replace("/p/", "/no!/"), {"displayName": "x", "role": "VIEWER"}
    ),
    "a token that ends before it begins": as_root(
        "POST", TOKENS, {"displayName": "x", "role": "viewer", "expireTime": "2020-01-01T00:00:00Z"}
    ),
    "an unknown token, revoked": as_root("DELETE", f"{TOKENS}/123456789abc"),
    "a token that reaches further than one's role": revoke_further,
    "a session that has ended": with_an_ended_session,
    "a session, by the page of another site": with_a_session("POST", JOBS, origin="https://elsewhere.example.com"),
    "a session without a token": as_root("POST", SESSIONS, {}),
    "too many sessions": too_many_sessions,
    "tokens while sign-in is off": lambda server: server.request("GET", TOKENS),
}
