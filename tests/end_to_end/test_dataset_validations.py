"""Dataset validation as a resource: from an address to a verdict with estimates, through kills and by command line."""

from __future__ import annotations

import gzip
import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner

from rows import shouting_rows
from server import LOCATION, Server, until
from sintonia.cli.program import app
from sintonia.runs.layout import RunDirectory
from sintonia.storage import BucketStore

COLLECTION = f"/sintonia/v1/{LOCATION}/datasetValidations"
JsonObject = dict[str, Any]


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory, tiny_model_dir: Path) -> Iterator[Server]:
    settings = "training_threads = 1\nserving_threads = 1\n"
    server = Server(tmp_path_factory.mktemp("home"), base_models={"tiny": tiny_model_dir}, settings=settings).start()
    server.upload("gs://sets/good.jsonl", shouting_rows(40))
    server.upload("gs://sets/held-out.jsonl.gz", gzip.compress(_lines(shouting_rows(10, start=500))))
    server.upload("gs://sets/bad.jsonl", b'{"contents": []}\nx\n' * 75 + _lines(shouting_rows(5)))
    server.upload("gs://sets/long.jsonl", shouting_rows(10_000))
    yield server
    server.stop()


def _lines(rows: list[JsonObject]) -> bytes:
    return "".join(json.dumps(row) + "\n" for row in rows).encode()


def ended(server: Server, name: str) -> JsonObject:
    def look() -> JsonObject | None:
        told = server.call("GET", f"/sintonia/v1/{name}")
        return told if told["state"] in ("SUCCEEDED", "FAILED") else None

    found: JsonObject = until(look, what=f"the end of {name}", server=server)
    return found


def validate(server: Server, uri: str, validation: str | None = None) -> JsonObject:
    body = {"datasetUri": uri, "baseModel": "tiny"} | ({"validation_dataset_uri": validation} if validation else {})
    created = server.call("POST", COLLECTION, body)
    assert (created["state"], created["baseModel"]) == ("PENDING", "tiny")
    return ended(server, created["name"])


def test_a_good_dataset_gets_counts_and_estimates(server: Server) -> None:
    told = validate(server, "gs://sets/good.jsonl", "gs://sets/held-out.jsonl.gz")
    assert (told["state"], told["valid"]) == ("SUCCEEDED", True), told
    training, held_out = told["training"], told["validation"]
    assert (training["rows"], training["examples"], training["bad"], training["dropped"]) == (40, 40, 0, 0)
    assert held_out["examples"] == 10
    assert 0 < training["trainedTokens"] < training["tokens"]
    assert training["statistics"]["tuningDatasetExampleCount"] == "40"
    assert training["statistics"]["userOutputTokenDistribution"]["sum"] == str(training["trainedTokens"])
    estimates = told["estimates"]
    assert (estimates["epochs"], estimates["batchSize"], estimates["totalSteps"]) == (8, 8, 40)
    assert estimates["tokens"] == 8 * training["tokens"]
    assert "assumed" in estimates["rateBasis"]
    assert estimates["seconds"] > 0
    assert int(estimates["memoryBytes"]) > 700 * 2**20
    assert told["createTime"] <= told["startTime"] <= told["endTime"]
    assert not (_run(server, told["name"])).train_file.exists()


def _run(server: Server, name: str) -> RunDirectory:
    return RunDirectory(server.home / "validations" / name.rsplit("/", 1)[-1])


def test_a_bad_dataset_is_told_line_by_line_page_by_page(server: Server) -> None:
    told = validate(server, "gs://sets/bad.jsonl")
    assert (told["state"], told["valid"]) == ("SUCCEEDED", False)
    assert "estimates" not in told
    assert (told["training"]["bad"], told["training"]["examples"]) == (150, 5)
    assert len(told["training"]["badLines"]) == 100
    assert "50 more" in told["training"]["problem"]
    lines: list[JsonObject] = []
    offset: int | None = 0
    while offset is not None:
        page = server.call("GET", f"/sintonia/v1/{told['name']}/datasetReport", params={"offset": offset, "limit": 64})
        lines += page["lines"]
        offset = page.get("nextOffset")
    assert [line["line"] for line in lines] == list(range(1, 151))
    assert [line["category"] for line in lines[:2]] == ["invalid_contents_list", "invalid_input"]
    amid = server.request("GET", f"/sintonia/v1/{told['name']}/datasetReport?offset=5")
    assert (amid.status_code, amid.json()["error"]["status"]) == (400, "INVALID_ARGUMENT")


