"""Dataset lines: what is taken, and what is said about the rest."""

from __future__ import annotations

import gzip
import io
import itertools
import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sintonia.datasets.json_array import split_array
from sintonia.datasets.lines import Line, read_lines
from sintonia.datasets.rows import RowError, parse_row
from sintonia.resources.content import Conversation

USER = {"role": "user", "parts": [{"text": "Hi"}]}
MODEL = {"role": "model", "parts": [{"text": "Ho"}]}


def texts(row: dict[str, Any]) -> list[tuple[str | None, str]]:
    conversation = parse_row(json.dumps(row))
    assert isinstance(conversation, Conversation), conversation
    system = [conversation.system_instruction] if conversation.system_instruction else []
    return [(turn.role, turn.text) for turn in [*system, *conversation.contents]]


@pytest.mark.parametrize(
    "row",
    [
        {"contents": [USER, MODEL]},
        {"contents": [{"role": "USER", "parts": {"text": "Hi"}}, {"role": "assistant", "parts": [{"text": "Ho"}]}]},
        {"contents": [{"role": "User", "parts": [{"text": "H"}, {"text": "i"}]}, {**MODEL, "role": "Model"}]},
        {"contents": [USER, MODEL], "tools": None, "systemInstruction": None},
        {"contents": [USER, MODEL], "systemInstruction": {}},
        {"contents": [USER, MODEL], "system_instruction": {"role": "system", "parts": []}},
        {"contents": [USER, MODEL], "generationConfig": {"mediaResolution": "MEDIA_RESOLUTION_LOW"}},
        {"contents": [{"role": "user", "parts": [{"text": "Hi", "inlineData": None}]}, MODEL]},
        {"messages": [{"role": "user", "content": "Hi"}, {"role": "assistant", "content": "Ho"}]},
        {"prompt": "Hi", "completion": "Ho"},
        {"messages": [{"role": "USER", "content": [{"type": "text", "text": "Hi"}]},
                      {"role": "model", "content": "Ho"}]},
        {"messages": [{"role": "user", "content": {"text": "Hi"}},
                      {"role": "assistant", "content": "Ho", "weight": 1}]},
        {"contents": [{**USER, "weight": 0}, {**MODEL, "weight": 1.0}]},
    ],
)  # fmt: skip
def test_one_exchange_in_every_spelling(row: dict[str, Any]) -> None:
    assert texts(row) == [("user", "Hi"), ("model", "Ho")]


@pytest.mark.parametrize(
    "system",
    [
        {"role": "system", "parts": [{"text": "Be kind."}]},
        {"role": "whatever", "parts": {"text": "Be kind."}},
        {"parts": [{"text": "Be "}, {"text": "kind."}]},
        {"text": "Be kind."},
        [{"text": "Be kind."}],
        "Be kind.",
    ],
)
@pytest.mark.parametrize("key", ["systemInstruction", "system_instruction"])
def test_system_instructions(key: str, system: Any) -> None:
    assert texts({key: system, "contents": [USER, MODEL]})[0] == ("system", "Be kind.")


def test_many_turns() -> None:
    assert [role for role, _ in texts({"contents": [USER, MODEL, USER, MODEL, USER]})] == [
        "user", "model", "user", "model", "user",
    ]  # fmt: skip
    messages = [{"role": role, "content": role} for role in ("system", "user", "model", "user", "assistant")]
    assert [role for role, _ in texts({"messages": messages})] == ["system", "user", "model", "user", "model"]


def test_weights_say_which_turns_are_context_only() -> None:
    for row in (
        {"contents": [USER, {**MODEL, "weight": 0}, USER, MODEL, USER, {**MODEL, "weight": 1}]},
        {"messages": [{"role": "system", "content": "s"}, {"role": "user", "content": "a"},
                      {"role": "assistant", "content": "b", "weight": 0}, {"role": "user", "content": "c"},
                      {"role": "assistant", "content": "d"}]},
    ):  # fmt: skip
        conversation = parse_row(json.dumps(row))
        assert isinstance(conversation, Conversation)
        assert conversation.untrained == [1]


def contents(*turns: Any) -> dict[str, Any]:
    return {"contents": list(turns)}


