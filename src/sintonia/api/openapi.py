"""The OpenAPI document: routes say what they take and answer by the resources' own types."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

from fastapi import FastAPI
from fastapi.openapi.utils import get_openapi
from pydantic import BaseModel, Field
from pydantic.json_schema import JsonSchemaMode, models_json_schema

import sintonia
from sintonia.resources.base import JsonObject, Resource
from sintonia.resources.names import LOCATION, PROJECT

_SCHEMAS = "#/components/schemas/"
_JSON = "application/json"
# What parameters of these names look like, wherever they are.
_FORMS: dict[str, JsonObject] = {
    "project": {"pattern": f"^{PROJECT.pattern}$"},
    "location": {"pattern": f"^{LOCATION.pattern}$"},
    "pageSize": {"type": "integer", "minimum": 0},
    "requestId": {"minLength": 1, "maxLength": 128, "pattern": "^[!-~]+$"},
}
# Another API, which others describe: https://cloud.google.com/storage/docs/json_api
_STORAGE = ("/storage/", "/upload/storage/", "/download/storage/", "/batch/storage/")
_STORAGE_ANSWERS: JsonObject = {
    "2XX": {"description": "As the Cloud Storage JSON API answers: JSON, an object's content, or nothing."},
    "3XX": {"description": "The upload goes on from here (308), or nothing has changed (304)."},
}
_ABOUT = (
    "Supervised fine-tuning on your own machines. /v1 and /v1beta1 speak the tuning and generation API of the "
    "documented cloud, under the same names; /sintonia/v1 has what that API has no words for. Fields may be sent in "
    "camelCase or snake_case. Every error is an Error."
)


class ErrorStatus(Resource):
    code: int
    message: str
    status: str
    details: list[JsonObject] = Field(default_factory=list)


class Error(Resource):
    """What every failed request is answered with; the HTTP status is ``error.code``."""

    error: ErrorStatus


class Described(JsonObject):
    """``openapi_extra`` of a route; and for the route itself the parameters of the URL that it reads, and its answer.

    ``answer`` is a type, or the names of an answer's fields with theirs; ``item`` is the type of an item of ``lists``.
    """

    query: Mapping[str, str] = {}
    answer: Any = Any
    lists: str = ""
    item: Any = Any


_spoken: dict[str, type[Resource]] = {"Error": Error}


def speaks(
    answer: type[Resource] | None = None,
    *,
    takes: type[Resource] | None = None,
    lists: str | None = None,
    query: Mapping[str, str] | None = None,
    streams: bool = False,
) -> Described:
    """``openapi_extra`` of a route.

    Args:
        answer: the answer's type; an empty object if None.
        takes: the body's type, if it has one.
        lists: the key under which the answer is a page of ``answer``.
        query: parameters of the URL that the route reads by itself, with what they mean.
        streams: the answer is a stream of ``answer``.
    """
    schema: JsonObject = {"type": "object"} if answer is None else _reference(answer)
    if lists is not None:
        schema = {
            "type": "object",
            "properties": {lists: {"type": "array", "items": schema}, "nextPageToken": {"type": "string"}},
        }
        query = _LIST_QUERY | dict(query or {})
    content: JsonObject = {_JSON: {"schema": schema}}
    if streams:
        content = {_JSON: {"schema": {"type": "array", "items": schema}}, "text/event-stream": {"schema": schema}}
    operation = Described(responses={"200": {"description": "Done.", "content": content}})
    operation.query = query or {}
    operation.answer = answer or Any
    if lists is not None:
        operation.lists, operation.item = lists, answer
        operation.answer = {lists: list[answer], "nextPageToken": str}  # type: ignore[valid-type]
    if takes is not None:
        operation["requestBody"] = {"content": {_JSON: {"schema": _reference(takes)}}}
    if query:
        operation["parameters"] = [
            {"name": name, "in": "query", "required": False, "description": text, "schema": {"type": "string"}}
            for name, text in query.items()
        ]
    return operation


_LIST_QUERY = {
    "pageSize": "Items of a page; 100 if unset, at most 1000.",
    "pageToken": "nextPageToken of the page before.",
    "filter": 'Which items, as in state="JOB_STATE_SUCCEEDED" AND labels.team=search.',
    "orderBy": "Fields with commas between them, each also with desc behind it: create_time (the default is newest "
    "first), and where items have them display_name and update_time.",
    "readMask": "The fields of each item to show, with commas between them; all if unset.",
}


UPDATE_MASK = {"updateMask": "The fields to change, with commas between them; those of the body if unset, all for *."}


def openapi_document(app: FastAPI) -> JsonObject:
    """The document of all routes of ``app``."""
    document = get_openapi(title="Sintonia", version=sintonia.__version__, description=_ABOUT, routes=app.routes)
    kinds: list[tuple[type[BaseModel], JsonSchemaMode]] = [(kind, "validation") for kind in [*_spoken.values()]]
    _, schemas = models_json_schema(kinds, ref_template=_SCHEMAS + "{model}")
    document["components"] = {"schemas": {name: _tidy(schema) for name, schema in schemas["$defs"].items()}}
    for path, operations in document["paths"].items():
        for operation in operations.values():
            parameters = operation.setdefault("parameters", [])
            told = {parameter["name"] for parameter in parameters}
            parameters[:0] = [
                {"name": name, "in": "path", "required": True, "schema": {"type": "string"}}
                for name in re.findall(r"{(\w+)}", path)
                if name not in told
            ]
            for parameter in parameters:
                parameter["schema"] |= _FORMS.get(parameter["name"], {})
            if path.startswith(_STORAGE):
                operation["responses"] = dict(_STORAGE_ANSWERS)
            operation["responses"].pop("422", None)  # nothing here answers so; an error is an Error
            operation["responses"]["default"] = {
                "description": "What went wrong.",
                "content": {_JSON: {"schema": {"$ref": _SCHEMAS + "Error"}}},
            }
    return document


def _reference(kind: type[Resource]) -> JsonObject:
    _spoken[kind.__name__] = kind
    return {"$ref": _SCHEMAS + kind.__name__}


def _tidy(schema: Any) -> Any:
    """Without what only Python means: ``null`` for unset, and titles made of names."""
    if isinstance(schema, list):
        return [_tidy(item) for item in schema]
    if not isinstance(schema, dict):
        return schema
    kinds = schema.get("anyOf", [])
    if len(kinds) == 2 and {"type": "null"} in kinds:
        known = next(kind for kind in kinds if kind != {"type": "null"})
        schema = {key: item for key, item in schema.items() if key not in ("anyOf", "default")} | known
    properties = {name: _tidy(item) for name, item in schema.get("properties", {}).items()}
    rest = {
        key: _tidy(item)
        for key, item in schema.items()
        if key not in ("title", "properties", "additionalProperties") or (key == "additionalProperties" and item)
    }
    return rest | ({"properties": properties} if properties else {})
