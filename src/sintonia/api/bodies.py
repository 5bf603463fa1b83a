"""Request bodies: read within a limit, parsed as the documented API parses them."""

from __future__ import annotations

import json
import math
import re
from collections import Counter
from typing import Any, TypeVar

import pyjson5
from fastapi import Request, Response
from pydantic_core import to_json

from sintonia.errors import InvalidArgument
from sintonia.resources.base import Resource

R = TypeVar("R", bound=Resource)

MOST_VALUES = 100_000
"""Values that a JSON body may have. Each costs some kilobytes while it is judged, however small it is on the wire."""

_DEEPEST = 100  # as protobuf's JSON parsers have it
_MOST_DIGITS = 309  # of the largest double
_STRING = re.compile(rb'"[^"\\]*+(?:\\.[^"\\]*+)*+(?:"|\Z)', re.DOTALL)
_SURROGATE = re.compile(r"\\u[dD][89a-fA-F]")


async def read_resource(request: Request, kind: type[R], *, root: str = "") -> R:
    """The body as a resource; an empty body is an empty one.

    Raises:
        InvalidArgument: it is too large, no JSON, or no ``kind``; the message has the path in proto spelling.
    """
    return kind.from_wire(await read_json(request), root=root)


async def read_named(request: Request, kind: type[R], *, root: str, name: str) -> R:
    """As ``read_resource``, of a resource whose name the path says: the body need not repeat it."""
    document = await read_json(request)
    return kind.from_wire({**document, "name": name} if isinstance(document, dict) else document, root=root)


async def read_json(request: Request) -> Any:
    """The parsed body, {} if it is empty. Raises InvalidArgument."""
    encoding = request.headers.get("content-encoding", "identity")
    if encoding.lower() != "identity":
        raise InvalidArgument(f"Content-Encoding '{encoding[:40]}' is not supported; send JSON as it is.")
    limit: int = request.app.state.max_request_bytes
    announced = request.headers.get("content-length", "")
    size = int(announced) if announced.isdecimal() else 0
    body = bytearray()
    if size <= limit:  # nobody has to send what will be refused
        async for chunk in request.stream():
            body += chunk
            size = max(size, len(body))
            if size > limit:
                break
    if size > limit:
        raise InvalidArgument(f"Request payload size exceeds the limit: {limit} bytes.")
    return parse_json(body)


def parse_json(body: bytes | bytearray) -> Any:
    """JSON as the documented API reads it, {} of nothing. Raises InvalidArgument."""
    if not body.strip():
        return {}
    try:
        text = body.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        raise InvalidArgument(
            f"Invalid JSON payload received. It is not UTF-8: {error.reason}. Send it as UTF-8."
        ) from None
    brackets = body.count(b"[") + body.count(b"{")
    if brackets + body.count(b",") > MOST_VALUES and _values(body) > MOST_VALUES:
        raise InvalidArgument(f"Invalid JSON payload received. It has more than {MOST_VALUES} values.")
    try:
        document = _parse_strictly(text)
    except RecursionError:
        raise _too_deep() from None
    except ValueError as strict:
        document = _parse_leniently(text, strict)
    if brackets > _DEEPEST and _depth(document) > _DEEPEST:
        raise _too_deep()
    if _SURROGATE.search(text):
        _check_surrogates(document)
    return document


def _parse_strictly(text: str) -> Any:
    return json.loads(
        text,
        object_pairs_hook=_object,
        parse_constant=_refuse_constant,
        parse_float=_double,
        parse_int=_integer,
    )


def _parse_leniently(text: str, strict: ValueError) -> Any:
    """Trailing commas and bare keys, as printed in the documentation's own examples, are understood."""
    try:
        value = pyjson5.decode(text, maxdepth=_DEEPEST)
        return _parse_strictly(json.dumps(value, allow_nan=False))  # JSON5 knows NaN and Infinity, the API does not
    except pyjson5.Json5NestingTooDeep:
        raise _too_deep() from None
    except (pyjson5.Json5Exception, ValueError):
        raise InvalidArgument(f"Invalid JSON payload received. {_shortly(strict)}") from None


def _shortly(error: ValueError) -> str:
    if isinstance(error, json.JSONDecodeError):
        return f"{error.msg} at line {error.lineno}, column {error.colno}."
    return str(error)


def _refuse_constant(name: str) -> None:
    raise ValueError(f"{name} is not JSON.")


def _object(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    found = dict(pairs)
    if len(found) < len(pairs):
        twice = next(name for name, times in Counter(name for name, _ in pairs).items() if times > 1)
        raise InvalidArgument(f"Invalid JSON payload received. An object has the name {_quoted(twice)} twice.")
    return found


def _integer(digits: str) -> int:
    if len(digits) > _MOST_DIGITS:
        raise InvalidArgument(f"Invalid JSON payload received. A number is too large: {digits[:20]}…")
    return int(digits)


def _double(text: str) -> float:
    value = float(text)
    if math.isinf(value):
        raise InvalidArgument(f"Invalid JSON payload received. A number is too large: {text[:20]}…")
    return value


def _quoted(name: str) -> str:
    return json.dumps(name if len(name) <= 100 else name[:100] + "…", ensure_ascii=True)


def _values(body: bytes | bytearray) -> int:
    """About how many values the JSON text has."""
    structure = _STRING.sub(b"", body)
    return structure.count(b",") + structure.count(b"[") + structure.count(b"{")


def _depth(document: Any) -> int:
    """How many objects and lists are in one another, up to one more than there may be."""
    depth, level = 0, [document]
    while depth <= _DEEPEST:
        level = [
            child
            for item in level
            if isinstance(item, (dict, list))
            for child in (item.values() if isinstance(item, dict) else item)
        ]
        if not level:
            break
        depth += 1
    return depth


def _too_deep() -> InvalidArgument:
    return InvalidArgument("Invalid JSON payload received. It is nested too deeply.")


def _check_surrogates(document: Any) -> None:
    try:
        json.dumps(document, ensure_ascii=False).encode()
    except UnicodeEncodeError:
        raise InvalidArgument(
            "Invalid JSON payload received. A string holds one half of a surrogate pair, which is no character."
        ) from None


def json_response(value: Resource | dict[str, Any], *, compact: bool = False) -> Response:
    """A 200 answer, on lines of its own unless ``compact``."""
    document = value.to_wire() if isinstance(value, Resource) else value
    # Ten times as quick as the json module.
    text = to_json(document, indent=None if compact else 2, inf_nan_mode="null") + b"\n"
    return Response(text, media_type="application/json; charset=UTF-8")
