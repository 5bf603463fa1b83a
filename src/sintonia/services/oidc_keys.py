"""The public keys of an OpenID issuer, found by discovery and kept; knows nothing of tokens but the ids of their keys.

Keys are asked for again when they are old, while those at hand still serve, and at once when a token names one that is
not known: the issuer may have changed them. Never more often than once in a pause, so that made-up ids cost the issuer
nothing, and an issuer that does not answer costs a request no wait but the first.
"""

from __future__ import annotations

import asyncio
import json
import logging
import time
from collections.abc import Callable
from typing import Any
from urllib.parse import urlsplit

import httpx
import jwt

from sintonia.errors import Unavailable

_log = logging.getLogger(__name__)

REFRESH_SECONDS = 600.0
"""Age at which keys are asked for again."""

KEEP_SECONDS = 24 * 3600.0
"""Age up to which keys serve when the issuer does not answer."""

PAUSE_SECONDS = 10.0
"""Least time from one attempt to the next."""

TIMEOUT_SECONDS = 5.0
"""For the issuer's two answers together."""

_MOST_BYTES = 2**20
_KEY_TYPES = {"RS": "RSA", "PS": "RSA", "ES": "EC", "Ed": "OKP"}
"""By the first two letters of an algorithm (RFC 7518, section 3.1; RFC 8037)."""

_Documents = list[dict[str, Any]]


class IssuerKeys:
    """The keys of ``issuer``, for one event loop; nothing is asked before the first token comes.

    Args:
        issuer: its URL, exactly as it calls itself.
        clock: seconds that never go back.
    """

    def __init__(self, issuer: str, *, clock: Callable[[], float] = time.monotonic) -> None:
        self._issuer = issuer
        self._clock = clock
        self._keys: _Documents = []
        self._fetched = float("-inf")
        self._tried = float("-inf")
        self._problem: str | None = None
        self._fetching: asyncio.Task[None] | None = None

    async def find(self, key_id: str | None, algorithm: str) -> jwt.PyJWK | None:
        """The key ``key_id`` for an asymmetric ``algorithm``; None if the issuer has no such key.

        Without an id, the issuer's only key of the algorithm's type.

        Raises:
            Unavailable: it is not known and the issuer cannot be asked.
        """
        age = self._clock() - self._fetched
        if age < KEEP_SECONDS:
            if age > REFRESH_SECONDS:
                self._refresh()
            if key := self._find(key_id, algorithm):
                return key
        if fetching := self._refresh():
            await asyncio.shield(fetching)  # others wait for the same answer
            if not self._problem and (key := self._find(key_id, algorithm)):
                return key
        if self._problem:
            raise Unavailable(
                f"The token cannot be checked at the moment: its issuer '{self._issuer}' does not tell its keys, the "
                "server's log says why. Try again in a minute.",
                retry_after=round(PAUSE_SECONDS),
            )
        return None

    def _find(self, key_id: str | None, algorithm: str) -> jwt.PyJWK | None:
        fitting = [
            key
            for key in self._keys
            if key.get("kty") == _KEY_TYPES.get(algorithm[:2])
            and key.get("use", "sig") == "sig"
            and key.get("alg", algorithm) == algorithm
            and key_id in (None, key.get("kid"))
        ]
        if not fitting or (key_id is None and len(fitting) > 1):
            return None
        try:
            return jwt.PyJWK(fitting[0], algorithm)
        except jwt.PyJWTError:
            return None  # of a curve that the library does not know

    def _refresh(self) -> asyncio.Task[None] | None:
        """The attempt under way, or a new one; None if the last one ended less than a pause ago."""
        if self._fetching is None and self._clock() - self._tried >= PAUSE_SECONDS:
            self._fetching = asyncio.create_task(self._attempt())
        return self._fetching

    async def _attempt(self) -> None:
        try:
            async with asyncio.timeout(TIMEOUT_SECONDS):
                self._keys = await _fetch(self._issuer)
        except (httpx.HTTPError, httpx.InvalidURL, OSError, ValueError) as error:
            self._problem = _words(error)
            _log.warning("The keys of the OIDC issuer %s cannot be read: %s", self._issuer, self._problem)
        else:
            self._problem = None
            self._fetched = self._clock()
        finally:
            self._tried = self._clock()
            self._fetching = None


async def _fetch(issuer: str) -> _Documents:
    """The issuer's keys by OpenID Connect Discovery 1.0, section 4. Raises ValueError if it tells nonsense."""
    async with httpx.AsyncClient(timeout=TIMEOUT_SECONDS) as client:
        about = await _read(client, issuer.rstrip("/") + "/.well-known/openid-configuration")
        if about.get("issuer") != issuer:
            raise ValueError(f"it calls itself '{about.get('issuer')}'; write oidc_issuer exactly so")
        address = about.get("jwks_uri")
        if not isinstance(address, str) or (urlsplit(address).scheme != "https" and not _same_host(address, issuer)):
            raise ValueError(f"the address of its keys, '{address}', is not https")
        keys = (await _read(client, address)).get("keys")
    if not isinstance(keys, list):
        raise ValueError(f"'{address}' has no list of keys")
    return [key for key in keys if isinstance(key, dict)]


async def _read(client: httpx.AsyncClient, url: str) -> dict[str, Any]:
    content = b""
    async with client.stream("GET", url, headers={"accept": "application/json"}) as response:
        if response.status_code != 200:
            raise ValueError(f"'{url}' answers with status {response.status_code}")
        async for chunk in response.aiter_bytes():
            content += chunk
            if len(content) > _MOST_BYTES:
                raise ValueError(f"'{url}' answers with more than {_MOST_BYTES} bytes")
    try:
        document = json.loads(content)
    except (ValueError, RecursionError):
        document = None
    if not isinstance(document, dict):
        raise ValueError(f"'{url}' does not answer with a JSON object")
    return document


def _same_host(address: str, issuer: str) -> bool:
    return urlsplit(address)[:2] == urlsplit(issuer)[:2]


def _words(error: Exception) -> str:
    if isinstance(error, (TimeoutError, httpx.TimeoutException)):
        return f"no answer within {TIMEOUT_SECONDS:g} seconds"
    return str(error) or type(error).__name__