def test_a_job_s_report_is_read_in_the_same_way(server: Server) -> None:
    job = server.finished_job(server.create_job("tiny", "gs://sets/bad.jsonl")["name"])
    assert job["state"] == "JOB_STATE_FAILED"
    assert "150 of the 155 rows of the training dataset gs://sets/bad.jsonl cannot be used." in job["error"]["message"]
    report = server.call("GET", f"/sintonia/v1/{job['name']}/datasetReport?limit=1000")
    assert len(report["lines"]) == 150
    assert "nextOffset" not in report


def rows_of(server: Server, name: str, **asked: Any) -> JsonObject:
    return server.call("GET", f"/sintonia/v1/{name}/datasetRows", params=asked)


def learnt(row: JsonObject) -> str:
    return "".join(span["text"] for sequence in row["sequences"] for span in sequence["spans"] if span["trained"])


def test_a_validation_keeps_the_first_hundred_good_rows(server: Server) -> None:
    good = validate(server, "gs://sets/long.jsonl", "gs://sets/held-out.jsonl.gz")["name"]
    page = rows_of(server, good, start=99, limit=100)
    assert (page["kept"], page["lastNumber"], page["previousNumber"]) == (100, 100, 1)
    assert [(row["number"], learnt(row)) for row in page["rows"]] == [
        (99, "DORA 98!<|im_end|>"),
        (100, "ELI 99!<|im_end|>"),
    ]
    held_out = rows_of(server, good, dataset="validation")
    assert (held_out["kept"], learnt(held_out["rows"][0])) == (10, "ANA 500!<|im_end|>")
    bad = rows_of(server, validate(server, "gs://sets/bad.jsonl")["name"], limit=2)
    assert (bad["kept"], bad["lastNumber"], bad["nextNumber"]) == (5, 155, 153)
    assert [(row["number"], row["line"], learnt(row)) for row in bad["rows"]] == [
        (151, 151, "ANA 0!<|im_end|>"),
        (152, 152, "BO 1!<|im_end|>"),
    ]
    for wrong in ("dataset=both", "start=0", "limit=101", "start=x"):
        assert server.request("GET", f"/sintonia/v1/{good}/datasetRows?{wrong}").status_code == 400


def test_a_job_s_rows_are_there_before_it_trains_and_after_its_files_are_gone(server: Server) -> None:
    rows = shouting_rows(30)
    rows[9]["contents"][0]["parts"][0]["text"] = "much too long " * 500
    train = server.upload("gs://sets/looked-at.jsonl", b"\n" + _lines(rows))
    held_out = server.upload("gs://sets/looked-at-too.jsonl", shouting_rows(4))
    first = server.create_job("tiny", "gs://sets/good.jsonl", epochCount=1000)["name"]
    until(lambda: server.job(first)["state"] == "JOB_STATE_RUNNING", what="training", server=server)
    job = server.create_job("tiny", train, held_out)["name"]
    waiting = "TUNING_JOB_STATE_WAITING_FOR_CAPACITY"
    until(lambda: server.job(job).get("tuningJobState") == waiting, what="its place in the queue", server=server)

    told = server.call("GET", f"/sintonia/v1/{job}/dataset")
    assert (told["training"]["examples"], told["training"]["categories"]) == (29, {"dropped": 1})
    assert told["validation"]["statistics"]["userOutputTokenDistribution"]["buckets"]
    assert (told["trainingFile"], told["validationFile"]) == ("UNCHANGED", "UNCHANGED")
    page = rows_of(server, job, start=9, limit=2)
    assert [(row["number"], row["line"]) for row in page["rows"]] == [(9, 10), (11, 12)]
    assert (page["kept"], page["lastNumber"], page["previousNumber"], page["nextNumber"]) == (29, 30, 7, 12)
    assert "rows" not in rows_of(server, job, start=31)
    report = server.call("GET", f"/sintonia/v1/{job}/datasetReport")["lines"]
    assert [(line["line"], line["category"]) for line in report] == [(11, "dropped")]
    assert report[0]["excerpt"].startswith('{"contents": [{"role": "user", "parts": [{"text": "much too long')
    assert len(report[0]["excerpt"]) < 400

    for name in (first, job):
        server.call("POST", f"/v1/{name}:cancel", {})
        assert server.finished_job(name)["state"] == "JOB_STATE_CANCELLED"
    server.upload(held_out, shouting_rows(5))
    BucketStore(server.home / "buckets").delete_object("sets", "looked-at.jsonl")
    later = server.call("GET", f"/sintonia/v1/{job}/dataset")
    assert (later.pop("trainingFile"), later.pop("validationFile")) == ("DELETED", "CHANGED")
    assert later == {kind: told[kind] for kind in ("training", "validation")}
    assert rows_of(server, job, start=9, limit=2) == page
    assert len(rows_of(server, job, dataset="validation")["rows"]) == 4