BAD_ROWS: list[tuple[Any, str, str]] = [
    ([], "invalid_input", "is not a JSON object but a list"),
    (7, "invalid_input", "is not a JSON object but a number"),
    (None, "invalid_input", "is not a JSON object but null"),
    ({**contents(USER, MODEL), "lable": 1}, "invalid_input", 'has an unknown key "lable"'),
    ({**contents(USER, MODEL), "tools": []}, "invalid_input", "unsupported modality [function call]"),
    ({**contents(USER, MODEL), "generationConfig": {"topK": 1}}, "invalid_input", '"topK"'),
    ({**contents(USER), "completions": []}, "invalid_input", "unsupported modality [preference]"),
    ({}, "missing_contents_list", "has no keys"),
    ({"content": []}, "missing_contents_list", 'it has "content"'),
    ({"contents": None}, "missing_contents_list", '"contents"'),
    ({"contents": "Hi"}, "invalid_contents_list", "not a list but a string"),
    ({"contents": []}, "invalid_contents_list", "empty"),
    (contents(USER), "invalid_contents_list", "nothing to learn"),
    ({"contents": {"parts": [{"text": "Hi"}]}}, "invalid_contents_list", "nothing to learn"),
    (contents(MODEL), "invalid_contents_list", 'does not begin with a "user" turn'),
    (contents(USER, "Ho"), "invalid_content_item", "contents[1] is not an object but a string"),
    (contents(USER, {**MODEL, "weigth": 1}), "invalid_content_item", 'contents[1] has an unknown key "weigth"'),
    (contents(USER, {"role": "model"}), "content_item_missing_key", 'contents[1] has no "parts"'),
    (contents(USER, {"parts": [{"text": "Ho"}]}), "content_item_missing_key", 'contents[1] has no "role"'),
    (contents(USER, {**MODEL, "role": "bot"}), "unrecognized_role", 'contents[1] has the role "bot"'),
    (contents({**USER, "role": "system"}, MODEL), "unrecognized_role", "systemInstruction"),
    (contents({**USER, "role": 3}, MODEL), "unrecognized_role", "a number"),
    (contents(USER, {"role": "model", "parts": "Ho"}), "missing_or_invalid_parts", "not a list but a string"),
    (contents(USER, {"role": "model", "parts": []}), "missing_or_invalid_parts", "is empty"),
    (contents(USER, {"role": "model", "parts": ["Ho"]}), "invalid_part", "contents[1].parts[0]"),
    (contents(USER, {"role": "model", "parts": [{"text": 3}]}), "invalid_part", "not a string but a number"),
    (contents(USER, {"role": "model", "parts": [{"txet": "Ho"}]}), "invalid_part", 'unknown key "txet"'),
    (contents(USER, {"role": "model", "parts": [{"text": "\ud83d"}]}), "invalid_part", "surrogate"),
    (contents({"role": "user", "parts": [{"fileData": {"fileUri": "gs://b/i"}}, {"text": "?"}]}, MODEL), "invalid_part",
     'contains an unsupported modality [file data] in the "parts" field'),
    (contents(USER, {"role": "model", "parts": [{"function_call": {"name": "f"}}]}), "invalid_part",
     'contains an unsupported modality [function call] in the "parts" field'),
    (contents(USER, {"role": "model", "parts": [{}]}), "missing_text", 'contents[1].parts[0] has no "text"'),
    (contents(USER, {"role": "model", "parts": [{"text": ""}]}), "missing_text", "contents[1].parts[0].text is empty"),
    (contents(USER, USER, MODEL), "consecutive_turns", "(turns 1 and 2)"),
    (contents(USER, MODEL, MODEL), "consecutive_turns", "(turns 2 and 3)"),
    ({**contents(USER, MODEL), "systemInstruction": 3}, "invalid_system_instruction", "systemInstruction"),
    ({**contents(USER, MODEL), "systemInstruction": {"fileData": {}}}, "invalid_system_instruction", "file data"),
    ({"messages": []}, "invalid_contents_list", "empty"),
    ({"messages": [{"role": "user"}]}, "content_item_missing_key", 'messages[0] has no "content"'),
    ({"messages": [{"role": "user", "content": "Hi"}]}, "invalid_contents_list", "nothing to learn"),
    ({"messages": [{"role": "user", "content": [{"type": "image_url", "image_url": {"url": "gs://b/i.png"}}]}]},
     "invalid_part", 'unsupported modality [image] in the "content" field (messages[0].content[0])'),
    ({"messages": [{"role": "assistant", "tool_calls": []}]}, "invalid_part", 'unsupported modality [function call]'),
    ({"messages": [{"role": "user", "content": []}]}, "missing_or_invalid_parts", "messages[0].content is empty"),
    ({"messages": [{"role": "user", "content": [{"type": "text"}]}]}, "missing_text", 'content[0] has no "text"'),
    (contents(USER, {**MODEL, "weight": 2}), "invalid_content_item", "neither 0 nor 1"),
    (contents(USER, {**MODEL, "weight": True}), "invalid_content_item", "neither 0 nor 1"),
    (contents({**USER, "weight": 1}, MODEL), "invalid_content_item", 'only "model" turns are learnt'),
    (contents(USER, {**MODEL, "weight": 0}), "invalid_contents_list", "the weight 0: there is nothing to learn"),
    ({"prompt": "Hi"}, "content_item_missing_key", '"completion"'),
    ({"prompt": "Hi", "completion": ""}, "missing_text", '"completion" is empty'),
]  # fmt: skip


