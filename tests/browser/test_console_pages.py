"""The list of tuned models, the catalog, and what every page of the console owes its readers."""

from __future__ import annotations

import re
import sys
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from playwright.sync_api import Page, expect
from visitors import HOSTILE, Visitor, console, hindrances, needs_axe, write

from rows import shouting_rows
from server import LOCATION, Server
from sintonia.database import micros, tuning_jobs
from sintonia.database.tuning_jobs import JobRecord
from sintonia.resources.names import Parent
from sintonia.resources.tuning import TuningJob, TuningJobState

MANY = 45


@pytest.fixture(scope="module")
def many(server: Server) -> str:
    """A project with more jobs than a page shows, every third of them failed."""
    parent = Parent("many", "us-central1")

    async def fill(tx: Any) -> None:
        for i in range(MANY):
            created = datetime(2026, 11, 1, tzinfo=UTC) + timedelta(hours=i)
            job = TuningJob.from_wire(
                {
                    "name": f"{parent}/tuningJobs/{1000 + i}",
                    "tunedModelDisplayName": f"run {i:02}",
                    "baseModel": "tiny",
                    "state": "JOB_STATE_CANCELLED" if i % 3 else "JOB_STATE_FAILED",
                    "createTime": created.isoformat(),
                    "updateTime": created.isoformat(),
                }
            )
            phase = TuningJobState.TUNING_JOB_STATE_TUNING
            await tuning_jobs.insert(tx, JobRecord(1000 + i, parent, micros(created), job, phase, {"loss": i / 8}))

    write(server, fill)
    return "many"


def names(page: Page) -> list[str]:
    return page.locator("tbody .table-title").all_inner_texts()


def test_an_empty_project_says_how_to_begin(visitor: Visitor) -> None:
    page = visitor.open(console(project="empty"))
    expect(page.get_by_role("heading", name="No tuned models yet")).to_be_visible()
    expect(page.get_by_text("sintonia jobs create --project empty --location us-central1")).to_be_visible()


def test_a_finished_job_in_the_list(visitor: Visitor, server: Server, tuned: str) -> None:
    page = visitor.open(console())
    row = page.get_by_role("row").filter(has_text=tuned.rpartition("/")[2])
    expect(row.get_by_role("link")).to_have_text(HOSTILE)
    expect(row).to_contain_text("Succeeded")
    expect(row).to_contain_text("gemini-1.0-pro-002")
    loss = server.call("GET", f"/sintonia/v1/{tuned}/progress")["loss"]
    expect(row).to_contain_text(f"{loss:.4g}")
    row.get_by_role("link").click()
    expect(page.get_by_role("heading", level=1)).to_have_text(HOSTILE)


def test_pages_order_search_and_filter_are_kept(visitor: Visitor, many: str) -> None:
    page = visitor.open(console(project=many))
    expect(page.locator("tbody tr")).to_have_count(20)
    assert names(page)[0] == "run 44"
    page.get_by_role("button", name="Next page").click()
    expect(page.get_by_text("Page 2")).to_be_visible()
    expect(page.locator("tbody .table-title").first).to_have_text("run 24")
    page.reload()
    expect(page.locator("tbody .table-title").first).to_have_text("run 24")
    page.get_by_role("button", name="Next page").click()
    expect(page.locator("tbody tr")).to_have_count(5)
    expect(page.get_by_role("button", name="Next page")).to_be_disabled()
    page.get_by_role("button", name="Previous page").click()
    expect(page.locator("tbody .table-title").first).to_have_text("run 24")

    page.get_by_role("button", name="Name").click()
    expect(page.locator("tbody .table-title").first).to_have_text("run 00")
    expect(page.get_by_role("columnheader", name="Name")).to_have_attribute("aria-sort", "ascending")
    page.get_by_role("button", name="Name").click()
    expect(page.locator("tbody .table-title").first).to_have_text("run 44")

    page.get_by_label("Status").select_option(label="Failed")
    expect(page.locator("tbody tr")).to_have_count(15)
    page.get_by_role("searchbox").fill("run 1")
    expect(page.locator("tbody tr")).to_have_count(3)
    page.reload()
    expect(page.locator("tbody tr")).to_have_count(3)
    assert names(page) == ["run 18", "run 15", "run 12"]
    page.get_by_role("searchbox").fill('no "such* \\ run')
    expect(page.get_by_role("heading", name="Nothing found")).to_be_visible()
    page.get_by_role("button", name="Show all").click()
    expect(page.locator("tbody tr")).to_have_count(20)


