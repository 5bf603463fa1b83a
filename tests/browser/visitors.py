"""Who looks at the console in tests, where, and how what they see gets there."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest
from playwright.sync_api import BrowserContext, Dialog, Page

from server import Server
from sintonia.database import Database, Transaction

HOSTILE = '"><img src=x onerror="window.hacked=1"><script>window.hacked=1</script>${7*7}{{7*7}}'
"""What somebody may call a thing who wishes us ill."""


AXE = Path(__file__).parent / "node_modules" / "axe-core" / "axe.min.js"
needs_axe = pytest.mark.skipif(not AXE.exists(), reason="axe-core is not installed: npm is missing")
PHONE = {"width": 390, "height": 844}


def hindrances(page: Page) -> list[tuple[Any, ...]]:
    """What keeps somebody out of a page as it is now: serious findings of axe, and more width than a phone has."""
    page.evaluate(AXE.read_text())
    found = page.evaluate("async () => (await axe.run({ resultTypes: ['violations'] })).violations")
    serious = [item for item in found if item["impact"] in ("serious", "critical")]
    told: list[tuple[Any, ...]] = [(item["id"], [node["target"] for node in item["nodes"]][:3]) for item in serious]
    before = page.viewport_size
    page.set_viewport_size(PHONE)
    wide = page.evaluate("() => document.documentElement.scrollWidth - document.documentElement.clientWidth")
    page.set_viewport_size(before or PHONE)
    return [*told, *([("wider than a phone by", wide)] if wide > 0 else [])]


def console(path: str = "tuningJobs", project: str = "p") -> str:
    return f"/console/projects/{project}/locations/us-central1/{path}"


@dataclass
class Visitor:
    """Somebody with a browser. ``complaints``: what went wrong on any of their pages, but for what is ``expected``.

    Requests go to ``url``, and to where they are ``welcome`` besides.
    """

    context: BrowserContext
    url: str
    complaints: list[str] = field(default_factory=list)
    expected: str | None = None
    welcome: tuple[str, ...] = ()

    def open(self, path: str) -> Page:
        page = self.context.new_page()
        page.on("pageerror", lambda error: self.complaints.append(f"{path}: {error}"))
        page.on("console", lambda message: self._heard(path, message.type, message.text))
        page.on("dialog", lambda dialog: self._answer(path, dialog))
        page.on("request", lambda request: self._asked(path, request.url))
        page.goto(self.url + path)
        return page

    def _answer(self, path: str, dialog: Dialog) -> None:
        """Whether to leave a page that works is the browser's question; no script has one."""
        if dialog.type != "beforeunload":
            self.complaints.append(f"{path}: a script asked {dialog.message}")
        dialog.accept()

    def _heard(self, path: str, kind: str, text: str) -> None:
        if kind in ("error", "warning") and not (self.expected and self.expected in text):
            self.complaints.append(f"{path}: {text}")

    def _asked(self, path: str, url: str) -> None:
        if not url.startswith((*(f"{place}/" for place in (self.url, *self.welcome)), "blob:", "data:")):
            self.complaints.append(f"{path}: asked {url}")


def write(server: Server, work: Callable[[Transaction], Awaitable[None]]) -> None:
    """Put rows into the server's database behind its back: what would take long to make in earnest."""

    async def run() -> None:
        database = Database(f"sqlite+aiosqlite:///{server.home / 'sintonia.db'}")
        await database.open()
        await database.write(work)
        await database.close()

    # In a thread, as playwright has a running event loop in this one.
    with ThreadPoolExecutor(1) as thread:
        thread.submit(asyncio.run, run()).result()
