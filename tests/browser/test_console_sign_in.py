"""Signing in to the console, out, and in as somebody else; what each role is offered; the way between projects."""

from __future__ import annotations

import re
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
from playwright.sync_api import Page, expect
from visitors import HOSTILE, PHONE, Visitor, console, hindrances, needs_axe

from signed_in import SignedInServer
from sintonia.services.access import Role

REFUSED = "Failed to load resource"


@dataclass(frozen=True)
class People:
    """Their tokens."""

    root: str
    tuner: str
    viewer: str
    other: str


_people: list[People] = []


@pytest.fixture(scope="module", autouse=True)
def signed(tmp_path_factory: pytest.TempPathFactory) -> Iterator[SignedInServer]:
    """Before the browser comes, which has an event loop of its own."""
    server = SignedInServer(tmp_path_factory.mktemp("signed"))
    _people[:] = [
        People(
            root=server.root,
            tuner=server.token("tess", research=Role.TUNER),
            viewer=server.token("vic", research=Role.VIEWER, sales=Role.VIEWER, apples=Role.ADMIN),
            other=server.token("otto", research=Role.TUNER),
        )
    ]
    server.start()
    server.call("POST", "/storage/v1/b?project=research", {"name": "research-data"})
    server.call("POST", "/upload/storage/v1/b/research-data/o?uploadType=media&name=rows.jsonl", {})
    yield server
    server.stop()


@pytest.fixture(scope="module")
def people(signed: SignedInServer) -> People:
    return _people[0]


@pytest.fixture(scope="module", autouse=True)
def prefixed(tmp_path_factory: pytest.TempPathFactory) -> Iterator[SignedInServer]:
    server = SignedInServer(tmp_path_factory.mktemp("prefixed"))
    yield server
    server.stop()


@pytest.fixture
def guest(visit: Any, signed: SignedInServer) -> Visitor:
    """Somebody who has not signed in; that they are asked to is no fault of a page."""
    made: Visitor = visit(url=signed.url)
    made.expected = REFUSED
    return made


RESEARCH = console("buckets", "research")


def sign_in(page: Page, token: str) -> None:
    form = page.get_by_role("dialog", name="Sign in")
    form.get_by_label("Token").fill(token)
    page.keyboard.press("Enter")
    expect(form).to_have_count(0)


def entered(guest: Visitor, path: str, token: str) -> Page:
    page = guest.open(path)
    sign_in(page, token)
    return page


def test_a_token_signs_in_where_one_was(guest: Visitor, people: People, signed: SignedInServer) -> None:
    here = console("buckets/research-data", "research") + "?prefix=a%2F#x"
    page = guest.open(here)
    form = page.get_by_role("dialog", name="Sign in")
    expect(form.get_by_label("Token")).to_be_focused()
    expect(page).to_have_title("Sign in · Sintonia")
    for _ in range(2):  # there is no way round it
        page.keyboard.press("Escape")
    page.keyboard.type("sin_wrong")
    page.keyboard.press("Enter")
    expect(form.get_by_role("alert")).to_contain_text("invalid authentication credentials")
    page.keyboard.type(f"  {people.tuner} ")  # the wrong one is selected
    page.keyboard.press("Enter")
    expect(page.get_by_role("heading", name="a", exact=True)).to_be_visible()
    expect(page).to_have_url(signed.url + here)
    expect(page).to_have_title("research-data · Sintonia")
    page.reload()
    expect(page.get_by_role("heading", name="a", exact=True)).to_be_visible()
    (cookie,) = [cookie for cookie in guest.context.cookies() if "session" in cookie["name"]]
    assert (cookie["httpOnly"], cookie["sameSite"], cookie["path"]) == (True, "Strict", "/")
    kept = page.evaluate("() => JSON.stringify([document.cookie, {...localStorage}, {...sessionStorage}])")
    assert cookie["value"] not in kept
    assert people.tuner not in kept + str(guest.context.cookies())


def test_a_link_from_elsewhere_leads_in(guest: Visitor, people: People) -> None:
    """Although the browser keeps the cookie from what other sites ask: the page that opens is our own."""
    entered(guest, RESEARCH, people.tuner)
    page = guest.context.new_page()
    page.set_content(f'<a href="{guest.url}{RESEARCH}">our buckets</a>')
    page.get_by_role("link").click()
    expect(page.get_by_role("link", name="research-data")).to_be_visible()


def test_the_first_page_is_of_a_project_of_ones_own(guest: Visitor, people: People) -> None:
    page = entered(guest, "/", people.viewer)
    expect(page).to_have_url(guest.url + console(project="apples"))
    expect(page.get_by_role("heading", name="No tuned models yet")).to_be_visible()


