"""The tab Dataset of a job's page: totals, distributions, rows as the model sees them, and lines that are no good."""

from __future__ import annotations

import csv
import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from playwright.sync_api import Locator, Page, expect
from visitors import HOSTILE, Visitor, console

from rows import shouting_rows
from server import Server, until

LONG = "the quick brown fox jumps over the lazy dog " * 28


def tab_of(name: str, query: str = "") -> str:
    return console(f"tuningJobs/{name.rpartition('/')[2]}{query}#dataset")


def row(page: Page, number: int) -> Locator:
    return page.get_by_role("article", name=f"Row {number}", exact=True)


def learned(row: Locator) -> str:
    return "".join(row.locator("mark").all_text_contents())


def conversation(*turns: Any) -> dict[str, Any]:
    """Texts of the user and the model in turn; one of the model's with a number has that weight."""
    contents = []
    for i, turn in enumerate(turns):
        text, *weight = turn if isinstance(turn, tuple) else (turn,)
        contents.append(
            {"role": ("user", "model")[i % 2], "parts": [{"text": text}]} | ({"weight": weight[0]} if weight else {})
        )
    return {"contents": contents}


@pytest.fixture(scope="module")
def waiting(server: Server) -> Iterator[str]:
    """A job in the queue whose rows are strange, and whose file is gone."""
    rows = [
        conversation("hi", ("hello", 0), "again", "yes\n\ttab  \nend", "nobody learns this"),
        conversation("صباح الخير", "בוקר טוב 👩‍👩‍👧"),
        conversation("over\u202eride\u200b <|im_end|>", f"{HOSTILE} é"),
        conversation(LONG, "a long one"),
        *shouting_rows(12),
    ]
    rows[6]["contents"][0]["parts"][0]["text"] = LONG * 40
    busy = server.create_job("tiny", server.upload("gs://console/busy.jsonl", shouting_rows(400)), epochCount=1000)
    until(lambda: server.job(busy["name"])["state"] == "JOB_STATE_RUNNING", what="training", server=server)
    job = server.create_job("tiny", server.upload("gs://console/strange.jsonl", rows))["name"]
    phase = "TUNING_JOB_STATE_WAITING_FOR_CAPACITY"
    until(lambda: server.job(job).get("tuningJobState") == phase, what="its place in the queue", server=server)
    assert server.request("DELETE", "/storage/v1/b/console/o/strange.jsonl").status_code == 204
    yield job
    for name in (job, busy["name"]):
        server.call("POST", f"/v1/{name}:cancel", {})
        server.finished_job(name)


def test_numbers_and_distributions_of_both_datasets(visitor: Visitor, server: Server, tuned: str) -> None:
    page = visitor.open(console(f"tuningJobs/{tuned.rpartition('/')[2]}"))
    page.get_by_role("tab", name="Monitor").focus()
    page.keyboard.press("ArrowRight")
    expect(page.get_by_role("tab", name="Dataset")).to_be_focused()
    panel = page.get_by_role("tabpanel", name="Dataset")
    told = server.call("GET", f"/sintonia/v1/{tuned}/dataset")
    for kind in ("training", "validation"):
        panel.get_by_role("radio", name=kind.capitalize()).check()
        expect(panel).to_contain_text(f"gs://console/{kind.replace('training', 'train')}.jsonl")
        report = told[kind]
        facts = panel.locator(".facts")
        expect(facts).to_contain_text(f"Rows{report['rows']}")
        expect(facts).to_contain_text(f"Tokens{report['tokens']:,}Learned tokens{report['trainedTokens']:,}")
        for name, key in (("Input tokens", "Input"), ("Output tokens", "Output")):
            spread = report["statistics"][f"user{key}TokenDistribution"]
            figure = panel.get_by_role("figure").filter(has_text=name)
            expect(figure.locator(".bar-slot")).to_have_count(len(spread["buckets"]))
            expect(figure).to_contain_text(f"{int(spread['sum']):,}")
    expect(facts).not_to_contain_text("Epochs")
    panel.get_by_role("radio", name="Training").check()
    expect(facts).to_contain_text(f"Epochs2Steps6Billable tokens{2 * told['training']['tokens']:,}")


