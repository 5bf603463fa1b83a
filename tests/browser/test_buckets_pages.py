"""Buckets in the browser: made, filled, looked through, emptied."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from playwright.sync_api import Page, expect
from visitors import Visitor, console

from rows import shouting_rows
from server import Server

DROP = """(target) => {
    const data = new DataTransfer();
    data.items.add(new File(["dropped"], "dropped.jsonl"));
    for (const kind of ["dragenter", "dragover", "drop"]) {
        target.dispatchEvent(new DragEvent(kind, { dataTransfer: data, bubbles: true, cancelable: true }));
    }
}"""


def row(page: Page, name: str) -> Any:
    return page.get_by_role("row").filter(has=page.get_by_role("link", name=name, exact=True))


def choose(page: Page, name: str, action: str) -> None:
    row(page, name).get_by_role("button", name="Actions").click()
    page.get_by_role("menuitem", name=action).click()


def test_a_bucket_is_made_filled_and_emptied(visitor: Visitor, server: Server, tmp_path: Path) -> None:
    visitor.expected = "400 (Bad Request)"
    page = visitor.open(console("buckets", project="shelf"))
    expect(page.get_by_role("heading", name="No buckets yet")).to_be_visible()
    page.get_by_role("button", name="New bucket").first.click()
    page.get_by_label("Name").fill("No Good")
    page.keyboard.press("Enter")
    expect(page.get_by_role("dialog").get_by_role("alert")).to_contain_text("No Good")
    page.get_by_label("Name").fill("shelf-data")
    page.keyboard.press("Enter")
    expect(page.get_by_role("heading", name="Nothing here")).to_be_visible()
    assert page.url.endswith("/buckets/shelf-data")

    rows = "".join(json.dumps(line) + "\n" for line in shouting_rows(2000))
    hostile = tmp_path / "<b>rows & more%2F?.jsonl"
    hostile.write_text(rows)
    page.locator("input[type=file]").set_input_files(hostile)
    expect(page.get_by_text(f"{hostile.name} was uploaded")).to_be_visible()
    address = f"gs://shelf-data/{hostile.name}"
    assert server.create_job("tiny", address, epochCount=1)["supervisedTuningSpec"]["trainingDatasetUri"] == address

    # Once more: it asks, and Escape keeps what is there.
    hostile.write_text("other")
    page.locator("input[type=file]").set_input_files(hostile)
    page.get_by_role("dialog", name="Replace this object?").press("Escape")
    with page.expect_download() as waiting:
        row(page, hostile.name).get_by_role("link").click()
    assert Path(waiting.value.path()).read_text() == rows
    page.locator("input[type=file]").set_input_files(hostile)
    page.get_by_role("dialog").get_by_role("button", name="Replace").click()
    expect(row(page, hostile.name)).to_contain_text("5 bytes")

    page.locator(".dropzone").evaluate(DROP)
    expect(row(page, "dropped.jsonl")).to_be_visible()
    for name in ("dropped.jsonl", hostile.name):
        choose(page, name, "Delete")
        page.get_by_role("dialog").get_by_role("button", name="Delete").click()
        expect(row(page, name)).to_have_count(0)
    expect(page.get_by_role("heading", name="Nothing here")).to_be_visible()
    page.get_by_role("link", name="Buckets").first.click()
    choose(page, "shelf-data", "Delete bucket")
    page.get_by_role("dialog").get_by_role("button", name="Delete bucket").click()
    expect(page.get_by_role("heading", name="No buckets yet")).to_be_visible()


def test_folders_are_walked_and_kept(visit: Any, server: Server) -> None:
    for name in ("a.jsonl", "deep/er/b.jsonl", "deep/c.jsonl"):
        server.upload(f"gs://walked/{name}", b"{}")
    page = visit(permissions=["clipboard-read", "clipboard-write"]).open(console("buckets/walked"))
    expect(page.locator("tbody tr")).to_have_count(2)
    row(page, "deep/").get_by_role("link").click()
    expect(page.get_by_role("heading", level=1)).to_have_text("deep")
    expect(row(page, "c.jsonl")).to_be_visible()
    row(page, "er/").get_by_role("link").click()
    expect(row(page, "b.jsonl")).to_be_visible()
    page.reload()
    expect(row(page, "b.jsonl")).to_be_visible()
    choose(page, "b.jsonl", "Copy address")
    expect(page.get_by_text("Copied")).to_be_visible()
    assert page.evaluate("() => navigator.clipboard.readText()") == "gs://walked/deep/er/b.jsonl"
    page.get_by_role("link", name="walked / deep").click()
    expect(page.get_by_role("heading", level=1)).to_have_text("deep")


def test_a_bucket_that_is_not_empty_stays(visitor: Visitor, server: Server) -> None:
    server.upload("gs://full-one/a.jsonl", b"{}")
    visitor.expected = "409"
    page = visitor.open(console("buckets"))
    choose(page, "full-one", "Delete bucket")
    page.get_by_role("dialog").get_by_role("button", name="Delete bucket").click()
    expect(page.locator(".toast.bad")).to_contain_text("full-one")
    expect(row(page, "full-one")).to_be_visible()
