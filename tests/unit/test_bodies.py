"""Request bodies as clients and people really send them."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator
from typing import Any

import httpx
import pytest
from fastapi import FastAPI, Request, Response
from hypothesis import given
from hypothesis import strategies as st

from sintonia.api.bodies import json_response, read_json, read_resource
from sintonia.api.errors import handle_errors
from sintonia.resources.generation import GenerateContentRequest

LIMIT = 1_000_000

app = FastAPI()
app.state.max_request_bytes = LIMIT
handle_errors(app)


@app.post("/json")
async def echo(request: Request) -> Response:
    return json_response({"got": await read_json(request)})


@app.post("/resource")
async def read(request: Request) -> Response:
    return json_response(await read_resource(request, GenerateContentRequest))


async def post(content: bytes | str | AsyncIterator[bytes], path: str = "/json") -> httpx.Response:
    async with httpx.AsyncClient(transport=httpx.ASGITransport(app=app), base_url="http://x") as client:
        return await client.post(path, content=content)


async def got(content: bytes | str) -> Any:
    response = await post(content)
    assert response.status_code == 200, response.text
    return response.json()["got"]


async def refused(content: bytes | str | AsyncIterator[bytes], path: str = "/json") -> str:
    response = await post(content, path)
    error = response.json()["error"]
    assert (response.status_code, error["code"], error["status"]) == (400, 400, "INVALID_ARGUMENT")
    assert response.text.endswith("}\n")
    message: str = error["message"]
    return message


@pytest.mark.parametrize("body", ["", " \r\n\t", "{}", "\ufeff{}", "{ }"])
async def test_empty_bodies_are_empty_objects(body: str) -> None:
    assert await got(body) == {}


@pytest.mark.parametrize(
    ("body", "meant"),
    [
        ('{"a": {"b": 1}, }', {"a": {"b": 1}}),
        ('{"a": [1, 2,],}', {"a": [1, 2]}),
        ('{a: 1, b_c: "x"}', {"a": 1, "b_c": "x"}),
        ('{"a": ", }, ]", "b": ",}",}', {"a": ", }, ]", "b": ",}"}),
        ('{"a": "quote \\" ,} end", }', {"a": 'quote " ,} end'}),
        ('{"ação": "São Paulo 🎈",}', {"ação": "São Paulo 🎈"}),
        ('{"a": "\\ud83c\\udf88"}', {"a": "🎈"}),
        ('\ufeff{"a": 1,}', {"a": 1}),
    ],
)
async def test_trailing_commas_bare_keys_and_commas_in_strings(body: str, meant: Any) -> None:
    assert await got(body) == meant


@pytest.mark.parametrize(
    "body",
    ["{", "}", '{"a" 1}', '{"a": 1,, }', "[1,,2]", '{"a": }', '{"a": 1} {"b": 2}', "nope", '{"a": "unended', "{,}"],
)
async def test_what_is_no_json_is_refused_and_says_where(body: str) -> None:
    message = await refused(body)
    assert message.startswith("Invalid JSON payload received. ")
    assert "line 1, column" in message


@pytest.mark.parametrize("name", ["NaN", "Infinity", "-Infinity"])
@pytest.mark.parametrize("body", ['{{"a": {}}}', '{{"a": [{}],}}', "{{a: {}}}"])
async def test_numbers_that_json_lacks_are_refused(body: str, name: str) -> None:
    assert (await refused(body.format(name))).startswith("Invalid JSON payload received. ")


@pytest.mark.parametrize("ending", ["", ","])
@pytest.mark.parametrize(("opening", "closing"), [("[", "]"), ('{"a":', "}")])
async def test_deep_nesting_is_refused(opening: str, closing: str, ending: str) -> None:
    body = opening * 100_000 + "1" + ending + closing * 100_000
    assert (await refused(body)).startswith("Invalid JSON payload received. ")


@pytest.mark.parametrize("ending", ["", ","])
async def test_depth_that_people_use_is_fine(ending: str) -> None:
    assert await got("[" * 60 + "1" + ending + "]" * 60) == json.loads("[" * 60 + "1" + "]" * 60)


async def test_too_large_is_refused_even_if_its_length_was_not_told() -> None:
    told = f"Request payload size exceeds the limit: {LIMIT} bytes."
    assert await refused(b" " * (LIMIT + 1)) == told

    async def endless() -> AsyncIterator[bytes]:
        while True:
            yield b" " * 65536

    assert await refused(endless()) == told
    assert await got(b'"' + b"x" * (LIMIT - 2) + b'"') == "x" * (LIMIT - 2)


@pytest.mark.parametrize("body", [b'{"a": "\xff"}', '{"a": 1}'.encode("utf-16"), b'{"a": "\xed\xa0\x80"}'])
async def test_what_is_not_utf8_is_refused(body: bytes) -> None:
    assert (await refused(body)).startswith("Invalid JSON payload received. ")


@pytest.mark.parametrize(
    "body",
    [
        r'{"contents": {"parts": {"text": "\ud800"}}}',
        r'{"\udc00": 1}',
        r'{"generationConfig": {"stopSequences": ["\ud83c"]}}',
    ],
)
async def test_half_a_character_is_refused(body: str) -> None:
    assert "surrogate" in await refused(body, "/resource")
    await refused(body[:-1] + ",}", "/resource")


async def test_a_name_twice_among_very_many_is_found_without_comparing_all_with_all() -> None:
    """Compared each with each they kept the whole server waiting for minutes, and this test."""
    names = "".join(f'"{number}": 0, ' for number in range(70_000))
    answer = await post("{" + names + '"a": 0, "a": 0}')
    assert answer.status_code == 400
    assert 'the name "a" twice' in answer.json()["error"]["message"]


@pytest.mark.parametrize("body", ["[]", "3", '"x"', "[{}]"])
async def test_a_root_that_is_no_object_is_refused(body: str) -> None:
    assert "Root element must be a message" in await refused(body, "/resource")


async def test_every_bad_field_is_told_in_the_details() -> None:
    response = await post('{"foo": 1, "contents": {"parts": {"bar": 2}}}', "/resource")
    (detail,) = response.json()["error"]["details"]
    assert detail["@type"] == "type.googleapis.com/google.rpc.BadRequest"
    at_top, inside = sorted(detail["fieldViolations"], key=len)
    assert at_top == {
        "description": 'Invalid JSON payload received. Unknown name "foo": Cannot find field.',
    }
    assert inside["field"] == "contents[0].parts[0]"


_VALUES = st.recursive(
    st.none() | st.booleans() | st.integers(-(2**53), 2**53) | st.text(st.characters(exclude_categories=["Cs"])),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text("abc,}] \"'", max_size=5), inner, max_size=4),
    max_leaves=12,
)


@given(_VALUES.filter(lambda value: value != {}))
async def test_json_means_the_same_with_a_trailing_comma(value: Any) -> None:
    text = json.dumps({"v": value}, ensure_ascii=False)
    assert await got(text) == {"v": value}
    assert await got(text[:-1] + ",}") == {"v": value}
