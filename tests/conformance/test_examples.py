"""Everything in ``examples/``, and the page on metrics, is run as somebody runs it; what has no test here fails it."""

from __future__ import annotations

import csv
import json
import os
import re
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from test_sdks import CLIENTS

from server import PATIENCE, Server
from sintonia import console

ROOT = Path(__file__).parents[2]
EXAMPLES = ROOT / "examples"
NOTEBOOK = EXAMPLES / "notebook" / "tune_a_model.ipynb"
CONSOLE = Path(console.__file__).parent / "static"
PROJECT = "projects/examples/locations/us-central1"


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory, tiny_model_dir: Path) -> Iterator[Server]:
    settings = 'training_threads = 1\nserving_threads = 1\n\n[aliases]\n"gemini-1.0-pro-002" = "tiny"\n'
    server = Server(tmp_path_factory.mktemp("examples"), base_models={"tiny": tiny_model_dir}, settings=settings)
    yield server.start()
    server.stop()


def run(server: Server, *command: str | Path) -> str:
    """What a command prints; it must succeed."""
    assert CLIENTS.exists(), "the clients' environment is missing; make it with: make test"
    chosen = {"SINTONIA_URL": server.url, "PROJECT_ID": "examples", "EPOCHS": "2", "SECONDS_BETWEEN_LOOKS": "0.2"}
    done = subprocess.run(
        list(map(str, command)),
        capture_output=True,
        text=True,
        timeout=2 * PATIENCE,
        env={**os.environ, **chosen},
        check=False,
    )
    assert done.returncode == 0, done.stdout[-2000:] + done.stderr[-3000:]
    return done.stdout


@pytest.fixture(scope="module")
def by_curl(server: Server) -> list[str]:
    """The lines that the curl example prints; its rows are what others tune on."""
    return run(server, "bash", EXAMPLES / "curl" / "tune.sh").splitlines()


def newest_job(server: Server) -> dict[str, Any]:
    job: dict[str, Any] = server.call("GET", f"/v1/{PROJECT}/tuningJobs")["tuningJobs"][0]
    return job


def test_nothing_is_left_out() -> None:
    found = {str(path.relative_to(EXAMPLES)) for path in EXAMPLES.rglob("*") if path.is_file()}
    tested = {
        "curl/tune.sh",
        "google-genai/compare_checkpoints.py",
        "vertexai/curves.py",
        "notebook/tune_a_model.ipynb",
    }
    assert found == tested | {"README.md", "rows/train.jsonl", "rows/validation.jsonl"}
    listed = (EXAMPLES / "README.md").read_text(encoding="utf-8")
    assert [name for name in tested if f"({name})" not in listed] == []


def test_curl(server: Server, by_curl: list[str]) -> None:
    job = newest_job(server)
    assert by_curl[0] == job["name"]
    assert "JOB_STATE_SUCCEEDED" in by_curl
    assert job["supervisedTuningSpec"]["hyperParameters"]["epochCount"] == "2"
    assert len(by_curl[by_curl.index("JOB_STATE_SUCCEEDED") + 1 :]) <= 1  # a line is the answer; it may be empty


@pytest.mark.usefixtures("by_curl")
def test_google_genai(server: Server) -> None:
    lines = run(server, CLIENTS, EXAMPLES / "google-genai" / "compare_checkpoints.py").splitlines()
    titles = [line.partition(":")[0] for line in lines if ": '" in line or ': "' in line]
    checkpoints = newest_job(server)["tunedModel"]["checkpoints"]
    assert titles == ["base model", *(f"epoch {item['epoch']}, step {item['step']}" for item in checkpoints)]


@pytest.mark.usefixtures("by_curl")
def test_curves_by_vertexai(server: Server, tmp_path: Path) -> None:
    job = newest_job(server)["name"]
    file = tmp_path / "curves.csv"
    assert run(server, CLIENTS, EXAMPLES / "vertexai" / "curves.py", job.rsplit("/", 1)[-1], file).startswith(
        "COMPLETE"
    )
    found: dict[str, dict[str, list[Any]]] = {}
    with file.open(newline="") as stream:
        for line in csv.DictReader(stream):
            for series in (name for name, value in line.items() if name.startswith("/") and value):
                found.setdefault(series, {"steps": [], "values": []})["steps"].append(int(line["step"]))
                found[series]["values"].append(float(line[series]))
    assert found == server.metrics(job)


def programs_of_the_page_on_metrics() -> list[str]:
    page = (ROOT / "docs" / "how-to" / "watch-metrics.md").read_text(encoding="utf-8")
    return re.findall(r"^```python\n(.*?)^```$", page, re.MULTILINE | re.DOTALL)


def put_in(program: str, places: dict[str, str]) -> str:
    """``program`` with what somebody would put in the place of what is printed."""
    for printed, meant in places.items():
        assert printed in program
        program = program.replace(printed, meant)
    return program


@pytest.mark.usefixtures("by_curl")
def test_the_page_on_metrics(server: Server) -> None:
    job = newest_job(server)["name"]
    places = {"http://127.0.0.1:8080": server.url, "projects/local": "projects/examples", '"local"': '"examples"'}
    program = put_in(programs_of_the_page_on_metrics()[0], places | {"TUNING_JOB_ID": job.rsplit("/", 1)[-1]})
    loss = server.metrics(job)["/train_total_loss"]
    assert run(server, CLIENTS, "-c", program).endswith(f"{list(zip(loss['steps'], loss['values'], strict=True))}\n")


@pytest.mark.usefixtures("by_curl")
def test_the_page_on_early_stopping(server: Server) -> None:
    data = newest_job(server)["supervisedTuningSpec"]
    places = {
        "http://127.0.0.1:8080": server.url,
        '"local"': '"examples"',
        "gs://my-data/train.jsonl": data["trainingDatasetUri"],
        "gs://my-data/validation.jsonl": data["validationDatasetUri"],
    }
    name = run(server, CLIENTS, "-c", put_in(programs_of_the_page_on_metrics()[1], places)).strip()
    assert server.call("GET", f"/v1/{name}")["labels"] == {"sintonia-early-stopping": "3"}
    server.call("POST", f"/v1/{name}:cancel")


def test_notebook(server: Server) -> None:
    printed = run(server, CLIENTS, Path(__file__).parent / "clients" / "notebook.py", NOTEBOOK)
    shown = json.loads(printed.partition("SEEN ")[2])
    job = newest_job(server)
    assert job["name"] in shown["tune"]["text"]
    assert job["tunedModelDisplayName"] == "ticket sorter"
    assert "JOB_STATE_SUCCEEDED" in shown["poll"]["text"]
    assert "image/png" in shown["plot"]["kinds"]
    assert "text/html" in shown["table"]["kinds"]
    before, after = shown["evaluate"]["text"].splitlines()
    assert before.startswith("before:")
    assert after.startswith("after:")
    assert shown["predict"]["text"].startswith(job["tunedModel"]["endpoint"])


def test_it_connects_as_the_notebooks_of_the_console_do() -> None:
    cells = {cell["id"]: "".join(cell["source"]) for cell in json.loads(NOTEBOOK.read_text(encoding="utf-8"))["cells"]}
    assert cells["connect"] in (CONSOLE / "notebook_cells.js").read_text(encoding="utf-8")


def test_the_notebook_is_saved_as_nobody_ran_it() -> None:
    cells = json.loads(NOTEBOOK.read_text(encoding="utf-8"))["cells"]
    code = [cell for cell in cells if cell["cell_type"] == "code"]
    assert [cell["id"] for cell in code if cell["outputs"] or cell["execution_count"] is not None] == []
