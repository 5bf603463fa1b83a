"""Sessions on the wire: what their cookie says, whose requests it lets in, and where nothing of them may be found."""

from __future__ import annotations

import json
from collections.abc import Iterator
from http.cookies import Morsel, SimpleCookie
from pathlib import Path
from typing import Any

import pytest
from starlette.testclient import TestClient

from server import LOCATION
from signed_in import SignedInServer
from sintonia.app import build
from sintonia.services.access import Role
from sintonia.settings import Settings

JOBS = f"/v1/{LOCATION}/tuningJobs"
SESSIONS = "/sintonia/v1/sessions"
ME = "/sintonia/v1/me"


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[SignedInServer]:
    server = SignedInServer(tmp_path_factory.mktemp("sessions"))
    server.start()
    yield server
    server.stop()


def test_a_session_goes_on_without_its_token(server: SignedInServer) -> None:
    token = server.token("ada", p=Role.TUNER)
    begun = server.ask("POST", SESSIONS, json={"token": token}, headers=server.own_page)
    server.http.cookies.clear()
    assert begun.json() == {
        "principal": f"token:{token.split('_')[1]}", "displayName": "ada", "grants": {"p": "TUNER"}, "signIn": True,
    }  # fmt: skip
    assert token not in str(begun.headers)
    assert begun.headers["cache-control"] == "no-store"
    cookie = begun.headers["set-cookie"].partition(";")[0]
    assert server.ask("GET", ME, headers={"cookie": cookie}).json() == begun.json()
    # It may what its token may, and no more.
    own = server.own_page | {"cookie": cookie}
    assert server.ask("POST", "/storage/v1/b?project=p", headers=own, json={"name": "of-ada"}).status_code == 200
    assert server.ask("POST", "/storage/v1/b?project=q", headers=own, json={"name": "of-q"}).status_code == 403
    assert server.ask("GET", "/sintonia/v1/projects/p/tokens", headers=own).status_code == 403
    # A credential that is said counts before the cookie that is sent along.
    assert server.ask("GET", ME, server.root, headers=own).json()["grants"] == {"*": "ADMIN"}
    assert server.ask("GET", ME, "sin_nothing", headers=own).status_code == 401


def test_signing_out_ends_the_session_and_no_other(server: SignedInServer) -> None:
    token = server.token(p=Role.VIEWER)
    first, second = server.session(token), server.session(token)
    ended = server.ask("DELETE", SESSIONS + "/current", headers=server.own_page | {"cookie": first})
    assert ended.status_code == 200
    assert _cookie(ended.headers["set-cookie"])["max-age"] == "0"
    assert server.ask("GET", ME, headers={"cookie": first}).status_code == 401
    assert server.ask("GET", ME, headers={"cookie": second}).status_code == 200
    assert server.ask("GET", ME, token).status_code == 200
    again = server.ask("POST", SESSIONS, json={"token": token}, headers=server.own_page | {"cookie": second})
    server.http.cookies.clear()
    assert again.status_code == 200
    assert server.ask("GET", ME, headers={"cookie": second}).status_code == 401, "a browser has one session"
    assert server.ask("DELETE", SESSIONS + "/current", token).status_code == 200, "nothing to end"


