"""What a message says that cannot be read: the API's wording, with the path in proto spelling."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any, get_args, get_origin

from pydantic import BaseModel, ValidationError
from pydantic_core import ErrorDetails

from sintonia.errors import FieldViolation, InvalidArgument
from sintonia.resources.kinds import bare, field_of
from sintonia.resources.spelling import proto_name, to_snake

_MOST = 100
"""Problems told of one message; a body of some megabytes can have a hundred thousand."""

_SCALARS = {"string_type": "TYPE_STRING", "bool_type": "TYPE_BOOL", "bool_parsing": "TYPE_BOOL"}


def invalid_argument(
    error: ValidationError, model: type[BaseModel], document: Any, *, root: str = ""
) -> InvalidArgument:
    """The API's wording of a pydantic error: unknown names and bad values, the first hundred, each with its proto path.

    Args:
        document: what was to be read as ``model``.
        root: proto path of the document in its request, put before the paths.
    """
    lines: list[str] = []
    violations: list[FieldViolation] = []
    for item in error.errors(include_url=False)[:_MOST]:
        field, line = _describe(item, _Place(model, document, root))
        lines.append(line)
        violations.append(FieldViolation(field, line))
    if error.error_count() > _MOST:
        lines.append(f"There are {error.error_count() - _MOST} more such problems.")
    return InvalidArgument("\n".join(lines), violations=violations)


def _describe(item: ErrorDetails, place: _Place) -> tuple[str, str]:
    """The field's path, and the line about it."""
    *outer, last = item["loc"] or ("",)
    place.go(outer)
    parent = place.path
    where = f" at '{parent}'" if parent else ""
    unknown = f"Invalid JSON payload received. Unknown name {_quote(str(last))}{where}:"
    if item["type"] == "extra_forbidden":
        return parent, f"{unknown} Cannot find field."
    if last == "":
        return "", 'Invalid JSON payload received. Unknown name "": Root element must be a message.'
    place.go([last])
    if item["type"] == "missing":
        return place.path, f"Required field '{place.path}' is not set."
    value = item["input"]
    if isinstance(value, list) and isinstance(last, str):
        return parent, f"{unknown} Proto field is not repeating, cannot start list."
    if isinstance(value, dict) and not place.holds_message:
        return parent, f"{unknown} Starting an object on a scalar field."
    kind = (item.get("ctx") or {}).get("wire_type") or _SCALARS.get(item["type"]) or place.type_name
    return place.path, f"Invalid value at '{place.path}' ({kind}), {_quote(value)}"


class _Place:
    """Where in a document something is: its proto path, what the document has there, and what the field holds."""

    def __init__(self, kind: Any, document: Any, path: str) -> None:
        self.kind, self.path = kind, path
        self._document = document

    @property
    def holds_message(self) -> bool:
        return isinstance(self.kind, type) and issubclass(self.kind, BaseModel)

    @property
    def type_name(self) -> str:
        if get_args(self.kind)[1:] == (Any,):
            return proto_name("google.protobuf.Struct")
        return str(getattr(self.kind, "proto", "TYPE_MESSAGE"))

    def go(self, steps: Iterable[int | str]) -> None:
        for step in steps:
            if isinstance(step, int):  # one object may stand for a list
                self.path += f"[{step}]"
                inner = self._document[step] if isinstance(self._document, list) else self._document
                kind = (get_args(self.kind) or (None,))[-1]
            elif get_origin(self.kind) is dict:  # a map, on the wire a list of key and value
                self.path += f"[{list(self._document).index(step)}].value"
                inner, kind = self._document[step], get_args(self.kind)[1]
            else:
                self.path += ("." if self.path else "") + to_snake(step)
                inner = self._document.get(step) if isinstance(self._document, dict) else None
                kind = (field_of(self.kind, step) or (step, None))[1]
            self._document, self.kind = inner, bare(kind)


def _quote(value: Any) -> str:
    if isinstance(value, str):
        text = f'"{value}"'
    elif isinstance(value, (int, float)):
        text = str(value).lower() if isinstance(value, bool) else str(value)
    else:
        text = "{...}" if isinstance(value, dict) else "[...]" if isinstance(value, list) else "null"
    return text if len(text) <= 200 else text[:200] + "…"
