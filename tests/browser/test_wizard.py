"""Create tuned model, in the browser: the whole way, what is kept, what is refused, and who may walk it."""

from __future__ import annotations

import json
import re
import subprocess
from pathlib import Path
from typing import Any

import pytest
from playwright.sync_api import Locator, Page, Route, expect
from visitors import HOSTILE, Visitor, console, hindrances, needs_axe

from rows import shouting_rows
from server import LOCATION, PATIENCE, JsonObject, Server

CREATE = console("tuningJobs/create")
CLIENTS = Path(__file__).parents[2] / ".cache" / "clients" / "bin" / "python"
DATASETS = ("trainingDatasetUri", "validationDatasetUri")
SET = ("epochCount", "adapterSize")
DROP = """(target, [name, text]) => {
    const data = new DataTransfer();
    data.items.add(new File([text], name));
    for (const kind of ["dragenter", "dragover", "drop"]) {
        target.dispatchEvent(new DragEvent(kind, { dataTransfer: data, bubbles: true, cancelable: true }));
    }
}"""


def lines(rows: list[JsonObject]) -> str:
    return "".join(json.dumps(row) + "\n" for row in rows)


def file(folder: Path, name: str, rows: list[JsonObject]) -> Path:
    path = folder / name
    path.write_text(lines(rows))
    return path


def next_step(page: Page) -> None:
    page.get_by_role("button", name="Continue", exact=True).click()


def dataset(page: Page, which: str = "Training dataset") -> Locator:
    """The part of the page about one of the two datasets."""
    return page.locator(".dropzone").filter(has=page.get_by_role("heading", name=which))


def choose_model(page: Page, name: str = "tiny") -> None:
    page.get_by_role("radio", name=name).first.check()
    next_step(page)


def address(page: Page, uri: str, which: str = "Training dataset") -> None:
    """Say where the rows are."""
    dataset(page, which).get_by_label("Address").fill(uri)
    dataset(page, which).get_by_label("Address").press("Enter")


def shown_job(page: Page, server: Server) -> JsonObject:
    """The job whose page it is."""
    return server.job("/".join(page.url.partition("#")[0].split("/")[-6:]))


def cancel(server: Server, job: JsonObject) -> None:
    """Unless it has ended: nothing waits behind it any more."""
    server.request("POST", f"/v1/{job['name']}:cancel", json={})


def said_by(*command: str) -> str:
    done = subprocess.run(command, capture_output=True, text=True, timeout=PATIENCE, check=False)
    assert done.returncode == 0, done.stdout[-2000:] + done.stderr[-2000:]
    return done.stdout


def test_who_is_quick_waits_for_the_base_models(visitor: Visitor) -> None:
    page = visitor.open(CREATE)
    waiting: list[Route] = []
    page.route("**/sintonia/v1/baseModels", lambda route: waiting.append(route))
    with page.expect_request("**/sintonia/v1/baseModels"):
        page.reload()
    onward = page.get_by_role("button", name="Continue", exact=True)
    expect(onward).to_be_disabled()
    page.get_by_label("Name of the tuned model").press("Enter")
    expect(page.get_by_role("heading", name="Model details")).to_be_visible()
    expect(page.locator("[aria-invalid=true]")).to_have_count(0)
    for route in waiting:
        route.continue_()
    expect(page.get_by_role("radio", name="tiny").first).to_be_visible()
    onward.click()
    expect(dataset(page)).to_be_visible()


