"""Test: conversations with models that are really there, alone and side by side, and the programs that say the same."""

from __future__ import annotations

import json
import subprocess
from pathlib import Path
from typing import Any
from urllib.parse import urlencode

import pytest
from playwright.sync_api import Locator, Page, Route, expect
from visitors import HOSTILE, PHONE, Visitor, console, hindrances, needs_axe

from endless_models import CONTEXT
from server import LOCATION, PATIENCE, Server, until

CLIENTS = Path(__file__).parents[2] / ".cache" / "clients" / "bin" / "python"
TINY, ENDLESS = "publishers/google/models/tiny", "publishers/google/models/endless"
LONG = 300  # turns
PROMPTS = [
    HOSTILE,
    "</script><script>window.hacked=1</script>",
    "<svg/onload=window.hacked=1><style>*{display:none}</style>",
    "javascript:window.hacked=1//[x](javascript:window.hacked=1) **bold** `code` &lt;b&gt;",
    "  two  spaces\n\ttab\n\n\u202eright to left \u0000 🙂 \u2028 end  ",
]


@pytest.fixture(scope="module", autouse=True)
def loaded(server: Server) -> None:
    """Loading a model takes a busy machine longer than a page's patience."""
    for model in (TINY, ENDLESS):
        server.generate(f"{LOCATION}/{model}", "hello", maxOutputTokens=1)


def chat(*targets: str) -> str:
    return f"{console('chat')}?{urlencode(dict(zip(('target', 'beside'), targets, strict=False)))}"


def settle(page: Page, **values: str) -> None:
    """Put values into the fields of the settings, by their labels."""
    for name, value in values.items():
        page.get_by_label(name.replace("_", " "), exact=True).fill(value)


def say(page: Page, text: str) -> Any:
    """Send a prompt; the body of the (last) request that it made."""
    page.get_by_label("Write a prompt").fill(text)
    with page.expect_request(lambda request: ":streamGenerateContent" in request.url) as asked:
        page.keyboard.press("Enter")
    return asked.value.post_data_json


def replies(page: Page) -> Locator:
    return page.locator(".reply[aria-busy=false]")


def turn(role: str, text: str) -> dict[str, Any]:
    return {"role": role, "parts": [{"text": text}]}


def text_of(reply: Locator) -> str:
    return str(reply.locator("p").first.text_content())


def test_a_conversation_is_what_the_api_says_and_is_kept(visitor: Visitor, server: Server) -> None:
    page = visitor.open(chat(TINY))
    expect(page.get_by_label("Write a prompt")).to_be_focused()
    settle(page, Temperature="0", Output_token_limit="12")
    page.get_by_label("Write a prompt").focus()
    page.keyboard.type("the quick")
    page.keyboard.press("Shift+Enter")
    page.keyboard.type("fox")
    page.keyboard.press("Enter")
    expect(replies(page)).to_have_count(1)
    expect(page.get_by_label("Write a prompt")).to_be_focused()
    expect(page.get_by_label("Write a prompt")).to_have_value("")
    first = server.generate(f"{LOCATION}/{TINY}", "the quick\nfox", maxOutputTokens=12)
    assert text_of(replies(page)) == first
    expect(replies(page)).to_contain_text("Output token limit reached")
    expect(replies(page)).to_contain_text("+ 12 tokens")
    expect(replies(page)).to_contain_text("tokens/s")
    expect(replies(page)).to_contain_text("first token after")
    expect(page.locator("[aria-live] p")).to_have_text([f"tiny: {first}"])

    asked = say(page, "and then?")
    assert asked["contents"] == [turn("user", "the quick\nfox"), turn("model", first), turn("user", "and then?")]
    expect(replies(page)).to_have_count(2)
    expect(page.locator("[aria-live] p")).to_have_count(1)
    page.get_by_label("Write a prompt").fill("half a thou")

    def is_kept() -> None:
        expect(page.get_by_role("article")).to_have_count(2)
        assert text_of(replies(page).first) == first
        expect(page.get_by_label("Write a prompt")).to_have_value("half a thou")
        expect(page.get_by_label("Output token limit")).to_have_value("12")

    page.reload()
    is_kept()
    page.get_by_role("link", name="Base models").click()
    page.get_by_role("link", name="Test endless").click()
    expect(page.get_by_role("heading", name="Ask it something")).to_be_visible()
    page.go_back()
    expect(page.get_by_role("heading", name="tiny", exact=True)).to_be_visible()
    page.go_back()
    is_kept()
    page.get_by_role("link", name="Buckets").click()
    page.get_by_role("link", name="Test", exact=True).click()
    is_kept()


