"""gRPC's parts by themselves: messages as HTTP requests, requests inside a process, and certificates."""

from __future__ import annotations

import asyncio
import json
import socket
import ssl
import stat
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from google.protobuf import json_format
from starlette.responses import StreamingResponse
from starlette.types import Receive, Scope, Send
from typer.testing import CliRunner

from server import PATIENCE
from sintonia.api.grpc.descriptors import Descriptors, prepare
from sintonia.api.grpc.in_process import InProcess
from sintonia.api.grpc.rules import Binding, HttpRequest
from sintonia.cli.program import app
from sintonia.settings import Settings

P = "projects/p/locations/us-central1"


@pytest.fixture(scope="module")
def descriptors() -> Descriptors:
    return Descriptors.load(prepare(Settings.load().cache))


@pytest.mark.parametrize(
    ("path", "message", "verb", "url", "body"),
    [
        (
            "v1.GenAiTuningService/CreateTuningJob",
            {
                "parent": P,
                "tuningJob": {"baseModel": "b", "supervisedTuningSpec": {"hyperParameters": {"epochCount": 3}}},
            },
            "POST",
            f"/v1/{P}/tuningJobs",
            {"baseModel": "b", "supervisedTuningSpec": {"hyperParameters": {"epochCount": "3"}}},
        ),
        (
            "v1beta1.GenAiTuningService/GetTuningJob",
            {"name": f"{P}/tuningJobs/7"},
            "GET",
            f"/v1beta1/{P}/tuningJobs/7",
            None,
        ),
        (
            "v1.GenAiTuningService/ListTuningJobs",
            {"parent": P, "pageSize": 2, "filter": 'state="A" AND x:*'},
            "GET",
            f"/v1/{P}/tuningJobs?filter=state%3D%22A%22+AND+x%3A%2A&pageSize=2",
            None,
        ),
        (
            "v1.GenAiTuningService/CancelTuningJob",
            {"name": f"{P}/tuningJobs/7"},
            "POST",
            f"/v1/{P}/tuningJobs/7:cancel",
            {},
        ),
        (
            "v1.ModelService/UpdateModel",
            {"model": {"name": f"{P}/models/7@2", "displayName": "n"}, "updateMask": "displayName,labels"},
            "PATCH",
            f"/v1/{P}/models/7@2?updateMask=displayName%2Clabels",
            {"displayName": "n"},
        ),
        (
            "v1.ModelService/ListModels",
            {"parent": P, "readMask": "displayName,versionId"},
            "GET",
            f"/v1/{P}/models?readMask=displayName%2CversionId",
            None,
        ),
        (
            "v1.PredictionService/GenerateContent",
            {"model": "publishers/google/models/m", "contents": [{"parts": [{"text": "ü"}]}]},
            "POST",
            "/v1/publishers/google/models/m:generateContent",
            {"contents": [{"parts": [{"text": "ü"}]}]},
        ),
        (
            "v1.PredictionService/StreamGenerateContent",
            {"model": f"{P}/endpoints/9", "generationConfig": {"temperature": 0}},
            "POST",
            f"/v1/{P}/endpoints/9:streamGenerateContent",
            {"generationConfig": {"temperature": 0.0}},
        ),
        (
            "v1.TensorboardService/BatchReadTensorboardTimeSeriesData",
            {"tensorboard": f"{P}/tensorboards/1", "timeSeries": ["a", "b"]},
            "GET",
            f"/v1/{P}/tensorboards/1:batchRead?timeSeries=a&timeSeries=b",
            None,
        ),
        ("v1.EndpointService/DeleteEndpoint", {"name": f"{P}/endpoints/9"}, "DELETE", f"/v1/{P}/endpoints/9", None),
    ],
)
def test_a_message_becomes_the_request_that_rest_clients_send(
    descriptors: Descriptors, path: str, message: dict[str, Any], verb: str, url: str, body: Any
) -> None:
    method = descriptors.methods["/google.cloud.aiplatform." + path]
    asked = json_format.ParseDict(message, method.request(), descriptor_pool=descriptors.pool)
    binding = next(binding for binding in method.bindings if binding.fits(asked))
    request = binding.request(asked, descriptors.pool)
    assert (request.verb, request.path + ("?" + request.query if request.query else "")) == (verb, url)
    assert (json.loads(request.body) if request.body else None) == body


