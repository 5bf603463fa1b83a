"""Who is let through while being on loopback is the only protection."""

from __future__ import annotations

import httpx
import pytest
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import PlainTextResponse
from starlette.routing import Route

from sintonia.api.guard import LoopbackGuard


async def _answer(request: Request) -> PlainTextResponse:
    return PlainTextResponse("through")


APP = LoopbackGuard(Starlette(routes=[Route("/", _answer, methods=["GET", "POST"])]))


async def ask(host: str, **headers: str) -> httpx.Response:
    named = {"host": host} | {name.replace("_", "-"): value for name, value in headers.items()}
    async with httpx.AsyncClient(transport=httpx.ASGITransport(app=APP), base_url="http://x") as client:
        return await client.post("/", headers=named)


@pytest.mark.parametrize(
    "host",
    [
        "127.0.0.1",
        "127.0.0.1:8080",
        "127.8.9.1:1",
        "localhost",
        "LocalHost:8080",
        "[::1]",
        "[::1]:8080",
        "a.localhost:1",
    ],
)
async def test_loopback_names_pass(host: str) -> None:
    assert (await ask(host)).text == "through"


@pytest.mark.parametrize(
    "host",
    [
        "example.com",
        "example.com:8080",
        "127.0.0.1.example.com",
        "localhost.example.com",
        "notlocalhost",
        "127.0.0.1@example.com",
        "0.0.0.0:8080",
        "192.168.1.7:8080",
        "10.0.0.1",
        "[::]:8080",
        "[::1",
        "2130706433",
        "",
    ],
)
async def test_other_hosts_are_refused(host: str) -> None:
    response = await ask(host)
    assert response.status_code == 403
    assert response.json()["error"]["status"] == "PERMISSION_DENIED"
    assert f"Host '{host}' is not a name of this server" in response.json()["error"]["message"]


@pytest.mark.parametrize(
    ("origin", "passes"),
    [
        ("http://127.0.0.1:8080", True),
        ("HTTP://127.0.0.1:8080", True),
        ("http://127.0.0.1:8081", False),
        ("http://localhost:8080", False),
        ("http://127.0.0.1", False),
        ("http://example.com", False),
        ("http://127.0.0.1:8080.example.com", False),
        ("chrome-extension://127.0.0.1:8080", False),
        ("null", False),
        ("", False),
        ("http://[::1", False),
    ],
)
async def test_origins(origin: str, passes: bool) -> None:
    response = await ask("127.0.0.1:8080", origin=origin)
    assert response.status_code == (200 if passes else 403)
    assert passes or "pages of" in response.json()["error"]["message"]


@pytest.mark.parametrize(
    ("site", "passes"),
    [
        ("none", True),
        ("same-origin", True),
        ("Same-Origin", True),
        ("same-site", False),
        ("cross-site", False),
        ("x", False),
    ],
)
async def test_what_browsers_say_of_the_sender(site: str, passes: bool) -> None:
    assert (await ask("localhost:1", sec_fetch_site=site)).status_code == (200 if passes else 403)


LINK = {"sec-fetch-site": "cross-site", "sec-fetch-mode": "navigate", "sec-fetch-dest": "document"}
JOB = "/console/projects/p/locations/l/tuningJobs/1"


@pytest.mark.parametrize(
    ("method", "path", "changed", "passes"),
    [
        ("GET", JOB, {}, True),
        ("GET", JOB, {"sec-fetch-site": "same-site"}, True),
        ("GET", "/console", {}, True),
        ("GET", "/", {}, True),
        ("POST", JOB, {}, False),
        ("HEAD", JOB, {}, False),
        ("GET", JOB, {"sec-fetch-dest": "iframe"}, False),
        ("GET", JOB, {"sec-fetch-dest": "script", "sec-fetch-mode": "no-cors"}, False),
        ("GET", JOB, {"sec-fetch-dest": "empty", "sec-fetch-mode": "cors"}, False),
        ("GET", JOB, {"sec-fetch-mode": ""}, False),
        ("GET", JOB, {"origin": "https://example.com"}, False),
        ("GET", JOB, {"host": "example.com"}, False),
        ("GET", "/v1/projects/p/locations/l/tuningJobs/1", {}, False),
        ("GET", "/sintonia/v1/me", {}, False),
        ("GET", "/storage/v1/b/console/o/page.html", {}, False),
        ("GET", "/docs", {}, False),
        ("GET", "/consoles", {}, False),
        ("GET", "//console/", {}, False),
    ],
)
async def test_links(method: str, path: str, changed: dict[str, str], passes: bool) -> None:
    """What is followed from a page of another site: to a page of the console, and there only."""
    headers = {"host": "127.0.0.1:8080"} | LINK | changed
    async with httpx.AsyncClient(transport=httpx.ASGITransport(app=APP), base_url="http://127.0.0.1:8080") as client:
        response = await client.request(method, f"http://127.0.0.1:8080{path}", headers=headers)
    assert (response.status_code != 403) == passes


async def test_links_to_a_server_under_a_prefix() -> None:
    for path, passes in ((f"/x{JOB}", True), ("/x/v1/projects", False), ("/y/console/", False)):
        transport = httpx.ASGITransport(app=APP, root_path="/x")
        async with httpx.AsyncClient(transport=transport, base_url="http://127.0.0.1:8080") as client:
            response = await client.get(path, headers=LINK)
        assert (response.status_code != 403) == passes, path


async def test_a_client_that_is_no_browser_says_neither() -> None:
    assert (await ask("127.0.0.1:8080")).status_code == 200
