"""No secret gets out: not into logs, errors, the audit log, documents and other files, nor into other processes."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path

import httpx
import pytest

from oidc_issuer import ScriptedIssuer, claims_for, settings_for, sign
from rows import shouting_rows
from server import LOCATION, PATIENCE
from signed_in import SignedInServer
from sintonia.database import Database
from sintonia.errors import FailedPrecondition
from sintonia.services.access import Role
from sintonia.settings import child_environment

# Each says what it is, and stands nowhere else.
STORAGE = {
    "AWS_ACCESS_KEY_ID": "AKIA-storage-id",
    "AWS_SECRET_ACCESS_KEY": "storage-secret",
    "AWS_SESSION_TOKEN": "storage-session",
    "GOOGLE_APPLICATION_CREDENTIALS": "storage-of-google.json",
    "FSSPEC_S3_SECRET": "storage-by-fsspec",
    "HTTPS_PROXY": "http://proxy:storage-proxy@127.0.0.1:9",
}
OTHERS = {
    "SINTONIA_TOKEN": "sin_0123456789ab_other-token",
    "PGPASSWORD": "other-postgres",
    "HF_TOKEN": "other-hub",
    "SOME_API_KEY": "other-api-key",
    "MY_PASSWORD": "other-password",
    "DATABASE_URL": "postgresql://somebody:other-url@127.0.0.1:9/x",
    "AZURE_CLIENT_SECRET": "other-cloud",
    "GITHUB_PAT": "other-pat",
}
PLAIN = {"TOKENIZERS_PARALLELISM": "false", "OMP_NUM_THREADS": "1", "KEYBOARD": "x", "HOMEPAGE": "https://a@b.example"}

# Every Python of the server and below it tells how it was started.
TELL = """
import json, os, sys
with open(os.path.join(os.path.dirname(__file__), f"{os.getpid()}.json"), "w") as file:
    json.dump({"command": sys.orig_argv, "environment": dict(os.environ)}, file)
