"""The command line against a small real HTTP server that answers what each test tells it to."""

from __future__ import annotations

import json
import subprocess
import sys
import threading
from collections.abc import Iterator
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner

from sintonia.cli import watch
from sintonia.cli.program import app

PARENT = "/v1/projects/local/locations/us-central1"
JOB = "projects/local/locations/us-central1/tuningJobs/7"
ENDPOINT = "projects/local/locations/us-central1/endpoints/8"
SUCCEEDED = {"name": JOB, "state": "JOB_STATE_SUCCEEDED", "tunedModel": {"endpoint": ENDPOINT}}
NOT_FOUND = (404, {"error": {"code": 404, "message": "no such thing", "status": "NOT_FOUND"}})


@dataclass
class FakeApi:
    """Answers by method and path (with query); a list is answered one by one, its last element for ever."""

    answers: dict[str, Any] = field(default_factory=dict)
    requests: list[tuple[str, bytes]] = field(default_factory=list)
    url: str = ""

    def answer(self, key: str, body: bytes) -> tuple[int, Any, dict[str, str]]:
        self.requests.append((key, body))
        if key not in self.answers:
            return (*NOT_FOUND, {})
        answer = self.answers[key]
        if isinstance(answer, list):
            answer = answer.pop(0) if len(answer) > 1 else answer[0]
        status, document, *headers = answer if isinstance(answer, tuple) else (200, answer)
        return status, document, headers[0] if headers else {}

    def sent(self, key: str) -> Any:
        return next(json.loads(body) for asked, body in self.requests if asked == key)


@pytest.fixture
def api() -> Iterator[FakeApi]:
    fake = FakeApi()

    class Handler(BaseHTTPRequestHandler):
        def _handle(self) -> None:
            body = self.rfile.read(int(self.headers.get("Content-Length", 0)))
            status, document, headers = fake.answer(f"{self.command} {self.path}", body)
            content = document if isinstance(document, bytes) else json.dumps(document).encode()
            self.send_response(status)
            for name, value in {**headers, "Content-Length": str(len(content))}.items():
                self.send_header(name, value)
            self.end_headers()
            self.wfile.write(content)

        do_GET = do_POST = do_PUT = do_DELETE = _handle

        def log_message(self, *args: Any) -> None: ...

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    fake.url = f"http://127.0.0.1:{server.server_port}"
    threading.Thread(target=server.serve_forever, args=(0.01,), daemon=True).start()
    yield fake
    server.shutdown()
    server.server_close()


@pytest.fixture
def run(api: FakeApi, monkeypatch: pytest.MonkeyPatch) -> Any:
    monkeypatch.setenv("SINTONIA_URL", api.url)
    monkeypatch.setattr(watch, "_SECONDS_BETWEEN_LOOKS", 0.0)
    return lambda *arguments, **options: CliRunner().invoke(app, list(arguments), **options)


def test_help_loads_nothing_heavy() -> None:
    heavy = {"httpx", "pydantic", "fastapi", "sqlalchemy", "torch", "transformers", "tokenizers"}
    code = f"import sys, sintonia.cli.program; print(sorted({heavy!r} & set(sys.modules)))"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"


def test_every_command_has_a_help(run: Any) -> None:
    for command in ("serve", "setup", "demo", "generate", "cp", "ls", "doctor", "jobs create", "jobs list",
                    "jobs describe", "jobs watch", "jobs logs", "jobs cancel", "metrics", "models list",
                    "models describe", "endpoints list", "endpoints describe", "buckets create", "buckets list",
                    "base-models list", "base-models pull"):  # fmt: skip
        result = run(*command.split(), "--help")
        assert result.exit_code == 0, command
        assert "Usage: sintonia" in result.stdout or "Usage:" in result.stdout


def test_an_api_error_is_one_line_and_exit_code_1(run: Any) -> None:
    result = run("jobs", "describe", "9")
    assert result.exit_code == 1
    assert result.stdout == ""
    assert result.stderr == "error: NOT_FOUND: no such thing\n"