def test_stop_stops_the_server(visitor: Visitor, server: Server) -> None:
    page = visitor.open(chat(ENDLESS))
    settle(page, Temperature="0", Output_token_limit=str(CONTEXT - 1000))
    say(page, "go on")
    reply = page.locator(".reply")
    page.wait_for_function("() => document.querySelector('.reply p').textContent.length > 20")
    expect(reply).to_have_attribute("aria-busy", "true")
    assert server.load() == 1
    page.get_by_role("button", name="Stop").click()
    expect(reply).to_contain_text("Stopped")
    stopped = text_of(reply)
    # Other replies would take turns with one that goes on, and it would go on for long after them.
    server.generate(f"{LOCATION}/{ENDLESS}", "a reply that takes a while", maxOutputTokens=300)
    assert any(server.load() == 0 for _ in range(20))
    assert text_of(reply) == stopped

    # A page that is left stops it, too, and what was there is kept.
    page.get_by_role("button", name="Answer again").click()
    expect(reply).to_have_attribute("aria-busy", "true")
    page.wait_for_function("() => document.querySelector('.reply p').textContent.length > 20")
    page.reload()
    expect(reply).to_contain_text("Stopped")
    assert len(text_of(reply)) > 20
    server.generate(f"{LOCATION}/{ENDLESS}", "a reply that takes a while", maxOutputTokens=300)
    assert any(server.load() == 0 for _ in range(20))

    # By the keyboard; what was stopped is part of the conversation, and Enter does not send twice meanwhile.
    said = text_of(reply)
    asked = say(page, "more")
    assert asked["contents"][1] == turn("model", said)
    page.get_by_label("Write a prompt").fill("too early")
    page.keyboard.press("Enter")
    page.keyboard.press("Escape")
    expect(reply.last).to_contain_text("Stopped")
    expect(page.get_by_label("Write a prompt")).to_have_value("too early")
    expect(page.get_by_role("article")).to_have_count(2)


def test_side_by_side_from_a_checkpoint(visitor: Visitor, server: Server, tuned: str) -> None:
    first, second = server.job(tuned)["tunedModel"]["checkpoints"]
    page = visitor.open(console(f"tuningJobs/{tuned.rpartition('/')[2]}"))
    expect(page.get_by_role("link", name="Test")).to_have_count(4)  # the navigation, the page, two checkpoints
    row = page.get_by_role("row").filter(has=page.get_by_role("rowheader", name="Checkpoint 1"))
    row.get_by_role("link", name="Test").click()
    settle(page, Temperature="0", Output_token_limit="16")
    page.get_by_role("button", name="Side by side").click()
    expect(page.get_by_label("Second model")).to_have_value(TINY)
    expect(page.get_by_label("Model", exact=True).locator("option:checked")).to_have_text(f"{HOSTILE} · Checkpoint 1")
    say(page, "say ana 1")
    expect(replies(page)).to_have_count(2)
    expected = [server.generate(name, "say ana 1") for name in (first["endpoint"], f"{LOCATION}/{TINY}")]
    assert [text_of(reply) for reply in replies(page).all()] == expected
    expect(page.locator("[aria-live] p")).to_have_count(2)
    page.reload()
    expect(replies(page)).to_have_count(2)

    # Another checkpoint goes on with the conversation; one column alone is asked anew.
    page.get_by_label("Second model").select_option(second["endpoint"].removeprefix(f"{LOCATION}/"))
    expect(replies(page).nth(1)).to_contain_text("tiny")
    replies(page).nth(1).get_by_role("button", name="Answer again").click()
    expect(replies(page).nth(1)).to_contain_text("Checkpoint 2")
    expect(replies(page)).to_have_count(2)
    assert text_of(replies(page).nth(1)) == server.generate(second["endpoint"], "say ana 1")
    assert text_of(replies(page).nth(0)) == expected[0]
    page.get_by_role("button", name="Side by side").click()
    expect(replies(page)).to_have_count(1)
    page.get_by_role("button", name="Clear").click()
    page.get_by_role("dialog").get_by_role("button", name="Clear").click()
    expect(page.get_by_role("heading", name="Ask it something")).to_be_visible()

    page.goto(visitor.url + console())
    row = page.get_by_role("row").filter(has_text=tuned.rpartition("/")[2])
    row.get_by_role("button", name="Actions").click()
    page.get_by_role("menuitem", name="Test").click()
    expect(page.get_by_label("Model", exact=True).locator("option:checked")).to_have_text(HOSTILE)