@pytest.mark.parametrize(
    ("headers", "reads", "writes"),
    [
        ({"sec-fetch-site": "same-origin"}, True, True),
        ({"sec-fetch-site": "none"}, True, True),
        ({"sec-fetch-site": "same-site", "origin": "OWN"}, False, False),
        ({"sec-fetch-site": "cross-site"}, False, False),
        ({"origin": "OWN"}, True, True),
        ({"origin": "null"}, False, False),
        ({"origin": "http://127.0.0.1:1"}, False, False),
        ({"origin": "OWN.example.com"}, False, False),
        ({"origin": "https://elsewhere.example.com", "sec-fetch-site": "same-origin"}, True, True),
        ({}, True, False),
    ],
)
def test_pages_of_others_cannot_borrow_a_session(
    server: SignedInServer, headers: dict[str, str], reads: bool, writes: bool
) -> None:
    """Browsers say by themselves where a request comes from, and no page can say otherwise."""
    headers = {name: value.replace("OWN", server.url) for name, value in headers.items()}
    cookie = {"cookie": server.session(server.token(p=Role.TUNER))}
    read = server.ask("GET", JOBS, headers=headers | cookie)
    assert read.status_code == (200 if reads else 403)
    assert "access-control-allow-origin" not in read.headers
    bucket = f"/storage/v1/b/none-{abs(hash(str(headers)))}"
    assert server.ask("DELETE", bucket, headers=headers | cookie).status_code == (404 if writes else 403)
    # Nor can they sign somebody in as somebody else, or out.
    begun = server.ask("POST", SESSIONS, headers=headers, json={"token": server.root})
    server.http.cookies.clear()
    assert begun.status_code == (200 if writes else 403)
    assert ("set-cookie" in begun.headers) == writes
    out = server.ask("DELETE", SESSIONS + "/current", headers=headers | cookie)
    assert out.status_code == (200 if writes else 403)
    # Who says a token needs no cookie.
    assert server.ask("GET", JOBS, server.root, headers=headers).status_code == 200


def test_a_batch_is_let_in_by_its_session(server: SignedInServer) -> None:
    cookie = {"cookie": server.session(server.token(**{"batched": Role.TUNER}))}
    body = (
        "--x\r\nContent-Type: application/http\r\n\r\nDELETE /storage/v1/b/no-such-bucket HTTP/1.1\r\n\r\n\r\n--x--\r\n"
    )
    headers = {"content-type": "multipart/mixed; boundary=x"} | cookie

    def answers(**more: str) -> str:
        return server.ask("POST", "/batch/storage/v1", content=body, headers=headers | more).text

    assert "HTTP/1.1 404" in answers(**server.own_page)
    assert "HTTP/1.1" not in answers(origin="https://elsewhere.example.com")


def test_revoking_a_token_ends_its_sessions(server: SignedInServer) -> None:
    token = server.token("gone", p=Role.VIEWER)
    cookie = {"cookie": server.session(token)}
    assert server.ask("GET", JOBS, headers=cookie).status_code == 200
    assert server.request("DELETE", f"/sintonia/v1/projects/p/tokens/{token.split('_')[1]}").status_code == 200
    refused = server.ask("GET", JOBS, headers=cookie)
    assert (refused.status_code, "is revoked" in refused.json()["error"]["message"]) == (401, True)


def test_guesses_at_the_form_are_limited_with_all_others(server: SignedInServer) -> None:
    there = server.own_page | {"x-forwarded-for": "10.77.0.1"}
    codes = [server.ask("POST", SESSIONS, json={"token": f"guess {n}"}, headers=there).status_code for n in range(25)]
    assert (codes[0], codes[-1]) == (401, 429)
    assert server.ask("GET", JOBS, "guess", headers=there).status_code == 429
    assert server.ask("POST", SESSIONS, json={"token": server.root}, headers=there).status_code == 200
    server.http.cookies.clear()
    # A session that has ended is no guess: tabs ask on with it.
    away = {"x-forwarded-for": "10.77.0.2", "cookie": server.session(server.root) + "x"}
    assert {server.ask("GET", JOBS, headers=away).status_code for _ in range(25)} == {401}


def test_a_session_goes_on_after_a_restart(server: SignedInServer) -> None:
    cookie = server.session(server.token(p=Role.VIEWER)).partition("=")[2]
    server.kill()
    server.start()
    port = server.url.rpartition(":")[2]
    assert server.ask("GET", JOBS, headers={"cookie": f"sintonia_session_{port}={cookie}"}).status_code == 200