def end_sessions(guest: Visitor) -> None:
    """As time does; the pages are not told."""
    names = [cookie["name"] for cookie in guest.context.cookies() if "session" in cookie["name"]]
    for name in names:
        guest.context.clear_cookies(name=name)


def test_nothing_is_lost_when_a_session_ends(guest: Visitor, people: People) -> None:
    page = entered(guest, RESEARCH, people.tuner)
    page.get_by_role("button", name="New bucket").click()
    page.get_by_label("Name").fill("made-across-sessions")
    end_sessions(guest)
    page.keyboard.press("Enter")
    expect(page.get_by_role("dialog", name="Sign in")).to_contain_text("Your session has ended")
    sign_in(page, people.tuner)
    # What was asked for is asked again, and done.
    expect(page).to_have_url(guest.url + console("buckets/made-across-sessions", "research"))
    page.get_by_role("button", name="Upload files").first.wait_for()
    end_sessions(guest)
    page.locator("input[type=file]").set_input_files({"name": "a.txt", "mimeType": "text/plain", "buffer": b"text"})
    sign_in(page, people.tuner)
    expect(page.get_by_role("link", name="a.txt")).to_be_visible()


def test_a_draft_is_its_writers(guest: Visitor, people: People) -> None:
    page = entered(guest, RESEARCH, people.tuner)
    page.evaluate(
        "() => { sessionStorage.setItem('draft', 'of tess'); localStorage.setItem('sintonia.draft', 'of tess'); }"
    )
    # Somebody who writes while the page goes.
    page.evaluate("() => addEventListener('pagehide', () => sessionStorage.setItem('late', 'of tess'))")
    drafts = "() => [sessionStorage.draft ?? 0, sessionStorage.late ?? 0, localStorage['sintonia.draft'] ?? 0]"
    end_sessions(guest)
    page.reload()
    sign_in(page, people.tuner)
    expect(page.get_by_role("link", name="research-data")).to_be_visible()
    assert page.evaluate(drafts) == ["of tess", "of tess", "of tess"]
    page.evaluate("() => addEventListener('pagehide', () => sessionStorage.setItem('late', 'of tess'))")
    end_sessions(guest)
    page.get_by_role("button", name="New bucket").click()
    page.get_by_label("Name").fill("of-tess")
    page.keyboard.press("Enter")
    with page.expect_navigation():
        sign_in(page, people.other)
    expect(page.get_by_role("link", name="research-data")).to_be_visible()
    assert page.evaluate(drafts) == [0, 0, 0]
    expect(page.get_by_role("link", name="of-tess")).to_have_count(0)  # nothing of hers was done in his name


def test_signing_out_is_for_all_tabs(guest: Visitor, people: People, signed: SignedInServer) -> None:
    first = entered(guest, RESEARCH, people.tuner)
    second = guest.open(console(project="research"))
    expect(second.get_by_role("heading", name="No tuned models yet")).to_be_visible()
    (cookie,) = [cookie for cookie in guest.context.cookies() if "session" in cookie["name"]]
    first.bring_to_front()
    first.get_by_role("button", name="Account").click()
    card = first.get_by_role("region", name="Account")
    expect(card).to_contain_text("tess")
    expect(card).to_contain_text("Tuner in the project research")
    card.get_by_role("button", name="Sign out").click()
    for page in (first, second):
        expect(page.get_by_role("dialog", name="Sign in")).to_be_visible()
        assert "research" not in page.url + page.inner_text("body")
    assert [cookie for cookie in guest.context.cookies() if "session" in cookie["name"]] == []
    kept = {"cookie": f"{cookie['name']}={cookie['value']}"}
    assert signed.ask("GET", "/sintonia/v1/me", headers=kept).status_code == 401
    # And in again, in both.
    sign_in(first, people.tuner)
    expect(second.get_by_role("dialog", name="Sign in")).to_have_count(0)
    for page in (first, second):
        expect(page.get_by_role("heading", name="No tuned models yet")).to_be_visible()
        expect(page).to_have_url(guest.url + console(project="research"))


def test_another_person_in_another_tab(guest: Visitor, people: People) -> None:
    first = entered(guest, RESEARCH, people.tuner)
    end_sessions(guest)
    second = entered(guest, RESEARCH, people.viewer)
    expect(second.get_by_role("link", name="research-data")).to_be_visible()
    # It has begun anew, as what its new reader may see.
    expect(first.get_by_role("link", name="research-data")).to_be_visible()
    expect(first.locator("#role")).to_have_text("Viewer")


