"""The refusals of tokens of an OpenID issuer, provoked on a server that trusts one."""

from __future__ import annotations

from collections.abc import Callable
from functools import cache
from typing import Any

import httpx

from oidc_issuer import ScriptedIssuer, claims_for, rsa_key, settings_for, sign
from server import Server
from signed_in import SignedInServer

Provoke = Callable[[Server], httpx.Response]

JOBS = "/v1/projects/p/locations/us-central1/tuningJobs"

_started: list[SignedInServer | ScriptedIssuer] = []


@cache
def beside(server: Server) -> tuple[SignedInServer, ScriptedIssuer]:
    issuer = ScriptedIssuer()
    trusting = SignedInServer(server.home.parent / "with-oidc", settings=settings_for(issuer.url))
    trusting.start()
    _started.extend((trusting, issuer))
    return trusting, issuer


def stop() -> None:
    for started in _started:
        started.stop()
    _started.clear()


def saying(
    *, path: str = JOBS, more: str = "", key: Any = None, alg: str = "RS256", typ: str = "JWT", **claims: Any
) -> Provoke:
    """By a token that is valid but for what is said here; ``more`` stands behind it."""

    def provoke(server: Server) -> httpx.Response:
        trusting, issuer = beside(server)
        token = sign(key or issuer.key | {"alg": alg}, claims_for(issuer.url, **claims), typ=typ)
        return trusting.ask("GET", path, token + more)

    return provoke


def while_away(server: Server) -> httpx.Response:
    """The issuer of another server: it must not have been asked before."""
    issuer = ScriptedIssuer()
    issuer.status = 500
    trusting = SignedInServer(server.home.parent / "with-oidc-away", settings=settings_for(issuer.url))
    trusting.start()
    _started.extend((trusting, issuer))
    return trusting.ask("GET", JOBS, sign(issuer.key, claims_for(issuer.url)))


REQUESTS: dict[str, Provoke] = {
    "a token that is too long": saying(groups=["x" * 16384]),
    "a token with a slip of the pen": saying(more="!"),
    "a token that a shared secret signed": saying(key={"kty": "oct", "k": "c2VjcmV0" * 8, "alg": "HS256"}),
    "a logout token": saying(typ="logout+jwt"),
    "a token of another issuer": saying(iss="https://elsewhere.example.com"),
    "a token by an unknown key": saying(key=rsa_key("unknown")),
    "a token by another key of that name": saying(key=rsa_key("one")),
    "a token that has expired already": saying(exp=1),
    "a token that is not valid yet": saying(nbf=2**40),
    "a token without an end": saying(exp=None),
    "a token for another audience": saying(aud="https://elsewhere.example.com"),
    "a token with a claim of another type": saying(sub=7),
    "a token that nobody has a grant for": saying(groups=["nobody"], path="/sintonia/v1/baseModels"),
    "a token while its issuer is away": while_away,
}
