"""From claims to roles and names, and issuers that do not answer as they should."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from typing import Any

import pytest

from oidc_issuer import AUDIENCE, ScriptedIssuer, claims_for, ec_key, sign
from sintonia.errors import Unauthenticated, Unavailable
from sintonia.services import oidc_keys
from sintonia.services.access import Role
from sintonia.services.oidc import OidcGrant, OidcTokens, granted

GRANTS = [
    OidcGrant("team-a-tuners", "team-a", Role.TUNER),
    OidcGrant("team-a", "team-a", Role.VIEWER),
    OidcGrant("auditors", "*", Role.VIEWER),
    OidcGrant("Team A (all)", "team-a", Role.ADMIN),
]


@pytest.mark.parametrize(
    ("claims", "claim", "expected"),
    [
        ({"groups": ["team-a"]}, "groups", {"team-a": Role.VIEWER}),
        ({"groups": ["team-a", "team-a-tuners", "x"]}, "groups", {"team-a": Role.TUNER}),
        ({"groups": ["team-a-tuners", "team-a"]}, "groups", {"team-a": Role.TUNER}),
        ({"groups": ["auditors", "team-a"]}, "groups", {"*": Role.VIEWER, "team-a": Role.VIEWER}),
        ({"groups": "Team A (all)"}, "groups", {"team-a": Role.ADMIN}),
        ({"groups": "team-a auditors"}, "groups", {}),  # one group of that name, which is none of ours
        ({"groups": ["TEAM-A", "team-a ", "team"]}, "groups", {}),
        ({"groups": []}, "groups", {}),
        ({"groups": None}, "groups", {}),
        ({"groups": 7}, "groups", {}),
        ({"groups": {"team-a": True}}, "groups", {}),
        ({"groups": [{"name": "team-a"}, None, 3, ["team-a"]]}, "groups", {}),
        ({}, "groups", {}),
        ({"realm_access": {"roles": ["team-a"]}}, "realm_access.roles", {"team-a": Role.VIEWER}),
        ({"resource_access": {"sintonia": {"roles": ["team-a"]}}}, "resource_access.sintonia.roles", {"team-a": 1}),
        ({"realm_access": ["team-a"]}, "realm_access.roles", {}),
        ({"realm_access": "team-a"}, "realm_access.roles", {}),
        ({"https://example.com/roles": ["team-a"]}, "https://example.com/roles", {"team-a": Role.VIEWER}),
        ({"scope": "openid team-a auditors"}, "scope", {"team-a": Role.VIEWER, "*": Role.VIEWER}),
        ({"scp": ["team-a"]}, "scp", {"team-a": Role.VIEWER}),
        ({"email": "auditors", "email_verified": True}, "email", {"*": Role.VIEWER}),
        ({"email": "auditors"}, "email", {"*": Role.VIEWER}),
        ({"email": "auditors", "email_verified": False}, "email", {}),
        ({"email": "auditors", "email_verified": "false"}, "email", {}),
    ],
    ids=str,
)
def test_claims_to_roles(claims: dict[str, Any], claim: str, expected: dict[str, Role]) -> None:
    assert granted(claims, claim, GRANTS) == expected


@pytest.fixture
def issuer() -> Iterator[ScriptedIssuer]:
    made = ScriptedIssuer()
    yield made
    made.stop()


@pytest.fixture
def tokens(issuer: ScriptedIssuer) -> OidcTokens:
    return OidcTokens(issuer=issuer.url, audience=AUDIENCE, claim="groups", grants=GRANTS)


@pytest.mark.parametrize(
    ("claims", "name"),
    [
        ({"email": "a@b.c", "preferred_username": "a"}, "oidc:a@b.c"),
        ({"email": "a@b.c", "email_verified": False, "preferred_username": "a"}, "oidc:a"),
        ({"preferred_username": "a"}, "oidc:a"),
        ({}, "oidc:alice"),
        ({"email": 'a"}\n{"principal": "oidc:bob'}, "oidc:alice"),
        ({"email": "bob\u202e@b.c"}, "oidc:alice"),
        ({"email": ["a@b.c"], "preferred_username": ""}, "oidc:alice"),
        ({"email": "x" * 201}, "oidc:alice"),
        ({"sub": None, "azp": "ci"}, "oidc:ci"),
        ({"sub": None}, "oidc:unnamed"),
    ],
    ids=str,
)
async def test_names(issuer: ScriptedIssuer, tokens: OidcTokens, claims: dict[str, Any], name: str) -> None:
    found = await tokens.authenticate(sign(issuer.key, claims_for(issuer.url, **claims)))
    assert found is not None
    assert (found.name, found.grants) == (name, {})


async def test_many_requests_wait_for_one_answer(issuer: ScriptedIssuer, tokens: OidcTokens) -> None:
    token = sign(issuer.key, claims_for(issuer.url))
    found = await asyncio.gather(*(tokens.authenticate(token) for _ in range(50)))
    assert {principal.name for principal in found if principal} == {"oidc:alice"}
    assert issuer.requests == 2


async def test_a_request_that_leaves_does_not_take_the_answer_along(issuer: ScriptedIssuer, tokens: OidcTokens) -> None:
    token = sign(issuer.key, claims_for(issuer.url))
    leaving = asyncio.create_task(tokens.authenticate(token))
    await asyncio.sleep(0)
    leaving.cancel()
    assert await tokens.authenticate(token)
    assert issuer.requests == 2


async def test_keys_without_names_and_algorithms(issuer: ScriptedIssuer, tokens: OidcTokens) -> None:
    """As RFC 7517 allows: the only key of the right type is meant."""
    ec = ec_key("two")
    issuer.keys = [
        {name: issuer.key[name] for name in ("kty", "n", "e")},
        {name: ec[name] for name in ("kty", "crv", "x", "y")},
        {"kty": "oct", "k": "c2VjcmV0"},
        {"kty": "new", "kid": "one"},
        "nonsense",
    ]
    for key in (issuer.key, ec, {**issuer.key, "alg": "PS384"}):
        assert await tokens.authenticate(sign(key, claims_for(issuer.url), kid=None))
        with pytest.raises(Unauthenticated, match="does not have"):
            await tokens.authenticate(sign(key, claims_for(issuer.url)))


@pytest.mark.parametrize(
    "change", [{"use": "enc"}, {"alg": "RS512"}, {"kty": "EC"}, {"kid": "two"}, {"n": "AQAB"}, {"n": 3}]
)
async def test_keys_that_do_not_fit(issuer: ScriptedIssuer, tokens: OidcTokens, change: dict[str, Any]) -> None:
    issuer.keys[0].update(change)
    with pytest.raises(Unauthenticated):
        await tokens.authenticate(sign(issuer.key, claims_for(issuer.url)))


@pytest.mark.parametrize(
    ("change", "told"),
    [
        ({"about": {"issuer": "URL/", "jwks_uri": "URL/jwks"}}, "it calls itself 'URL/'; write oidc_issuer exactly so"),
        ({"about": {"jwks_uri": "URL/jwks"}}, "it calls itself 'None'"),
        ({"about": {"issuer": "URL"}}, "the address of its keys, 'None', is not https"),
        ({"about": {"issuer": "URL", "jwks_uri": "http://127.0.0.1:1/"}}, "'http://127.0.0.1:1/', is not https"),
        ({"about": {"issuer": "URL", "jwks_uri": "file:///etc/passwd"}}, "'file:///etc/passwd', is not https"),
        ({"about": {"issuer": "URL", "jwks_uri": ["URL/jwks"]}}, "is not https"),
        ({"about": []}, "does not answer with a JSON object"),
        ({"about": "<html>"}, "does not answer with a JSON object"),
        ({"about": "[" * 100_000}, "does not answer with a JSON object"),
        ({"about": " " * 2**21}, "answers with more than 1048576 bytes"),
        ({"keys": {"one": 1}}, "'URL/jwks' has no list of keys"),
        ({"status": 500}, "'URL/.well-known/openid-configuration' answers with status 500"),
        ({"status": 302, "headers": {"location": "http://127.0.0.1:1/"}}, "answers with status 302"),
        ({"headers": {"content-encoding": "gzip"}}, "incorrect header check"),
    ],
    ids=lambda value: str(value)[:60],
)
async def test_an_issuer_that_tells_nonsense(
    issuer: ScriptedIssuer, tokens: OidcTokens, change: dict[str, Any], told: str, caplog: pytest.LogCaptureFixture
) -> None:
    for name, value in change.items():
        setattr(issuer, name, value)
    token = sign(issuer.key, claims_for(issuer.url))
    with pytest.raises(Unavailable) as failed:
        await tokens.authenticate(token)
    assert f"its issuer '{issuer.url}' does not tell its keys, the server's log says why." in failed.value.message
    assert told.replace("URL", issuer.url) in caplog.text
    assert token not in caplog.text


async def test_an_issuer_that_never_answers(monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture) -> None:
    monkeypatch.setattr(oidc_keys, "TIMEOUT_SECONDS", 0.05)
    server = await asyncio.start_server(lambda reader, writer: None, "127.0.0.1", 0)
    url = f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}"
    tokens = OidcTokens(issuer=url, audience=AUDIENCE, claim="groups", grants=GRANTS)
    for _ in range(2):  # the second one does not wait
        with pytest.raises(Unavailable):
            await tokens.authenticate(sign(ec_key("any"), claims_for(url)))
    assert caplog.text.count("no answer within 0.05 seconds") == 1
    server.close()