def test_names_of_another_form_do_not_fit(descriptors: Descriptors) -> None:
    method = descriptors.methods["/google.cloud.aiplatform.v1.GenAiTuningService/GetTuningJob"]
    for name in ("", "7", f"{P}/tuningJobs/", f"{P}/tuningJobs/7/x", f"{P}/models/7"):
        assert not any(binding.fits(method.request(name=name)) for binding in method.bindings), name


def test_operations_are_found_under_their_own_prefix(descriptors: Descriptors) -> None:
    method = descriptors.methods["/google.longrunning.Operations/GetOperation"]
    message = method.request(name=f"{P}/models/7/operations/8")
    fitting = [binding.path(message) for binding in method.bindings if binding.fits(message)]
    assert fitting == [f"/ui/{message.name}", f"/v1/{message.name}"]


def test_every_method_of_both_versions_is_known(descriptors: Descriptors) -> None:
    for version in ("v1", "v1beta1"):
        service = f"/google.cloud.aiplatform.{version}.GenAiTuningService/"
        names = {path.removeprefix(service) for path in descriptors.methods if path.startswith(service)}
        assert names == {"CreateTuningJob", "GetTuningJob", "ListTuningJobs", "CancelTuningJob", "RebaseTunedModel"}
    assert not descriptors.methods["/google.cloud.aiplatform.v1.PredictionService/StreamingPredict"].bindings


def test_the_application_is_told_when_its_client_leaves() -> None:
    ended = asyncio.Event()

    async def endless() -> Any:
        try:
            while True:
                yield b"piece"
                await asyncio.sleep(0)
        finally:
            ended.set()

    async def application(scope: Scope, receive: Receive, send: Send) -> None:
        await receive()
        await StreamingResponse(endless())(scope, receive, send)

    async def leave() -> None:
        inside = InProcess(application)
        async with inside.ask(HttpRequest("GET", "/", "", b""), []) as reply:
            async for piece in reply.pieces():
                assert (reply.status, piece) == (200, b"piece")
                break
        await inside.finish(PATIENCE)
        assert ended.is_set()

    asyncio.run(leave())


def test_a_broken_application_is_no_endless_wait() -> None:
    async def application(scope: Scope, receive: Receive, send: Send) -> None:
        await send({"type": "http.response.start", "status": 200, "headers": []})
        raise RuntimeError("broken")

    async def ask() -> None:
        async with InProcess(application).ask(HttpRequest("GET", "/", "", b""), []) as reply:
            with pytest.raises(ConnectionError):
                await reply.body()

    asyncio.run(ask())


_PROBE = """
import sys
from pathlib import Path
import sintonia.app
from sintonia.api.grpc.server import GrpcServer
GrpcServer(host="127.0.0.1", port=0, descriptors=Path(sys.argv[1]), certificate=None, max_request_bytes=1 << 20)
heavy = ("google.cloud.", "google.auth", "google.genai", "proto.")
print(sorted(name for name in sys.modules if name.startswith(heavy)))
status = open("/proc/self/status").read() if sys.platform == "linux" else "VmRSS: 0 kB"
print(status.split("VmRSS:")[1].split()[0])
"""


def test_the_server_never_loads_the_official_package() -> None:
    file = prepare(Settings.load().cache)
    done = subprocess.run([sys.executable, "-c", _PROBE, str(file)], capture_output=True, text=True, check=True)
    loaded, kibibytes = done.stdout.splitlines()
    print(f"memory with gRPC: {int(kibibytes) / 1024:.0f} MiB")
    assert loaded == "[]"
    assert int(kibibytes) < 190_000


