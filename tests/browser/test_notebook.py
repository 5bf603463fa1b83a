"""Notebooks that the console makes: downloaded and run as they are, in an environment with the official SDK."""

from __future__ import annotations

import ast
import json
import os
import re
import subprocess
from collections.abc import Callable
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from threading import Thread
from typing import Any

import pytest
from playwright.sync_api import Page, expect
from visitors import HOSTILE, Visitor, console

from rows import shouting_rows
from server import LOCATION, PATIENCE, Server

ROOT = Path(__file__).parents[2]
CLIENTS = ROOT / ".cache" / "clients" / "bin" / "python"
RUNNER = ROOT / "tests" / "conformance" / "clients" / "notebook.py"
# What is hostile to Python, to Markdown, to shells, to IPython and to people's eyes.
NAMES = (
    HOSTILE, '"""', "'''\\", "\\", 'a"\n!touch hacked', "%matplotlib", "ends with ?", "{x} {{y}} $HOME `id` $(id)",
    "\u202etxt.exe", "\u2028\u2029\x85", "\x00\x1b[31m\x7f", "😀 ação 日本語", "<script>alert(1)</script>",
    "[a](javascript:x) ![i](http://x/y) $x^2$", "",
)  # fmt: skip
Notebook = dict[str, Any]


def source_of(notebook: Notebook, cell_id: str) -> str:
    (found,) = [cell["source"] for cell in notebook["cells"] if cell["id"] == cell_id]
    return str(found)


def values_of(notebook: Notebook, cell_id: str) -> dict[str, Any]:
    """What a cell of assignments assigns; it must do nothing else."""
    lines = ast.parse(source_of(notebook, cell_id)).body
    assert all(isinstance(line, ast.Assign) for line in lines)
    return {line.targets[0].id: ast.literal_eval(line.value) for line in lines}  # type: ignore[attr-defined]


def run(file: Path, **environment: str) -> dict[str, Any]:
    """What the cells of a notebook show."""
    done = subprocess.run(
        [str(CLIENTS), str(RUNNER), str(file)],
        capture_output=True,
        text=True,
        timeout=2 * PATIENCE,
        env={**os.environ, **environment},
        check=False,
    )
    assert done.returncode == 0, done.stdout[-2000:] + done.stderr[-3000:]
    shown: dict[str, Any] = json.loads(done.stdout.partition("SEEN ")[2])
    return shown


@pytest.fixture
def make(visitor: Visitor) -> Callable[[Any], Notebook]:
    """Makes the notebook of a job or a request by the console's module."""
    page = visitor.open(console(project="empty"))

    def notebook(job: Any) -> Notebook:
        made: Notebook = page.evaluate(
            """async (job) => {
                const { static: at } = JSON.parse(document.getElementById("config").textContent);
                return (await import(`${at}/notebook.js`)).notebookOf(job);
            }""",
            job,
        )
        return made

    return notebook


def download(page: Page, path: Path) -> Path:
    with page.expect_download() as waiting:
        page.get_by_role("button", name="Open notebook").first.click()
    file = path / waiting.value.suggested_filename
    waiting.value.save_as(file)
    return file


def test_the_notebook_of_a_job_is_run_as_downloaded(
    visitor: Visitor, server: Server, tuned: str, tmp_path: Path
) -> None:
    page = visitor.open(console(f"tuningJobs/{tuned.rpartition('/')[2]}"))
    file = download(page, tmp_path)
    assert re.fullmatch(r"[\w-]+", file.stem)
    assert file.stem.endswith(tuned.rpartition("/")[2])
    expect(page.get_by_text(f"jupyter lab {file.name}").first).to_be_visible()
    notebook = json.loads(file.read_text())
    assert (notebook["nbformat"], notebook["nbformat_minor"]) == (4, 5)
    parameters = values_of(notebook, "parameters")
    assert parameters == {
        "ADDRESS": server.url,
        "PROJECT_ID": "p",
        "REGION": "us-central1",
        "TUNED_MODEL_DISPLAY_NAME": HOSTILE,
        "JOB": tuned,
    }
    job = server.job(tuned)
    shown = run(file)
    link = f"{server.url}/console/{tuned}"
    assert link in shown["tune"]["html"]
    assert "console.cloud.google.com" not in json.dumps(shown)
    assert shown["watch"]["html"].count("<svg") == 3
    assert shown["watch"]["html"].count("<polyline") == 6
    assert "JOB_STATE_SUCCEEDED" in shown["watch"]["html"]
    assert "Step 6 of 6" in shown["watch"]["html"]
    assert values_of_question(notebook) == f"say {HOSTILE}"
    assert shown["ask"]["text"] == server.generate(job["tunedModel"]["endpoint"], f"say {HOSTILE}", maxOutputTokens=256)
    page.goto(link)
    expect(page.get_by_role("heading", level=1)).to_have_text(HOSTILE)


def values_of_question(notebook: Notebook) -> Any:
    assignment = ast.parse(source_of(notebook, "ask")).body[2]
    assert isinstance(assignment, ast.Assign)
    return ast.literal_eval(assignment.value)