def test_a_token_that_is_revoked_lets_nobody_go_on(guest: Visitor, signed: SignedInServer) -> None:
    made = signed.call("POST", "/sintonia/v1/projects/research/tokens", {"displayName": "brief", "role": "VIEWER"})
    page = entered(guest, RESEARCH, made["token"])
    expect(page.get_by_role("link", name="research-data")).to_be_visible()
    signed.call("DELETE", f"/sintonia/v1/{made['name']}")
    page.get_by_role("link", name="Base models").click()
    form = page.get_by_role("dialog", name="Sign in")
    form.get_by_label("Token").fill(made["token"])
    page.keyboard.press("Enter")
    expect(form.get_by_role("alert")).to_contain_text("is revoked")


def test_too_many_guesses(visit: Any, signed: SignedInServer, people: People) -> None:
    there = {"x-forwarded-for": "10.60.0.1"}
    for _ in range(20):
        signed.ask("GET", "/sintonia/v1/me", "guess", headers=there)
    guest = visit(url=signed.url, extra_http_headers=there)
    guest.expected = REFUSED
    page = guest.open(RESEARCH)
    form = page.get_by_role("dialog", name="Sign in")
    form.get_by_label("Token").fill("guess")
    page.keyboard.press("Enter")
    expect(form.get_by_role("alert")).to_contain_text("Too many requests from your address")
    sign_in(page, people.tuner)
    expect(page.get_by_role("link", name="research-data")).to_be_visible()


def test_what_a_viewer_cannot_do_is_not_offered(guest: Visitor, people: People) -> None:
    page = entered(guest, RESEARCH, people.viewer)
    row = page.get_by_role("row").filter(has_text="research-data")
    row.get_by_role("button", name="Actions").click()
    expect(page.get_by_role("menuitem")).to_have_text(["Copy address"])
    expect(page.get_by_role("button", name="New bucket")).to_have_count(0)
    expect(page.locator("#role")).to_have_text("Viewer")
    page.keyboard.press("Escape")
    row.get_by_role("link").click()
    page.get_by_role("row").filter(has_text="rows.jsonl").get_by_role("button", name="Actions").click()
    expect(page.get_by_role("menuitem")).to_have_text(["Copy address", "Download"])
    with page.expect_download() as loaded:
        page.get_by_role("menuitem", name="Download").click()
    assert loaded.value.path().read_bytes() == b"{}"
    expect(page.get_by_role("button", name="Upload files")).to_have_count(0)
    page.goto(guest.url + console(project="research"))
    expect(page.get_by_role("heading", name="No tuned models yet")).to_be_visible()
    expect(page.get_by_role("link", name="Create tuned model")).to_have_count(0)
    page.goto(guest.url + console("tuningJobs/create", "research"))
    expect(page.get_by_role("heading", name="You may not do this")).to_be_visible()


def test_a_project_without_a_role(guest: Visitor, people: People) -> None:
    page = entered(guest, console(project="secret"), people.viewer)
    expect(page.get_by_role("heading", name="You have no role in the project “secret”")).to_be_visible()
    main = page.get_by_role("main")
    expect(main.get_by_role("link")).to_have_text(["apples", "research", "sales"])
    main.get_by_role("link", name="sales").click()
    expect(page.get_by_role("heading", name="No tuned models yet")).to_be_visible()
    page.go_back()
    expect(page.get_by_role("heading", name="You have no role in the project “secret”")).to_be_visible()


def test_switching_between_ones_projects(guest: Visitor, people: People) -> None:
    page = entered(guest, console(project="research"), people.viewer)
    expect(page.get_by_role("heading", name="No tuned models yet")).to_be_visible()
    page.get_by_role("button", name="Change project").click()
    choice = page.get_by_role("dialog").get_by_role("combobox", name="Project")
    expect(choice.get_by_role("option")).to_have_text(["apples", "research", "sales"])
    choice.select_option("sales")
    page.get_by_role("button", name="Switch").click()
    expect(page).to_have_url(guest.url + console(project="sales"))
    expect(page.get_by_role("heading", name="No tuned models yet")).to_be_visible()
    page.goto(guest.url + "/")
    expect(page).to_have_url(guest.url + console(project="sales"))


def test_who_may_see_all_names_any_project(guest: Visitor, people: People) -> None:
    page = entered(guest, console(project="research"), people.root)
    page.get_by_role("button", name="Change project").click()
    page.get_by_role("dialog").get_by_label("Project", exact=True).fill("brand-new")
    page.keyboard.press("Enter")
    expect(page).to_have_url(guest.url + console(project="brand-new"))


