"""Requests that name themselves are done once: sent again, to two servers at the same time, and after a kill."""

from __future__ import annotations

import tempfile
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import httpx
import pytest

from contracts.postgres import cluster
from server import LOCATION, Server

JOBS = f"/v1/{LOCATION}/tuningJobs"
BODIES: dict[str, dict[str, Any]] = {
    JOBS: {"baseModel": "tiny", "supervisedTuningSpec": {"trainingDatasetUri": "gs://my-data/bad.jsonl"}},
    f"/v1/{LOCATION}/endpoints": {"displayName": "mine"},
    f"/sintonia/v1/{LOCATION}/datasetValidations": {"baseModel": "tiny", "datasetUri": "gs://my-data/bad.jsonl"},
}


@pytest.fixture(scope="module", params=["sqlite", "postgresql"])
def servers(
    request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory, tiny_model_dir: Path
) -> Iterator[tuple[Server, Server]]:
    """Two servers on one home and one database; no job there gets further than its dataset."""
    folder = tempfile.TemporaryDirectory(prefix="pg-")
    database = cluster(Path(folder.name)) if request.param == "postgresql" else None
    settings = f'database_url = "{database.__enter__()}"\n' if database else ""
    home = tmp_path_factory.mktemp("repeats")
    first, second = (Server(home, base_models={"tiny": tiny_model_dir}, settings=settings) for _ in "ab")
    second.log = second.home / "serve-2.log"
    first.start()
    second.start()
    first.upload("gs://my-data/bad.jsonl", b"no row\n")
    yield first, second
    first.stop()
    second.stop()
    if database:
        database.__exit__(None, None, None)
    folder.cleanup()


def _names(server: Server, collection: str) -> list[str]:
    answer = server.call("GET", collection)
    return [item["name"] for item in answer.get(collection.rpartition("/")[2], [])]


def _made(response: httpx.Response) -> str:
    assert response.status_code == 200, response.text
    body = response.json()
    name: str = body.get("response", body)["name"]
    return name


@pytest.mark.parametrize("collection", BODIES)
def test_repeated_requests_make_one_thing(servers: tuple[Server, Server], collection: str) -> None:
    before, body = _names(servers[0], collection), BODIES[collection]

    def send(number: int) -> str:
        """By either spelling, to either server."""
        if number % 3 == 0:
            options: dict[str, Any] = {"headers": {"X-Request-Id": "at-once"}}
        else:
            options = {"params": {("requestId", "request_id")[number % 3 - 1]: "at-once"}}
        return _made(servers[number % 2].request("POST", collection, json=body, **options))

    with ThreadPoolExecutor(12) as threads:
        made = set(threads.map(send, range(24)))
    assert len(made) == 1
    assert set(_names(servers[1], collection)) - set(before) == made
    assert _made(servers[0].request("POST", collection, json=body)) not in made, "without a name it is another one"
    assert _made(servers[0].request("POST", f"{collection}?requestId=later", json=body)) not in made


def test_a_name_is_known_after_a_kill(servers: tuple[Server, Server]) -> None:
    first, _ = servers
    made = [_made(first.request("POST", f"{path}?requestId=killed", json=body)) for path, body in BODIES.items()]
    first.kill()
    first.start()
    assert made == [_made(first.request("POST", f"{path}?requestId=killed", json=b)) for path, b in BODIES.items()]


def test_the_same_name_means_the_same_request(servers: tuple[Server, Server]) -> None:
    first, second = servers
    made = _made(first.request("POST", f"{JOBS}?requestId=same", json=BODIES[JOBS]))
    spelled = {"base_model": "tiny", "supervised_tuning_spec": {"training_dataset_uri": "gs://my-data/bad.jsonl"}}
    assert _made(second.request("POST", f"{JOBS}?requestId=same", json=spelled)) == made, "in other words"
    other = second.request("POST", f"{JOBS}?requestId=same", json=BODIES[JOBS] | {"description": "another"})
    assert (other.status_code, other.json()["error"]["status"]) == (400, "INVALID_ARGUMENT")
    assert "Request id 'same' was used before" in other.json()["error"]["message"]
    elsewhere = JOBS.replace("/p/", "/q/")
    assert _made(second.request("POST", f"{elsewhere}?requestId=same", json=BODIES[JOBS])) != made, "another project"


def test_what_the_url_says_counts_before_the_header(servers: tuple[Server, Server]) -> None:
    """Proxies put a header of their own into every request."""
    headers = [{"X-Request-Id": name} for name in ("of-a-proxy-1", "of-a-proxy-2")]
    made = {
        _made(servers[0].request("POST", f"{JOBS}?requestId=mine", json=BODIES[JOBS], headers=item)) for item in headers
    }
    assert len(made) == 1


@pytest.mark.parametrize("name", ["", "x" * 129, "a b", "ã", "a\tb", "a\u0000b"])
def test_odd_names_are_refused(servers: tuple[Server, Server], name: str) -> None:
    for path, body in BODIES.items():
        refused = servers[0].request("POST", path, params={"requestId": name}, json=body)
        assert (refused.status_code, refused.json()["error"]["status"]) == (400, "INVALID_ARGUMENT"), refused.text


def test_a_request_whose_operation_was_deleted(servers: tuple[Server, Server]) -> None:
    path = f"/v1/{LOCATION}/endpoints?requestId=deleted"
    operation = servers[0].call("POST", path, {})["name"]
    servers[0].call("DELETE", f"/v1/{operation}")
    again = servers[0].request("POST", path, json={})
    assert (again.status_code, again.json()["error"]["status"]) == (400, "FAILED_PRECONDITION")