def test_who_is_quick_waits_for_what_there_is_to_choose_from(visitor: Visitor, server: Server, tuned: str) -> None:
    checkpoint = server.job(tuned)["tunedModel"]["checkpoints"][0]["endpoint"].removeprefix(f"{LOCATION}/")
    page = visitor.open(console("chat"))
    waiting: list[Route] = []
    page.route("**/sintonia/v1/baseModels", lambda route: waiting.append(route))
    with page.expect_request("**/sintonia/v1/baseModels"):
        page.goto(visitor.url + chat(checkpoint))
    beside = page.get_by_role("button", name="Side by side")
    expect(beside).to_be_disabled()
    for route in waiting:
        route.continue_()
    beside.click()
    expect(page.get_by_label("Second model")).to_have_value(TINY)


def test_the_settings_reach_the_model(visitor: Visitor) -> None:
    page = visitor.open(chat(TINY))
    settle(page, Temperature="2", Seed="7", Output_token_limit="16")
    settle(
        page, **{"Top-K": "300", "Top-P": "0.99", "System instruction": "Be brief.", "Stop sequences": "one\\n\ntwo"}
    )
    asked = say(page, "hello")
    assert asked == {
        "contents": [turn("user", "hello")],
        "systemInstruction": {"parts": [{"text": "Be brief."}]},
        "generationConfig": {
            "temperature": 2, "topP": 0.99, "topK": 300, "maxOutputTokens": 16, "stopSequences": ["one\n", "two"],
            "seed": 7,
        },
    }  # fmt: skip
    expect(replies(page)).to_have_count(1)
    seeded = text_of(replies(page))
    page.get_by_role("button", name="Answer again").click()
    expect(replies(page)).to_have_count(1)
    assert text_of(replies(page)) == seeded
    settle(page, Seed="8")
    page.get_by_role("button", name="Answer again").click()
    expect(replies(page)).to_have_count(1)
    assert text_of(replies(page)) != seeded

    # The last prompt is changed; what was being written meanwhile is not lost.
    page.get_by_label("Write a prompt").fill("for later")
    page.get_by_role("button", name="Edit the prompt").click()
    expect(page.get_by_label("Write a prompt")).to_have_value("hello")
    page.reload()
    expect(page.get_by_label("Write a prompt")).to_have_value("hello")
    page.get_by_role("button", name="Keep it").click()
    expect(page.get_by_label("Write a prompt")).to_have_value("for later")
    page.get_by_role("button", name="Edit the prompt").click()
    settle(page, Seed="7")
    asked = say(page, "hello")
    assert asked["contents"] == [turn("user", "hello")]
    expect(replies(page)).to_have_count(1)
    assert text_of(replies(page)) == seeded
    expect(page.get_by_label("Write a prompt")).to_have_value("for later")

    page.get_by_role("button", name="Reset to defaults").click()
    asked = say(page, "defaults")
    assert asked["generationConfig"] == {"temperature": 1, "topP": 0.95, "topK": 40}
    assert "systemInstruction" not in asked