def test_no_server_is_exit_code_3_and_says_what_to_do() -> None:
    result = CliRunner().invoke(app, ["jobs", "list", "--url", "http://127.0.0.1:9"])
    assert result.exit_code == 3
    assert "http://127.0.0.1:9" in result.stderr
    assert "sintonia serve" in result.stderr


def test_something_else_than_a_server_of_ours_is_told(run: Any, api: FakeApi) -> None:
    api.answers[f"GET {PARENT}/tuningJobs?pageSize=50"] = (200, b"<html>hello</html>")
    result = run("jobs", "list")
    assert result.exit_code == 1
    assert "is that a Sintonia server?" in result.stderr


def test_wrong_usage_is_exit_code_2(run: Any) -> None:
    assert run("jobs", "describe").exit_code == 2
    wrong_size = ("jobs", "create", "--base-model", "m", "--train", "gs://b/t.jsonl", "--adapter-size", "3")
    assert run(*wrong_size).exit_code == 2
    assert run("cp", "a", "b").exit_code == 2
    assert run("generate", "m", "--chat", "--json").exit_code == 2


def test_shared_options_work_before_and_after_the_command(run: Any, api: FakeApi) -> None:
    path = "/v1/projects/mine/locations/europe-west4/tuningJobs?pageSize=50"
    api.answers[f"GET {path}"] = {}
    before = run("--project", "mine", "--location", "europe-west4", "--json", "jobs", "list")
    after = run("jobs", "list", "--project", "mine", "--location", "europe-west4", "--json")
    assert json.loads(before.stdout) == json.loads(after.stdout) == {"tuningJobs": []}


def test_create_sends_only_what_was_said(run: Any, api: FakeApi) -> None:
    key = f"POST {PARENT}/tuningJobs"
    api.answers[key] = {"name": JOB, "state": "JOB_STATE_PENDING"}
    result = run("jobs", "create", "--base-model", "m", "--train", "gs://b/t.jsonl", "--json")
    assert json.loads(result.stdout)["name"] == JOB
    assert api.sent(key) == {"baseModel": "m", "supervisedTuningSpec": {"trainingDatasetUri": "gs://b/t.jsonl"}}


def test_create_sends_all_that_was_said(run: Any, api: FakeApi) -> None:
    key = f"POST {PARENT}/tuningJobs"
    api.answers[key] = {"name": JOB, "state": "JOB_STATE_PENDING"}
    options = "--validation gs://b/v.jsonl --epochs 3 --adapter-size 16 --learning-rate-multiplier 0.5 --name n"
    result = run("jobs", "create", "--base-model", "m", "--train", "gs://b/t.jsonl", *options.split(),
                 "--export-last-checkpoint-only", "--early-stopping", "3")  # fmt: skip
    assert result.exit_code == 0
    assert api.sent(key) == {
        "baseModel": "m",
        "labels": {"sintonia-early-stopping": "3"},
        "tunedModelDisplayName": "n",
        "supervisedTuningSpec": {
            "trainingDatasetUri": "gs://b/t.jsonl",
            "validationDatasetUri": "gs://b/v.jsonl",
            "exportLastCheckpointOnly": True,
            "hyperParameters": {
                "epochCount": 3,
                "adapterSize": "ADAPTER_SIZE_SIXTEEN",
                "learningRateMultiplier": 0.5,
            },
        },
    }


@pytest.mark.parametrize("name", ["models/7@2", "projects/local/locations/us-central1/models/7@2"])
def test_create_goes_on_from_a_tuned_model(run: Any, api: FakeApi, name: str) -> None:
    key = f"POST {PARENT}/tuningJobs"
    api.answers[key] = {"name": JOB, "state": "JOB_STATE_PENDING"}
    assert run("jobs", "create", "--base-model", name, "--checkpoint", "3", "--train", "gs://b/t.jsonl").exit_code == 0
    assert api.sent(key) == {
        "preTunedModel": {
            "tunedModelName": "projects/local/locations/us-central1/models/7@2",
            "checkpointId": "3",
        },
        "supervisedTuningSpec": {"trainingDatasetUri": "gs://b/t.jsonl"},
    }