def test_the_whole_way(visitor: Visitor, server: Server, tmp_path: Path) -> None:
    page = visitor.open(console(project="wizard"))
    expect(page.get_by_role("heading", name="No tuned models yet")).to_be_visible()
    page.get_by_role("link", name="Create tuned model").last.click()
    page.get_by_label("Name of the tuned model").fill(HOSTILE)
    page.get_by_role("radio", name="tiny").first.check()
    page.get_by_text("Advanced settings").click()
    page.get_by_label("Epochs").fill("2")
    page.get_by_label("Adapter size").select_option("4")
    page.reload()
    expect(page.get_by_label("Name of the tuned model")).to_have_value(HOSTILE)
    expect(page.get_by_role("radio", name="tiny").first).to_be_checked()
    expect(page.get_by_label("Adapter size")).to_have_value("4")
    next_step(page)

    # A file from this machine into a new bucket.
    rows = shouting_rows(24)
    rows[0]["contents"][0]["parts"][0]["text"] = f"say {HOSTILE}"
    dataset(page).locator("input[type=file]").set_input_files(file(tmp_path, "rows <b>.jsonl", rows))
    page.get_by_role("dialog").get_by_label("Name").fill("wizard-rows")
    page.get_by_role("dialog").get_by_role("button", name="Upload").click()
    expect(page.get_by_text("The dataset is ready: 24 rows")).to_be_visible()
    expect(dataset(page).get_by_label("Address")).to_have_value("gs://wizard-rows/rows <b>.jsonl")
    # The report tells numbers, distributions and rows; and stays.
    expect(page.get_by_role("figure")).to_have_count(3)
    expect(page.get_by_role("article").first).to_contain_text(HOSTILE)
    expect(page.locator(".facts").first).to_contain_text("Steps6")
    page.reload()
    expect(page.get_by_text("The dataset is ready: 24 rows")).to_be_visible()

    # An object of a bucket for the validation.
    server.upload("gs://wizard-rows/held/out.jsonl", shouting_rows(4, start=500))
    dataset(page, "Validation dataset").get_by_role("button", name="Browse buckets").click()
    browse = page.get_by_role("dialog")
    browse.get_by_role("button", name="wizard-rows").click()
    browse.get_by_role("button", name="held/").click()
    browse.get_by_role("button", name="out.jsonl").click()
    expect(page.get_by_text("The dataset is ready: 24 rows")).to_be_visible()
    next_step(page)

    # What is read here is what is asked for, in the browser as in a terminal.
    expect(page.get_by_role("button", name="Start tuning")).to_be_visible()
    page.reload()
    page.get_by_text("The same job as code").click()
    curl = page.get_by_label("curl", exact=True).last.inner_text()
    by_hand = [json.loads(said_by("bash", "-c", f"{curl} --silent"))]
    for label in ("Python · vertexai", "Python · google-genai"):
        page.get_by_role("radio", name=label).check()
        program = page.get_by_label(label).last.inner_text()
        name = said_by(str(CLIENTS), "-c", program).split()[-1]
        by_hand.append(server.job(LOCATION.replace("/p/", "/wizard/") + "/tuningJobs/" + name.rpartition("/")[2]))
    for made in by_hand:
        cancel(server, made)
    with page.expect_download() as waiting:
        page.get_by_role("button", name="Open notebook").click()
    assert "gs://wizard-rows/held/out.jsonl" in Path(waiting.value.path()).read_text()
    page.get_by_role("button", name="Start tuning").click()
    expect(page.get_by_role("heading", level=1)).to_have_text(HOSTILE)
    job = server.finished_job(shown_job(page, server)["name"])
    assert job["state"] == "JOB_STATE_SUCCEEDED"
    spec = job["supervisedTuningSpec"]
    assert spec["validationDatasetUri"] == "gs://wizard-rows/held/out.jsonl"
    assert [spec["hyperParameters"][field] for field in SET] == ["2", "ADAPTER_SIZE_FOUR"]
    assert job["tuningDataStats"]["supervisedTuningDataStats"]["tuningStepCount"] == "6"
    for made in by_hand:
        assert made["tunedModelDisplayName"] == job["tunedModelDisplayName"]
        assert made["baseModel"].rpartition("/")[2] == "tiny"
        asked = made["supervisedTuningSpec"]
        assert [asked[field] for field in DATASETS] == [spec[field] for field in DATASETS]
        assert [asked["hyperParameters"][field] for field in SET] == [spec["hyperParameters"][field] for field in SET]

    # Back leads to a new draft, not to a second start.
    page.go_back()
    expect(page.get_by_label("Name of the tuned model")).to_have_value("")


