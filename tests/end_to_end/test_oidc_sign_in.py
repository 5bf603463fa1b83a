"""Signing in with the tokens of an OpenID provider, from the provider's answer to the server's."""

from __future__ import annotations

import json
import time
from collections.abc import Iterator
from http.cookies import SimpleCookie
from pathlib import Path

import jwt
import pytest

from oidc_issuer import Issuer, claims_for, ec_key, needs_issuer, sign
from oidc_issuer import settings_for as oidc_settings
from signed_in import SignedInServer

pytestmark = needs_issuer

JOBS = "/v1/projects/p/locations/us-central1/tuningJobs"


@pytest.fixture(scope="module")
def issuer(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Issuer]:
    made = Issuer(tmp_path_factory.mktemp("issuer"), ec_key("first")).start()
    yield made
    made.stop()


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory, issuer: Issuer) -> Iterator[SignedInServer]:
    """Started while its issuer is away."""
    issuer.stop()
    made = SignedInServer(tmp_path_factory.mktemp("oidc"), settings=oidc_settings(issuer.url))
    made.start()
    issuer.start()
    yield made
    made.stop()


def test_a_machine_looks_tunes_and_uploads(server: SignedInServer, issuer: Issuer) -> None:
    token = issuer.access_token("ci")
    told = server.ask("GET", "/sintonia/v1/me", token).json()
    assert (told["principal"], told["grants"]) == ("oidc:ci", {"p": "TUNER"})
    assert server.ask("GET", JOBS, token).json() == {"tuningJobs": []}
    made = server.ask("POST", "/storage/v1/b?project=p", token, json={"name": "ours"})
    assert made.status_code == 200, made.text
    # Refused for what it asks, not for who asks.
    assert server.ask("POST", JOBS, token, json={}).status_code == 400


def test_a_viewer_may_look_and_not_tune(server: SignedInServer, issuer: Issuer) -> None:
    token = sign(issuer.key, claims_for(issuer.url, email="alice@example.com"))
    assert server.ask("GET", JOBS, token).json() == {"tuningJobs": []}
    refused = server.ask("POST", JOBS, token, json={"baseModel": "tiny"})
    assert (refused.status_code, refused.json()["error"]["status"]) == (403, "PERMISSION_DENIED")
    elsewhere = server.ask("GET", JOBS.replace("/p/", "/q/"), token)
    assert elsewhere.status_code == 403


def test_who_has_no_grant_is_known_and_may_do_nothing(server: SignedInServer, issuer: Issuer) -> None:
    token = issuer.access_token("other")
    assert server.ask("GET", "/sintonia/v1/me", token).json()["principal"] == "oidc:other"
    assert server.ask("GET", JOBS, token).status_code == 403


def test_tokens_of_both_kinds_sign_in(server: SignedInServer, issuer: Issuer) -> None:
    assert server.request("GET", JOBS).json() == {"tuningJobs": []}
    for place in ({"headers": {"x-goog-api-key": issuer.access_token("ci")}}, {"params": {"key": server.root}}):
        assert server.ask("GET", JOBS, **place).status_code == 200


def test_a_browsers_session_ends_no_later_than_its_token(server: SignedInServer, issuer: Issuer) -> None:
    for token, least in ((issuer.access_token("ci"), 0), (sign(issuer.key, claims_for(issuer.url, exp=9e18)), 601199)):
        begun = server.ask("POST", "/sintonia/v1/sessions", json={"token": token}, headers=server.own_page)
        server.http.cookies.clear()
        header = begun.headers["set-cookie"]
        ends = jwt.decode(token, options={"verify_signature": False})["exp"]
        assert least < int(SimpleCookie(header).popitem()[1]["max-age"]) <= min(ends - time.time() + 1, 7 * 24 * 3600)
        cookie = {"cookie": header.partition(";")[0]}
        assert server.ask("GET", "/sintonia/v1/me", headers=cookie).json() == begun.json()
        assert begun.json()["principal"].startswith("oidc:")


def test_what_is_not_valid_is_refused_in_words(server: SignedInServer, issuer: Issuer) -> None:
    for token, words in (
        (sign(issuer.key, claims_for(issuer.url, exp=1)), "The token has expired; get a new one."),
        (sign(ec_key("forged"), claims_for(issuer.url)), "a key that its issuer does not have"),
        (sign(issuer.key, claims_for("https://evil.example.com")), "The token is of another issuer"),
        ("anything", "invalid authentication credentials"),
    ):
        refused = server.ask("GET", JOBS, token)
        assert (refused.status_code, refused.json()["error"]["status"]) == (401, "UNAUTHENTICATED")
        assert words in refused.json()["error"]["message"]
        assert refused.headers["www-authenticate"].startswith("Bearer")


def test_the_audit_log_names_people_and_no_tokens(server: SignedInServer, issuer: Issuer) -> None:
    token = sign(issuer.key, claims_for(issuer.url, email="bob@example.com", groups=["tuners"]))
    server.ask("POST", "/storage/v1/b?project=p", token, json={"name": "of-bob"})
    log = Path(server.home / "logs" / "audit.jsonl").read_text()
    lines = [json.loads(line) for line in log.splitlines()]
    assert any("oidc:bob@example.com" in line.values() for line in lines), lines[-1]
    for part in token.split("."):
        assert part not in log + server.log.read_text()
