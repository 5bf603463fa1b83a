"""Who looks at the console in tests, where, and how what they see gets there."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field

from playwright.sync_api import BrowserContext, Page

from server import Server
from sintonia.database import Database, Transaction

HOSTILE = '"><img src=x onerror="window.hacked=1"><script>window.hacked=1</script>${7*7}{{7*7}}'
"""What somebody may call a thing who wishes us ill."""


def console(path: str = "tuningJobs", project: str = "p") -> str:
    return f"/console/projects/{project}/locations/us-central1/{path}"


@dataclass
class Visitor:
    """Somebody with a browser. ``complaints``: what went wrong on any of their pages, but for what is ``expected``."""

    context: BrowserContext
    url: str
    complaints: list[str] = field(default_factory=list)
    expected: str | None = None

    def open(self, path: str) -> Page:
        page = self.context.new_page()
        page.on("pageerror", lambda error: self.complaints.append(f"{path}: {error}"))
        page.on("console", lambda message: self._heard(path, message.type, message.text))
        page.on("dialog", lambda dialog: self.complaints.append(f"{path}: a script asked {dialog.message}"))
        page.on("request", lambda request: self._asked(path, request.url))
        page.goto(self.url + path)
        return page

    def _heard(self, path: str, kind: str, text: str) -> None:
        if kind in ("error", "warning") and not (self.expected and self.expected in text):
            self.complaints.append(f"{path}: {text}")

    def _asked(self, path: str, url: str) -> None:
        if not url.startswith((self.url + "/", "blob:", "data:")):
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