def test_the_code_says_the_same(visit: Any, server: Server, tmp_path: Path) -> None:
    visitor = visit(permissions=["clipboard-read", "clipboard-write"])
    page = visitor.open(chat(TINY))
    settle(page, Temperature="0", Output_token_limit="20", Seed="3")
    settle(page, **{"System instruction": "'quoted' \\ \"twice\"\nJSON\n$HOME", "Stop sequences": "!!!!"})
    say(page, "It's `here`\nJSON\n$(there) \\n </script> São 🙂")
    expect(replies(page)).to_have_count(1)
    say(page, "go on")
    expect(replies(page)).to_have_count(2)
    expected = text_of(replies(page).nth(1))

    def printed() -> str:
        page.get_by_role("dialog").get_by_role("button", name="Copy").click()
        return str(page.evaluate("() => navigator.clipboard.readText()"))

    page.get_by_role("button", name="Get code").click()
    curl = subprocess.run(["bash", "-euc", printed()], capture_output=True, timeout=PATIENCE, check=True, cwd=tmp_path)
    answer = json.loads(curl.stdout)
    assert answer["candidates"][0]["content"]["parts"][0]["text"] == expected
    page.get_by_role("radio", name="Python").check()
    program = printed()
    page.keyboard.press("Escape")
    expect(page.get_by_role("dialog")).to_have_count(0)
    assert server.url in program
    assert CLIENTS.exists(), "the clients' environment is missing; make it with: make test"
    python = subprocess.run([CLIENTS, "-c", program], capture_output=True, text=True, timeout=PATIENCE, check=True)
    assert python.stdout == expected + "\n"


def test_what_is_said_stays_text(visitor: Visitor) -> None:
    """No model says these at will, so the stream is made up."""
    page = visitor.open(chat(TINY))
    settle(page, Output_token_limit="2")
    page.route("**:streamGenerateContent**", lambda route: route.fulfill(
        content_type="text/event-stream", body=told({"candidates": [{"content": turn("model", prompt_of(route))}]})
        + told({"candidates": [{"content": turn("model", ""), "finishReason": HOSTILE}]})))  # fmt: skip
    for i, text in enumerate(PROMPTS):
        say(page, text)
        expect(replies(page)).to_have_count(i + 1)
        assert text_of(replies(page).nth(i)) == text
        assert text_of(page.get_by_role("article").nth(i).locator(".turn").first) == text
        expect(replies(page).nth(i)).to_contain_text(HOSTILE)
    page.reload()
    expect(replies(page)).to_have_count(len(PROMPTS))
    assert page.locator("main :is(img, script, style, b)").count() == 0
    page.goto(visitor.url + chat("publishers/google/models/<img src=x onerror=window.hacked=1>", "endpoints/../x"))
    expect(page.get_by_label("Model", exact=True).locator("option:checked")).to_have_text(
        "<img src=x onerror=window.hacked=1>"
    )


def prompt_of(route: Any) -> str:
    return str(route.request.post_data_json["contents"][-1]["parts"][0]["text"])


def told(message: Any) -> str:
    return f"data: {json.dumps(message)}\r\n\r\n"