def test_a_job_whose_dataset_is_bad_tells_why_and_shows_the_good_rows(server: Server) -> None:
    job = server.finished_job(server.create_job("tiny", "gs://sets/bad.jsonl")["name"])["name"]
    told = server.call("GET", f"/sintonia/v1/{job}/dataset")["training"]
    assert (told["bad"], told["categories"]) == (150, {"invalid_contents_list": 75, "invalid_input": 75})
    assert told["badLines"][1]["excerpt"] == "x"
    assert rows_of(server, job)["kept"] == 5
    assert not server.run(job).train_file.exists()


def test_the_speed_of_the_last_job_is_used(server: Server) -> None:
    job = server.finished_job(server.create_job("tiny", "gs://sets/good.jsonl", epochCount=1)["name"])
    assert job["state"] == "JOB_STATE_SUCCEEDED", job
    speed = server.call("GET", f"/sintonia/v1/{job['name']}/progress")["tokensPerSecond"]
    estimates = validate(server, "gs://sets/good.jsonl")["estimates"]
    assert estimates["tokensPerSecond"] == speed
    assert "measured" in estimates["rateBasis"]


@pytest.mark.parametrize(
    ("body", "status", "words"),
    [
        ({}, 400, "dataset_uri is required"),
        (
            {"datasetUri": "gs://sets/none.jsonl"},
            400,
            "dataset_uri should be a GCS object of type JSONL. No such object",
        ),
        ({"datasetUri": "gs://sets/good.jsonl", "validationDatasetUri": "/etc/passwd"}, 400, "validation_dataset_uri"),
        ({"datasetUri": "gs://sets/good.jsonl", "baseModel": "nobody"}, 404, "Publisher Model `nobody` was not found"),
        ({"datasetUrl": "x"}, 400, "Unknown name \"datasetUrl\" at 'dataset_validation'"),
    ],
)
def test_wrong_requests_are_refused(server: Server, body: JsonObject, status: int, words: str) -> None:
    response = server.request("POST", COLLECTION, json=body)
    assert response.status_code == status
    assert words in response.json()["error"]["message"]


def test_other_namespaces_see_nothing(server: Server) -> None:
    told = validate(server, "gs://sets/good.jsonl")
    number = told["name"].rsplit("/", 1)[-1]
    for path in (f"projects/q/locations/us-central1/datasetValidations/{number}", f"{LOCATION}/datasetValidations/7"):
        for tail in ("", "/datasetReport", "/datasetRows"):
            response = server.request("GET", f"/sintonia/v1/{path}{tail}")
            assert (response.status_code, response.json()["error"]["status"]) == (404, "NOT_FOUND")


def test_they_are_listed_newest_first_and_deleted(server: Server) -> None:
    collection = "/sintonia/v1/projects/listed/locations/us-central1/datasetValidations"
    assert server.call("GET", collection) == {"datasetValidations": []}
    body = {"datasetUri": "gs://sets/good.jsonl", "baseModel": "tiny"}
    made = [server.call("POST", collection, body)["name"] for _ in "abc"]
    for name in made:
        ended(server, name)
    first = server.call("GET", collection, params={"pageSize": "2", "fields": "datasetValidations/name,nextPageToken"})
    assert first["datasetValidations"] == [{"name": name} for name in (made[2], made[1])]
    late = server.call("POST", collection, body)["name"]
    rest = server.call("GET", collection, params={"pageSize": "2", "pageToken": first["nextPageToken"]})
    assert [(item["name"], item["valid"]) for item in rest["datasetValidations"]] == [(made[0], True)]
    assert "nextPageToken" not in rest

    assert server.call("DELETE", f"/sintonia/v1/{made[1]}") == {}
    assert not _run(server, made[1]).path.exists()
    for method in ("GET", "DELETE"):
        assert server.request(method, f"/sintonia/v1/{made[1]}").status_code == 404
    ended(server, late)
    listed = server.call("GET", collection, params={"orderBy": "create_time"})
    assert [item["name"] for item in listed["datasetValidations"]] == [made[0], made[2], late]
    refused = server.request("GET", collection, params={"filter": "valid=true"})
    assert refused.json()["error"]["message"] == "Invalid filter: dataset validations cannot be filtered."