def test_a_bad_dataset_does_not_start(visitor: Visitor, server: Server) -> None:
    page = visitor.open(CREATE)
    server.upload("gs://wizard-bad/other.jsonl", b"{}")
    choose_model(page)
    rows = shouting_rows(6)
    rows[1]["contents"][0]["role"] = HOSTILE
    rows[4]["contents"].pop()
    onward = page.get_by_role("button", name="Continue", exact=True)
    dataset(page).evaluate(DROP, ["rows.csv", "a,b"])
    expect(dataset(page).get_by_role("alert")).to_contain_text("rows.csv cannot be a dataset")
    dataset(page).evaluate(DROP, ["rows.jsonl", lines(rows)])
    page.get_by_role("dialog").get_by_label("Bucket").select_option("wizard-bad")
    page.get_by_role("dialog").get_by_role("button", name="Upload").click()
    expect(page.get_by_text("A job on this dataset would fail: 2 lines cannot be used.")).to_be_visible()
    bad = page.get_by_role("table").get_by_role("row")
    expect(bad.nth(1).get_by_role("cell").first).to_have_text("2")
    expect(bad.nth(1)).to_contain_text(HOSTILE[:20])
    expect(bad.nth(2).get_by_role("cell").first).to_have_text("5")
    expect(onward).to_be_disabled()
    # No way around it.
    page.goto(visitor.url + CREATE + "#review")
    expect(page.get_by_text("A job on this dataset would fail")).to_be_visible()
    assert page.url.endswith("#dataset")

    # The corrected file of the same name is read anew.
    dataset(page).evaluate(DROP, ["rows.jsonl", lines(shouting_rows(6))])
    page.get_by_role("dialog").get_by_role("button", name="Upload").click()
    page.get_by_role("dialog").get_by_role("button", name="Replace").click()
    expect(page.get_by_text("The dataset is ready: 6 rows")).to_be_visible()
    expect(onward).to_be_enabled()


def test_an_upload_that_was_broken_off_goes_on(visitor: Visitor, server: Server, tmp_path: Path) -> None:
    server.upload("gs://wizard-long/other.jsonl", b"{}")
    long = file(tmp_path, "long.jsonl", shouting_rows(12_000))
    page = visitor.open(CREATE)
    choose_model(page)
    slow = page.context.new_cdp_session(page)
    slow.send("Network.enable")
    speed = {"offline": False, "latency": 0, "downloadThroughput": -1, "uploadThroughput": 200_000}
    slow.send("Network.emulateNetworkConditions", speed)
    dataset(page).locator("input[type=file]").set_input_files(long)
    page.get_by_role("dialog").get_by_label("Bucket").select_option("wizard-long")
    page.get_by_role("dialog").get_by_role("button", name="Upload").click()
    bar = dataset(page).get_by_role("progressbar", name="long.jsonl")
    expect(bar).to_have_attribute("aria-valuenow", re.compile(r"^[1-9]\d$"))
    page.reload()
    expect(dataset(page)).to_contain_text("The upload of long.jsonl")
    expect(dataset(page)).to_contain_text("was broken off")
    slow.send("Network.emulateNetworkConditions", {**speed, "uploadThroughput": -1})

    ranges: list[str] = []
    page.on("request", lambda request: ranges.append(request.headers.get("content-range", "")))
    dataset(page).locator("input[type=file]").set_input_files(long)
    expect(page.get_by_text("The dataset is ready: 12,000 rows")).to_be_visible()
    expect(dataset(page).get_by_text("was broken off")).to_have_count(0)
    assert server.request("GET", "/storage/v1/b/wizard-long/o/long.jsonl?alt=media").content == long.read_bytes()
    assert [told for told in ranges if re.match(r"bytes [1-9]\d*-", told)], ranges  # not from the beginning


