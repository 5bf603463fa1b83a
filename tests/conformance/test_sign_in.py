"""Sign-in by those who use it: official clients, curl, gRPC, the command line; and what is left in the logs."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest
from compatibility import PROGRAMS, ROOT
from typer.testing import CliRunner

from server import LOCATION, PATIENCE
from signed_in import SignedInServer
from sintonia.cli.program import app
from sintonia.services.access import Role

JOBS = f"/v1/{LOCATION}/tuningJobs"
NAMES = "gemini-1.0-pro-002"


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory, tiny_model_dir: Path) -> Iterator[SignedInServer]:
    home = tmp_path_factory.mktemp("sign-in")
    subprocess.run([sys.executable, "-m", "sintonia", "certs", "create", "--home", str(home)], check=True)
    settings = f'serving_threads = 1\ngrpc_port = 0\n[aliases]\n"{NAMES}" = "tiny"\n'
    server = SignedInServer(home, base_models={"tiny": tiny_model_dir}, settings=settings)
    server.start()
    server.call("POST", "/storage/v1/b?project=q", {"name": "of-q"})
    yield server
    server.stop()


def run_client(environment: str, program: str, *arguments: str, **env: str) -> dict[str, Any]:
    done = subprocess.run(
        [str(ROOT / ".cache" / environment / "bin" / "python"), str(PROGRAMS / program), *arguments],
        capture_output=True, text=True, timeout=PATIENCE, check=False, env={**os.environ, **env},
    )  # fmt: skip
    assert done.returncode == 0, done.stderr[-3000:]
    seen: dict[str, Any] = json.loads(done.stdout.partition("SEEN ")[2])
    return seen


def test_notebooks_take_a_token_or_ask_for_one(server: SignedInServer) -> None:
    """The cell is that of the example, and of every notebook that the console makes."""
    notebook = json.loads((ROOT / "examples" / "notebook" / "tune_a_model.ipynb").read_text(encoding="utf-8"))
    (connect,) = ["".join(cell["source"]) for cell in notebook["cells"] if cell["id"] == "connect"]
    typed, environment = (server.token(name, p=Role.VIEWER) for name in ("typed", "environment"))
    program = f"""
ADDRESS, PROJECT_ID, REGION = {server.url!r}, "p", "us-central1"
for _ in range(2):
    exec({connect!r})
    print(requests.get(ADDRESS + "/sintonia/v1/me", headers=HEADERS).json()["principal"])
    os.environ["SINTONIA_TOKEN"] = {environment!r}