@pytest.mark.parametrize(("row", "category", "reason"), BAD_ROWS)
def test_bad_rows_are_told_with_category_and_place(row: Any, category: str, reason: str) -> None:
    error = parse_row(json.dumps(row))
    assert isinstance(error, RowError)
    assert error.category == category
    assert reason in error.reason


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ('{"contents": [}', "Expecting value (column 15)"),
        ('{"a": 1} {"b": 2}', "Extra data"),
        ('{"a": NaN}', "NaN is no number"),
        ("{'a': 1}", "column 2"),
        ('{"a": ' + "1" * 5000 + "}", "not valid JSON"),
        ('{"contents":' + "[" * 100_000 + "]" * 100_000 + "}", "nested too deeply"),
        ('{"contents": [{"role": "us', "Unterminated string"),
        ("\x00", "not valid JSON"),
    ],
)
def test_lines_that_are_no_json(text: str, reason: str) -> None:
    error = parse_row(text)
    assert isinstance(error, RowError)
    assert error.category == "invalid_input"
    assert reason in error.reason


def test_reasons_are_short_and_can_be_written() -> None:
    error = parse_row(json.dumps({"contents": [USER, MODEL], "\ud800" + "x" * 10_000: 1}))
    assert isinstance(error, RowError)
    assert len(error.reason.encode()) < 400


json_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=5),
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.dictionaries(
            st.sampled_from(["contents", "role", "parts", "text", "systemInstruction", "fileData", "messages", "x"]),
            inner,
        )
    ),
    max_leaves=12,
)


@given(json_values)
def test_any_json_gives_a_conversation_or_an_error(value: Any) -> None:
    assert isinstance(parse_row(json.dumps(value)), (Conversation, RowError))


@given(
    st.lists(json_values.filter(lambda value: value is not None), max_size=4),
    st.sampled_from([None, 0, 1]),
    st.integers(1, 7),
    st.sampled_from(["", "\n", " \n\n"]),
)
def test_an_array_is_split_as_json_reads_it(values: list[Any], indent: int | None, size: int, end: str) -> None:
    content = (json.dumps(values, indent=indent, ensure_ascii=False) + end).encode("utf-8", "surrogatepass")[1:]
    chunks = [content[i : i + size] for i in range(0, len(content), size)]
    items = list(split_array(chunks, line=1, limit=10**6))
    assert json.dumps([json.loads(item) for _, item in items]) == json.dumps(values)
    for line, item in items:
        assert isinstance(item, bytes)
        assert item.split(b"\n")[0] in content.split(b"\n")[line - 1]


def test_an_item_that_never_ends_does_not_fill_the_memory() -> None:
    chunks = itertools.chain([b'{"a": "'], itertools.repeat(b"x" * 1000))
    assert list(split_array(chunks, line=3, limit=5000)) == [
        (3, "begins an item of more than 5,000 bytes, or one that is never closed")
    ]


def lines(content: bytes, limit: int = 1000) -> list[Line]:
    return list(read_lines(io.BytesIO(content), limit=limit))


def test_lines_keep_their_numbers() -> None:
    content = b'\xef\xbb\xbf{"a":1}\r\n\r\n  \n{"b":"\xc3\xa9\xe2\x80\xa8"}\n\n{"c":3}'
    assert [(line.number, line.content) for line in lines(content)] == [
        (1, '{"a":1}'),
        (4, '{"b":"é\u2028"}'),
        (6, '{"c":3}'),
    ]
    assert lines(b"") == lines(b"\n\n \n") == []


def test_lines_that_cannot_be_read_are_told_and_the_rest_is_read() -> None:
    content = b'{"a":1}\n{"b":"\xff"}\n{"c":"' + b"x" * 3000 + b'"}\n{"d":4}\n'
    read = lines(content)
    assert [line.number for line in read] == [1, 2, 3, 4]
    assert isinstance(read[1].content, RowError)
    assert "not UTF-8: byte 0xff at position 7" in read[1].content.reason
    assert isinstance(read[2].content, RowError)
    assert "3,009 bytes" in read[2].content.reason
    assert read[3].content == '{"d":4}'


def test_a_line_of_just_the_limit_is_read() -> None:
    assert lines(b"x" * 1000 + b"\n")[0].content == "x" * 1000
    assert lines(b"x" * 1000)[0].content == "x" * 1000
    assert isinstance(lines(b"x" * 1001)[0].content, RowError)


@pytest.mark.parametrize(
    ("content", "what"),
    [
        (gzip.compress(gzip.compress(b"{}\n", mtime=0), mtime=0), "gzip twice"),
        ('{"a":1}\n'.encode("utf-16-le"), "UTF-16 without a byte-order mark"),
        ('{"a":1}\n'.encode("utf-16-be"), "UTF-16 without a byte-order mark"),
        (b"PK\x03\x04rest", "zip"),
        (b"\x00\x00\x00\x01", "binary"),
        (b'{\n  "a": 1\n}\n', "several lines"),
    ],
)
def test_other_formats_are_called_by_name_once(content: bytes, what: str) -> None:
    (line,) = lines(content)
    assert isinstance(line.content, RowError)
    assert what in line.content.reason