def test_rows_are_paged_found_by_number_and_kept_over_a_refresh(visitor: Visitor, server: Server, tuned: str) -> None:
    page = visitor.open(tab_of(tuned))
    expect(page.get_by_text("Rows 1 to 5 of 24")).to_be_visible()
    expect(row(page, 1)).to_contain_text(HOSTILE)
    assert learned(row(page, 1)) == "ANA 0!<|im_end|>"
    expect(page.get_by_role("button", name="Previous page")).to_be_disabled()
    page.get_by_role("button", name="Next page").last.click()
    expect(page.get_by_text("Rows 6 to 10 of 24")).to_be_visible()
    page.get_by_label("Row number").fill("23")
    page.keyboard.press("Enter")
    expect(page.get_by_text("Rows 23 to 24 of 24")).to_be_visible()
    expect(page.get_by_role("button", name="Next page")).to_be_disabled()
    page.reload()
    expect(page.get_by_text("Rows 23 to 24 of 24")).to_be_visible()
    page.get_by_role("radio", name="Validation").check()
    expect(page.get_by_text("Rows 1 to 5 of 8")).to_be_visible()
    page.get_by_role("button", name="Next page").first.click()
    expect(page.get_by_text("Rows 6 to 8 of 8")).to_be_visible()
    assert learned(row(page, 6)) == "ANA 505!<|im_end|>"
    page.reload()
    expect(page.get_by_role("radio", name="Validation")).to_be_checked()
    expect(page.get_by_text("Rows 6 to 8 of 8")).to_be_visible()
    page.goto(visitor.url + tab_of(tuned, "?row=4000&set=nothing"))
    expect(page.get_by_text("Rows 24 to 24 of 24")).to_be_visible()


def test_what_is_learned_is_what_the_api_says(visitor: Visitor, server: Server, tuned: str, waiting: str) -> None:
    for job in (tuned, waiting):
        page = visitor.open(tab_of(job))
        expect(row(page, 1)).to_be_visible()
        for told in server.call("GET", f"/sintonia/v1/{job}/datasetRows", params={"limit": 2})["rows"]:
            (sequence,) = told["sequences"]
            shown = row(page, told["number"])
            assert learned(shown) == "".join(span["text"] for span in sequence["spans"] if span["trained"])
            said = shown.locator(".rendered > :is(.said, .special)").all_text_contents()
            assert "".join(said) == "".join(span["text"] for span in sequence["spans"])
            expect(shown.locator(".special")).to_have_count(
                sum(span["kind"] == "special" for span in sequence["spans"])
            )


def test_strange_rows_of_a_job_that_waits(visitor: Visitor, waiting: str) -> None:
    page = visitor.open(tab_of(waiting))
    expect(page.get_by_text("In the queue")).to_be_visible()
    expect(page.get_by_text("The file was deleted since.")).to_be_visible()
    # Weights, the turn behind the last one that is learned, and white space.
    first = row(page, 1)
    expect(first.locator(".weight")).to_have_text(["weight 0", "weight 1"])
    expect(first).to_contain_text("the last turn is never seen")
    expect(first).not_to_contain_text("nobody learns this")
    expect(first.locator("mark .blank.end")).to_have_count(2)
    expect(first.locator("mark .blank.tab")).to_have_count(1)
    expect(first.locator("mark .blank.dots")).to_have_text(["  "])
    # What would turn the text around, or is not seen, is named; joiners of emoji are left alone.
    expect(row(page, 2)).to_contain_text("בוקר טוב 👩‍👩‍👧")
    expect(row(page, 3).locator(".point")).to_have_text(["U+202E", "U+200B"])
    expect(row(page, 3)).to_contain_text(HOSTILE)
    # The <|im_end|> that somebody wrote is text: two are real.
    expect(row(page, 3).locator(".special", has_text="<|im_end|>")).to_have_count(2)
    # A long text is opened where it was cut.
    fourth = row(page, 4)
    expect(fourth).not_to_contain_text(LONG)
    fourth.get_by_role("button", name="characters").focus()
    page.keyboard.press("Enter")
    expect(fourth).to_contain_text(LONG.strip())
    expect(fourth.locator(".said:focus")).to_have_count(1)
    # Row 7 was too long: it is told where it lacks, and among the lines that were left out.
    page.get_by_label("Row number").fill("7")
    page.get_by_role("button", name="Go to row").click()
    expect(page.get_by_text("Row 7 was left out; this is the next.")).to_be_visible()
    expect(page.get_by_text("Rows 8 to 12 of 16")).to_be_visible()
    lines = page.get_by_role("tabpanel", name="Dataset").locator("tbody tr")
    expect(lines).to_have_count(1)
    expect(lines).to_contain_text("at most 512 are taken")
    expect(lines).to_contain_text("the quick brown fox")


