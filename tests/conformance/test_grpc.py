"""gRPC without TLS, call by call: errors with their details, and what happens when either side leaves."""

from __future__ import annotations

import json
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import grpc
import httpx
import pytest
from google.protobuf import json_format

from server import LOCATION, PATIENCE, Server, until
from sintonia.api.grpc.descriptors import Descriptors, prepare
from sintonia.settings import Settings

MODEL = f"{LOCATION}/publishers/google/models/gemini-1.0-pro-002"
CONTEXT = 1 << 15  # Longer than any test waits for.
GENERATE, STREAM = "PredictionService/GenerateContent", "PredictionService/StreamGenerateContent"


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory, tiny_model_dir: Path) -> Iterator[Server]:
    """A server of its own, because engines are killed here; its model takes replies that do not end by themselves."""
    folder = tmp_path_factory.mktemp("grpc")
    shutil.copytree(tiny_model_dir, folder / "model")
    config = folder / "model" / "config.json"
    config.write_text(json.dumps(json.loads(config.read_text()) | {"max_position_embeddings": CONTEXT}))
    settings = (
        'serving_threads = 1\nprecision = "float32"\ngrpc_port = 0\ngrpc_security = "plaintext"\n'
        'max_request_bytes = 100000\n\n[aliases]\n"gemini-1.0-pro-002" = "tiny"\n'
    )
    server = Server(folder / "home", base_models={"tiny": folder / "model"}, settings=settings)
    server.start()
    yield server
    server.stop()


class Caller:
    """Calls methods by their path, with messages as JSON has them, or as bytes."""

    def __init__(self, server: Server) -> None:
        self.descriptors = Descriptors.load(prepare(Settings.load().cache))
        self.channel = grpc.insecure_channel(f"127.0.0.1:{server.grpc_port}")

    def __call__(self, path: str, message: dict[str, Any] | bytes, *, version: str = "v1", **options: Any) -> Any:
        """The answer as JSON has it; of a stream, its call."""
        pool = self.descriptors.pool
        path = f"/google.cloud.aiplatform.{version}.{path}" if not path.startswith("/") else path
        method = self.descriptors.methods[path]
        if not isinstance(message, bytes):
            asked = json_format.ParseDict(message, method.request(), descriptor_pool=pool)
            message = asked.SerializeToString()
        options = {"timeout": PATIENCE, **options}
        codec = {
            "request_serializer": None,
            "response_deserializer": method.response.FromString,
        }
        if method.streams:
            return self.channel.unary_stream(path, **codec)(message, **options)
        answer = self.channel.unary_unary(path, **codec)(message, **options)
        return json_format.MessageToDict(answer, descriptor_pool=pool)

    def error(
        self, path: str, message: dict[str, Any] | bytes, **options: Any
    ) -> tuple[grpc.StatusCode, dict[str, Any]]:
        """Its code, and its google.rpc.Status as JSON has it."""
        with pytest.raises(grpc.RpcError) as failed:
            list(self(path, message, **options))
        details = dict(failed.value.trailing_metadata()).get("grpc-status-details-bin", b"")
        status = self.descriptors.message("google.rpc.Status").FromString(details)
        told = json_format.MessageToDict(status, descriptor_pool=self.descriptors.pool)
        assert not details or (told["code"], told["message"]) == (failed.value.code().value[0], failed.value.details())
        return failed.value.code(), told


@pytest.fixture(scope="module")
def call(server: Server) -> Iterator[Caller]:
    caller = Caller(server)
    yield caller
    caller.channel.close()


def asking(model: str = MODEL, tokens: int = 12, **config: Any) -> dict[str, Any]:
    return {
        "model": model,
        "contents": [{"role": "user", "parts": [{"text": "Why is sky blue?"}]}],
        "generationConfig": {"temperature": 0, "maxOutputTokens": tokens, **config},
    }


ENDLESS = asking(tokens=CONTEXT - 1000)


def test_answers_are_those_of_rest(server: Server, call: Caller) -> None:
    over_rest = server.call("POST", f"/v1/{MODEL}:generateContent", {k: v for k, v in asking().items() if k != "model"})
    for version in ("v1", "v1beta1"):
        over_grpc = call(GENERATE, asking(), version=version)
        assert {**over_grpc, "createTime": "", "responseId": ""} == {
            **over_rest,
            "createTime": "",
            "responseId": "",
        } | {
            # Where JSON says 0, messages say nothing.
            "candidates": [{k: v for k, v in c.items() if k != "index"} for c in over_rest["candidates"]]
        }


@pytest.mark.parametrize(
    ("path", "message", "code", "begin"),
    [
        (
            "GenAiTuningService/GetTuningJob",
            {"name": f"{LOCATION}/tuningJobs/9"},
            "NOT_FOUND",
            f"TuningJob `{LOCATION}/tuningJobs/9` not found.",
        ),
        (
            "GenAiTuningService/GetTuningJob",
            {"name": "9"},
            "INVALID_ARGUMENT",
            "A name in the request has not the form",
        ),
        ("GenAiTuningService/ListTuningJobs", {"parent": LOCATION, "filter": "x y ="}, "INVALID_ARGUMENT", ""),
        ("PredictionService/Predict", {"endpoint": f"{LOCATION}/endpoints/9"}, "UNIMPLEMENTED", "Method /google.cloud"),
        (
            "/google.longrunning.Operations/GetOperation",
            {"name": f"{LOCATION}/operations/9"},
            "NOT_FOUND",
            f"Operation `{LOCATION}/operations/9` not found.",
        ),
        (STREAM, asking(f"{LOCATION}/endpoints/9"), "NOT_FOUND", f"Endpoint `{LOCATION}/endpoints/9` not found."),
        (STREAM, asking(temperature=3), "INVALID_ARGUMENT", "Unable to submit request because it has a temperature"),
    ],
)
def test_errors_have_their_code_and_words(
    call: Caller, path: str, message: dict[str, Any], code: str, begin: str
) -> None:
    found, status = call.error(path, message)
    assert found.name == code
    assert status["message"].startswith(begin)


