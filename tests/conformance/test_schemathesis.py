"""Requests that a program makes up from our OpenAPI document: no fault, no answer that the document does not tell.

``make fuzz`` tries many more than this, and values at every boundary.
"""

from __future__ import annotations

import os
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from rows import shouting_rows
from server import LOCATION, Server

HERE = Path(__file__).parent
PROGRAM = HERE.parents[1] / ".cache" / "clients-schemathesis" / "bin" / "schemathesis"
CHECKS = "not_a_server_error,status_code_conformance,content_type_conformance,response_schema_conformance"
# Set by ``make fuzz``: seconds.
LONG = os.environ.get("FUZZ_SECONDS")


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory, tiny_model_dir: Path) -> Iterator[Server]:
    settings = "training_threads = 1\nserving_threads = 1\ndefault_max_output_tokens = 4\n"
    server = Server(tmp_path_factory.mktemp("fuzz"), base_models={"tiny": tiny_model_dir}, settings=settings)
    server.start()
    server.upload("gs://my-data/train.jsonl", shouting_rows(2))
    server.call("POST", f"/v1/{LOCATION}/endpoints?endpointId=7", {})
    yield server
    server.stop()


def test_the_api_is_as_its_document_says(server: Server, tmp_path: Path) -> None:
    if LONG:
        effort = ["--phases=examples,coverage,fuzzing,stateful", f"--max-time={LONG}"]
    else:
        effort = ["--phases=fuzzing", "--max-examples=3", "--generation-deterministic", "--no-shrink"]
    done = subprocess.run(
        [
            PROGRAM,
            f"--config-file={HERE / 'schemathesis.toml'}",
            "run",
            f"{server.url}/openapi.json",
            f"--checks={CHECKS}",
            "--continue-on-failure",
            "--suppress-health-check=all",
            "--warnings=off",
            "--workers=2",
            *effort,
        ],
        capture_output=True,
        text=True,
        check=False,
        cwd=tmp_path,
    )
    assert done.returncode == 0, done.stdout[-10000:] + done.stderr
    log = server.log.read_text()
    assert "Traceback" not in log, log[-5000:]
