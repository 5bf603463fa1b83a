"""Tokens of a certified OpenID provider, over HTTP: which sign in, which do not, and what happens when it is away."""

from __future__ import annotations

import base64
import hmac
import json
from collections.abc import Iterator

import jwt
import pytest
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat

from oidc_issuer import AUDIENCE, Issuer, claims_for, ec_key, needs_issuer, rsa_key, sign
from sintonia.errors import Unauthenticated, Unavailable
from sintonia.services.access import Principal, Role
from sintonia.services.oidc import OidcGrant, OidcTokens
from sintonia.services.oidc_keys import KEEP_SECONDS, PAUSE_SECONDS, REFRESH_SECONDS, IssuerKeys

pytestmark = needs_issuer

GRANTS = (OidcGrant("lookers", "p", Role.VIEWER), OidcGrant("tuners", "p", Role.TUNER))
JWKS = "/jwks"
KEY = rsa_key("first")


class Clock:
    def __init__(self) -> None:
        self.now = 0.0

    def __call__(self) -> float:
        return self.now


@pytest.fixture(scope="module")
def running(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Issuer]:
    made = Issuer(tmp_path_factory.mktemp("issuer"), KEY)
    yield made.start()
    made.stop()


@pytest.fixture
def issuer(running: Issuer) -> Issuer:
    """One that answers, whatever the test before did, and counts requests from none."""
    running.change_key(KEY)
    return running


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def tokens(issuer: Issuer, clock: Clock) -> OidcTokens:
    return accepting(issuer, clock)


def accepting(issuer: Issuer, clock: Clock | None = None, *, audience: str = AUDIENCE) -> OidcTokens:
    keys = IssuerKeys(issuer.url, clock=clock) if clock else None
    return OidcTokens(issuer=issuer.url, audience=audience, claim="groups", grants=GRANTS, keys=keys)


async def refusal(tokens: OidcTokens, token: str) -> str:
    with pytest.raises(Unauthenticated) as refused:
        await tokens.authenticate(token)
    message = refused.value.message
    assert not any(part in message for part in token.split(".") if part)
    return message


async def test_a_machine_signs_in_with_an_access_token(issuer: Issuer, tokens: OidcTokens) -> None:
    token = issuer.access_token("ci")
    assert jwt.get_unverified_header(token)["typ"] == "at+jwt"
    assert await tokens.authenticate(token) == Principal("oidc:ci", {"p": Role.TUNER})


async def test_a_person_signs_in_with_an_id_token(issuer: Issuer) -> None:
    tokens = accepting(issuer, audience="ci")  # ID tokens are meant for the client
    alice = await tokens.authenticate(issuer.id_token("alice", "ci"))
    assert alice == Principal("oidc:alice@example.com", {"p": Role.VIEWER})
    # Known, but nothing is theirs.
    assert await tokens.authenticate(issuer.id_token("bob", "ci")) == Principal("oidc:bob@example.com", {})


async def test_a_token_for_another_client_is_refused(issuer: Issuer) -> None:
    tokens = accepting(issuer, audience="ci")
    message = await refusal(tokens, issuer.id_token("alice", "other"))
    assert message == "The token is meant for somebody else; get one with 'ci' in its audience."


async def test_a_token_for_another_audience_is_refused(issuer: Issuer, tokens: OidcTokens) -> None:
    assert "somebody else" in await refusal(tokens, issuer.access_token("ci", "https://another.example.com"))


