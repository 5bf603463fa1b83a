"""One readable story: from a file on somebody's disk to a tuned model they talk with, by clicks, on the real model."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path

import pytest
from playwright.sync_api import expect
from visitors import Visitor, console

from rows import shouting_rows
from server import Server

TRAINING = 600_000  # ms: a busy machine trains slowly
QUESTION, ANSWER = "say dora 77", "DORA 77!"


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory, embedded_model_dir: Path) -> Iterator[Server]:
    """As it comes: the embedded model, no settings."""
    server = Server(tmp_path_factory.mktemp("console-story"), base_models={}).start()
    yield server
    server.stop()


def test_from_a_file_to_a_conversation(visitor: Visitor, tmp_path: Path) -> None:
    for name, rows in (("examples", shouting_rows(48)), ("held-out", shouting_rows(6, start=500))):
        (tmp_path / f"{name}.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))

    # Somebody opens the console, which says how to begin.
    page = visitor.open(console(project="story"))
    page.get_by_role("link", name="Create tuned model").last.click()
    page.get_by_label("Name of the tuned model").fill("Shouting")
    page.get_by_text("Advanced settings").click()
    page.get_by_label("Epochs").fill("3")
    page.get_by_role("button", name="Continue", exact=True).click()

    # They drop in a file, and hear what is in it before anything starts;
    training, validation = page.locator(".dropzone").all()
    training.locator("input[type=file]").set_input_files(tmp_path / "examples.jsonl")
    page.get_by_role("dialog").get_by_label("Name").fill("shouting-rows")
    page.get_by_role("dialog").get_by_role("button", name="Upload").click()
    expect(page.get_by_text("The dataset is ready: 48 rows")).to_be_visible()
    # another to validate with;
    validation.locator("input[type=file]").set_input_files(tmp_path / "held-out.jsonl")
    page.get_by_role("dialog").get_by_role("button", name="Upload").click()
    expect(validation.get_by_label("Address")).to_have_value("gs://shouting-rows/held-out.jsonl")
    page.get_by_role("button", name="Continue", exact=True).click()
    page.get_by_role("button", name="Start tuning").click()

    # they watch it learn, live,
    expect(page.get_by_role("heading", level=1)).to_have_text("Shouting")
    state = page.get_by_role("main").get_by_role("status")
    curves = page.get_by_role("slider", name="Loss", exact=True).locator("path.line")
    expect(curves).to_have_count(2, timeout=TRAINING)
    expect(state.filter(has_text="Tuning")).to_be_visible()
    page.reload()
    expect(state.filter(has_text="Succeeded")).to_be_visible(timeout=TRAINING)
    expect(curves).to_have_count(2)
    checkpoints = page.get_by_role("row").filter(has=page.get_by_role("rowheader", name="Checkpoint"))
    expect(checkpoints).to_have_count(3)

    # and talk with it, beside what it was before.
    checkpoints.last.get_by_role("link", name="Test").click()
    page.get_by_role("button", name="Side by side").click()
    page.get_by_label("Temperature", exact=True).fill("0")
    page.get_by_label("Output token limit").fill("12")
    page.get_by_label("Write a prompt").fill(QUESTION)
    page.keyboard.press("Enter")
    replies = page.locator(".reply[aria-busy=false]")
    expect(replies).to_have_count(2, timeout=TRAINING)
    tuned, base = (str(reply.locator("p").first.text_content()) for reply in replies.all())
    assert tuned.strip() == ANSWER
    assert ANSWER not in base