def test_descriptors_that_were_cut_short_are_made_again(tmp_path: Path) -> None:
    whole = prepare(Settings.load().cache)
    cut = tmp_path / whole.name
    cut.write_bytes(whole.read_bytes()[:3000])
    assert prepare(tmp_path) == cut
    assert list(Descriptors.load(cut).methods) == list(Descriptors.load(whole).methods)


def serving(home: Path, *arguments: str) -> str:
    """What ``sintonia serve`` says when it cannot."""
    done = CliRunner().invoke(app, ["serve", "--home", str(home), "--port", "0", *arguments])
    assert done.exit_code == 1
    return done.output


def test_a_server_without_a_certificate_says_how_to_make_one(tmp_path: Path) -> None:
    said = serving(tmp_path, "--grpc-port", "0")
    assert "server.pem" in said
    assert "sintonia certs create" in said


def test_a_port_that_is_taken_is_told(tmp_path: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = str(taken.getsockname()[1])
        assert "--grpc-port" in serving(tmp_path, "--grpc-plaintext", "--grpc-port", port)


def test_without_the_extra_it_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in [name for name in sys.modules if name.startswith("sintonia.api.grpc")]:
        monkeypatch.delitem(sys.modules, name)
    monkeypatch.setitem(sys.modules, "grpc", None)
    assert "pip install 'sintonia[grpc]'" in serving(tmp_path, "--grpc-plaintext", "--grpc-port", "0")


def certificates(home: Path, *arguments: str) -> dict[str, bytes]:
    done = CliRunner().invoke(app, ["certs", "create", "--home", str(home), *arguments])
    assert done.exit_code == 0, done.output
    assert f"export GRPC_DEFAULT_SSL_ROOTS_FILE_PATH={home}/certs/ca.pem" in done.output
    return {file.name: file.read_bytes() for file in (home / "certs").iterdir()}


def test_certificates_are_made_once(tmp_path: Path) -> None:
    first = certificates(tmp_path)
    assert sorted(first) == ["ca.key", "ca.pem", "server.key", "server.pem"]
    assert certificates(tmp_path) == first
    named = certificates(tmp_path, "--host", "box.example")
    assert (named["ca.pem"], named["server.pem"]) != (first["ca.pem"], first["server.pem"])
    assert named["ca.pem"] == first["ca.pem"]
    assert certificates(tmp_path) == named
    assert certificates(tmp_path, "--force")["ca.pem"] != first["ca.pem"]
    for key in (tmp_path / "certs").glob("*.key"):
        assert stat.S_IMODE(key.stat().st_mode) == 0o600


def test_a_certificate_is_good_for_the_names_of_this_machine(tmp_path: Path) -> None:
    certificates(tmp_path, "--host", "box.example", "--host", "10.0.0.3")
    folder = tmp_path / "certs"
    for name in ("localhost", "127.0.0.1", "::1", "box.example", "10.0.0.3"):
        assert handshake(folder, name) is None
    assert "match" in str(handshake(folder, "elsewhere.example")).lower()


def handshake(folder: Path, name: str) -> ssl.SSLError | None:
    """What a client that trusts the authority says to the server under ``name``."""
    server = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    server.load_cert_chain(folder / "server.pem", folder / "server.key")
    there, back = ssl.MemoryBIO(), ssl.MemoryBIO()
    client = ssl.create_default_context(cafile=str(folder / "ca.pem")).wrap_bio(there, back, server_hostname=name)
    other = server.wrap_bio(back, there, server_side=True)
    for side in (client, other, client, other):
        try:
            side.do_handshake()
        except ssl.SSLWantReadError:
            continue
        except ssl.SSLError as error:
            return error
    return None


def test_any_token_serves() -> None:
    done = CliRunner().invoke(app, ["auth", "print-access-token"])
    assert (done.exit_code, len(done.output.split())) == (0, 1)


def test_a_rule_has_all_its_bindings(descriptors: Descriptors) -> None:
    method = descriptors.methods["/google.cloud.aiplatform.v1.LlmUtilityService/CountTokens"]
    assert method.bindings[0] == Binding("POST", "/v1/{endpoint=projects/*/locations/*/endpoints/*}:countTokens", "*")
    assert len(method.bindings) == 4