"""
    done = subprocess.run(
        [str(ROOT / ".cache" / "clients" / "bin" / "python"), "-c", program], input=typed,
        capture_output=True, text=True, timeout=PATIENCE, check=False, start_new_session=True,
        env={name: value for name, value in os.environ.items() if name != "SINTONIA_TOKEN"},
    )  # fmt: skip
    principals = [server.ask("GET", "/sintonia/v1/me", token).json()["principal"] for token in (typed, environment)]
    assert done.stdout.splitlines() == principals, done.stderr
    assert done.stderr.count("API token:") == 1


def test_official_clients(server: SignedInServer) -> None:
    seen = run_client(
        "clients", "sign_in_flow.py", server.url, f"localhost:{server.grpc_port}", NAMES,
        GOOD=server.token(p=Role.VIEWER), BAD="ya29.of-somebody-else",
        GRPC_DEFAULT_SSL_ROOTS_FILE_PATH=str(server.home / "certs" / "ca.pem"),
    )  # fmt: skip
    good = {name: count for name, count in seen.items() if name.endswith(" good")}
    assert len(set(good.values())) == 1, seen
    assert isinstance(good["genai good"], int), seen
    rest = {name: code for name, code in seen.items() if name not in good}
    assert rest == {
        name: "401" if name.endswith(" bad") else "403"
        for name in (
            "genai bad", "genai key bad", "vertexai rest bad", "vertexai grpc bad", "genai elsewhere",
            "vertexai rest elsewhere", "vertexai grpc elsewhere", "vertexai rest change", "vertexai grpc change",
        )
    }  # fmt: skip


def test_storage_clients(server: SignedInServer) -> None:
    good, bad = server.token(p=Role.TUNER), "ya29.of-somebody-else"
    seen = run_client("clients-storage", "sign_in_storage_flow.py", server.url, GOOD=good, BAD=bad)
    assert seen == {
        "read": "text", "read another's": "403", "write another's": "403", "list another's": "403",
        "make in another's": "403", "stranger": "401", "batch": False,
    }  # fmt: skip


def test_curl(server: SignedInServer) -> None:
    token = server.token(p=Role.VIEWER)

    def curl(*arguments: str) -> str:
        done = subprocess.run(
            ["curl", "-s", "-o", os.devnull, "-w", "%{http_code}", *arguments],
            capture_output=True,
            check=True,
            text=True,
        )
        return done.stdout

    jobs = server.url + JOBS
    assert curl("-H", f"Authorization: Bearer {token}", jobs) == "200"
    assert curl("-H", f"x-goog-api-key: {token}", jobs) == "200"
    assert curl(f"{jobs}?key={token}") == "200"
    assert curl("-X", "POST", "-H", f"Authorization: Bearer {token}", "-d", "{}", jobs) == "403"
    assert curl(jobs) == curl("-u", f"me:{token}", jobs) == "401"


def command(server: SignedInServer, *arguments: str, token: str | None = None) -> tuple[int, str, str]:
    env = {name: None for name in os.environ if name.startswith("SINTONIA_")}
    env |= {"SINTONIA_URL": server.url, "SINTONIA_HOME": str(server.home), "SINTONIA_PROJECT": "p"}
    result = CliRunner(env=env | {"SINTONIA_TOKEN": token}).invoke(app, list(arguments))
    return result.exit_code, result.stdout, result.stderr


def test_the_command_line_signs_in(server: SignedInServer, tmp_path: Path) -> None:
    code, out, err = command(server, "tokens", "create", "a person", "--grant", "p=Viewer", "--expires", "30d")
    assert (code, err.splitlines()[1]) == (0, "this is the only time that it is shown:")
    token = out.strip()
    assert re.fullmatch(r"sin_[0-9a-f]{12}_[\w-]{43}", token)
    number = token.split("_")[1]

    assert command(server, "jobs", "list", token=token)[0] == 0
    (tmp_path / "token").write_text(token + "\n")
    for options in (["--token-file", str(tmp_path / "token"), "jobs", "list"], ["jobs", "list", "--token-file",
                    str(tmp_path / "token")]):  # fmt: skip
        assert command(server, *options)[0] == 0
    assert command(server, "auth", "print-access-token", token=token)[1] == token + "\n"

    code, out, err = command(server, "jobs", "list")
    assert (code, out) == (1, "")
    assert err.startswith("error: UNAUTHENTICATED: Request is missing required authentication credential.")
    assert "SINTONIA_TOKEN" in err
    code, _, err = command(server, "buckets", "create", "new", token=token)
    assert (code, err.split(":")[1]) == (1, " PERMISSION_DENIED")
    assert command(server, "--token", token, "jobs", "list")[0] == 2
    assert command(server, "jobs", "list", "--token-file", str(tmp_path / "nothing"))[0] == 1

    listed = json.loads(command(server, "tokens", "list", "--json")[1])["tokens"]
    (mine,) = [item for item in listed if item["id"] == number]
    assert (mine["displayName"], mine["grants"], mine["state"]) == ("a person", {"p": "VIEWER"}, "valid")
    assert "token" not in mine
    assert number in command(server, "tokens", "list")[1]
    assert command(server, "tokens", "revoke", token)[0] == 0  # also by one who has nothing but the token
    assert "is revoked" in command(server, "jobs", "list", token=token)[2]
    assert command(server, "tokens", "revoke", "000000000000")[0] == 1
    for wrong in (["x", "--grant", "p"], ["x", "--grant", "p=king"], ["x", "--grant", "p=admin", "--expires", "soon"]):
        assert command(server, "tokens", "create", *wrong)[0] == 2


def test_an_admin_makes_tokens_from_afar(server: SignedInServer) -> None:
    admin = server.token("ada", p=Role.ADMIN)
    path = "/sintonia/v1/projects/p/tokens"
    body = {"displayName": "ci", "role": "tuner", "expireTime": "2099-01-01T00:00:00Z"}
    response = server.ask("POST", path, admin, json=body)
    assert response.headers["cache-control"] == "no-store"
    made = response.json()
    assert (made["role"], made["state"], made["displayName"]) == ("TUNER", "valid", "ci")
    assert made["createdBy"] == f"token:{admin.split('_')[1]}"
    me = server.ask("GET", "/sintonia/v1/me", made["token"]).json()
    who = f"token:{made['token'].split('_')[1]}"
    assert me == {"principal": who, "displayName": "ci", "grants": {"p": "TUNER"}, "signIn": True}
    listed = server.ask("GET", path, admin).json()["tokens"]
    assert all("token" not in item for item in listed)
    assert made["name"] in [item["name"] for item in listed]
    assert server.ask("DELETE", f"/sintonia/v1/{made['name']}", made["token"]).status_code == 403
    assert server.ask("DELETE", f"/sintonia/v1/{made['name']}", admin).json()["state"] == "revoked"
    assert server.ask("GET", JOBS, made["token"]).status_code == 401
    # What an admin of one project cannot see or touch.
    other = server.call("POST", "/sintonia/v1/projects/q/tokens", {"displayName": "q's", "role": "ADMIN"})
    assert other["name"] not in str(server.ask("GET", path, admin).json())
    assert server.ask("DELETE", f"{path}/{other['token'].split('_')[1]}", admin).status_code == 404
    # Of all projects, for those who are admin of all.
    everywhere = server.call("POST", "/sintonia/v1/projects/*/tokens", {"displayName": "all", "role": "VIEWER"})
    assert (
        server.ask("GET", "/v1/projects/zzz/locations/us-central1/tuningJobs", everywhere["token"]).status_code == 200
    )
    assert server.ask("POST", "/sintonia/v1/projects/*/tokens", admin, json={}).status_code == 403


def test_valid_credentials_pass_amid_a_flood_of_others(server: SignedInServer) -> None:
    def guess() -> httpx.Response:
        return server.ask("GET", JOBS, "guess", headers={"x-forwarded-for": "10.1.1.1"})

    answers = [guess() for _ in range(30)]
    assert {answer.status_code for answer in answers[:20]} == {401}
    assert answers[-1].status_code == 429
    assert 1 <= int(answers[-1].headers["retry-after"]) <= 5
    assert server.request("GET", JOBS, headers={"x-forwarded-for": "10.1.1.1"}).status_code == 200
    assert server.ask("GET", JOBS, "guess", headers={"x-forwarded-for": "10.1.1.2"}).status_code == 401
    codes = [
        server.ask("GET", JOBS, "guess", headers={"x-forwarded-for": f"2001:db8::{n:x}"}).status_code for n in range(25)
    ]
    assert codes[-1] == 429, "addresses of one network count as one"
    mapped = [server.ask("GET", JOBS, "guess", headers={"x-forwarded-for": f"::ffff:10.2.2.{n}"}) for n in range(25)]
    assert mapped[-1].status_code == 401, "of IPv4 each is one, however it is written"
    made_up = [server.ask("GET", JOBS, "guess", headers={"x-forwarded-for": f"somebody {n}"}) for n in range(25)]
    assert made_up[-1].status_code == 429, "what is no address counts as one"


@pytest.mark.parametrize(
    ("method", "path", "code"),
    [("GET", JOBS, 200), ("GET", "/nowhere", 404), ("GET", JOBS, 401), ("GET", "/%zz", 400), ("GET", "/docs", 200)],
)
def test_headers_keep_browsers_from_mischief(server: SignedInServer, method: str, path: str, code: int) -> None:
    headers = server.ask(method, path, None if code == 401 else server.root).headers
    assert headers["x-content-type-options"] == "nosniff"
    assert headers["x-frame-options"] == "DENY"
    assert headers["referrer-policy"] == "no-referrer"
    assert headers["cache-control"] == "no-store"
    assert headers["content-security-policy"].startswith("default-src 'none'")
    assert "frame-ancestors 'none'" in headers["content-security-policy"]
    assert "strict-transport-security" not in headers
    proxied = server.ask(method, path, headers={"x-forwarded-proto": "https"})
    assert "max-age=" in proxied.headers["strict-transport-security"]


def test_the_audit_log_says_who_did_what(server: SignedInServer) -> None:
    admin, viewer = server.token("ada", p=Role.ADMIN), server.token("vic", p=Role.VIEWER)
    who = {token: f"token:{token.split('_')[1]}" for token in (admin, viewer)}
    begin = (server.home / "logs" / "audit.jsonl").read_text().count("\n")
    options: dict[str, Any] = {"json": {"displayName": "x"}, "headers": {"x-request-id": "my-request"}}
    server.ask("POST", f"/v1/{LOCATION}/endpoints?endpointId=77", admin, **options)
    server.ask("GET", f"/v1/{LOCATION}/endpoints", viewer)
    server.ask("DELETE", f"/v1/{LOCATION}/endpoints/77?key={viewer}", viewer)
    server.ask("POST", f"/v1/{LOCATION}/endpoints/77:countTokens", viewer, json={})
    server.ask("DELETE", f"/v1/{LOCATION}/endpoints/77", admin)
    server.ask("DELETE", f"/v1/{LOCATION}/endpoints/77", admin)
    server.ask("GET", JOBS, headers={"x-forwarded-for": "10.5.5.5"})
    file = server.home / "logs" / "audit.jsonl"
    assert file.stat().st_mode & 0o777 == 0o600
    lines = [json.loads(line) for line in file.read_text().splitlines()[begin:]]
    endpoint = f"/v1/{LOCATION}/endpoints"
    assert lines[0]["request"] == "my-request"
    keys = ("principal", "method", "path", "project", "code", "client")
    assert [tuple(line[key] for key in keys) for line in lines] == [
        (who[admin], "POST", endpoint, "p", 200, "127.0.0.1"),
        (who[viewer], "DELETE", endpoint + "/77", "p", 403, "127.0.0.1"),
        (who[admin], "DELETE", endpoint + "/77", "p", 200, "127.0.0.1"),
        (who[admin], "DELETE", endpoint + "/77", "p", 404, "127.0.0.1"),
        ("", "GET", JOBS, "p", 401, "10.5.5.5"),
    ]


def test_no_log_holds_a_token(server: SignedInServer) -> None:
    """Every way to say one, well and badly; of all that the server wrote, only its database and keys are not text."""
    token = server.token(p=Role.ADMIN)
    guess = "sin_0123456789ab_" + "G" * 43
    for secret in (token, guess):
        for way in (
            {"headers": {"authorization": f"Bearer {secret}"}},
            {"headers": {"authorization": f"Basic {secret}"}},
            {"headers": {"x-goog-api-key": secret}},
            {"params": {"key": secret}},
            {"params": {"access_token": secret}},
            {"params": {"key": secret, "access_token": "other", "nosuch": secret}},
        ):
            for method, path in (
                ("GET", JOBS), ("POST", JOBS), ("GET", "/v1/nothing"), ("GET", "/storage/v1/b/none"),
                ("POST", f"/v1/{LOCATION}/publishers/google/models/{NAMES}:generateContent"),
                ("POST", "/batch/storage/v1"), ("GET", "/healthz"), ("DELETE", "/sintonia/v1/projects/p/tokens/x"),
            ):  # fmt: skip
                server.ask(method, path, content=b"{", **way)
    audit = [json.loads(line) for line in (server.home / "logs" / "audit.jsonl").read_text().splitlines()]
    assert all(line["client"] for line in audit if line["principal"] != "operator"), "gRPC tells addresses too"
    written = [path for path in server.home.rglob("*") if path.is_file() and not path.name.startswith("sintonia.db")]
    assert {"serve.log", "audit.jsonl"} <= {path.name for path in written}
    for path in written:
        content = path.read_bytes()
        for part in (token, guess, token.split("_", 2)[2], guess[-43:]):
            assert part.encode() not in content, path