@pytest.mark.parametrize("name", ["gemini-1.0-pro-002", "projects/p/locations/l/publishers/google/models/tiny"])
def test_a_base_model_has_no_checkpoints(run: Any, name: str) -> None:
    result = run("jobs", "create", "--base-model", name, "--checkpoint", "3", "--train", "gs://b/t.jsonl")
    assert result.exit_code == 2
    assert "only a tuned model" in result.stderr


def test_early_stopping_needs_validation_rows(run: Any) -> None:
    result = run("jobs", "create", "--base-model", "m", "--train", "gs://b/t.jsonl", "--early-stopping", "3")
    assert result.exit_code == 2
    assert "it looks at the validation loss" in result.stderr


def test_a_local_file_is_no_dataset_address(run: Any, tmp_path: Path) -> None:
    rows = tmp_path / "rows.jsonl"
    rows.write_text("{}\n")
    result = run("jobs", "create", "--base-model", "m", "--train", str(rows))
    assert result.exit_code == 2
    assert "sintonia cp" in result.stderr


def test_list_follows_pages_up_to_the_limit(run: Any, api: FakeApi) -> None:
    api.answers[f"GET {PARENT}/tuningJobs?pageSize=2"] = {"tuningJobs": [{"name": JOB}], "nextPageToken": "t"}
    api.answers[f"GET {PARENT}/tuningJobs?pageSize=2&pageToken=t"] = {"tuningJobs": [SUCCEEDED, SUCCEEDED]}
    assert len(json.loads(run("jobs", "list", "--limit", "2", "--json").stdout)["tuningJobs"]) == 2


def test_describe_shows_errors_and_checkpoints(run: Any, api: FakeApi) -> None:
    checkpoint = {"checkpointId": "1", "epoch": "1", "step": "25", "endpoint": ENDPOINT}
    api.answers[f"GET {PARENT}/tuningJobs/7"] = {
        "name": JOB,
        "state": "JOB_STATE_FAILED",
        "error": {"code": 3, "message": "row 4: bad"},
        "tunedModel": {"checkpoints": [checkpoint]},
    }
    shown = run("jobs", "describe", "7").stdout
    assert "row 4: bad" in shown
    assert "epoch 1, step 25" in shown
    api.answers[f"GET {PARENT}/tuningJobs/7"]["tunedModel"] = {
        "checkpoints": [checkpoint | {"checkpointId": str(number)} for number in (1, 2)]
    }
    api.answers[f"GET /sintonia/v1/{JOB}/progress"] = {"bestCheckpoint": {"checkpointId": "1", "validationLoss": 0.25}}
    shown = run("jobs", "describe", "7").stdout
    assert shown.count("(best: validation loss 0.2500)") == 1


def test_watch_tells_every_stage_and_ends_with_the_job(run: Any, api: FakeApi) -> None:
    running = {"state": "JOB_STATE_RUNNING", "tuningJobState": "TUNING_JOB_STATE_TUNING", "totalSteps": 50, "epochs": 2}
    api.answers[f"GET /sintonia/v1/{JOB}/progress"] = [
        {"state": "JOB_STATE_PENDING", "queuePosition": 2},
        {"state": "JOB_STATE_PENDING", "queuePosition": 2},
        {**running, "step": 10, "epoch": 0, "loss": 1.25, "tokensPerSecond": 301.4, "secondsLeft": 75},
        {"state": "JOB_STATE_SUCCEEDED", "step": 50, "totalSteps": 50, "epoch": 2, "epochs": 2, "loss": 0.1},
    ]
    api.answers[f"GET {PARENT}/tuningJobs/7"] = SUCCEEDED
    result = run("jobs", "watch", JOB)
    assert result.exit_code == 0
    assert [line.rstrip() for line in result.stdout.splitlines()] == [
        "pending · place 2 in the queue",
        "tuning · step 10/50 · epoch 1/2 · loss 1.250 · 301 tok/s · 1m 15s left",
        "succeeded · step 50/50 · epoch 2/2 · loss 0.100",
        f"succeeded: {ENDPOINT}",
        "ask it with: sintonia generate 8 'your prompt'",
    ]