async def test_what_is_no_jwt_is_for_others_to_judge(tokens: OidcTokens, issuer: Issuer) -> None:
    for credential in ("", "anything", "sin_0123456789ab_secret", "ya29.a0Af.xyz", "é.é.é", "eyJhbGciOi"):
        assert await tokens.authenticate(credential) is None
    assert issuer.asked_for(JWKS) == 0


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"iat": 10, "exp": 20}, "The token has expired; get a new one."),
        ({"nbf": 2**40}, "The token is not valid yet; the clocks of issuer and server may differ."),
        ({"iat": 2**40}, "The token is not valid yet; the clocks of issuer and server may differ."),
        ({"exp": None}, "The token has no 'exp'; this server asks for iss, aud, exp and iat."),
        ({"iat": None}, "The token has no 'iat'; this server asks for iss, aud, exp and iat."),
        ({"aud": None}, "The token has no 'aud'; this server asks for iss, aud, exp and iat."),
        ({"aud": []}, "The token has no 'aud'; this server asks for iss, aud, exp and iat."),
        ({"aud": ["a", "b"]}, f"The token is meant for somebody else; get one with '{AUDIENCE}' in its audience."),
        ({"aud": AUDIENCE + "/"}, f"The token is meant for somebody else; get one with '{AUDIENCE}' in its audience."),
        ({"aud": {"a": AUDIENCE}}, f"The token is meant for somebody else; get one with '{AUDIENCE}' in its audience."),
        ({"exp": "soon"}, "The token or its key is not as the standards ask; tell the issuer."),
        ({"exp": float("inf")}, "The token or its key is not as the standards ask; tell the issuer."),
        ({"sub": 7}, "The token or its key is not as the standards ask; tell the issuer."),
    ],
    ids=str,
)
async def test_claims_that_do_not_hold(
    issuer: Issuer, tokens: OidcTokens, changes: dict[str, object], message: str
) -> None:
    assert await refusal(tokens, sign(issuer.key, claims_for(issuer.url, **changes))) == message


async def test_clocks_may_differ_a_little(issuer: Issuer, tokens: OidcTokens) -> None:
    now = claims_for(issuer.url)["iat"]
    assert await tokens.authenticate(sign(issuer.key, claims_for(issuer.url, exp=now - 10)))
    assert await tokens.authenticate(sign(issuer.key, claims_for(issuer.url, iat=now + 10, nbf=now + 10)))


async def test_one_of_several_audiences_is_enough(issuer: Issuer, tokens: OidcTokens) -> None:
    assert await tokens.authenticate(sign(issuer.key, claims_for(issuer.url, aud=["account", AUDIENCE])))


async def test_another_issuer_is_refused_without_a_look_at_its_keys(issuer: Issuer, tokens: OidcTokens) -> None:
    for other in ("https://evil.example.com", issuer.url + "/", issuer.url.upper(), [issuer.url], None):
        claims = claims_for(issuer.url, iss=other)
        message = await refusal(tokens, sign(issuer.key, claims))
        assert message == f"The token is of another issuer; get one from '{issuer.url}'."
    assert issuer.asked_for(JWKS) == 0


async def test_a_changed_payload_is_refused(issuer: Issuer, tokens: OidcTokens) -> None:
    head, payload, signature = issuer.access_token("other").split(".")
    claims = json.loads(base64.urlsafe_b64decode(payload + "=="))
    claims["groups"] = ["tuners"]
    forged = base64.urlsafe_b64encode(json.dumps(claims).encode()).rstrip(b"=").decode()
    assert await refusal(tokens, f"{head}.{forged}.{signature}") == "The token's signature is not valid."
    assert await refusal(tokens, f"{head}.{payload}.") == "The token's signature is not valid."
    assert "cannot be read" in await refusal(tokens, f"{head}.!{payload}.{signature}")
    assert "cannot be read" in await refusal(tokens, f"{head}.{payload}.{signature}.{signature}.{signature}")


async def test_a_token_without_a_signature_is_refused(issuer: Issuer, tokens: OidcTokens) -> None:
    for name in ("none", "None", "NONE"):
        token = jwt.encode(claims_for(issuer.url), None, algorithm="none", headers={"kid": issuer.key["kid"]})
        head = base64.urlsafe_b64encode(json.dumps({"alg": name, "kid": issuer.key["kid"]}).encode()).rstrip(b"=")
        forged = f"{head.decode()}.{token.split('.')[1]}."
        assert "not signed by an algorithm that counts here" in await refusal(tokens, forged)


async def test_the_public_key_is_no_shared_secret(issuer: Issuer, tokens: OidcTokens) -> None:
    """The oldest trick: an HMAC whose secret is the issuer's public key, which everybody knows."""
    public = jwt.PyJWK(issuer.key).key.public_key()
    for secret in (
        public.public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo),
        public.public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo),
    ):
        for algorithm, digest in (("HS256", "sha256"), ("HS512", "sha512")):
            head = {"alg": algorithm, "kid": issuer.key["kid"], "typ": "JWT"}
            parts = [
                base64.urlsafe_b64encode(json.dumps(part).encode()).rstrip(b"=")
                for part in (head, claims_for(issuer.url))
            ]
            mac = base64.urlsafe_b64encode(hmac.digest(secret, b".".join(parts), digest)).rstrip(b"=")
            assert "not signed by an algorithm" in await refusal(tokens, b".".join([*parts, mac]).decode())