def test_tuning_again_with_the_same_settings(visitor: Visitor, server: Server, tuned: str) -> None:
    page = visitor.open(console())
    page.get_by_role("row").filter(has_text=tuned.rpartition("/")[2]).get_by_role("button", name="Actions").click()
    page.get_by_role("menuitem", name="Tune again").click()
    expect(page.get_by_label("Name of the tuned model")).to_have_value(HOSTILE)
    expect(page.get_by_role("radio", name="gemini-1.0-pro-002")).to_be_checked()
    expect(page.get_by_label("Epochs")).to_have_value("2")
    before = server.job(tuned)
    next_step(page)
    for field, which in zip(DATASETS, ("Training dataset", "Validation dataset"), strict=True):
        expect(dataset(page, which).get_by_label("Address")).to_have_value(before["supervisedTuningSpec"][field])
    expect(page.get_by_text("The dataset is ready: 24 rows")).to_be_visible()
    next_step(page)
    page.get_by_role("button", name="Start tuning").click()
    expect(page.get_by_role("tab", name="Monitor")).to_be_visible()
    job = shown_job(page, server)
    for field in ("tunedModelDisplayName", "description", "baseModel", "supervisedTuningSpec"):
        assert job[field] == before[field]
    cancel(server, job)

    # From a job's own page as well; each has a draft of its own.
    page.get_by_role("button", name="Actions").click()
    page.get_by_role("menuitem", name="Tune again").click()
    page.get_by_label("Name of the tuned model").fill("another")
    page.goto(visitor.url + CREATE)
    expect(page.get_by_label("Name of the tuned model")).to_have_value("")


def test_a_tuned_model_is_tuned_on_from_a_checkpoint(visitor: Visitor, server: Server, tuned: str) -> None:
    page = visitor.open(CREATE)
    page.get_by_role("radio", name="Tuned model").check(force=True)
    model = page.get_by_role("combobox", name="Tuned model")
    expect(model).to_be_visible()
    next_step(page)
    expect(model).to_be_focused()
    expect(page.get_by_text("Choose a tuned model, or start from a base model.")).to_be_visible()
    model.select_option(server.job(tuned)["tunedModel"]["model"])
    page.get_by_role("combobox", name="Checkpoint").select_option("1")
    next_step(page)
    address(page, "gs://console/train.jsonl")
    expect(page.get_by_text("The dataset is ready")).to_be_visible()
    next_step(page)
    expect(page.get_by_role("main")).to_contain_text(server.job(tuned)["tunedModel"]["model"])
    page.get_by_role("button", name="Start tuning").click()
    expect(page.get_by_role("tab", name="Monitor")).to_be_visible()
    job = shown_job(page, server)
    assert job["preTunedModel"]["checkpointId"] == "1"
    assert job["preTunedModel"]["tunedModelName"].startswith(server.job(tuned)["tunedModel"]["model"].partition("@")[0])
    cancel(server, job)


def test_what_is_refused_is_told_where_it_is(visitor: Visitor, server: Server) -> None:
    visitor.expected = "status of 4"
    page = visitor.open(CREATE)
    page.get_by_role("radio", name="tiny").first.check()
    page.get_by_text("Advanced settings").click()
    wrong = (
        ("Name of the tuned model", "x" * 129, "At most 128 characters."),
        ("Region", "Mars!", "Lower-case letters"),
        ("Epochs", "0", "A whole number from 1 to 1,000"),
        ("Learning rate multiplier", "101", "A number above 0 and at most 100"),
    )
    for label, value, _ in wrong:
        page.get_by_label(label).fill(value)
    page.get_by_text("Advanced settings").click()
    next_step(page)
    expect(page.get_by_label(wrong[0][0])).to_be_focused()
    for label, _, words in wrong:
        expect(page.get_by_label(label)).to_have_accessible_description(re.compile(f"^{words}"))
        page.get_by_label(label).fill("us-central1" if label == "Region" else "1")
        expect(page.get_by_label(label)).not_to_have_attribute("aria-invalid", "true")
    next_step(page)

    # What only the API knows is told in its words, at the field.
    address(page, "gs://wizard-gone/rows.jsonl")
    training = dataset(page).get_by_label("Address")
    expect(training).to_have_accessible_description(re.compile("dataset_uri should be a GCS object of type JSONL"))
    server.upload("gs://wizard-gone/rows.jsonl", shouting_rows(6))
    page.get_by_role("button", name="Check again").click()
    expect(page.get_by_text("The dataset is ready: 6 rows")).to_be_visible()
    expect(training).not_to_have_attribute("aria-invalid", "true")
    next_step(page)
    expect(page.get_by_role("button", name="Start tuning")).to_be_visible()
    server.request("DELETE", "/storage/v1/b/wizard-gone/o/rows.jsonl")
    page.get_by_role("button", name="Start tuning").click()
    expect(page.get_by_text("The job was not started")).to_be_visible()
    expect(training).to_have_accessible_description(re.compile("should be a GCS object of type JSONL"))
    expect(page.get_by_role("button", name="Continue", exact=True)).to_be_disabled()
    page.reload()
    expect(training).to_have_accessible_description(re.compile("should be a GCS object of type JSONL"))