"""


@dataclass
class Used:
    """A server that has done what can be done, and every secret that it was given."""

    server: SignedInServer
    issuer: ScriptedIssuer
    processes: list[dict[str, object]]
    secrets: list[str]
    answers: list[httpx.Response]

    def started(self, module: str) -> list[dict[str, str]]:
        """The environments of ``python -m MODULE``."""
        return [process["environment"] for process in self.processes if module in process["command"]]  # type: ignore


@pytest.fixture(scope="module")
def used(tmp_path_factory: pytest.TempPathFactory, tiny_model_dir: Path) -> Used:
    home, told = tmp_path_factory.mktemp("secrets") / "home", tmp_path_factory.mktemp("told")
    (told / "sitecustomize.py").write_text(TELL)
    issuer = ScriptedIssuer()
    with pytest.MonkeyPatch.context() as patch:
        for name, value in (STORAGE | OTHERS | PLAIN | {"PYTHONPATH": str(told)}).items():
            patch.setenv(name, value)
        patch.setenv("AWS_ENDPOINT_URL", "http://127.0.0.1:9")
        patch.setenv("AWS_MAX_ATTEMPTS", "1")
        server = SignedInServer(
            home,
            base_models={"tiny": tiny_model_dir},
            settings='training_threads = 1\nserving_threads = 1\nstorage = [{uri = "s3://elsewhere"}]\n'
            + settings_for(issuer.url),
        )
        server.start()
    tuner, viewer = server.token("tuner", p=Role.TUNER), server.token("viewer", p=Role.VIEWER)
    signed = sign(issuer.key, claims_for(issuer.url, groups=["tuners"]))
    expired = sign(issuer.key, claims_for(issuer.url, exp=1))
    forged = "sin_" + server.root.split("_")[1] + "_" + "f" * 43
    tokens = [server.root, tuner, viewer, signed, expired, forged]
    secrets = [*STORAGE.values(), *OTHERS.values(), *tokens]
    secrets += [token.split("_", 2)[2] for token in (server.root, tuner, viewer)] + signed.split(".")[1:]
    answers = []
    try:
        server.upload("gs://my-data/train.jsonl", shouting_rows(8))
        job = server.create_job("tiny", "gs://my-data/train.jsonl", epochCount=1, adapterSize="ADAPTER_SIZE_ONE")
        for token in (*tokens, "nonsense-credential"):
            for how in (
                {"headers": {"authorization": f"Bearer {token}"}},
                {"headers": {"x-goog-api-key": token}},
                {"params": {"key": token}},
            ):
                for method, path, more in (
                    ("GET", f"/v1/{LOCATION}/tuningJobs", {}),
                    ("POST", f"/v1/{LOCATION}/tuningJobs", {"content": b"{"}),
                    ("GET", "/v1/nothing", {}),
                    ("DELETE", "/storage/v1/b/nothing", {}),
                ):
                    answers.append(server.ask(method, path, **how, **more))
        elsewhere = {
            "baseModel": "tiny", "supervisedTuningSpec": {"trainingDatasetUri": "s3://elsewhere/train.jsonl"}
        }  # fmt: skip
        answers.append(server.request("POST", f"/v1/{LOCATION}/tuningJobs", json=elsewhere))
        answers.append(server.request("GET", f"/sintonia/v1/{LOCATION.partition('/locations')[0]}/tokens"))
        done = server.finished_job(job["name"])
        assert done["state"] == "JOB_STATE_SUCCEEDED", done
        asked = {"contents": [{"role": "user", "parts": [{"text": "hello"}]}]}
        answers.append(server.request("POST", f"/v1/{done['tunedModel']['endpoint']}:generateContent", json=asked))
        answers.append(server.request("GET", f"/v1/{done['name']}"))
        assert answers[-2].status_code == 200, answers[-2].text
    finally:
        server.stop()
        issuer.stop()
    return Used(server, issuer, [json.loads(file.read_text()) for file in told.glob("*.json")], secrets, answers)


def test_answers_hold_no_secrets(used: Used) -> None:
    assert {answer.status_code for answer in used.answers} >= {200, 400, 401, 403, 404}
    for answer in used.answers:
        told = answer.text + str(answer.headers)
        assert [secret for secret in used.secrets if secret in told] == [], answer.request


def test_files_of_the_home_hold_no_secrets(used: Used) -> None:
    """Logs of all processes, the audit log, the database, run directories, buckets."""
    files = [file for file in used.server.home.rglob("*") if file.is_file()]
    names = {file.name for file in files}
    assert {"serve.log", "audit.jsonl", "sintonia.db", "spec.json", "dataset.log", "engine-tiny.log"} <= names, names
    for file in files:
        content = file.read_bytes()
        assert [secret for secret in used.secrets if secret.encode() in content] == [], file


def test_the_list_of_processes_shows_no_secrets(used: Used) -> None:
    assert used.started("serve"), "nobody told how it was started"
    for process in used.processes:
        command = " ".join(process["command"])  # type: ignore
        assert [secret for secret in used.secrets if secret in command] == [], command


@pytest.mark.parametrize("module", ["sintonia.training", "sintonia.inference"])
def test_torch_processes_are_given_no_secrets(used: Used, module: str) -> None:
    environments = used.started(module)
    assert environments
    for environment in environments:
        values = " ".join(environment.values())
        assert [secret for secret in used.secrets if secret in values] == []
        assert set(environment) >= {"PATH", *PLAIN}


def test_the_dataset_process_is_given_those_of_storage_only(used: Used) -> None:
    assert all(OTHERS.items() <= environment.items() for environment in used.started("serve"))
    environments = used.started("sintonia.datasets")
    assert environments
    for environment in environments:
        assert {name: environment.get(name) for name in STORAGE} == STORAGE
        values = " ".join(environment.values())
        assert [secret for secret in OTHERS.values() if secret in values] == []


def test_environments_keep_what_is_no_secret(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in list(os.environ):
        monkeypatch.delenv(name)
    for name, value in (STORAGE | OTHERS | PLAIN).items():
        monkeypatch.setenv(name, value)
    assert child_environment() == PLAIN
    assert child_environment(storage_credentials=True) == PLAIN | STORAGE


@pytest.mark.parametrize(
    "url",
    [
        "postgresql+psycopg://somebody:database-secret@[::1/x",
        "postgresql+psycopg://somebody:database-secret@127.0.0.1:port/x",
        "mysql://somebody:database-secret@127.0.0.1/x",
        "somebody:database-secret@127.0.0.1/x",
    ],
)
def test_the_url_of_a_database_is_refused_without_its_password(url: str) -> None:
    with pytest.raises(FailedPrecondition) as refused:
        Database(url)
    assert "database-secret" not in refused.value.message


def test_a_database_that_does_not_answer_keeps_its_password(tmp_path: Path) -> None:
    done = subprocess.run(
        [sys.executable, "-m", "sintonia", "serve", "--port", "0", "--home", str(tmp_path)],
        env={**os.environ, "SINTONIA_DATABASE_URL": "postgresql+psycopg://somebody:database-secret@127.0.0.1:9/x"},
        capture_output=True,
        text=True,
        timeout=PATIENCE,
        check=False,
    )
    assert done.returncode != 0
    assert "connection" in done.stderr
    assert "database-secret" not in done.stdout + done.stderr