def test_what_goes_wrong_is_told_and_tried_again(visitor: Visitor, server: Server) -> None:
    visitor.expected = "Failed to load resource"
    empty = server.call("POST", f"/v1/{LOCATION}/endpoints", {"displayName": "empty"})["response"]["name"]
    page = visitor.open(chat(empty.removeprefix(f"{LOCATION}/")))
    reply = page.locator(".reply").last
    say(page, "hello?")
    expect(reply).to_contain_text("No model is deployed there; deploy one with :deployModel.")

    page.get_by_label("Model", exact=True).select_option(ENDLESS)
    settle(page, Temperature="0", Output_token_limit=str(CONTEXT + 1))
    reply.get_by_role("button", name="Try again").click()
    expect(reply).to_contain_text(f"maxOutputTokens value of {CONTEXT + 1} but the supported range is from 1")
    expect(reply).to_contain_text("Change what is named above")

    settle(page, Output_token_limit=str(CONTEXT - 1000))
    reply.get_by_role("button", name="Try again").click()
    page.wait_for_function("() => document.querySelector('.reply p').textContent.length > 20")
    next(engine for engine in server.engines() if "endless" in engine.cmdline()).kill()
    expect(reply).to_contain_text("it may have been stopped")
    assert len(text_of(reply)) > 20
    settle(page, Output_token_limit="8")
    reply.get_by_role("button", name="Try again").click()
    expect(reply.get_by_text("The model is being loaded")).to_be_visible()
    expect(reply).to_contain_text("+ 8 tokens", timeout=1000 * PATIENCE)

    page.route("**:streamGenerateContent**", lambda route: route.abort())
    say(page, "anybody?")
    expect(reply).to_contain_text("The server does not answer")
    page.unroute("**:streamGenerateContent**")
    reply.get_by_role("button", name="Try again").click()
    expect(reply).to_contain_text("+ 8 tokens")
    until(lambda: server.load() == 0, what="idle engines", server=server)


@needs_axe
@pytest.mark.parametrize(("scheme", "locale"), [("light", "en-US"), ("dark", "pt-BR")])
def test_nobody_is_kept_out(visit: Any, scheme: str, locale: str) -> None:
    """axe finds nothing serious in any state, and nothing is wider than a phone."""
    visitor = visit(color_scheme=scheme, locale=locale, reduced_motion="reduce")
    visitor.expected = "Failed to load resource"
    page = visitor.open(chat(TINY, "endpoints/1"))
    english = locale == "en-US"
    expect(page.get_by_role("heading", level=1)).to_have_text("Test" if english else "Testar")
    findings = [("empty", *found) for found in hindrances(page)]
    page.locator("#setting-maxOutputTokens").fill("5")
    page.locator(".composer textarea").fill("olá " * 40)
    page.keyboard.press("Enter")
    expect(replies(page)).to_have_count(2)
    expect(replies(page).nth(1)).to_contain_text("endpoints/1` not found")
    findings += [("answer and error", *found) for found in hindrances(page)]
    page.set_viewport_size(PHONE)
    page.reload()
    expect(replies(page)).to_have_count(2)
    expect(page.locator(".composer textarea")).to_be_in_viewport()
    findings += [("phone", *found) for found in hindrances(page)]
    page.get_by_role("button", name="Get code" if english else "Ver código").click()
    expect(page.get_by_role("dialog").get_by_text("curl -X POST")).to_be_visible()
    findings += [("code", *found) for found in hindrances(page)]
    assert findings == []


def test_a_long_conversation(visitor: Visitor, capsys: Any) -> None:
    """Told, not judged: machines differ."""
    answer = {"target": TINY, "text": "word " * 150, "done": True, "finish": "STOP"}
    talk = json.dumps({"turns": [{"prompt": "and?", "answers": [answer]}] * LONG})
    visitor.expected = "Failed to load resource"  # it is longer than the model's context
    visitor.context.add_init_script(f"sessionStorage['sintonia.chat:{LOCATION}:{TINY}'] ??= {json.dumps(talk)}")
    page = visitor.open(chat(TINY))
    expect(replies(page)).to_have_count(LONG)
    opened = page.evaluate("() => performance.now()")
    took = page.evaluate(
        """async () => {
            const input = document.querySelector(".composer textarea");
            const began = performance.now();
            input.value = "one more";
            input.dispatchEvent(new KeyboardEvent("keydown", { key: "Enter", bubbles: true, cancelable: true }));
            await new Promise((shown) => requestAnimationFrame(() => setTimeout(shown)));
            return performance.now() - began;
        }"""
    )
    expect(page.get_by_role("article")).to_have_count(LONG + 1)
    expect(page.locator(".composer textarea")).to_be_in_viewport()
    with capsys.disabled():
        print(f"\n{LONG} turns: shown {opened:.0f} ms after the address, a prompt drawn in {took:.0f} ms")