def test_errors_have_their_details(call: Caller) -> None:
    body = {"parent": LOCATION, "tuningJob": {"baseModel": "gemini-1.0-pro-002"}}
    code, status = call.error("GenAiTuningService/CreateTuningJob", body)
    assert code == grpc.StatusCode.INVALID_ARGUMENT
    (detail,) = status["details"]
    assert detail["@type"] == "type.googleapis.com/google.rpc.BadRequest"
    assert detail["fieldViolations"][0]["field"] == "tuning_job.supervised_tuning_spec"


def test_a_long_error_still_comes_through(call: Caller) -> None:
    for name in ("x" * 6000, "ü" * 6000, "%" * 6000):
        code, status = call.error("GenAiTuningService/GetTuningJob", {"name": f"{LOCATION}/tuningJobs/{name}"})
        assert code == grpc.StatusCode.NOT_FOUND
        assert status["message"].endswith(f"{name[0]} …")


def test_a_message_may_be_as_large_as_a_body(call: Caller) -> None:
    parts = [{"text": "x" * 110_000}]
    code, _ = call.error(GENERATE, {"model": MODEL, "contents": [{"role": "user", "parts": parts}]})
    assert code == grpc.StatusCode.RESOURCE_EXHAUSTED


def test_methods_of_other_services_are_unknown(server: Server) -> None:
    with grpc.insecure_channel(f"127.0.0.1:{server.grpc_port}") as channel, pytest.raises(grpc.RpcError) as failed:
        channel.unary_unary("/google.cloud.aiplatform.v1.JobService/GetCustomJob")(b"", timeout=PATIENCE)
    assert failed.value.code() == grpc.StatusCode.UNIMPLEMENTED


# Either side leaves


def busy(server: Server) -> int:
    """Replies that the engine works on or has waiting."""
    command = server.engines()[0].cmdline()
    transport = httpx.HTTPTransport(uds=command[command.index("--uds") + 1])
    with httpx.Client(transport=transport, base_url="http://engine", timeout=PATIENCE) as engine:
        health = engine.get("/health").json()
    return int(health["running"] + health["waiting"])


def test_a_client_that_cancels_stops_the_engine(server: Server, call: Caller) -> None:
    stream = call(STREAM, ENDLESS)
    assert next(stream).candidates
    assert busy(server) == 1
    stream.cancel()
    until(lambda: busy(server) == 0, what="an idle engine", server=server)


@pytest.mark.parametrize("path", [GENERATE, STREAM])
def test_a_deadline_stops_the_engine(server: Server, call: Caller, path: str) -> None:
    code, _ = call.error(path, ENDLESS, timeout=1)
    assert code == grpc.StatusCode.DEADLINE_EXCEEDED
    until(lambda: busy(server) == 0, what="an idle engine", server=server)


def test_an_error_in_mid_stream_ends_the_call(server: Server, call: Caller) -> None:
    stream = call(STREAM, ENDLESS)
    chunks = 0

    def read() -> None:
        nonlocal chunks
        for _ in stream:
            if not chunks:
                server.engines()[0].kill()
            chunks += 1

    with pytest.raises(grpc.RpcError) as failed:
        read()
    assert chunks
    assert failed.value.code() == grpc.StatusCode.UNAVAILABLE
    assert call(GENERATE, asking())["candidates"]


@pytest.mark.parametrize("path", [GENERATE, STREAM, "GenAiTuningService/CreateTuningJob"])
@pytest.mark.parametrize("message", [b"\xff", b"\x0a\x05ab", bytes.fromhex("1a") * 5000, b"\x0b" * 5000])
def test_bytes_that_are_no_message(server: Server, call: Caller, path: str, message: bytes) -> None:
    code, status = call.error(path, message)
    assert code is grpc.StatusCode.INVALID_ARGUMENT
    assert status["message"].startswith("The request is no message of type google.cloud.aiplatform.v1.")
    assert "Traceback" not in server.log.read_text()


def test_creating_is_done_once_by_the_name_of_the_request(server: Server, call: Caller) -> None:
    job = {"baseModel": "tiny", "supervisedTuningSpec": {"trainingDatasetUri": "gs://my-data/nothing.jsonl"}}
    server.upload("gs://my-data/nothing.jsonl", b"no row\n")
    asked = {"parent": LOCATION, "tuningJob": job}
    create = "GenAiTuningService/CreateTuningJob"
    made = [call(create, asked, metadata=[("x-request-id", name)])["name"] for name in ("one", "one", "two")]
    assert made[0] == made[1] != made[2]
    other = {"parent": LOCATION, "tuningJob": {**job, "description": "another"}}
    code, status = call.error(create, other, metadata=[("x-request-id", "one")])
    assert (code, "was used before" in status["message"]) == (grpc.StatusCode.INVALID_ARGUMENT, True)
    rest = server.request("POST", f"/v1/{LOCATION}/tuningJobs", json=job, headers={"X-Request-Id": "one"})
    assert rest.json()["name"] == made[0], "over REST too"


def test_stopping_ends_open_calls(server: Server, call: Caller) -> None:
    # The last of this module: nothing answers after it.
    stream = call(STREAM, ENDLESS)
    next(stream)
    assert server.terminate() < PATIENCE
    with pytest.raises(grpc.RpcError) as failed:
        list(stream)
    assert failed.value.code() in (grpc.StatusCode.UNAVAILABLE, grpc.StatusCode.CANCELLED)
    assert "Traceback" not in server.log.read_text()
