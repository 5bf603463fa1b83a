"""The console's pages as the server sends them, without a browser; and its words."""

from __future__ import annotations

import json
import re
from pathlib import Path

import pytest
from starlette.applications import Starlette
from starlette.testclient import TestClient

from sintonia import console
from sintonia.console.languages import LANGUAGES, catalogue, chosen

PAGE = "/console/projects/p/locations/us-central1/tuningJobs"
SOURCE = Path(console.__file__).parent
SCRIPTS = sorted((SOURCE / "static").rglob("*.js"))


@pytest.fixture(scope="module")
def client() -> TestClient:
    return TestClient(Starlette(routes=console.routes()), follow_redirects=False)


def test_browsers_are_shown_in_and_programs_are_not(client: TestClient) -> None:
    assert client.get("/", headers={"accept": "text/html,*/*"}).headers["location"] == "/console/"
    assert client.get("/", headers={"accept": "application/json"}).status_code == 404
    assert client.get("/console").headers["location"] == "/console/"
    assert client.get("/console/").headers["location"] == "/console/projects/local/locations/us-central1/tuningJobs"


def test_the_place_that_was_looked_at_last_is_shown(client: TestClient) -> None:
    headers = {"cookie": "sintonia_place=team%2Feurope-west4"}
    assert client.get("/console/", headers=headers).headers["location"].startswith("/console/projects/team/locations/e")


def test_with_sign_in_shells_are_open_and_know_nobody() -> None:
    client = TestClient(Starlette(routes=console.routes(sign_in=True)), follow_redirects=False)
    # Which project that is, the page finds out when it is known who looks.
    assert client.get("/console/").headers["location"] == "/console/projects/-/locations/us-central1/tuningJobs"
    answer = client.get(PAGE)
    assert "set-cookie" not in answer.headers
    assert answer.text == client.get(PAGE, headers={"cookie": "sintonia_session=x"}).text
    assert 'data-role=""' in answer.text, "what needs a role is not there before it is known"


def test_nothing_in_a_shell_is_allowed_but_our_own(client: TestClient) -> None:
    answer = client.get(PAGE)
    policy = answer.headers["content-security-policy"]
    assert "default-src 'none'; script-src 'self'; style-src 'self'" in policy
    assert "unsafe" not in policy
    assert answer.headers["x-content-type-options"] == "nosniff"
    assert answer.headers["referrer-policy"] == "no-referrer"
    assert not re.search(r"<[^>]+\s(style|on\w+)=", answer.text)
    assert not re.search(r"""(src|href)=["'](?!/console/|/docs|#)""", answer.text)


def test_a_hostile_address_stays_text(client: TestClient) -> None:
    answer = client.get("/console/projects/%3C%2Fscript%3E%3Cscript%3Ealert(1)%3C%2Fscript%3E/locations/l/tuningJobs")
    assert answer.status_code == 404  # a slash is no part of a project
    answer = client.get("/console/projects/%3Cscript%3Ealert(1)%3C/locations/%22%3E%3Cb%3E/tuningJobs")
    assert answer.status_code == 200
    assert "<script>alert" not in answer.text
    assert "<b>" not in answer.text


def test_files_keep_under_the_version_of_all_of_them(client: TestClient) -> None:
    addresses = re.findall(r'"(/console/static/[^"#]+\.\w+)', client.get(PAGE).text)
    assert len(addresses) > 8
    for address in addresses:
        answer = client.get(address)
        assert answer.status_code == 200
        assert "immutable" in answer.headers["cache-control"]
    old = re.sub(r"/static/\w+/", "/static/0/", addresses[0])
    assert client.get(old).headers["cache-control"] == "no-cache"
    for path in ("../pages.py", "%2e%2e/pages.py", "..%2fpages.py", "nothing.js", ""):
        assert client.get(f"/console/static/0/{path}").status_code == 404