def test_the_audit_log_tells_of_sessions(server: SignedInServer) -> None:
    file = server.home / "logs" / "audit.jsonl"
    token = server.token(p=Role.VIEWER)
    begin = file.read_text().count("\n")
    cookie = {"cookie": server.session(token)} | server.own_page
    server.ask("POST", SESSIONS, json={"token": "wrong"}, headers=server.own_page | {"x-forwarded-for": "10.78.0.1"})
    server.ask("POST", SESSIONS, json={"token": token}, headers={"origin": "https://elsewhere.example.com"})
    server.ask("POST", JOBS, json={}, headers=cookie)
    server.ask("DELETE", SESSIONS + "/current", headers=cookie)
    lines = [json.loads(line) for line in file.read_text().splitlines()[begin:]]
    who = f"token:{token.split('_')[1]}"
    assert [tuple(line[key] for key in ("principal", "method", "path", "code")) for line in lines] == [
        (who, "POST", SESSIONS, 200),
        ("", "POST", SESSIONS, 401),
        ("", "POST", SESSIONS, 403),
        (who, "POST", JOBS, 403),
        (who, "DELETE", SESSIONS + "/current", 200),
    ]


def test_no_file_holds_a_session_or_its_token(server: SignedInServer) -> None:
    """Also of the database, whose journal has what was written last."""
    token = server.token(p=Role.ADMIN)
    cookie = server.session(token)
    value = cookie.partition("=")[2]
    for headers in (
        {"cookie": cookie},
        {"cookie": cookie} | server.own_page,
        {"cookie": cookie + "x"},
        {"origin": "x", "cookie": cookie},
    ):
        for method, path in (("GET", JOBS), ("POST", JOBS), ("GET", "/nowhere"), ("POST", SESSIONS), ("GET", "/%zz")):
            server.ask(method, path, content=b"{", headers=headers)
    server.ask("POST", SESSIONS, json={"token": token, "nosuch": value}, headers={"cookie": cookie} | server.own_page)
    for path in (path for path in server.home.rglob("*") if path.is_file()):
        content = path.read_bytes()
        for secret in (value, token.split("_", 2)[2]):
            assert secret.encode() not in content, path


# Where the server is, the cookie says; without a network, as these are many places.


def _cookie(header: str) -> Morsel[str]:
    (morsel,) = SimpleCookie(header).values()
    return morsel


def _begin(home: Path, token: str, url: str, root_path: str = "") -> tuple[TestClient, Any]:
    app = build(Settings(home=home, sign_in=True))
    client = TestClient(app, base_url=url, root_path=root_path)
    with client:
        headers = {"sec-fetch-site": "same-origin"}
        begun = client.post(root_path + SESSIONS, json={"token": token}, headers=headers)
        assert begun.status_code == 200, begun.text
        assert client.get(root_path + ME, headers=headers).status_code == 200
    return client, begun


@pytest.mark.parametrize(
    ("url", "root_path", "name", "safe"),
    [
        ("http://127.0.0.1:8080", "", "sintonia_session_8080", False),
        ("http://tuning", "", "sintonia_session", False),
        ("http://tuning:81", "/x", "sintonia_session_81", False),
        ("https://tuning.example.com", "", "__Host-sintonia_session", True),
        ("https://tuning.example.com:8443", "", "__Host-sintonia_session_8443", True),
        ("https://tuning.example.com", "/x", "__Secure-sintonia_session", True),
    ],
)
def test_the_cookie_is_for_this_server_alone(
    server: SignedInServer, tmp_path: Path, url: str, root_path: str, name: str, safe: bool
) -> None:
    there = SignedInServer(tmp_path)
    _, begun = _begin(tmp_path, there.root, url, root_path)
    cookie = _cookie(begun.headers["set-cookie"])
    assert (cookie.key, cookie["path"], bool(cookie["secure"])) == (name, root_path or "/", safe)
    assert (cookie["httponly"], cookie["samesite"], cookie["domain"]) == (True, "strict", "")
    assert 0 < int(cookie["max-age"]) <= 7 * 24 * 3600