def test_cancelling_asks_first_and_names_are_copied(visit: Any, server: Server, tuned: str) -> None:
    train = server.upload("gs://console/train-long.jsonl", shouting_rows(240))
    job = server.create_job("tiny", train, epochCount=1000)
    page = visit(permissions=["clipboard-read", "clipboard-write"]).open(console())
    row = page.get_by_role("row").filter(has_text=job["name"].rpartition("/")[2])
    row.get_by_role("button", name="Actions").click()
    page.get_by_role("menuitem", name="Copy resource name").click()
    expect(page.get_by_text("Copied")).to_be_visible()
    assert page.evaluate("() => navigator.clipboard.readText()") == job["name"]

    # By the keyboard alone; live, as the row changes without a reload.
    expect(row.get_by_text(re.compile("Tuning|In the queue"))).to_be_visible()
    row.get_by_role("button", name="Actions").focus()
    page.keyboard.press("Enter")
    expect(page.get_by_role("menuitem", name="Details")).to_be_focused()
    page.keyboard.press("ArrowUp")
    expect(page.get_by_role("menuitem", name="Cancel job")).to_be_focused()
    page.keyboard.press("Enter")
    dialog = page.get_by_role("dialog", name="Cancel this job?")
    expect(dialog.get_by_role("button", name="Keep it running")).to_be_focused()
    page.keyboard.press("Escape")
    expect(dialog).to_have_count(0)
    assert server.job(job["name"])["state"] in ("JOB_STATE_PENDING", "JOB_STATE_RUNNING")

    row.get_by_role("button", name="Actions").click()
    page.get_by_role("menuitem", name="Cancel job").click()
    dialog.get_by_role("button", name="Cancel job").click()
    expect(row.get_by_text("Cancelled")).to_be_visible()
    assert server.finished_job(job["name"])["state"] == "JOB_STATE_CANCELLED"


def test_the_catalog(visitor: Visitor) -> None:
    page = visitor.open(console("baseModels"))
    tiny = page.get_by_role("article").filter(has=page.get_by_role("heading", name="tiny", exact=True))
    expect(tiny).to_contain_text("gemini-1.0-pro-002")
    expect(tiny).to_contain_text("On this machine")
    expect(tiny).to_contain_text("16 (recommended)")


def test_a_server_that_is_away_is_told_and_found_again(visitor: Visitor, many: str) -> None:
    visitor.expected = "ERR_FAILED"
    page = visitor.open(console(project=many))
    expect(page.locator("tbody tr")).to_have_count(20)
    page.route("**/v1/**", lambda route: route.abort())
    page.get_by_role("searchbox").fill("run 2")
    expect(page.get_by_text("The server does not answer")).to_be_visible()
    expect(page.locator("tbody tr")).to_have_count(20)
    page.unroute("**/v1/**")
    page.get_by_role("searchbox").fill("run 3")
    expect(page.locator("tbody tr")).to_have_count(10)
    expect(page.get_by_text("The server does not answer")).to_have_count(0)


def test_a_refusal_is_shown_in_the_words_of_the_api(visitor: Visitor) -> None:
    visitor.expected = "404"
    page = visitor.open(console("tuningJobs/12345"))
    expect(page.get_by_text("tuningJobs/12345` not found")).to_be_visible()
    expect(page.get_by_role("button", name="Try again")).to_be_visible()


def test_language_theme_and_project_are_switched_and_kept(visitor: Visitor, many: str) -> None:
    page = visitor.open(console(project=many))
    page.get_by_role("button", name="Language and theme").click()
    page.get_by_role("radio", name="Dark").check()
    dark = "() => getComputedStyle(document.body).backgroundColor"
    assert page.evaluate(dark) == "rgb(16, 20, 22)"
    page.get_by_role("combobox", name="Language").select_option(label="Português (Brasil)")
    expect(page.get_by_role("heading", level=1)).to_have_text("Modelos ajustados")
    page.reload()
    expect(page.get_by_role("heading", level=1)).to_have_text("Modelos ajustados")
    assert page.evaluate(dark) == "rgb(16, 20, 22)"
    page.get_by_role("button", name="Trocar projeto e local").click()
    page.get_by_label("Projeto", exact=True).fill("outro")
    page.keyboard.press("Enter")
    expect(page.get_by_role("heading", name="Ainda não há modelos ajustados")).to_be_visible()
    assert page.url.endswith(console(project="outro"))
    page.goto(visitor.url + "/")
    expect(page).to_have_url(visitor.url + console(project="outro"))