def test_the_notebook_of_the_wizard_starts_the_job(visitor: Visitor, server: Server, tmp_path: Path) -> None:
    train = server.upload("gs://console/by notebook's.jsonl", shouting_rows(16))
    page = visitor.open(console("tuningJobs/create"))
    page.get_by_label("Name of the tuned model").fill(HOSTILE)
    page.get_by_role("radio", name="tiny").first.check()
    page.get_by_text("Advanced settings").click()
    page.get_by_label("Epochs").fill("2")
    page.get_by_label("Adapter size").select_option("4")
    page.get_by_role("button", name="Continue", exact=True).click()
    page.get_by_label("Address").first.fill(train)
    page.get_by_label("Address").first.press("Enter")
    expect(page.get_by_text("The dataset is ready")).to_be_visible(timeout=60_000)
    page.get_by_role("button", name="Continue", exact=True).click()
    page.get_by_text("The same job as code").click()
    file = download(page, tmp_path)
    notebook = json.loads(file.read_text())
    assert values_of(notebook, "parameters")["JOB"] is None
    assert values_of(notebook, "settings") == {
        "source_model": "tiny",
        "train_dataset": train,
        "validation_dataset": None,
        "epochs": 2,
        "adapter_size": 4,
        "learning_rate_multiplier": None,
    }
    assert "sft.train(" in source_of(notebook, "tune")
    shown = run(file)
    job = server.job(shown["tune"]["text"].strip())
    assert (job["tunedModelDisplayName"], job["state"]) == (HOSTILE, "JOB_STATE_SUCCEEDED")
    assert job["supervisedTuningSpec"]["hyperParameters"]["adapterSize"] == "ADAPTER_SIZE_FOUR"
    assert shown["watch"]["html"].count("<polyline") == 3  # there is no validation
    assert "JOB_STATE_SUCCEEDED" in shown["watch"]["html"]


def test_a_job_is_tuned_again_and_one_that_failed_says_why(
    make: Callable[[Any], Notebook], server: Server, tuned: str, failed: str, tmp_path: Path
) -> None:
    """Both in one kernel. The first job has a description, which is beyond the arguments of the SDK."""
    again, other = make(server.job(tuned)), make(server.job(failed))
    assert "sft.train(" not in source_of(again, "tune")
    wanted = [(again, "parameters"), (again, "connect"), (again, "settings"), (again, "tune")]
    wanted += [(other, "parameters"), (other, "tune"), (other, "watch")]
    cells = [
        cell | {"id": f"{cell['id']}-{made is other}"}
        for made, cell_id in wanted
        for cell in made["cells"]
        if cell["id"] == cell_id
    ]
    cells[0]["source"] = re.sub(r"^JOB = .*$", "JOB = None", cells[0]["source"], flags=re.MULTILINE)
    file = tmp_path / "both.ipynb"
    file.write_text(json.dumps(again | {"cells": cells}))
    shown = run(file)
    name = shown["tune-False"]["text"].strip()
    server.request("POST", f"/v1/{name}:cancel", json={})
    before, after = server.job(tuned), server.job(name)
    assert name != tuned
    for field in ("tunedModelDisplayName", "description", "baseModel", "supervisedTuningSpec"):
        assert after[field] == before[field]
    assert "JOB_STATE_FAILED" in shown["watch-True"]["html"]
    assert shown["watch-True"]["text"].strip() == server.job(failed)["error"]["message"]


def test_whatever_things_are_called_is_data(make: Callable[[Any], Notebook]) -> None:
    for name in NAMES:
        uri = f"gs://bucket/{name}"
        request = {
            "baseModel": name,
            "tunedModelDisplayName": name,
            "labels": {name: name},
            "supervisedTuningSpec": {"trainingDatasetUri": uri},
        }
        turns = [{"role": "user", "parts": [{"text": name}]}]
        stats = {"tuningDataStats": {"supervisedTuningDataStats": {"userDatasetExamples": turns}}}
        notebook = make({**request, **stats, "name": f"{LOCATION}/tuningJobs/{name}"})
        assert values_of(notebook, "parameters")["TUNED_MODEL_DISPLAY_NAME"] == (name or None)
        asked = values_of(notebook, "settings")["request"]
        assert (asked["labels"], asked["supervisedTuningSpec"]["trainingDatasetUri"]) == ({name: name}, uri)
        assert not name or values_of_question(notebook) == name
        heading = source_of(notebook, "title").partition("\n")[0]
        assert re.fullmatch(r"# ([\w -]|&#\d+;)+", heading), heading
        for cell in notebook["cells"]:
            shown = cell["source"]
            assert all(letter.isprintable() or letter == "\n" for letter in shown), repr(shown)
            if cell["cell_type"] == "code":
                compile(shown, cell["id"], "exec")


def test_a_link_from_elsewhere(visit: Any, server: Server, tuned: str) -> None:
    """A page of another origin, such as a notebook's, may lead to the console, and to nothing else."""
    targets = {
        "job": f"{server.url}/console/{tuned}",
        "front": f"{server.url}/",
        "api": f"{server.url}/v1/{tuned}",
    }

    class Elsewhere(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            self.send_response(200)
            self.send_header("Content-Type", "text/html")
            self.end_headers()
            links = "".join(f'<a href="{url}">{name}</a>' for name, url in targets.items())
            self.wfile.write(links.encode())

        def log_message(self, *_: Any) -> None:
            pass

    elsewhere = ThreadingHTTPServer(("127.0.0.1", 0), Elsewhere)
    Thread(target=elsewhere.serve_forever, daemon=True).start()
    try:
        # Another host is another site.
        visitor = visit(url=f"http://localhost:{elsewhere.server_port}")
        visitor.welcome = (server.url,)
        visitor.expected = "403"
        page = visitor.open("/notebook")
        page.get_by_role("link", name="job").click()
        expect(page.get_by_role("heading", level=1)).to_have_text(HOSTILE)
        page.go_back()
        page.get_by_role("link", name="front").click()
        expect(page.get_by_role("heading", name="Tuned models")).to_be_visible()
        page.go_back()
        page.get_by_role("link", name="api").click()
        expect(page.get_by_text("Requests from pages of other sites are not allowed.")).to_be_visible()
    finally:
        elsewhere.shutdown()
        elsewhere.server_close()
