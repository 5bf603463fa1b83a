"""The fields that a tuning job takes besides its dataset: what they do, and where its output is put."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from peft import PeftModel
from transformers import AutoModelForCausalLM

from server import LOCATION, JsonObject, Server

JOBS = f"/v1beta1/{LOCATION}/tuningJobs"
ASKED: JsonObject = {
    "baseModel": "tiny",
    "supervisedTuningSpec": {
        "trainingDatasetUri": "gs://my-data/train.jsonl",
        "hyperParameters": {
            "epochCount": "2",
            "learningRate": 0.002,
            "batchSize": "6",
            "adapterSize": "ADAPTER_SIZE_TWO",
        },
        "exportLastCheckpointOnly": True,
        "tuningMode": "TUNING_MODE_PEFT_ADAPTER",
    },
    "tunedModelDisplayName": "everything said",
    "description": "a job that says everything",
    "labels": {"team": "search"},
    "outputUri": "gs://my-data/outputs/one/",
}


@pytest.fixture(scope="module")
def job(server: Server) -> JsonObject:
    created = server.call("POST", JOBS, ASKED)
    for field in ("tunedModelDisplayName", "description", "labels", "outputUri"):
        assert created[field] == ASKED[field]
    return server.finished_job(created["name"])


def test_what_was_asked_is_told_and_done(server: Server, job: JsonObject) -> None:
    assert job["state"] == "JOB_STATE_SUCCEEDED", job
    told = job["supervisedTuningSpec"]
    asked = ASKED["supervisedTuningSpec"]
    assert told == {**asked, "hyperParameters": {**asked["hyperParameters"], "learningRateMultiplier": 1.0}}
    spec = server.run(job["name"]).read_spec()
    assert (spec.learning_rate, spec.batch_size, spec.adapter_rank, spec.epochs) == (0.002, 6, 2, 2)
    assert [item["checkpointId"] for item in job["tunedModel"]["checkpoints"]] == ["1"]
    model = server.call("GET", f"/v1/{job['tunedModel']['model']}")
    assert model["description"] == ASKED["description"]
    assert model["labels"]["team"] == "search"
    assert server.call("GET", f"/v1/{job['tunedModel']['endpoint']}")["labels"] == {"team": "search"}


def test_the_output_is_in_the_bucket_and_works_with_peft(
    server: Server, job: JsonObject, tiny_model_dir: Path, tmp_path: Path
) -> None:
    found = server.call("GET", "/storage/v1/b/my-data/o?prefix=outputs/one/")["items"]
    names = {item["name"].removeprefix("outputs/one/") for item in found}
    assert {"README.md", "metrics.json", "checkpoints/1/adapter_config.json"} <= names
    for name in names:
        file = tmp_path / name
        file.parent.mkdir(parents=True, exist_ok=True)
        path = f"/storage/v1/b/my-data/o/outputs%2Fone%2F{name.replace('/', '%2F')}?alt=media"
        file.write_bytes(server.request("GET", path).content)
    page = (tmp_path / "README.md").read_text()
    assert "everything said" in page
    assert job["name"] in page
    assert "| batchSize | 6 |" in page
    series = json.loads((tmp_path / "metrics.json").read_text())["series"]
    assert series["/train_total_loss"]["steps"] == list(range(1, 9))
    assert series["/train_total_loss"]["values"] == server.metrics(job["name"])["/train_total_loss"]["values"]
    PeftModel.from_pretrained(AutoModelForCausalLM.from_pretrained(tiny_model_dir), tmp_path / "checkpoints" / "1")


@pytest.mark.parametrize(
    ("place", "says"),
    [
        ("gs://nowhere/x", "The specified bucket does not exist: nowhere"),
        ("gs://cloud-samples-data/x", "built in and read-only"),
        ("/tmp/x", "is not the address of an object"),
        ("gs://", "is not the address of an object"),
        ("gs://my-data/" + "x" * 1000, "must have 1 to 1024 bytes"),
    ],
)
def test_a_place_that_cannot_be_written_to_is_refused(server: Server, place: str, says: str) -> None:
    error = server.request("POST", JOBS, json={**ASKED, "outputUri": place}).json()["error"]
    assert error["status"] == "INVALID_ARGUMENT"
    assert error["message"].startswith("output_uri should be a folder of a bucket")
    assert says in error["message"]
    assert error["details"][0]["fieldViolations"][0]["field"] == "tuning_job.output_uri"


@pytest.mark.parametrize(
    ("path", "asked", "field"),
    [
        (JOBS, {**ASKED, "baseModel": "gpt-5"}, "tuning_job.base_model"),
        (JOBS, {**ASKED, "baseModel": f"{LOCATION}/models/1"}, "tuning_job.pre_tuned_model.tuned_model_name"),
        (
            f"/sintonia/v1/{LOCATION}/datasetValidations",
            {"datasetUri": "gs://x/y.jsonl", "baseModel": "gpt-5"},
            "dataset_validation.base_model",
        ),
    ],
)
def test_what_is_not_found_says_in_which_field(server: Server, path: str, asked: JsonObject, field: str) -> None:
    error = server.request("POST", path, json=asked).json()["error"]
    assert error["status"] == "NOT_FOUND"
    assert error["details"][0]["fieldViolations"] == [{"field": field, "description": error["message"]}]
