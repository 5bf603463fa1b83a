"""Jobs whose data and outputs lie elsewhere: in S3, in a folder, and at a server whose buckets stand for Google's."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import httpx
import pytest

import emulators
from rows import shouting_rows
from server import LOCATION, JsonObject, Server, until
from sintonia.storage import Place, Storage, StorageConfig

ROWS = "".join(json.dumps(row) + "\n" for row in shouting_rows(12)).encode()


@dataclass(frozen=True)
class Scene:
    """``server`` lists S3 and a folder; the buckets of ``google`` are those of ``server`` over the wire."""

    server: Server
    google: Server
    s3: Storage
    folder: Path


@pytest.fixture(scope="module")
def scene(tmp_path_factory: pytest.TempPathFactory, tiny_model_dir: Path) -> Iterator[Scene]:
    work = tmp_path_factory.mktemp("storages")
    folder = work / "shared"
    folder.mkdir()
    places = f'[[storage]]\nuri = "s3://team/tuning/"\n[[storage]]\nuri = "file://{folder}"\nread_only = true\n'
    server = Server(work / "server", base_models={"tiny": tiny_model_dir}, settings=places)
    google = Server(
        work / "google",
        base_models={"tiny": tiny_model_dir},
        settings='gs = "google"\n[[storage]]\nuri = "gs://team"\n',
    )
    before = dict(os.environ)
    with emulators.s3() as url:
        httpx.put(f"{url}/team").raise_for_status()
        os.environ.update(emulators.S3_CREDENTIALS | {"AWS_ENDPOINT_URL": url})
        try:
            server.start()
            os.environ["STORAGE_EMULATOR_HOST"] = server.url
            google.start()
            config = StorageConfig(buckets_dir=work / "none", places=(Place(uri="s3://team"),))
            yield Scene(server, google, Storage(config), folder)
        finally:
            google.stop()
            server.stop()
            os.environ.clear()
            os.environ.update(before)


def validated(server: Server, uri: str) -> JsonObject:
    name = server.call("POST", f"/sintonia/v1/{LOCATION}/datasetValidations", {"datasetUri": uri, "baseModel": "tiny"})

    def look() -> JsonObject | None:
        told = server.call("GET", f"/sintonia/v1/{name['name']}")
        return told if told["state"] not in ("PENDING", "RUNNING") else None

    told: JsonObject = until(look, what="the end of a validation", server=server)
    return told


def test_a_job_from_s3_to_s3(scene: Scene) -> None:
    server = scene.server
    scene.s3.put("s3://team/tuning/train.jsonl", ROWS, project="p")
    body = {
        "baseModel": "tiny",
        "outputUri": "s3://team/tuning/out/",
        "supervisedTuningSpec": {
            "trainingDatasetUri": "s3://team/tuning/train.jsonl",
            "hyperParameters": {"epochCount": 1},
        },
    }
    job = server.finished_job(server.call("POST", f"/v1/{LOCATION}/tuningJobs", body)["name"])
    assert job["state"] == "JOB_STATE_SUCCEEDED", job
    assert job["outputUri"] == "s3://team/tuning/out/"

    def left(name: str) -> bytes:
        with scene.s3.open(f"s3://team/tuning/out/{name}", project="p").stream as stream:
            return stream.read()

    adapter = server.run(job["name"]).checkpoint("1") / "adapter_model.safetensors"
    assert left("checkpoints/1/adapter_model.safetensors") == adapter.read_bytes()
    assert json.loads(left("metrics.json"))["series"]
    assert b"PEFT" in left("README.md")
    secret = emulators.S3_CREDENTIALS["AWS_SECRET_ACCESS_KEY"].encode()
    for file in server.home.rglob("*"):
        assert not file.is_file() or secret not in file.read_bytes(), file


def test_a_dataset_in_a_folder(scene: Scene) -> None:
    (scene.folder / "train.jsonl").write_bytes(ROWS)
    told = validated(scene.server, f"file://{scene.folder}/train.jsonl")
    assert (told["state"], told["valid"], told["training"]["examples"]) == ("SUCCEEDED", True, 12)


def test_what_is_read_only_or_not_listed_is_refused_at_create(scene: Scene) -> None:
    (scene.folder / "train.jsonl").write_bytes(ROWS)
    spec = {"trainingDatasetUri": f"file://{scene.folder}/train.jsonl"}
    for place, says in (
        (f"file://{scene.folder}/out", "lists it as read-only"),
        ("s3://team/out", "is not below a place"),
    ):
        answer = scene.server.request(
            "POST",
            f"/v1/{LOCATION}/tuningJobs",
            json={"baseModel": "tiny", "supervisedTuningSpec": spec, "outputUri": place},
        )
        assert answer.status_code == 400
        assert says in answer.json()["error"]["message"]


def test_where_gs_is_google_s(scene: Scene) -> None:
    scene.server.upload("gs://team/train.jsonl", ROWS)
    told = validated(scene.google, "gs://team/train.jsonl")
    assert (told["state"], told["valid"], told["training"]["examples"]) == ("SUCCEEDED", True, 12)
    for method, path in (
        ("GET", "/storage/v1/b?project=p"),
        ("GET", "/storage/v1/b/team/o"),
        ("GET", "/storage/v1/b/team/o/train.jsonl?alt=media"),
        ("GET", "/download/storage/v1/b/team/o/train.jsonl?alt=media"),
        ("POST", "/upload/storage/v1/b/team/o?uploadType=media&name=x"),
    ):
        answer = scene.google.request(method, path)
        assert answer.status_code == 400, path
        assert answer.json()["error"]["message"].startswith(
            "This server keeps no buckets: its gs:// addresses are Google's"
        )


def test_the_doctor_looks_at_places(scene: Scene) -> None:
    (scene.server.home / "doctor.toml").write_text(
        f'[[storage]]\nuri = "s3://team/tuning"\n[[storage]]\nuri = "s3://nowhere"\n'
        f'[[storage]]\nuri = "file://{scene.folder}"\nread_only = true\n'
    )
    environment = os.environ | {
        "SINTONIA_HOME": str(scene.server.home),
        "SINTONIA_CONFIG": str(scene.server.home / "doctor.toml"),
    }
    done = subprocess.run(
        [sys.executable, "-m", "sintonia", "--json", "doctor"],
        capture_output=True,
        text=True,
        env=environment,
        check=False,
    )
    found = [check["found"] for check in json.loads(done.stdout)["checks"] if check["name"] == "storage"]
    assert found[0] == "s3://team/tuning: can be read and written"
    assert found[1].startswith("s3://nowhere: No such object: s3://nowhere/")
    assert found[2] == f"file://{scene.folder}: can be read"