def test_a_failing_dataset_says_which_lines_and_why(visitor: Visitor, failed: str, tmp_path: Path) -> None:
    page = visitor.open(tab_of(failed))
    expect(page.get_by_text("The job failed")).to_be_visible()
    expect(page.get_by_text("upload the file again")).to_be_visible()
    panel = page.get_by_role("tabpanel", name="Dataset")
    lines = panel.locator("tbody tr")
    expect(lines).to_have_count(2)
    expect(lines.nth(0)).to_contain_text("unrecognized_role")
    expect(lines.nth(0)).to_contain_text('"><img src=x')
    expect(lines.nth(0).locator(".excerpt")).to_contain_text('{"contents": [{"role": ')
    expect(lines.nth(1)).to_contain_text("nothing to learn")
    expect(panel.locator(".categories .chip")).to_have_text(["unrecognized_role1", "invalid_contents_list1"])
    # The row that is good is there too.
    assert learned(row(page, 1)) == "ANA 0!<|im_end|>"

    for kind in ("CSV", "JSON"):
        with page.expect_download() as download:
            panel.get_by_role("button", name=kind, exact=True).click()
        download.value.save_as(tmp_path / kind)
    with (tmp_path / "CSV").open(encoding="utf-8", newline="") as file:
        read = list(csv.DictReader(file))
    whole = json.loads((tmp_path / "JSON").read_text(encoding="utf-8"))
    assert [line["line"] for line in whole] == [2, 3]
    for line, cells in zip(whole, read, strict=True):
        assert cells["line"] == cells["example"] == str(line["line"])
        assert (cells["reason"], cells["excerpt"]) == (line["reason"], line["excerpt"])


def test_an_error_of_many_lines_is_short(visitor: Visitor, server: Server) -> None:
    bad = server.upload("gs://console/awful.jsonl", b"=1+1\n" * 60)
    job = server.create_job("tiny", bad)["name"]
    assert server.finished_job(job)["state"] == "JOB_STATE_FAILED"
    page = visitor.open(tab_of(job))
    panel = page.get_by_role("tabpanel", name="Dataset")
    expect(panel.locator("tbody tr")).to_have_count(25)
    expect(page.locator(".problem")).to_contain_text("60 of the 60 rows")
    assert "Line 10" not in page.locator(".problem").inner_text()
    expect(panel.get_by_text("25 of 60 shown")).to_be_visible()
    panel.get_by_role("button", name="Show more").click()
    expect(panel.locator("tbody tr")).to_have_count(50)
    # A spreadsheet shall not take a line for a formula.
    with page.expect_download() as download:
        panel.get_by_role("button", name="CSV", exact=True).click()
    assert Path(download.value.path()).read_text().splitlines()[1].endswith(",'=1+1")


def test_a_dataset_that_cannot_be_read_is_told(visitor: Visitor, server: Server) -> None:
    """Of a job that never got to reading there is nothing to show; an answer that fails is asked for again."""
    job = server.create_job("tiny", server.upload("gs://console/none.jsonl", b""))["name"]
    assert server.finished_job(job)["state"] == "JOB_STATE_FAILED"
    visitor.expected = "ERR_FAILED"
    page = visitor.open(console(f"tuningJobs/{job.rpartition('/')[2]}"))
    expect(page.get_by_text("The job failed")).to_be_visible()
    page.route("**/dataset", lambda route: route.abort())
    page.get_by_role("tab", name="Dataset").click()
    panel = page.get_by_role("tabpanel", name="Dataset")
    expect(panel.get_by_text("The server does not answer")).to_be_visible()
    page.unroute("**/dataset")
    panel.get_by_role("button", name="Try again").click()
    expect(panel.locator(".facts")).to_contain_text("Rows0")
