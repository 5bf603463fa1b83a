"""The pictures of the console in README and docs, of a real job on the real model: ``make screenshots`` takes them.

Usage: python tests/browser/screenshots.py FOLDER
"""

from __future__ import annotations

import shutil
import sys
import tempfile
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parents[1]))

from playwright.sync_api import Page, sync_playwright

from server import LOCATION, Server
from sintonia.datasets.tickets import INSTRUCTION, question, tickets

BASE = "smollm2-135m-instruct"
CONSOLE = f"/console/{LOCATION}"
PATIENCE = 600_000  # ms


def tune(server: Server) -> str:
    """A job as the demo's, and a second that was cancelled, so that the list has more than one row."""
    train = server.upload("gs://support/tickets.jsonl", tickets(1, 200))
    held = server.upload("gs://support/held-out.jsonl", tickets(1, 20, "held_out"))
    body = {
        "baseModel": BASE,
        "tunedModelDisplayName": "Support tickets",
        "supervisedTuningSpec": {
            "trainingDatasetUri": train,
            "validationDatasetUri": held,
            "hyperParameters": {"epochCount": 2},
        },
    }
    name: str = server.call("POST", f"/v1/{LOCATION}/tuningJobs", body)["name"]
    other = server.call("POST", f"/v1/{LOCATION}/tuningJobs", {**body, "tunedModelDisplayName": "Support, first try"})
    server.call("POST", f"/v1/{other['name']}:cancel", {})
    assert server.finished_job(name)["state"] == "JOB_STATE_SUCCEEDED"
    return name


def settled(page: Page) -> None:
    page.wait_for_load_state("networkidle")
    page.mouse.move(0, 0)


def main(folder: Path) -> None:
    chromium = shutil.which("chromium")
    if not chromium:
        raise SystemExit("chromium is not installed; on Debian: apt-get install chromium")
    folder.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory() as home, sync_playwright() as playwright:
        server = Server(Path(home) / "home", base_models={}).start()
        try:
            job = tune(server)
            browser = playwright.chromium.launch(executable_path=chromium, args=["--no-sandbox"])
            for scheme in ("light", "dark"):
                context = browser.new_context(
                    locale="en-US", color_scheme=scheme, viewport={"width": 1280, "height": 800}
                )
                context.set_default_timeout(PATIENCE)
                take(context.new_page(), server, job, folder, scheme)
                context.close()
            browser.close()
        finally:
            server.stop()


def take(page: Page, server: Server, job: str, folder: Path, scheme: str) -> None:
    def shot(name: str) -> None:
        settled(page)
        page.screenshot(path=folder / f"console-{name}-{scheme}.png")

    page.goto(f"{server.url}{CONSOLE}/tuningJobs")
    page.get_by_role("row").filter(has_text="Succeeded").first.wait_for()
    shot("list")
    page.goto(f"{server.url}/console/{job}")
    page.locator("path.line").nth(1).wait_for()
    shot("job")
    page.get_by_role("tab", name="Dataset").click()
    page.get_by_role("article").first.scroll_into_view_if_needed()
    shot("dataset")
    page.goto(f"{server.url}/console/{job}")
    page.get_by_role("link", name="Test").first.click()
    page.get_by_role("button", name="Side by side").click()
    page.get_by_label("System instruction").fill(INSTRUCTION)
    page.get_by_label("Temperature").fill("0")
    page.get_by_label("Output token limit").fill("48")
    page.get_by_label("Write a prompt").fill(question(tickets(2, 1, "held_out")[0]))
    page.keyboard.press("Enter")
    page.locator(".reply[aria-busy=false]").nth(1).wait_for()
    shot("test")


if __name__ == "__main__":
    main(Path(sys.argv[1]))