def test_watch_of_a_failed_job_is_exit_code_1_with_its_error(run: Any, api: FakeApi) -> None:
    api.answers[f"GET /sintonia/v1/{JOB}/progress"] = {"state": "JOB_STATE_FAILED"}
    failed = {"name": JOB, "state": "JOB_STATE_FAILED", "error": {"code": 3, "message": "row 4: bad"}}
    api.answers[f"GET {PARENT}/tuningJobs/7"] = failed
    result = run("jobs", "watch", "7", "--json")
    assert result.exit_code == 1
    assert json.loads(result.stdout) == failed
    assert "error: INVALID_ARGUMENT: row 4: bad" in result.stderr


def test_interrupting_a_watch_leaves_the_job(run: Any, api: FakeApi, monkeypatch: pytest.MonkeyPatch) -> None:
    api.answers[f"GET /sintonia/v1/{JOB}/progress"] = {"state": "JOB_STATE_RUNNING"}

    def interrupt(seconds: float) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(watch.time, "sleep", interrupt)
    result = run("jobs", "watch", "7")
    assert result.exit_code == 130
    assert "the job goes on" in result.stderr
    assert not [key for key, _ in api.requests if "cancel" in key]


def test_log_is_read_to_its_end(run: Any, api: FakeApi) -> None:
    api.answers[f"GET /sintonia/v1/{JOB}/log?offset=0"] = {"text": "one\n", "nextOffset": 4}
    api.answers[f"GET /sintonia/v1/{JOB}/log?offset=4"] = {"text": "two\n", "nextOffset": 8}
    api.answers[f"GET /sintonia/v1/{JOB}/log?offset=8"] = {"text": "", "nextOffset": 8}
    assert run("jobs", "logs", "7").stdout == "one\ntwo\n"


def test_a_log_is_followed_until_the_job_ends(run: Any, api: FakeApi) -> None:
    running, ended = {"state": "JOB_STATE_RUNNING"}, {"state": "JOB_STATE_FAILED"}
    api.answers[f"GET /sintonia/v1/{JOB}/progress"] = [running, running, ended]
    nothing = {"text": "", "nextOffset": 4}
    api.answers[f"GET /sintonia/v1/{JOB}/log?offset=0"] = [{"text": ""}, {"text": "one\n", "nextOffset": 4}]
    api.answers[f"GET /sintonia/v1/{JOB}/log?offset=4"] = [nothing, {"text": "two\n", "nextOffset": 8}]
    api.answers[f"GET /sintonia/v1/{JOB}/log?offset=8"] = {"text": "", "nextOffset": 8}
    result = run("jobs", "logs", "-f", "7")
    assert (result.exit_code, result.stdout) == (0, "one\ntwo\n")


def test_lists_send_filter_and_page_size(run: Any, api: FakeApi) -> None:
    model = {"name": "projects/local/locations/us-central1/models/5", "versionId": "1", "displayName": "shout"}
    endpoint = {"name": ENDPOINT, "deployedModels": [{"model": model["name"], "checkpointId": "2"}]}
    api.answers[f"GET {PARENT}/tuningJobs?pageSize=9&filter=state%3DFAILED"] = {"tuningJobs": [SUCCEEDED]}
    api.answers[f"GET {PARENT}/models?pageSize=50&filter=labels%3Ateam"] = {"models": [model]}
    api.answers[f"GET {PARENT}/endpoints?pageSize=50"] = {"endpoints": [endpoint]}
    assert "7" in run("jobs", "list", "--filter", "state=FAILED", "--page-size", "9").stdout
    assert "5@1" in run("models", "list", "--filter", "labels:team").stdout
    assert json.loads(run("endpoints", "list", "--json").stdout) == {"endpoints": [endpoint]}
    assert run("endpoints", "list").stdout.splitlines()[1].split() == ["8", "5", "2"]


