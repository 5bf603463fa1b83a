"""Our own resources on a real server: what may be watched of a job, health, and the pages that describe the API."""

from __future__ import annotations

import re
from html.parser import HTMLParser
from typing import Any

import pytest

from server import LOCATION, Server, until
from sintonia.resources.own import CatalogPage, JobLog, Metrics, Progress, TrainingSetup


@pytest.fixture(scope="module")
def job(server: Server) -> str:
    created = server.create_job("tiny", "gs://my-data/train.jsonl", "gs://my-data/valid.jsonl", epochCount=2)
    name: str = created["name"]
    Progress.from_wire(server.call("GET", f"/sintonia/v1/{name}/progress"))
    assert server.finished_job(name)["state"] == "JOB_STATE_SUCCEEDED"
    return name


def test_progress_of_a_job_that_has_ended(server: Server, job: str) -> None:
    progress = Progress.from_wire(server.call("GET", f"/sintonia/v1/{job}/progress"))
    assert (progress.state, progress.step, progress.total_steps) == ("JOB_STATE_SUCCEEDED", 6, 6)
    assert progress.queue_position is None
    assert progress.tokens_per_second is None or progress.tokens_per_second > 0


def test_the_best_checkpoint_is_marked(server: Server, job: str) -> None:
    told = server.call("GET", f"/sintonia/v1/{job}/metrics")["series"]["/eval_total_loss"]
    loss_at = dict(zip(told["steps"], told["values"], strict=True))
    losses = {
        checkpoint["checkpointId"]: loss_at[int(checkpoint["step"])]
        for checkpoint in server.job(job)["tunedModel"]["checkpoints"]
    }
    best = Progress.from_wire(server.call("GET", f"/sintonia/v1/{job}/progress")).best_checkpoint
    assert best is not None
    assert len(losses) == 2
    assert (best.checkpoint_id, best.validation_loss) == min(losses.items(), key=lambda item: item[1])


def test_early_stopping_by_a_label(server: Server) -> None:
    """At a rate that ruins the model the loss rises at once: it ends early, and its best checkpoint is the default."""
    spec = {
        "trainingDatasetUri": "gs://my-data/train.jsonl",
        "validationDatasetUri": "gs://my-data/valid.jsonl",
        "hyperParameters": {"epochCount": "30", "learningRateMultiplier": 50},
    }
    body = {"baseModel": "tiny", "supervisedTuningSpec": spec, "labels": {"sintonia-early-stopping": "2"}}
    name = server.call("POST", f"/v1/{LOCATION}/tuningJobs", body)["name"]
    job = server.finished_job(name)
    assert job["state"] == "JOB_STATE_SUCCEEDED", job
    progress = Progress.from_wire(server.call("GET", f"/sintonia/v1/{name}/progress"))
    assert progress.step is not None
    assert progress.total_steps is not None
    assert progress.best_checkpoint is not None
    assert progress.step < progress.total_steps
    checkpoints = job["tunedModel"]["checkpoints"]
    assert int(checkpoints[-1]["step"]) == progress.step
    model = server.call("GET", f"/v1/{job['tunedModel']['model']}")
    assert model["defaultCheckpointId"] == progress.best_checkpoint.checkpoint_id
    by_id = {checkpoint["checkpointId"]: checkpoint["endpoint"] for checkpoint in checkpoints}
    assert job["tunedModel"]["endpoint"] == by_id[progress.best_checkpoint.checkpoint_id]
    assert (
        "ends early: no lower validation loss in the last 2 evaluations"
        in server.call("GET", f"/sintonia/v1/{name}/log")["text"]
    )


def test_metrics_in_columns_and_behind_a_step(server: Server, job: str) -> None:
    whole = Metrics.from_wire(server.call("GET", f"/sintonia/v1/{job}/metrics")).series["/train_total_loss"]
    assert whole.steps == [1, 2, 3, 4, 5, 6]
    assert len(whole.values) == 6
    assert whole.decimated_from is None
    rest = server.call("GET", f"/sintonia/v1/{job}/metrics?after=4")["series"]["/train_total_loss"]
    assert (rest["steps"], rest["values"]) == ([5, 6], whole.values[4:])
    assert server.call("GET", f"/sintonia/v1/{job}/metrics?after=6") == {"series": {}}


def test_what_the_trainer_works_with(server: Server, job: str) -> None:
    setup = TrainingSetup.from_wire(server.call("GET", f"/sintonia/v1/{job}/setup"))
    hyper = server.job(job)["supervisedTuningSpec"]["hyperParameters"]
    assert (setup.base_model, setup.epochs, str(setup.batch_size)) == ("tiny", 2, hyper["batchSize"])
    assert setup.learning_rate == server.run(job).read_spec().learning_rate
    assert (setup.device, setup.attempts) == ("cpu", 1)
    assert setup.precision in ("float32", "bfloat16")
    assert setup.trainable_parameters
    failed = server.create_job("tiny", server.upload("gs://my-data/no-setup.jsonl", [{"contents": []}]))["name"]
    assert server.finished_job(failed)["state"] == "JOB_STATE_FAILED"
    assert server.call("GET", f"/sintonia/v1/{failed}/setup") == {}