def test_under_a_prefix(visit: Any, prefixed: SignedInServer) -> None:
    prefixed.start(sys.executable, str(Path(__file__).parent / "prefixed.py"))
    guest = visit(url=prefixed.url)
    guest.expected = REFUSED
    page = entered(guest, "/console/", prefixed.root)
    expect(page).to_have_url(prefixed.url + console(project="local"))
    (cookie,) = [cookie for cookie in guest.context.cookies() if "session" in cookie["name"]]
    assert cookie["path"] == "/x"
    page.get_by_role("button", name="Account").click()
    page.get_by_role("button", name="Sign out").click()
    expect(page.get_by_role("dialog", name="Sign in")).to_be_visible()


def test_an_admin_makes_and_revokes_tokens(guest: Visitor, people: People, signed: SignedInServer) -> None:
    page = entered(guest, console(project="apples"), people.viewer)
    page.get_by_role("link", name="Tokens").click()
    expect(page.get_by_role("row").filter(has_text="(yours)")).to_contain_text("vic")
    page.get_by_role("button", name="New token").click()
    form = page.get_by_role("dialog", name="New token")
    page.keyboard.type(HOSTILE)
    form.get_by_role("combobox", name="Role").select_option("TUNER")
    expect(form).to_contain_text("Besides, tunes")
    form.get_by_role("combobox", name="Ends").select_option("30")
    form.get_by_role("button", name="Make token").click()
    shown = page.get_by_role("dialog").locator("pre")
    expect(shown).to_contain_text("sin_")
    token = shown.inner_text()
    me = signed.ask("GET", "/sintonia/v1/me", token).json()
    assert (me["displayName"], me["grants"]) == (HOSTILE, {"apples": "TUNER"})
    page.get_by_role("button", name="I have copied it").click()
    page.wait_for_function("token => !document.documentElement.outerHTML.includes(token)", arg=token)
    row = page.get_by_role("row").filter(has_text=HOSTILE)
    expect(row).to_contain_text("Valid")
    row.get_by_role("button", name="Actions").click()
    page.get_by_role("menuitem", name="Revoke").click()
    page.get_by_role("dialog").get_by_role("button", name="Revoke").click()
    expect(row).to_contain_text("Revoked")
    assert signed.ask("GET", "/sintonia/v1/me", token).status_code == 401
    # Whose role is a lesser one does not see the page's link, and finds nothing behind its address.
    page.goto(guest.url + console("tokens", "sales"))
    expect(page.get_by_role("heading", name="You may not do this")).to_be_visible()
    expect(page.get_by_role("main")).to_contain_text("role Admin in the project sales, and yours is Viewer")
    for name in ("link", "button"):
        expect(page.get_by_role(name, name=re.compile("[Tt]oken"))).to_have_count(0)


def test_in_another_language(visit: Any, signed: SignedInServer, people: People) -> None:
    guest = visit(url=signed.url, locale="pt-BR")
    guest.expected = REFUSED
    page = guest.open(RESEARCH)
    expect(page.get_by_role("heading", name="Entrar")).to_be_visible()
    page.get_by_role("button", name="English").click()
    sign_in(page, people.viewer)
    expect(page.get_by_role("heading", name="Buckets")).to_be_visible()


@needs_axe
@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_nothing_keeps_anybody_out(visit: Any, signed: SignedInServer, people: People, scheme: str) -> None:
    guest = visit(url=signed.url, color_scheme=scheme, reduced_motion="reduce", viewport=PHONE)
    guest.expected = REFUSED
    page = guest.open(RESEARCH)
    findings = []

    def judge(what: str) -> None:
        findings.extend((what, *found) for found in hindrances(page))

    form = page.get_by_role("dialog", name="Sign in")
    form.get_by_label("Token").fill("wrong")
    page.keyboard.press("Enter")
    expect(form.get_by_role("alert")).to_contain_text("invalid")
    judge("the form")
    sign_in(page, people.viewer)
    expect(page.get_by_role("link", name="research-data")).to_be_visible()
    page.get_by_role("button", name="Account").click()
    judge("the account")
    page.keyboard.press("Escape")
    page.get_by_role("button", name="Change project").click()
    judge("the switch")
    page.goto(guest.url + console("tokens", "apples"))
    expect(page.get_by_text("(yours)")).to_be_visible()
    judge("tokens")
    page.get_by_role("button", name="New token").click()
    page.keyboard.type("x")
    judge("a new token")
    page.keyboard.press("Enter")
    expect(page.get_by_role("button", name="I have copied it")).to_be_visible()
    judge("a token, once")
    page.goto(guest.url + console(project="secret"))
    expect(page.get_by_role("heading", name="You have no role")).to_be_visible()
    judge("no role")
    assert findings == []