async def test_a_key_serves_its_own_algorithm_only(issuer: Issuer, tokens: OidcTokens) -> None:
    token = sign({**issuer.key, "alg": "PS256"}, claims_for(issuer.url))
    assert await refusal(tokens, token) == "The token is signed with a key that its issuer does not have."


async def test_a_key_in_the_token_s_own_header_proves_nothing(issuer: Issuer, tokens: OidcTokens) -> None:
    own = rsa_key(issuer.key["kid"])
    public = {name: own[name] for name in ("kty", "n", "e", "kid", "alg", "use")}
    token = sign(own, claims_for(issuer.url), jwk=public, jku="https://evil.example.com/jwks")
    assert await refusal(tokens, token) == "The token's signature is not valid."


async def test_tokens_of_other_kinds_are_refused(issuer: Issuer, tokens: OidcTokens) -> None:
    token = sign(issuer.key, claims_for(issuer.url), typ="logout+jwt")
    assert await refusal(tokens, token) == "The token is neither an access token nor an ID token."


async def test_a_huge_token_is_not_even_read(issuer: Issuer, tokens: OidcTokens) -> None:
    token = sign(issuer.key, claims_for(issuer.url, groups=["x" * 20000]))
    assert await refusal(tokens, token) == "The token has more than 16384 characters; ask for fewer claims in it."


async def test_made_up_keys_do_not_make_us_hammer_the_issuer(issuer: Issuer, tokens: OidcTokens, clock: Clock) -> None:
    for number in range(200):
        token = sign(ec_key(f"made up {number}"), claims_for(issuer.url))
        assert await refusal(tokens, token) == "The token is signed with a key that its issuer does not have."
    assert issuer.asked_for(JWKS) == 1
    clock.now += PAUSE_SECONDS
    await refusal(tokens, token)
    assert issuer.asked_for(JWKS) == 2
    assert await tokens.authenticate(issuer.access_token("ci"))


async def test_new_keys_are_found_and_old_ones_forgotten(issuer: Issuer, tokens: OidcTokens, clock: Clock) -> None:
    old = issuer.access_token("ci")
    assert await tokens.authenticate(old)
    issuer.change_key(ec_key("second"))
    new = issuer.access_token("ci")
    clock.now += PAUSE_SECONDS
    assert await tokens.authenticate(new) == Principal("oidc:ci", {"p": Role.TUNER})
    assert await refusal(tokens, old) == "The token is signed with a key that its issuer does not have."


async def test_keys_are_asked_for_again_while_old_ones_serve(issuer: Issuer, tokens: OidcTokens, clock: Clock) -> None:
    token = issuer.access_token("ci")
    for _ in range(20):
        assert await tokens.authenticate(token)
    assert issuer.asked_for(JWKS) == 1
    clock.now += REFRESH_SECONDS + 1
    assert await tokens.authenticate(token)  # by the key at hand, while another task asks
    await refusal(tokens, sign(rsa_key("unknown"), claims_for(issuer.url)))  # waits for that task's answer
    assert issuer.asked_for(JWKS) == 2


async def test_an_issuer_that_is_away_locks_nobody_out_for_a_day(
    issuer: Issuer, tokens: OidcTokens, clock: Clock
) -> None:
    token = issuer.access_token("ci")
    assert await tokens.authenticate(token)
    issuer.stop()
    clock.now += KEEP_SECONDS - 1
    assert await tokens.authenticate(token)
    with pytest.raises(Unavailable, match="does not tell its keys"):
        await tokens.authenticate(sign(rsa_key("perhaps new"), claims_for(issuer.url)))
    clock.now += 1
    with pytest.raises(Unavailable, match="does not tell its keys"):
        await tokens.authenticate(token)
    issuer.start()
    clock.now += PAUSE_SECONDS
    assert await tokens.authenticate(token)


async def test_a_server_that_starts_before_its_issuer(issuer: Issuer, clock: Clock) -> None:
    token = issuer.access_token("ci")
    issuer.stop()
    tokens = accepting(issuer, clock)
    for _ in range(3):
        with pytest.raises(Unavailable) as failed:
            await tokens.authenticate(token)
    assert issuer.url in failed.value.message
    assert token not in failed.value.message
    issuer.start()
    clock.now += PAUSE_SECONDS
    assert await tokens.authenticate(token)
