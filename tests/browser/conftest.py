"""Chromium on a real server with a tiny model; whatever a page does wrong in passing fails the test that opened it."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from playwright.sync_api import Browser, expect, sync_playwright
from visitors import HOSTILE, Visitor

from endless_models import endless_copy
from rows import shouting_rows
from server import LOCATION, Server

# A busy machine may be slow; a page that waits longer has found a hang.
expect.set_options(timeout=30_000)


@pytest.fixture(scope="package")
def server(tmp_path_factory: pytest.TempPathFactory, tiny_model_dir: Path) -> Iterator[Server]:
    settings = 'training_threads = 1\nserving_threads = 1\n\n[aliases]\n"gemini-1.0-pro-002" = "tiny"\n'
    folder = tmp_path_factory.mktemp("console")
    models = {"tiny": tiny_model_dir, "endless": endless_copy(tiny_model_dir, folder / "endless")}
    server = Server(folder / "home", base_models=models, settings=settings)
    yield server.start()
    server.stop()


@pytest.fixture(scope="package")
def tuned(server: Server) -> str:
    """A job with two checkpoints that has succeeded, every word of which is hostile."""
    rows = shouting_rows(24)
    rows[0]["contents"][0]["parts"][0]["text"] = f"say {HOSTILE}"
    train = server.upload("gs://console/train.jsonl", rows)
    validation = server.upload("gs://console/validation.jsonl", shouting_rows(8, start=500))
    body = {
        "baseModel": "gemini-1.0-pro-002",
        "tunedModelDisplayName": HOSTILE,
        "description": HOSTILE,
        "supervisedTuningSpec": {
            "trainingDatasetUri": train,
            "validationDatasetUri": validation,
            "hyperParameters": {"epochCount": 2},
        },
    }
    name: str = server.call("POST", f"/v1/{LOCATION}/tuningJobs", body)["name"]
    assert server.finished_job(name)["state"] == "JOB_STATE_SUCCEEDED"
    return name


@pytest.fixture(scope="package")
def failed(server: Server) -> str:
    """A job whose dataset has two bad lines, one of them hostile."""
    rows = shouting_rows(3)
    rows[1]["contents"][0]["role"] = HOSTILE
    rows[2]["contents"].pop()
    name: str = server.create_job("tiny", server.upload("gs://console/broken.jsonl", rows))["name"]
    assert server.finished_job(name)["state"] == "JOB_STATE_FAILED"
    return name


# Of a module: while playwright runs, so does an event loop of its own, in which no asynchronous test can run.
@pytest.fixture(scope="module")
def chromium() -> Iterator[Browser]:
    found = shutil.which("chromium")
    if not found:
        pytest.skip("chromium is not installed; on Debian: apt-get install chromium")
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=found, args=["--no-sandbox"])
        yield browser
        browser.close()


@pytest.fixture
def visit(chromium: Browser, server: Server) -> Iterator[Any]:
    """Makes visitors, each with a browser profile of their own."""
    visitors: list[Visitor] = []

    def make(*, url: str = server.url, **options: Any) -> Visitor:
        options = {"locale": "en-US", "viewport": {"width": 1280, "height": 900}, **options}
        visitors.append(Visitor(chromium.new_context(**options), url))
        visitors[-1].context.set_default_timeout(30_000)
        return visitors[-1]

    yield make
    complaints = [complaint for visitor in visitors for complaint in visitor.complaints]
    for visitor in visitors:
        for page in visitor.context.pages:
            # Not evaluated once: a page may be on its way to another.
            page.wait_for_function("() => window.hacked === undefined")
        visitor.context.close()
    assert complaints == []


@pytest.fixture
def visitor(visit: Any) -> Visitor:
    made: Visitor = visit()
    return made
