"""Requests that a disk holds up do not hold up the others."""

from __future__ import annotations

import os
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from server import LOCATION, Server
from sintonia.datasets.handover import report_file

REQUESTS = 30
"""More than there are threads by default, on any machine of a few cores."""


@pytest.fixture
def server(tmp_path: Path, tiny_model_dir: Path) -> Iterator[Server]:
    server = Server(tmp_path / "home", base_models={"tiny": tiny_model_dir})
    server.start()
    yield server
    server.stop()


def test_reads_that_hang_hold_up_nobody_else(server: Server) -> None:
    server.upload("gs://my-data/bad.jsonl", b"no row\n")
    job = server.finished_job(server.create_job("tiny", "gs://my-data/bad.jsonl")["name"])
    pipe = report_file(server.run(job["name"]))
    pipe.unlink()
    os.mkfifo(pipe)  # whoever opens it waits until somebody writes
    with ThreadPoolExecutor(REQUESTS) as threads:
        hanging = [
            threads.submit(server.request, "GET", f"/sintonia/v1/{job['name']}/datasetReport") for _ in range(REQUESTS)
        ]
        for _ in range(3):
            assert server.call("GET", "/storage/v1/b/my-data")["name"] == "my-data"
            assert server.call("GET", f"/v1/{LOCATION}/tuningJobs")["tuningJobs"]
        assert not any(request.done() for request in hanging)
        while not all(request.done() for request in hanging):
            os.close(os.open(pipe, os.O_RDWR | os.O_NONBLOCK))