def test_the_first_key_skips_to_the_content(visitor: Visitor) -> None:
    page = visitor.open(console("baseModels"))
    page.keyboard.press("Tab")
    expect(page.get_by_role("link", name="Skip to the content")).to_be_focused()
    page.keyboard.press("Enter")
    expect(page.get_by_role("main")).to_be_focused()


def test_eight_tabs_all_live(visitor: Visitor, tuned: str, many: str) -> None:
    paths = [console(), console(f"tuningJobs/{tuned.rpartition('/')[2]}"), console(project=many), console("baseModels")]
    for page in [visitor.open(path) for path in paths * 2]:
        page.bring_to_front()
        expect(page.locator("tbody tr, article").first).to_be_visible()


def test_under_a_prefix(visit: Any, server: Server, tmp_path: Path) -> None:
    prefixed = Server(tmp_path / "prefixed", base_models={})
    try:
        prefixed.start(sys.executable, str(Path(__file__).parent / "prefixed.py"))
        assert prefixed.url.endswith("/x")
        page = visit(url=prefixed.url).open("/console/")
        expect(page.get_by_role("heading", name="No tuned models yet")).to_be_visible()
        page.get_by_role("link", name="Create tuned model").first.click()
        page.get_by_role("button", name="Continue", exact=True).click()
        page.get_by_role("button", name="Sample rows").first.click()
        expect(page.get_by_text("The dataset is ready")).to_be_visible()
        page.get_by_role("link", name="Base models").click()
        page.get_by_role("link", name="Test smollm2").click()
        expect(page.get_by_label("Model", exact=True).locator("option:checked")).to_contain_text(
            "smollm2", ignore_case=True
        )
        page.get_by_role("button", name="Get code").click()
        expect(page.get_by_role("dialog")).to_contain_text(f"curl -X POST '{prefixed.url}/v1/projects/")
    finally:
        prefixed.stop()


@needs_axe
@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_nothing_keeps_anybody_out(visit: Any, server: Server, tuned: str, failed: str, many: str, scheme: str) -> None:
    """axe finds nothing serious, and nothing is wider than a phone."""
    visitor = visit(color_scheme=scheme, reduced_motion="reduce")
    visitor.expected = "Failed to load"
    job = f"tuningJobs/{tuned.rpartition('/')[2]}"
    server.upload("gs://looked-at/folder/rows.jsonl", b"{}")
    paths = [
        console("buckets"), console("buckets/looked-at"), console("buckets/looked-at") + "?prefix=folder%2F",
        console(project=many), console(project="empty"), console("baseModels"), console(job), console(job + "#dataset"),
        console(job + "#details"), console(f"tuningJobs/{failed.rpartition('/')[2]}#dataset"), "/console/nowhere",
    ]  # fmt: skip
    findings = []
    for path in paths:
        page = visitor.open(path)
        expect(page.locator(".card:visible, .state:visible").first).to_be_visible()
        expect(page.get_by_role("status", name="Loading")).to_have_count(0)
        findings += [(path, *found) for found in hindrances(page)]
        page.close()
    assert findings == []


def test_what_addresses_say_stays_text(visitor: Visitor) -> None:
    page = visitor.open(
        console(project="%22%3E%3Cimg%20src=x%20onerror=window.hacked=1%3E") + "?search=%3Cb%3Ex&state=%3Cb%3E#%3Cb%3E"
    )
    expect(page.locator(".card").first).to_be_visible()
    assert page.locator("img, b").count() == 0


def test_first_paint_and_answers(visitor: Visitor, server: Server, many: str, capsys: Any) -> None:
    """Told, not judged: machines differ. The aim is 300 ms."""
    page = visitor.open(console(project=many))
    expect(page.locator("tbody tr")).to_have_count(20)
    paint = page.evaluate("() => performance.getEntriesByName('first-contentful-paint')[0]?.startTime")
    with capsys.disabled():
        print(f"\nfirst paint of the list: {paint:.0f} ms")
    told = server.call("GET", f"/sintonia/v1/{LOCATION}/progress?job=1&job=x")
    assert told["progress"] == {}
