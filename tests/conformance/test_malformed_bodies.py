"""Whatever takes a body answers a malformed one in the API's shape, on both databases, and in bounded memory."""

from __future__ import annotations

import gzip
import itertools
import re
import tempfile
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import httpx
import pytest

from contracts.postgres import cluster
from corpus.bodies import BODIES, HEADERS, NUL, VALUES
from rows import shouting_rows
from server import LOCATION, PATIENCE, Server

# Of the largest bodies of the corpus one at a time takes some hundred megabytes.
MOST_MEMORY = 700 * 2**20

LARGE = 50_000
FOR_LARGE = ("/tuningJobs", "/storage/v1/b")
NAMES = {
    "project": "p", "location": "us-central1", "publisher": "google", "endpoint": "7", "bucket": "my-data",
    "target_bucket": "my-data", "name": "tiny", "target_name": "copy", "board": "default",
}  # fmt: skip


SQLITE = pytest.mark.parametrize("server", ["sqlite"], indirect=True, scope="module")
BOTH = pytest.mark.parametrize("server", ["sqlite", "postgresql"], indirect=True, scope="module")


@pytest.fixture(scope="module")
def server(
    request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory, tiny_model_dir: Path
) -> Iterator[Server]:
    with ExitStack() as stack:
        settings = "max_request_bytes = 8388608\ntraining_threads = 1\nserving_threads = 1\n"
        if request.param == "postgresql":
            folder = stack.enter_context(tempfile.TemporaryDirectory(prefix="pg-"))
            settings += f'database_url = "{stack.enter_context(cluster(Path(folder)))}"\n'
        server = Server(tmp_path_factory.mktemp("bodies"), base_models={"tiny": tiny_model_dir}, settings=settings)
        stack.callback(server.stop)
        server.start()
        server.upload("gs://my-data/train.jsonl", shouting_rows(2))
        server.call("POST", f"/v1/{LOCATION}/endpoints?endpointId=7", {})
        yield server


@pytest.fixture(scope="module")
def client(server: Server) -> Iterator[httpx.Client]:
    with httpx.Client(base_url=server.url, timeout=PATIENCE) as client:
        yield client


@pytest.fixture(scope="module")
def routes(client: httpx.Client) -> dict[tuple[str, str], dict[str, Any]]:
    """Operations that may have a body, by verb and path; one of each method of the API is enough."""
    found = {}
    for path, operations in client.get("/openapi.json").json()["paths"].items():
        filled = re.sub(r"{(\w+)}", lambda name: NAMES.get(name[1], "1"), path)
        for verb, operation in operations.items():
            alias = path.startswith(("/v1/models/", "/v1/endpoints/", "/v1/publishers/")) or "{resource}" in path
            if verb in ("post", "put", "patch") and not alias:
                found[verb, filled] = operation
    return found


def judge(response: httpx.Response, what: object) -> None:
    """It is a success, or an error of the API's shape that is not the server's fault."""
    told = f"{what}: {response.status_code} {response.text[:300]}"
    assert response.status_code < 500 or response.status_code in (501, 503), told
    if response.status_code >= 400:
        document = response.json()
        error = document[0]["error"] if isinstance(document, list) else document["error"]
        assert error["code"] == response.status_code, told
        assert error["message"], told
        assert len(response.content) < 100_000, "an answer is not as long as what was asked"


@SQLITE
@pytest.mark.parametrize("name", BODIES)
def test_malformed_bodies(client: httpx.Client, routes: dict[tuple[str, str], Any], name: str) -> None:
    for verb, path in routes:
        if path.startswith("/upload/") or (len(BODIES[name]) > LARGE and not path.endswith(FOR_LARGE)):
            continue  # the one takes any bytes; the other reads as all do
        response = client.request(verb, path, content=BODIES[name], headers={"content-type": "application/json"})
        judge(response, (verb, path, name))


@SQLITE
@pytest.mark.parametrize("name", HEADERS)
def test_bodies_that_say_they_are_something_else(
    client: httpx.Client, routes: dict[tuple[str, str], Any], name: str
) -> None:
    bomb = gzip.compress(bytes(100_000_000)) if name == "gzip" else b"{}"
    for verb, path in routes:
        response = client.request(verb, path, content=bomb, headers=HEADERS[name])
        judge(response, (verb, path, name))


