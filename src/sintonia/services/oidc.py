"""Bearer tokens of an OpenID issuer: who their owner is and what they may do; knows nothing of how keys are found.

A token is a JWT (RFC 7519) that the issuer signed, an access token (RFC 9068) or an ID token, checked as RFC 8725 asks:
by a fixed list of asymmetric algorithms, the key's own among them, for this issuer and this audience, in its time.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

import jwt

from sintonia.errors import Unauthenticated
from sintonia.services.access import Principal, Role
from sintonia.services.oidc_keys import IssuerKeys

ALGORITHMS = ("RS256", "RS384", "RS512", "PS256", "PS384", "PS512", "ES256", "ES384", "ES512", "EdDSA")
_TYPES = ("jwt", "at+jwt", "application/at+jwt")
"""What the header's ``typ`` may say; logout tokens and the like are signed by the same keys."""

_MOST_CHARACTERS = 16 * 1024
_LONGEST_NAME = 200
_LEEWAY_SECONDS = 30
"""By which the clocks of issuer and server may differ."""

_FAR = 32503680000
"""The year 3000, for tokens that say that they end even later."""

_SPACED = ("scope", "scp")
"""Claims that hold a list as words of one string (RFC 8693, section 4.2)."""

_Claims = Mapping[str, Any]


@dataclass(frozen=True)
class OidcGrant:
    """Whoever has ``value`` in the claim has ``role`` in ``project``, which may be ``*``."""

    value: str
    project: str
    role: Role


class OidcTokens:
    """Tokens of one issuer; an Authenticator.

    Args:
        issuer: its URL, as tokens and discovery have it.
        audience: what tokens must be meant for.
        claim: where values of ``grants`` are looked for: the name of a claim, or a path with dots into nested ones.
        keys: those of the issuer.
    """

    def __init__(
        self, *, issuer: str, audience: str, claim: str, grants: Sequence[OidcGrant], keys: IssuerKeys | None = None
    ) -> None:
        self._issuer = issuer
        self._audience = audience
        self._claim = claim
        self._grants = tuple(grants)
        self._keys = keys or IssuerKeys(issuer)

    async def authenticate(self, credential: str) -> Principal | None:
        """See Authenticator; whoever is known but has no grant is a principal with none."""
        if not (credential.startswith("eyJ") and credential.count(".") >= 2 and credential.isascii()):
            return None  # a JWT's header is an object in base64, which begins so
        if len(credential) > _MOST_CHARACTERS:
            raise Unauthenticated(f"The token has more than {_MOST_CHARACTERS} characters; ask for fewer claims in it.")
        header, claimed = _unverified(credential)
        algorithm = header.get("alg")
        if algorithm not in ALGORITHMS:
            raise Unauthenticated(f"The token is not signed by an algorithm that counts here: {', '.join(ALGORITHMS)}.")
        if str(header.get("typ", "JWT")).lower() not in _TYPES:
            raise Unauthenticated("The token is neither an access token nor an ID token.")
        if claimed.get("iss") != self._issuer:
            raise Unauthenticated(f"The token is of another issuer; get one from '{self._issuer}'.")
        key = await self._keys.find(header.get("kid"), algorithm)
        if key is None:
            raise Unauthenticated("The token is signed with a key that its issuer does not have.")
        claims = self._verified(credential, key)
        name, counting = _name(claims), [grant.value for grant in self._grants]
        return Principal(
            name,
            granted(claims, self._claim, self._grants),
            display_name=name.removeprefix("oidc:"),
            # Nothing of the token: what it said, as far as it counts here.
            proof={
                "oidc": self._terms,
                "name": name,
                "values": [value for value in _values(claims, self._claim) if value in counting],
            },
            until=datetime.fromtimestamp(min(int(claims["exp"]), _FAR), UTC),
        )

    async def recall(self, proof: Mapping[str, Any]) -> Principal | None:
        """See Authenticator; by the grants of now, and only while the same issuer's tokens count for the same."""
        if proof.get("oidc") != self._terms:
            return None
        name, values = proof["name"], proof["values"]
        grants = _highest(grant for grant in self._grants if grant.value in values)
        return Principal(name, grants, display_name=name.removeprefix("oidc:"), proof=proof)

    @property
    def _terms(self) -> list[str]:
        return [self._issuer, self._audience, self._claim]

    def _verified(self, token: str, key: jwt.PyJWK) -> _Claims:
        try:
            return jwt.decode(
                token,
                key,
                algorithms=[key.algorithm_name],
                audience=self._audience,
                issuer=self._issuer,
                leeway=_LEEWAY_SECONDS,
                options={"require": ["iss", "aud", "exp", "iat"], "enforce_minimum_key_length": True},
            )
        except jwt.ExpiredSignatureError:
            raise Unauthenticated("The token has expired; get a new one.") from None
        except jwt.ImmatureSignatureError:
            raise Unauthenticated("The token is not valid yet; the clocks of issuer and server may differ.") from None
        except jwt.InvalidSignatureError:
            raise Unauthenticated("The token's signature is not valid.") from None
        except jwt.MissingRequiredClaimError as error:
            raise Unauthenticated(
                f"The token has no '{error.claim}'; this server asks for iss, aud, exp and iat."
            ) from None
        except jwt.InvalidAudienceError:
            raise Unauthenticated(
                f"The token is meant for somebody else; get one with '{self._audience}' in its audience."
            ) from None
        except jwt.PyJWTError:  # a claim of another type than it should be, a key that is too short
            raise Unauthenticated("The token or its key is not as the standards ask; tell the issuer.") from None


def granted(claims: _Claims, claim: str, grants: Sequence[OidcGrant]) -> dict[str, Role]:
    """The highest role in each project by what ``claim`` has."""
    values = _values(claims, claim)
    return _highest(grant for grant in grants if grant.value in values)


def _highest(grants: Iterable[OidcGrant]) -> dict[str, Role]:
    found: dict[str, Role] = {}
    for grant in grants:
        found[grant.project] = max(grant.role, found.get(grant.project, grant.role))
    return found


def _values(claims: _Claims, claim: str) -> list[Any]:
    """A claim's values; none if it is not there, or an e-mail address that the issuer has not verified."""
    if claim == "email" and _is_unverified(claims):
        return []
    value: Any = claims
    for step in [claim] if claim in claims else claim.split("."):  # claims of some issuers are named by URLs
        value = value.get(step) if isinstance(value, dict) else None
    if isinstance(value, str):
        return value.split() if claim in _SPACED else [value]
    return value if isinstance(value, list) else []


def _is_unverified(claims: _Claims) -> bool:
    return claims.get("email_verified") in (False, "false")


def _name(claims: _Claims) -> str:
    """How the audit log calls them: whoever may choose their own name at the issuer must not write its lines."""
    for claim in ("email", "preferred_username", "sub", "azp", "client_id"):
        name = claims.get(claim)
        if claim == "email" and _is_unverified(claims):
            continue
        if isinstance(name, str) and 0 < len(name) <= _LONGEST_NAME and name.isprintable():
            return f"oidc:{name}"
    return "oidc:unnamed"


def _unverified(credential: str) -> tuple[_Claims, _Claims]:
    """Header and claims as the token has them, which prove nothing."""
    try:
        token = jwt.decode_complete(credential, options={"verify_signature": False})
    except jwt.PyJWTError:
        raise Unauthenticated("The token cannot be read; it should be a signed JWT.") from None
    return token["header"], token["payload"]