def test_keys_alone_are_enough(visitor: Visitor, server: Server) -> None:
    server.upload("gs://wizard-keys/rows.jsonl", shouting_rows(6))
    page = visitor.open(CREATE)

    def to(name: str, role: Any = "button") -> None:
        wanted = page.get_by_role(role, name=name, exact=True).first
        expect(wanted).to_be_enabled()
        for _ in range(60):
            if wanted.evaluate("(element) => element === document.activeElement"):
                return
            page.keyboard.press("Tab")
        raise AssertionError(f"{name} cannot be reached")

    expect(page.get_by_role("radio", name="tiny").first).to_be_visible()
    to("Name of the tuned model", "textbox")
    page.keyboard.type("by keys")
    page.get_by_role("radio", name="tiny").first.focus()
    page.keyboard.press("Space")
    page.keyboard.press("Enter")
    expect(page.get_by_role("heading", name="Training dataset")).to_be_focused()
    to("Browse buckets")
    page.keyboard.press("Enter")
    expect(page.get_by_role("dialog").get_by_role("button", name="wizard-keys")).to_be_visible()
    to("wizard-keys")
    page.keyboard.press("Enter")
    expect(page.get_by_role("dialog").get_by_role("button", name="rows.jsonl")).to_be_focused()
    page.keyboard.press("Enter")
    expect(page.get_by_text("The dataset is ready: 6 rows")).to_be_visible()
    to("Continue")
    page.keyboard.press("Enter")
    expect(page.get_by_role("heading", name="Review and start")).to_be_focused()
    to("Start tuning")
    page.keyboard.press("Enter")
    expect(page.get_by_role("heading", level=1)).to_have_text("by keys")
    cancel(server, shown_job(page, server))


@needs_axe
@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_nothing_keeps_anybody_out(visit: Any, server: Server, scheme: str) -> None:
    """By axe, on a phone, in Portuguese."""
    rows = shouting_rows(6)
    bad = server.upload("gs://wizard-seen/bad.jsonl", [*rows, {"contents": []}])
    good = server.upload("gs://wizard-seen/good.jsonl", rows)
    page = visit(color_scheme=scheme, reduced_motion="reduce", locale="pt-BR").open(CREATE)
    page.get_by_role("radio", name="tiny").first.check()
    page.get_by_text("Configurações avançadas").click()
    found = hindrances(page)
    page.get_by_role("button", name="Continuar").click()
    found += hindrances(page)
    for uri, words in ((bad, "Um job com estes dados falharia"), (good, "Os dados estão prontos")):
        page.get_by_label("Endereço").first.fill(uri)
        page.get_by_label("Endereço").first.press("Enter")
        expect(page.get_by_text(words)).to_be_visible()
        found += hindrances(page)
    page.get_by_role("button", name="Ver buckets").first.click()
    expect(page.get_by_role("dialog").get_by_role("button", name="wizard-seen")).to_be_visible()
    found += hindrances(page)
    page.keyboard.press("Escape")
    page.get_by_role("button", name="Continuar").click()
    page.get_by_text("O mesmo job em código").click()
    assert [*found, *hindrances(page)] == []
