"""A real OpenID provider on this machine, and tokens as it makes them or as a forger would."""

from __future__ import annotations

import json
import re
import shutil
import subprocess
import threading
import time
import uuid
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import httpx
import jwt
import pytest
from cryptography.hazmat.primitives.asymmetric import ec, rsa
from jwt.algorithms import ECAlgorithm, RSAAlgorithm

from server import until

PROGRAM = Path(__file__).parent / "conformance" / "clients" / "issuer"
AUDIENCE = "https://sintonia.example.com"
SECRET = "the secret of every client"
NODE = shutil.which("node")

needs_issuer = pytest.mark.skipif(
    not NODE or not shutil.which("npm"), reason="this machine has no Node.js with npm for the OpenID provider"
)


def rsa_key(name: str) -> dict[str, Any]:
    """A private JWK."""
    made = RSAAlgorithm.to_jwk(rsa.generate_private_key(65537, 2048), as_dict=True)
    return {**made, "kid": name, "use": "sig", "alg": "RS256"}


def ec_key(name: str) -> dict[str, Any]:
    made = ECAlgorithm.to_jwk(ec.generate_private_key(ec.SECP256R1()), as_dict=True)
    return {**made, "kid": name, "use": "sig", "alg": "ES256"}


def sign(key: dict[str, Any], claims: dict[str, Any], **header: Any) -> str:
    """A token signed with ``key``, by its own algorithm and name if the header does not say others."""
    headers = {"kid": key.get("kid"), "typ": "JWT"} | header
    headers = {name: value for name, value in headers.items() if value is not None}
    # Not jwt.encode, which would refuse what a forger says.
    return jwt.PyJWS().encode(json.dumps(claims).encode(), jwt.PyJWK(key).key, algorithm=key["alg"], headers=headers)


def claims_for(issuer: str, **changes: Any) -> dict[str, Any]:
    """What a valid token says, but for ``changes``; None takes a claim away."""
    now = int(time.time())
    usual = {"iss": issuer, "aud": AUDIENCE, "sub": "alice", "iat": now, "exp": now + 600, "groups": ["lookers"]}
    return {name: value for name, value in (usual | changes).items() if value is not None}


CLIENTS = ("ci", "other")
GROUPS: dict[str, list[str]] = {"ci": ["tuners", "lookers"], "other": [], "alice": ["lookers"], "bob": []}