@BOTH
def test_a_wrong_value_in_every_field(
    request: pytest.FixtureRequest, client: httpx.Client, routes: dict[tuple[str, str], Any]
) -> None:
    document = client.get("/openapi.json").json()
    # In turn: two of them have no divisor in common with 17, so that fields of a kind meet every one.
    values, each = (itertools.cycle(VALUES), 2) if "sqlite" in request.node.name else (itertools.cycle([NUL]), 1)
    for (verb, path), operation in routes.items():
        if "generateContent" in path and "publishers" not in path:
            continue  # the same messages
        schema = operation.get("requestBody", {}).get("content", {}).get("application/json", {}).get("schema")
        for field in fields(document, schema or {}, depth=3):
            for value in itertools.islice(values, each):
                response = client.request(verb, path, json=placed(field, value))
                judge(response, (verb, path, field, value))


def fields(document: Any, schema: Any, depth: int) -> Iterator[list[str | int]]:
    """Paths of the fields of a message, and of those in it."""
    schema = resolved(document, schema)
    for name, inner in schema.get("properties", {}).items():
        yield [name]
        inner = resolved(document, inner)
        repeated = inner.get("type") == "array"
        for rest in fields(document, inner["items"] if repeated else inner, depth - 1) if depth > 1 else ():
            yield [name, 0, *rest] if repeated else [name, *rest]


def resolved(document: Any, schema: Any) -> Any:
    while "$ref" in schema:
        schema = document["components"]["schemas"][schema["$ref"].rpartition("/")[2]]
    return schema


def placed(path: list[str | int], value: Any) -> Any:
    for step in reversed(path):
        value = [value] if isinstance(step, int) else {step: value}
    return value


@BOTH
def test_what_a_database_may_not_take_is_told_or_kept(client: httpx.Client) -> None:
    """NUL, which PostgreSQL refuses in texts: in what is stored, and in what is looked for."""
    spec = {"supervisedTuningSpec": {"trainingDatasetUri": "gs://my-data/train.jsonl"}}
    stored = [
        ("POST", "tuningJobs", {"baseModel": "tiny", "description": NUL, **spec}),
        ("POST", "tuningJobs", {"baseModel": NUL, **spec}),
        ("POST", "tuningJobs", {"baseModel": "tiny", "tunedModelDisplayName": NUL, **spec}),
        ("POST", "tuningJobs", {"baseModel": "tiny", "labels": {"a": NUL}, **spec}),
        ("POST", "endpoints?endpointId=8", {"displayName": "🎈", "description": NUL}),
        ("POST", "endpoints", {"displayName": NUL}),
        ("PATCH", "endpoints/7", {"description": NUL}),
        ("PATCH", "endpoints/7?updateMask=displayName", {"displayName": NUL}),
        ("PATCH", "models/1", {"description": NUL}),
    ]
    for verb, path, body in stored:
        judge(client.request(verb, f"/v1/{LOCATION}/{path}", json=body), (path, body))
    for collection in ("tuningJobs", "models", "endpoints", "operations"):
        for query in ("", '?filter=display_name="a%00b"', '?filter=labels.a="b"', "?filter=labels.a%3D%22%5Cu0000%22"):
            judge(client.get(f"/v1/{LOCATION}/{collection}{query}"), (collection, query))
    for name in ("%00", "a%00b", "%F0%9F%8E%88", "9" * 5000, "..%2F..", "%2e%2e"):
        for path in (f"tuningJobs/{name}", f"models/{name}", f"endpoints/{name}", f"operations/{name}"):
            judge(client.get(f"/v1/{LOCATION}/{path}"), path)


@BOTH
def test_it_was_all_in_bounded_memory_and_no_fault(server: Server) -> None:
    assert server.process is not None
    status = Path(f"/proc/{server.process.pid}/status").read_text()
    peak = next(int(line.split()[1]) for line in status.splitlines() if line.startswith("VmHWM"))
    assert peak * 1024 < MOST_MEMORY
    assert "Traceback" not in server.log.read_text()