def test_a_server_killed_meanwhile_ends_it_after_its_restart(server: Server) -> None:
    created = server.call("POST", COLLECTION, {"datasetUri": "gs://sets/long.jsonl", "baseModel": "tiny"})
    until(lambda: _run(server, created["name"]).data.is_dir(), what="the dataset process", server=server)
    server.kill()
    for process in server.workers("sintonia.datasets"):
        process.kill()
    server.start()
    told = ended(server, created["name"])
    assert (told["state"], told["valid"], told["training"]["examples"]) == ("SUCCEEDED", True, 10_000)


def test_an_object_deleted_before_it_is_read_is_a_failure_that_says_so(server: Server) -> None:
    # Two are read at a time, so the third waits until one of them has ended.
    first = [server.call("POST", COLLECTION, {"datasetUri": "gs://sets/long.jsonl", "baseModel": "tiny"}) for _ in "ab"]
    server.upload("gs://sets/gone.jsonl", shouting_rows(1))
    last = server.call("POST", COLLECTION, {"datasetUri": "gs://sets/gone.jsonl", "baseModel": "tiny"})
    BucketStore(server.home / "buckets").delete_object("sets", "gone.jsonl")
    told = ended(server, last["name"])
    assert (told["state"], told["error"]["code"]) == ("FAILED", 5)
    assert "gs://sets/gone.jsonl cannot be read" in told["error"]["message"]
    assert all(ended(server, one["name"])["valid"] for one in first)


def test_the_command_line_says_the_same_here_and_there(server: Server, tmp_path: Path) -> None:
    def run(*arguments: str) -> Any:
        common = ("--base-model", "tiny", "--url", server.url, "--project", "p", "--home", str(server.home))
        return CliRunner().invoke(app, ["datasets", "validate", *arguments, *common])

    files = {name: tmp_path / name for name in ("good.jsonl", "bad.jsonl")}
    files["good.jsonl"].write_bytes(_lines(shouting_rows(40)))
    files["bad.jsonl"].write_bytes(b'{"contents": []}\nx\n' * 75 + _lines(shouting_rows(5)))

    good = json.loads(run(str(files["good.jsonl"]), "--json").stdout)
    there = json.loads(run("gs://sets/good.jsonl", "--json").stdout)
    for told in (good, there):
        told["training"].pop("uri")
    assert good["training"] == there["training"]
    assert good["valid"] is there["valid"] is True

    marked = "<|im_start|>user\nsay ana 0<|im_end|>\n<|im_start|>assistant\n⟦ANA 0!<|im_end|>⟧\n"
    for address in (str(files["good.jsonl"]), "gs://sets/good.jsonl"):
        told = json.loads(run(address, "--show", "2", "--json").stdout)
        assert [row["number"] for row in told["rows"]["training"]] == [1, 2]
        shown = run(address, "--show", "2")
        assert "row 2 (line 2): " in shown.stdout
        assert "row 3" not in shown.stdout
        assert marked in shown.stdout

    shown = run(str(files["good.jsonl"]), "--validation", str(files["good.jsonl"]))
    assert shown.exit_code == 0, shown.output
    assert "8 epochs in batches of 8: 40 steps" in shown.stdout
    assert "VALIDATION" in shown.stdout
    for address in (str(files["bad.jsonl"]), "gs://sets/bad.jsonl"):
        shown = run(address)
        assert shown.exit_code == 1
        assert shown.stdout.count("[invalid_input]") == 50
        assert "Line 2 is not valid JSON" in shown.stdout
        assert "… and 50 more" in shown.stdout
        assert "The dataset cannot be used." in shown.stdout
    assert run(str(tmp_path / "none.jsonl")).exit_code == 1
    assert run("gs://sets/none.jsonl").exit_code == 1
    assert run(str(files["good.jsonl"]), "--validation", "gs://sets/good.jsonl").exit_code == 2