def test_dataset_validations_are_listed_and_deleted(run: Any, api: FakeApi) -> None:
    place = "/sintonia/v1/projects/local/locations/us-central1/datasetValidations"
    told = {"name": f"{place[13:]}/9", "datasetUri": "gs://b/o.jsonl", "baseModel": "tiny", "state": "SUCCEEDED",
            "valid": True, "createTime": "2026-11-23T10:00:00.000000Z"}  # fmt: skip
    waiting = {**told, "name": f"{place[13:]}/10", "state": "PENDING"}
    del waiting["valid"]
    api.answers[f"GET {place}?pageSize=50"] = {"datasetValidations": [waiting, told]}
    lines = run("datasets", "list").stdout.splitlines()
    assert lines[1].split()[:4] == ["10", "gs://b/o.jsonl", "tiny", "PENDING"]
    assert lines[2].split()[:4] == ["9", "gs://b/o.jsonl", "tiny", "good"]
    api.answers[f"DELETE {place}/9"] = {}
    assert run("datasets", "delete", "9").exit_code == 0
    assert run("datasets", "delete", told["name"]).exit_code == 0
    assert run("datasets", "delete", "11").exit_code == 1


def test_models_and_endpoints_are_described(run: Any, api: FakeApi) -> None:
    checkpoint = {"checkpointId": "2", "epoch": "4", "step": "9"}
    model = {
        "name": "projects/local/locations/us-central1/models/5",
        "labels": {"team": "a"},
        "checkpoints": [checkpoint],
    }
    api.answers[f"GET {PARENT}/models/5"] = model
    api.answers[f"GET {PARENT}/endpoints/8"] = {"name": ENDPOINT, "deployedModels": [{"checkpointId": "2"}]}
    shown = run("models", "describe", "5").stdout
    assert "team=a" in shown
    assert "epoch 4, step 9" in shown
    assert ENDPOINT in run("endpoints", "describe", "8").stdout


def test_metrics_are_drawn(run: Any, api: FakeApi) -> None:
    series = {"/train_total_loss": {"steps": [1, 2, 3], "values": [2.0, 1.0, 0.5]},
              "/eval_total_loss": {"steps": [0, 3], "values": [2.5, None]}}  # fmt: skip
    api.answers[f"GET /sintonia/v1/{JOB}/metrics"] = [{"series": {}}, {"series": series}]
    assert "no metrics yet" in run("metrics", "7").stderr
    shown = run("metrics", "7").stdout
    assert "●" in shown
    assert "/train_total_loss: 0.5 at step 3 (from 0.5 to 2)" in shown
    assert json.loads(run("metrics", "7", "--json").stdout) == {"series": series}


def test_cancel(run: Any, api: FakeApi) -> None:
    api.answers[f"POST {PARENT}/tuningJobs/7:cancel"] = {}
    assert run("jobs", "cancel", "7").exit_code == 0


def _chunk(text: str) -> str:
    return "data: " + json.dumps({"candidates": [{"content": {"parts": [{"text": text}]}}]}) + "\r\n\r\n"


@pytest.mark.parametrize(
    ("target", "path"),
    [
        ("8", f"{PARENT}/endpoints/8"),
        ("7", f"{PARENT}/endpoints/8"),
        (JOB, f"{PARENT}/endpoints/8"),
        (ENDPOINT, f"{PARENT}/endpoints/8"),
        ("endpoints/8", f"{PARENT}/endpoints/8"),
        ("gemini-1.0-pro-002", f"{PARENT}/publishers/google/models/gemini-1.0-pro-002"),
        ("publishers/google/models/m", f"{PARENT}/publishers/google/models/m"),
        ("models/5@1", f"{PARENT}/models/5@1"),
    ],
)
def test_generate_streams_from_whatever_the_target_means(run: Any, api: FakeApi, target: str, path: str) -> None:
    api.answers[f"GET {PARENT}/tuningJobs/7"] = SUCCEEDED
    api.answers[f"GET {PARENT}/endpoints/8"] = {"name": ENDPOINT}
    key = f"POST {path}:streamGenerateContent?alt=sse"
    api.answers[key] = (200, (_chunk("Hello") + _chunk(" there")).encode())
    result = run("generate", target, "Hi", "--system", "Be brief.", "--temperature", "0", "--top-k", "3")
    assert result.stdout == "Hello there\n", result.stderr
    assert api.sent(key) == {
        "contents": [{"role": "user", "parts": [{"text": "Hi"}]}],
        "systemInstruction": {"parts": [{"text": "Be brief."}]},
        "generationConfig": {"temperature": 0.0, "topK": 3},
    }