class Issuer:
    """npm's ``oidc-provider``, a certified one, with two clients and two people.

    Args:
        folder: where its output goes.
        key: signs its tokens; the first it has.
    """

    def __init__(self, folder: Path, key: dict[str, Any]) -> None:
        assert (PROGRAM / "node_modules" / "oidc-provider").exists(), "it is missing; install it with: make test"
        self.log = folder / f"issuer-{uuid.uuid4().hex}.log"
        self.key = key
        self.url = ""
        self._process: subprocess.Popen[bytes] | None = None
        self._forgotten = 0

    def start(self) -> Issuer:
        """Where it was before, if it was; no error if it runs."""
        self._forgotten = self.log.stat().st_size if self.log.exists() else 0
        if self._process is not None:
            return self
        asked = {
            "port": int(self.url.rpartition(":")[2]) if self.url else 0,
            "jwks": {"keys": [self.key]},
            "groups": GROUPS,
            "clients": [
                {
                    "client_id": name,
                    "client_secret": SECRET,
                    "grant_types": ["client_credentials", "authorization_code"],
                    "redirect_uris": ["https://client.example.com/callback"],
                    "token_endpoint_auth_method": "client_secret_post",
                }
                for name in CLIENTS
            ],
        }
        with self.log.open("ab") as log:
            self._process = subprocess.Popen(
                [NODE or "node", "issuer.mjs"], cwd=PROGRAM, stdin=subprocess.PIPE, stdout=log, stderr=log
            )
        assert self._process.stdin is not None
        self._process.stdin.write(json.dumps(asked).encode() + b"\n")
        self._process.stdin.flush()
        self.url = until(self._address, what="the address of the OpenID provider")
        return self

    def _address(self) -> str | None:
        assert self._process is not None
        text = self.log.read_text()[self._forgotten :]
        assert self._process.poll() is None, text
        found = re.search(r"^http://127\.0\.0\.1:\d+$", text, re.MULTILINE)
        return found and found[0]

    def stop(self) -> None:
        if self._process is not None and self._process.stdin is not None:
            self._process.stdin.close()
            self._process.wait()
            self._process = None

    def change_key(self, key: dict[str, Any]) -> None:
        if key != self.key:
            self.stop()
            self.key = key
        self.start()

    def asked_for(self, path: str) -> int:
        """Requests since start was called the last time."""
        return self.log.read_text()[self._forgotten :].splitlines().count(path)

    def access_token(self, client: str, resource: str = AUDIENCE) -> str:
        """By the grant for machines."""
        return self._token(client, grant_type="client_credentials", resource=resource, scope="tune")["access_token"]

    def id_token(self, person: str, client: str) -> str:
        """By signing in with a browser, as a person does."""
        query = {
            "client_id": client,
            "response_type": "code",
            "redirect_uri": "https://client.example.com/callback",
            "scope": "openid email groups",
            "code_challenge": "E9Melhoa2OwvFrEMTJguCHaoeK1t8URWbuGJSstw-cM",  # of RFC 7636, appendix B
            "code_challenge_method": "S256",
        }
        with httpx.Client(base_url=self.url) as browser:
            answer = browser.get("/auth", params=query)
            forms = iter([{"prompt": "login", "login": person, "password": "any"}, {"prompt": "consent"}])
            while not answer.headers.get("location", "").startswith(query["redirect_uri"]):
                if answer.has_redirect_location:
                    answer = browser.get(answer.headers["location"])
                else:
                    assert answer.status_code == 200, answer.text
                    answer = browser.post(answer.url, data=next(forms))
        code = httpx.URL(answer.headers["location"]).params["code"]
        return self._token(
            client,
            grant_type="authorization_code",
            code=code,
            redirect_uri=query["redirect_uri"],
            code_verifier="dBjftJeZ4CVP-mB92K27uhbUJU1p1r_wW1gFWFOEjXk",
        )["id_token"]

    def _token(self, client: str, **form: str) -> dict[str, str]:
        response = httpx.post(self.url + "/token", data={"client_id": client, "client_secret": SECRET, **form})
        assert response.status_code == 200, response.text
        found: dict[str, str] = response.json()
        return found


class ScriptedIssuer:
    """An issuer that answers as a test says, right at first; ``URL`` in an answer stands for its own address."""

    def __init__(self) -> None:
        self.key = rsa_key("one")
        self.keys: Any = [{name: self.key[name] for name in ("kty", "n", "e", "kid", "use", "alg")}]
        self.about: Any = {"issuer": "URL", "jwks_uri": "URL/jwks"}
        self.status = 200
        self.headers: dict[str, str] = {}
        self.requests = 0
        scripted = self

        class Handler(BaseHTTPRequestHandler):
            def do_GET(self) -> None:
                scripted.requests += 1
                found = {"keys": scripted.keys} if self.path == "/jwks" else scripted.about
                text = found if isinstance(found, str) else json.dumps(found)
                self.send_response(scripted.status)
                for name, value in scripted.headers.items():
                    self.send_header(name, value)
                self.end_headers()
                self.wfile.write(text.replace("URL", scripted.url).encode())

            def log_message(self, *_: object) -> None:
                pass

        self.server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.url = f"http://127.0.0.1:{self.server.server_port}"
        threading.Thread(target=self.server.serve_forever, kwargs={"poll_interval": 0.01}, daemon=True).start()

    def stop(self) -> None:
        self.server.shutdown()
        self.server.server_close()


def settings_for(url: str) -> str:
    """Of a server that trusts the issuer at ``url``, as TOML."""
    return f"""
oidc_issuer = "{url}"
oidc_audience = "{AUDIENCE}"

[[oidc_grants]]
value = "lookers"
project = "p"
role = "viewer"

[[oidc_grants]]
value = "tuners"
project = "p"
role = "tuner"
"""
