"""A real server in a process of its own, as tests use it: started on a free port, killed and restarted at will."""

from __future__ import annotations

import json
import os
import signal
import ssl
import subprocess
import sys
import time
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import httpx
import psutil

from sintonia.runs.layout import RunDirectory

# Nothing here takes so long on a machine that works; a test that waits longer has found a hang.
PATIENCE = 180.0
LOCATION = "projects/p/locations/us-central1"

JsonObject = dict[str, Any]


class Server:
    """``sintonia serve`` on a home of its own.

    Args:
        home: where it keeps everything.
        base_models: catalog entries by id, each a local model folder.
        settings: further lines of the settings file, as TOML.
        authority: PEM file of the certificate's authority, where the settings ask for https.
    """

    def __init__(
        self, home: Path, *, base_models: Mapping[str, Path], settings: str = "", authority: Path | None = None
    ) -> None:
        self.home = home
        self.trust = ssl.create_default_context(cafile=authority)
        home.mkdir(parents=True, exist_ok=True)
        entries = "".join(
            f'\n[[base_models]]\nid = "{name}"\nsource = "{path}"\n' for name, path in base_models.items()
        )
        (home / "sintonia.toml").write_text(settings + entries)
        self.log = home / "serve.log"
        self.process: subprocess.Popen[bytes] | None = None
        self.url = ""

    def start(self, *command: str) -> Server:
        """By ``command``, or else as this Python does."""
        with self.log.open("ab") as log:
            offset = log.tell()
            self.process = subprocess.Popen(
                command or [sys.executable, "-m", "sintonia", "serve"],
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=subprocess.STDOUT,
                env={k: v for k, v in os.environ.items() if k != "SINTONIA_URL"}
                | {"SINTONIA_HOME": str(self.home), "SINTONIA_PORT": "0"},
            )
        self.url = until(lambda: self._address(offset), what="the server's address in its log", server=self)
        until(self._is_healthy, what="a healthy server", server=self)
        return self

    def _address(self, offset: int) -> str | None:
        text = self.log.read_text()[offset:]
        return next(
            (word for word in text.split() if word.startswith(("http://127.0.0.1:", "https://127.0.0.1:"))), None
        )

    def _is_healthy(self) -> bool:
        try:
            return httpx.get(self.url + "/healthz", verify=self.trust).status_code == 200
        except httpx.TransportError:
            return False

    @property
    def grpc_port(self) -> int:
        """Of a server whose settings ask for gRPC."""
        lines = [line for line in self.log.read_text().splitlines() if " gRPC at " in line]
        return int(lines[-1].partition(" gRPC at ")[2].split()[0].rpartition(":")[2])

    def kill(self) -> None:
        """As ``kill -9`` does; trainers live on."""
        assert self.process is not None
        self.process.kill()
        self.process.wait()

    def terminate(self) -> float:
        """As an operator stops it; seconds that took."""
        assert self.process is not None
        begin = time.monotonic()
        self.process.send_signal(signal.SIGTERM)
        self.process.wait(PATIENCE)
        return time.monotonic() - begin

    def stop(self) -> None:
        """The end of a test: nothing of this home goes on."""
        if self.process is not None and self.process.poll() is None:
            self.terminate()
        for process in self.workers():
            process.kill()

    def workers(self, module: str = "sintonia.") -> list[psutil.Process]:
        """Live processes of ``python -m MODULE…`` that work on this home's runs, whoever started them."""
        found = []
        for process in psutil.process_iter(["cmdline", "status"]):
            command = process.info["cmdline"] or []
            if process.info["status"] == psutil.STATUS_ZOMBIE or process.pid == getattr(self.process, "pid", None):
                continue
            if any(part.startswith(module) for part in command) and any(str(self.home) in part for part in command):
                found.append(process)
        return found

    def trainers(self) -> list[psutil.Process]:
        return self.workers("sintonia.training")

    def engines(self) -> list[psutil.Process]:
        """Live inference engines of this server, which are its children."""
        assert self.process is not None
        children = psutil.Process(self.process.pid).children()
        return [child for child in children if "sintonia.inference" in child.cmdline()]

    def load(self) -> int:
        """Replies that the engines work on or have waiting."""
        total = 0
        for engine in self.engines():
            command = engine.cmdline()
            transport = httpx.HTTPTransport(uds=command[command.index("--uds") + 1])
            with httpx.Client(transport=transport, base_url="http://engine", timeout=PATIENCE) as client:
                health = client.get("/health").json()
            total += health["running"] + health["waiting"]
        return total

    def request(self, method: str, path: str, **options: Any) -> httpx.Response:
        return httpx.request(method, self.url + path, timeout=PATIENCE, verify=self.trust, **options)

    def call(self, method: str, path: str, body: Any = None, **options: Any) -> JsonObject:
        """The JSON answer of a call that must succeed."""
        response = (
            self.request(method, path, json=body, **options)
            if body is not None
            else self.request(method, path, **options)
        )
        assert response.status_code == 200, f"{method} {path}: {response.status_code} {response.text}"
        answer: JsonObject = response.json()
        return answer

    def upload(self, uri: str, rows: list[JsonObject] | bytes) -> str:
        """Put rows at ``gs://BUCKET/NAME``; makes the bucket on the way."""
        bucket, _, name = uri.removeprefix("gs://").partition("/")
        self.request("POST", "/storage/v1/b?project=p", json={"name": bucket})
        content = rows if isinstance(rows, bytes) else "".join(json.dumps(row) + "\n" for row in rows).encode()
        self.call(
            "POST",
            f"/upload/storage/v1/b/{bucket}/o",
            params={"uploadType": "media", "name": name},
            content=content,
            headers={"content-type": "application/jsonl"},
        )
        return uri

    def create_job(self, base_model: str, train: str, validation: str | None = None, **hyper: Any) -> JsonObject:
        spec: JsonObject = {"trainingDatasetUri": train, "hyperParameters": hyper}
        if validation:
            spec["validationDatasetUri"] = validation
        return self.call("POST", f"/v1/{LOCATION}/tuningJobs", {"baseModel": base_model, "supervisedTuningSpec": spec})

    def job(self, name: str) -> JsonObject:
        return self.call("GET", f"/v1/{name}")

    def finished_job(self, name: str) -> JsonObject:
        """The job once it has ended, however it did."""

        def look() -> JsonObject | None:
            job = self.job(name)
            done = job["state"] in ("JOB_STATE_SUCCEEDED", "JOB_STATE_FAILED", "JOB_STATE_CANCELLED")
            return job if done else None

        return until(look, what=f"the end of {name}", server=self)

    def metrics(self, name: str) -> JsonObject:
        series: JsonObject = self.call("GET", f"/sintonia/v1/{name}/metrics")["series"]
        return series

    def run(self, name: str) -> RunDirectory:
        return RunDirectory(self.home / "runs" / name.rsplit("/", 1)[-1])

    def generate(self, target: str, text: str, **config: Any) -> str:
        """The reply's text, greedy unless told otherwise."""
        body = {
            "contents": [{"role": "user", "parts": [{"text": text}]}],
            "generationConfig": {"temperature": 0, "maxOutputTokens": 16, **config},
        }
        answer = self.call("POST", f"/v1/{target}:generateContent", body)
        reply: str = answer["candidates"][0]["content"]["parts"][0]["text"]
        return reply


def until(look: Callable[[], Any], *, what: str, server: Server | None = None) -> Any:
    """What ``look`` returns once it is true; fails when that takes unreasonably long."""
    deadline = time.monotonic() + PATIENCE
    while time.monotonic() < deadline:
        found = look()
        if found:
            return found
        if server is not None and server.process is not None and server.process.poll() is not None:
            raise AssertionError(f"waited for {what}, but the server ended:\n{server.log.read_text()[-3000:]}")
        time.sleep(0.01)
    log = server.log.read_text()[-3000:] if server else ""
    raise AssertionError(f"waited {PATIENCE:.0f} s for {what}\n{log}")