def test_generate_reads_stdin_and_prints_the_whole_response_as_json(run: Any, api: FakeApi) -> None:
    key = f"POST {PARENT}/publishers/google/models/m:generateContent"
    api.answers[key] = {"candidates": [{"content": {"parts": [{"text": "42"}]}}], "modelVersion": "m"}
    result = run("generate", "m", "-", "--json", input="what?\n")
    assert json.loads(result.stdout)["modelVersion"] == "m"
    assert api.sent(key)["contents"][0]["parts"] == [{"text": "what?"}]


def test_chat_remembers_the_conversation(run: Any, api: FakeApi) -> None:
    key = f"POST {PARENT}/publishers/google/models/m:streamGenerateContent?alt=sse"
    api.answers[key] = (200, _chunk("fine").encode())
    assert run("generate", "m", "--chat", input="how are you\nreally\n").exit_code == 0
    said = json.loads(api.requests[-1][1])["contents"]
    assert [(turn["role"], turn["parts"][0]["text"]) for turn in said] == [
        ("user", "how are you"),
        ("model", "fine"),
        ("user", "really"),
    ]


def test_an_error_inside_a_stream_is_told(run: Any, api: FakeApi) -> None:
    error = "data: " + json.dumps({"error": {"code": 503, "message": "engine gone", "status": "UNAVAILABLE"}}) + "\n\n"
    api.answers[f"POST {PARENT}/publishers/google/models/m:streamGenerateContent?alt=sse"] = (
        200,
        (_chunk("He") + error).encode(),
    )
    result = run("generate", "m", "Hi")
    assert result.exit_code == 1
    assert "UNAVAILABLE: engine gone" in result.stderr


def test_a_job_without_a_checkpoint_cannot_be_asked(run: Any, api: FakeApi) -> None:
    api.answers[f"GET {PARENT}/tuningJobs/7"] = {"name": JOB, "state": "JOB_STATE_RUNNING"}
    result = run("generate", "7", "Hi")
    assert result.exit_code == 1
    assert "FAILED_PRECONDITION" in result.stderr


def test_files_go_to_buckets_and_come_back(run: Any, api: FakeApi, tmp_path: Path) -> None:
    rows = tmp_path / "rows é.jsonl"
    rows.write_bytes(b"{}\n" * 5)
    start = "POST /upload/storage/v1/b/mine/o?uploadType=resumable&name=data%2Frows+%C3%A9.jsonl"
    stored = {"bucket": "mine", "name": "data/rows é.jsonl", "size": "15", "generation": "7"}
    api.answers[start] = (200, b"", {"Location": f"{api.url}/upload?upload_id=1"})
    api.answers["PUT /upload?upload_id=1"] = stored
    assert json.loads(run("cp", str(rows), "gs://mine/data/", "--json").stdout) == stored
    assert [body for asked, body in api.requests if asked.startswith("PUT")] == [b"{}\n" * 5]
    api.answers["GET /storage/v1/b/mine/o/data%2Frows%20%C3%A9.jsonl"] = stored
    media = "GET /storage/v1/b/mine/o/data%2Frows%20%C3%A9.jsonl?alt=media&generation=7"
    api.answers[media] = (200, b"{}\n" * 5)
    (tmp_path / "back").mkdir()
    assert run("cp", "gs://mine/data/rows é.jsonl", str(tmp_path / "back")).exit_code == 0
    assert [path.name for path in (tmp_path / "back").iterdir()] == ["rows é.jsonl"]
    assert (tmp_path / "back" / "rows é.jsonl").read_bytes() == b"{}\n" * 5