def test_a_log_is_read_piece_by_piece(server: Server, job: str) -> None:
    whole = JobLog.from_wire(server.call("GET", f"/sintonia/v1/{job}/log"))
    assert whole.text
    text, offset = "", 0
    while part := server.call("GET", f"/sintonia/v1/{job}/log?offset={offset}&limit=100"):
        assert len(part["text"].encode()) <= 100
        if not part["text"]:
            break
        text, offset = text + part["text"], part["nextOffset"]
    assert (text, offset) == (whole.text, whole.next_offset)


def test_a_log_is_read_while_the_job_runs(server: Server) -> None:
    name = server.create_job("tiny", "gs://my-data/train.jsonl", "gs://my-data/valid.jsonl", epochCount=100)["name"]

    def evaluated() -> bool:
        return "validation loss" in server.call("GET", f"/sintonia/v1/{name}/log")["text"]

    until(evaluated, what="a word on the first evaluation", server=server)
    before: int = server.call("GET", f"/sintonia/v1/{name}/log")["nextOffset"]
    until(
        lambda: server.call("GET", f"/sintonia/v1/{name}/log?offset={before}")["text"],
        what="a word on another",
        server=server,
    )
    assert server.job(name)["state"] == "JOB_STATE_RUNNING"
    server.call("POST", f"/v1/{name}:cancel")
    assert server.finished_job(name)["state"] == "JOB_STATE_CANCELLED"


def test_health_and_readiness(server: Server) -> None:
    for path in ("/healthz", "/readyz"):
        assert server.call("GET", path)["status"] == "ok"


def test_the_catalog(server: Server) -> None:
    entries = CatalogPage.from_wire(server.call("GET", "/sintonia/v1/baseModels")).base_models
    tiny = next(entry for entry in entries if entry.id == "tiny")
    assert tiny.prepared
    assert "gemini-1.0-pro-002" in tiny.aliases


def references(value: Any) -> set[str]:
    if isinstance(value, list):
        return set().union(*map(references, value))
    if not isinstance(value, dict):
        return set()
    own = {value["$ref"]} if isinstance(value.get("$ref"), str) else set()
    return own | set().union(*map(references, value.values()))


def test_openapi_describes_every_route_by_its_messages(server: Server) -> None:
    document = server.call("GET", "/openapi.json")
    schemas = document["components"]["schemas"]
    assert {item.removeprefix("#/components/schemas/") for item in references(document)} <= set(schemas)
    assert schemas["HyperParameters"]["properties"]["epochCount"] == {"type": "string", "format": "int64"}
    operations = [
        (method, path, operation)
        for path, methods in document["paths"].items()
        for method, operation in methods.items()
        if not path.startswith(("/storage/", "/upload/", "/download/", "/batch/"))  # described by another company
    ]
    assert len(operations) > 20
    for method, path, operation in operations:
        answer = operation["responses"]["200"]["content"]["application/json"]["schema"]
        # These answer an empty object, or take none.
        bare = path.endswith(
            (":cancel", "/operations/{operation}", "/datasetValidations/{validation}", "/sessions/current")
        )
        assert references(answer) or bare, f"{method} {path} does not say what it answers"
        bare = method in ("get", "delete") or path.endswith((":cancel", ":wait"))
        assert bare or "requestBody" in operation, f"{method} {path}"
        assert operation.get("description"), f"{method} {path} has no words"
        assert references(operation["responses"]["default"]) == {"#/components/schemas/Error"}


class Links(HTMLParser):
    """Whatever a page refers to, its anchors, and its tags."""

    def __init__(self) -> None:
        super().__init__()
        self.targets: list[str] = []
        self.ids: set[str] = set()
        self.tags: set[str] = set()
        self.handlers: list[str] = []

    def handle_starttag(self, tag: str, attributes: list[tuple[str, str | None]]) -> None:
        self.tags.add(tag)
        for name, value in attributes:
            if name in ("href", "src"):
                self.targets.append(value or "")
            elif name == "id":
                self.ids.add(value or "")
            elif name.startswith("on") or name == "style":
                self.handlers.append(name)


def test_docs_are_one_page_without_scripts_or_anything_from_elsewhere(server: Server) -> None:
    response = server.request("GET", "/docs")
    assert response.status_code == 200
    policy = response.headers["content-security-policy"]
    assert "default-src 'none'" in policy
    assert "unsafe" not in policy
    page = Links()
    page.feed(response.text)
    assert "script" not in page.tags
    assert page.handlers == []
    for target in set(page.targets):
        if target.startswith("#"):
            assert target[1:] in page.ids, target
        else:
            assert server.request("GET", target).status_code == 200
    document = server.call("GET", "/openapi.json")
    for path in document["paths"]:
        assert path in response.text
    assert not re.search(r"https?://(?!127\.0\.0\.1)", server.request("GET", "/docs/style.css").text)