def test_what_is_not_there_is_a_page_too(client: TestClient) -> None:
    answer = client.get("/console/nothing/here")
    assert (answer.status_code, answer.headers["content-type"]) == (404, "text/html; charset=utf-8")


@pytest.mark.parametrize(
    ("asked", "remembered", "accepted", "expected"),
    [
        (None, None, "", "en"),
        (None, None, "pt-BR,pt;q=0.9,en;q=0.8", "pt-BR"),
        (None, None, "fr, pt-PT;q=0.5, en;q=0.4", "pt-BR"),
        (None, None, "en;q=0.1, pt;q=0.9", "pt-BR"),
        (None, None, "pt;q=0, de;q=x, ;;;", "en"),
        (None, "pt-BR", "en", "pt-BR"),
        ("en", "pt-BR", "pt", "en"),
        ("xx", "../../x", "pt", "pt-BR"),
    ],
)
def test_the_language_is_asked_then_remembered_then_accepted(
    client: TestClient, asked: str | None, remembered: str | None, accepted: str, expected: str
) -> None:
    assert chosen(asked, remembered, accepted) == expected
    headers = {"accept-language": accepted} | ({"cookie": f"sintonia_language={remembered}"} if remembered else {})
    page = client.get(PAGE + (f"?hl={asked}" if asked else ""), headers=headers).text
    assert f'<html lang="{expected}">' in page
    assert catalogue(expected)["nav.tunedModels"] in page


def test_the_theme_is_there_before_any_script(client: TestClient) -> None:
    assert 'data-theme="dark"' in client.get(PAGE, headers={"cookie": "sintonia_theme=dark"}).text
    assert "data-theme" not in client.get(PAGE, headers={"cookie": 'sintonia_theme="><b>'}).text


def test_every_language_has_the_same_words() -> None:
    first, *others = LANGUAGES
    for language in others:
        assert list(catalogue(language)) == list(catalogue(first)), language
        for key, words in catalogue(language).items():
            assert words.strip(), key
            holes = re.findall(r"\{\w+\}", words)
            assert sorted(holes) == sorted(re.findall(r"\{\w+\}", catalogue(first)[key])), f"{language} {key}"


def test_words_are_neither_lacking_nor_left_over() -> None:
    text = "".join(file.read_text() for file in [*SCRIPTS, SOURCE / "shell.html.jinja", SOURCE / "pages.py"])
    keys = set(catalogue("en"))
    plain = {re.sub(r"\.(one|other)$", "", key) for key in keys}
    said = set(re.findall(r"""["'`]([a-z]\w*(?:\.\w+)+|yes|no)["'`]""", text))
    states = ("theme.", "chart.soon.", "chart.none.", "dataset.unread.", "dataset.reading.")
    built = (*re.findall(r"`([a-z][\w.]*\.)\$\{", text), *states)
    assert sorted(key for key in plain if key not in said and not key.startswith(built)) == []
    called = set(re.findall(r"""\bt\(["']([\w.]+)["']""", text))
    assert sorted(called - plain) == []


def test_scripts_make_no_markup_of_text() -> None:
    for file in SCRIPTS:
        found = re.findall(
            r"innerHTML|outerHTML|insertAdjacentHTML|document\.write|\beval\(|new Function", file.read_text()
        )
        assert found == [], file.name


def test_scripts_ask_the_public_api_only() -> None:
    """One module sends requests, and every path that is asked is one that the API describes to everybody."""
    senders = [
        file.name for file in SCRIPTS if re.search(r"\bfetch\(|XMLHttpRequest|WebSocket|EventSource", file.read_text())
    ]
    assert senders == ["api.js"]


def test_the_catalogues_are_plain_json() -> None:
    for language in LANGUAGES:
        text = (SOURCE / "locales" / f"{language}.json").read_text()
        assert text == json.dumps(json.loads(text), ensure_ascii=False, indent=2) + "\n"