def test_an_upload_that_stumbles_goes_on_from_what_has_arrived(run: Any, api: FakeApi, tmp_path: Path) -> None:
    (tmp_path / "file").write_bytes(b"0123456789")
    start = "POST /upload/storage/v1/b/mine/o?uploadType=resumable&name=file"
    api.answers[start] = (200, b"", {"Location": "/upload?upload_id=1"})
    stored = {"bucket": "mine", "name": "file", "size": "10"}
    api.answers["PUT /upload?upload_id=1"] = [(503, b""), (308, b"", {"Range": "bytes=0-5"}), stored]
    result = run("cp", str(tmp_path / "file"), "gs://mine/", "--json")
    assert json.loads(result.stdout) == stored
    assert "going on" in result.stderr
    assert [body for asked, body in api.requests if asked.startswith("PUT")] == [b"0123456789", b"", b"6789"]
    api.answers["PUT /upload?upload_id=1"] = (412, {"error": {"status": "FAILED_PRECONDITION", "message": "no"}})
    assert "error: FAILED_PRECONDITION: no" in run("cp", str(tmp_path / "file"), "gs://mine/").stderr


def test_a_download_with_another_checksum_leaves_no_file(run: Any, api: FakeApi, tmp_path: Path) -> None:
    stored = {"size": "3", "generation": "7", "md5Hash": "AAAAAAAAAAAAAAAAAAAAAA=="}
    api.answers["GET /storage/v1/b/mine/o/file"] = stored
    api.answers["GET /storage/v1/b/mine/o/file?alt=media&generation=7"] = (200, b"abc")
    assert "DATA_LOSS" in run("cp", "gs://mine/file", str(tmp_path / "copy")).stderr
    assert list(tmp_path.iterdir()) == []


def test_rm_deletes_one_or_a_folder(run: Any, api: FakeApi) -> None:
    for name in ("a%2Fb", "a%2Fc"):
        api.answers[f"DELETE /storage/v1/b/mine/o/{name}"] = (204, b"")
    api.answers["DELETE /storage/v1/b/mine"] = (204, b"")
    api.answers["GET /storage/v1/b/mine/o?prefix=a%2F"] = {"items": [{"name": "a/b"}, {"name": "a/c"}]}
    assert "deleted gs://mine/a/b" in run("rm", "gs://mine/a/b").stdout
    assert json.loads(run("rm", "-r", "gs://mine/a", "--json").stdout) == {"deleted": ["a/b", "a/c"]}
    assert run("rm", "gs://mine").exit_code == 2
    assert run("rm", "gs://mine/none").exit_code == 1
    assert run("buckets", "delete", "gs://mine").exit_code == 0


def test_a_missing_object_leaves_no_file(run: Any, tmp_path: Path) -> None:
    assert run("cp", "gs://mine/none", str(tmp_path / "copy")).exit_code == 1
    assert list(tmp_path.iterdir()) == []


def test_buckets_and_ls(run: Any, api: FakeApi) -> None:
    api.answers["POST /storage/v1/b?project=local"] = {"name": "mine"}
    api.answers["GET /storage/v1/b?project=local"] = {"items": [{"name": "mine"}]}
    api.answers["GET /storage/v1/b/mine/o?prefix=&delimiter=%2F"] = {
        "items": [{"name": "a.jsonl", "size": "3", "updated": "2026-11-23T10:00:00.000Z"}],
        "prefixes": ["data/"],
    }
    assert "gs://mine/" in run("buckets", "create", "gs://mine").stdout
    assert run("ls").stdout == "gs://mine/\n"
    listed = run("ls", "gs://mine").stdout
    assert "gs://mine/data/" in listed
    assert "3  2026-11-23 10:00:00" in listed


def test_base_models(run: Any, api: FakeApi) -> None:
    api.answers["GET /sintonia/v1/baseModels"] = {"baseModels": [{"id": "m", "aliases": ["gemini-1.0-pro-002"]}]}
    assert "gemini-1.0-pro-002" in run("base-models", "list").stdout
