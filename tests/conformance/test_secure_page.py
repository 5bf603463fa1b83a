"""An administrator follows ``docs/how-to/secure.md``: its commands run as printed, but for folders and ports."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
from pathlib import Path

import httpx
import pytest

from server import PATIENCE, until

PAGE = Path(__file__).parents[2] / "docs" / "how-to" / "secure.md"
BLOCKS = re.findall(r"^```(bash|toml)\n(.*?)^```", PAGE.read_text(encoding="utf-8"), re.MULTILINE | re.DOTALL)
RUN = [text for kind, text in BLOCKS if kind == "bash"]


class Administrator:
    """At a shell on the server's machine."""

    def __init__(self, home: Path) -> None:
        self.home = home
        plain = {key: value for key, value in os.environ.items() if not key.startswith("SINTONIA_")}
        path = f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}"
        self.env = plain | {"SINTONIA_HOME": str(home), "PATH": path}

    def run(self, script: str, **env: str) -> str:
        done = subprocess.run(
            ["bash", "-euo", "pipefail", "-c", script.replace("/srv/sintonia", str(self.home))],
            capture_output=True, text=True, check=False, timeout=PATIENCE, env=self.env | env,
        )  # fmt: skip
        assert done.returncode == 0, f"{script}\n{done.stderr}"
        return done.stdout

    def start(self, settings: str) -> tuple[subprocess.Popen[bytes], str, Path]:
        """The server, its address on this machine, and its log."""
        (self.home / "sintonia.toml").write_text(settings.replace("/srv/sintonia", str(self.home)))
        log = self.home / "serve.log"
        command = [sys.executable, "-m", "sintonia", "serve", "--home", str(self.home)]
        with log.open("wb") as out:
            process = subprocess.Popen(command, stdout=out, stderr=out, env=self.env)

        def address() -> re.Match[str] | None:
            assert process.poll() is None, log.read_text()
            return re.search(r"answers at (https?)://0\.0\.0\.0:(\d+)", log.read_text())

        found = until(address, what="the server's address in its log")
        return process, f"{found[1]}://127.0.0.1:{found[2]}", log


@pytest.fixture
def administrator(tmp_path: Path) -> Administrator:
    return Administrator(tmp_path / "home")


def test_an_administrator_follows_the_page(administrator: Administrator) -> None:
    own_token, certificate, team, by_rest, revoke, audit = RUN
    root = administrator.run(own_token).strip()
    administrator.run(certificate)
    (settings,) = [text for kind, text in BLOCKS if kind == "toml"]
    process, url, log = administrator.start(settings.replace("port = 8443", "port = 0"))
    try:
        assert url.startswith("https:")
        assert "without TLS" not in log.read_text()
        assert "Nobody can sign in" not in log.read_text()
        ca = str(administrator.home / "certs" / "ca.pem")
        ada, bot, carol = administrator.run(team).split()
        told = administrator.run(by_rest.replace("/ID", "/000000000000"), TOKEN=carol, SERVER=url, CURL_CA_BUNDLE=ca)
        made, listed, refused, me = json_stream(told)
        assert (made["displayName"], made["role"]) == ("dave", "TUNER")
        assert {item["displayName"] for item in listed["tokens"]} == {"dave", "carol", "the intranet's bot", "ada"}
        assert refused["error"]["status"] == "NOT_FOUND"
        assert me["grants"] == {"research": "ADMIN", "sales": "VIEWER"}
        client = {"SINTONIA_URL": url, "SINTONIA_CA": ca, "SINTONIA_PROJECT": "research"}
        administrator.run("sintonia buckets create rows", SINTONIA_TOKEN=ada, **client)
        administrator.run("sintonia ls", SINTONIA_TOKEN=bot, **client)
        administrator.run("! sintonia buckets create more", SINTONIA_TOKEN=bot, **client)
        administrator.run("sintonia ls", SINTONIA_TOKEN=root, **client)
        administrator.run(revoke.replace("ID", ada.split("_")[1]))
        administrator.run("! sintonia ls", SINTONIA_TOKEN=ada, **client)
        lines = [json.loads(line) for line in administrator.run(audit).splitlines()]
        assert [(line["path"], line["code"]) for line in lines] == [
            ("/sintonia/v1/projects/research/tokens", 200),
            ("/sintonia/v1/projects/research/tokens/000000000000", 404),
            ("/storage/v1/b", 200),
            ("/storage/v1/b", 403),
        ]
    finally:
        process.terminate()
        process.wait(PATIENCE)


def json_stream(text: str) -> list[dict[str, object]]:
    """One JSON document behind another."""
    decoder, found = json.JSONDecoder(), []
    while text := text.lstrip():
        document, end = decoder.raw_decode(text)
        found.append(document)
        text = text[end:]
    return found


def test_beyond_this_machine_it_warns_and_asks(administrator: Administrator) -> None:
    administrator.home.mkdir()
    process, url, log = administrator.start('host = "0.0.0.0"\nport = 0\nsign_in = true\n')
    try:
        assert httpx.get(url + "/healthz").status_code == 200
        # By any name: a token protects where a Host header need not.
        answer = httpx.get(url + "/sintonia/v1/me", headers={"host": "tuning.example.com"})
        assert answer.status_code == 401
        assert "http is spoken without TLS beyond this machine" in log.read_text()
        assert "Nobody can sign in yet." in log.read_text()
    finally:
        process.terminate()
        process.wait(PATIENCE)
