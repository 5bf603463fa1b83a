"""``/openapi.json``, and ``/docs``: the same for people, one page without scripts or anything from elsewhere."""

from __future__ import annotations

from functools import cache
from importlib import resources
from typing import Any

from fastapi import APIRouter, FastAPI, Response
from jinja2 import Environment, PackageLoader, StrictUndefined

from sintonia.api.bodies import json_response
from sintonia.api.openapi import openapi_document
from sintonia.api.routing import GatedRoute
from sintonia.resources.base import JsonObject

_HEADERS = {
    "Content-Security-Policy": "default-src 'none'; style-src 'self'; base-uri 'none'; form-action 'none'; "
    "frame-ancestors 'none'",
    "X-Content-Type-Options": "nosniff",
    "Referrer-Policy": "no-referrer",
}


def routes(app: FastAPI) -> APIRouter:
    """Describes every route of ``app`` but these."""
    router = APIRouter(include_in_schema=False, route_class=GatedRoute)
    document = cache(lambda: openapi_document(app))  # once all routes are there: on the first request

    @router.get("/openapi.json")
    async def openapi() -> Response:
        return json_response(document())

    @router.get("/docs")
    async def docs() -> Response:
        return Response(render(document()), media_type="text/html; charset=utf-8", headers=_HEADERS)

    @router.get("/docs/style.css")
    async def style() -> Response:
        text = (resources.files(__package__) / "docs.css").read_text(encoding="utf-8")
        return Response(text, media_type="text/css; charset=utf-8", headers=_HEADERS)

    return router


def render(document: JsonObject) -> str:
    """An OpenAPI document as an HTML page."""
    environment = Environment(
        loader=PackageLoader(__package__, "."), autoescape=True, undefined=StrictUndefined, trim_blocks=True,
        lstrip_blocks=True,
    )  # fmt: skip
    groups: dict[str, list[JsonObject]] = {}
    for path, operations in document["paths"].items():
        for method, operation in operations.items():
            content = operation["responses"].get("200", {}).get("content", {})
            groups.setdefault(operation["tags"][0], []).append(
                {
                    "method": method.upper(),
                    "path": path,
                    "text": operation.get("description") or operation.get("summary", ""),
                    "parameters": operation.get("parameters", []),
                    "takes": _kinds(operation.get("requestBody", {}).get("content", {})),
                    "answers": _kinds(content),
                }
            )
    schemas = {
        name: [(key, _kind(item), item.get("description", "")) for key, item in schema.get("properties", {}).items()]
        or schema.get("enum", [])
        for name, schema in document["components"]["schemas"].items()
    }
    page = environment.get_template("docs.html.jinja")
    return page.render(
        info=document["info"],
        groups=groups,
        schemas=schemas,
        about={name: schema.get("description", "") for name, schema in document["components"]["schemas"].items()},
    )


def _kinds(content: JsonObject) -> list[tuple[str, tuple[str, str, str]]]:
    """The media types of a body and what each holds."""
    return [(media, _kind(item.get("schema", {}))) for media, item in content.items()]


def _kind(schema: Any) -> tuple[str, str, str]:
    """A schema in words: what stands before, its name if it is a message, what stands behind."""
    if "$ref" in schema:
        return "", schema["$ref"].rpartition("/")[2], ""
    if schema.get("type") == "array":
        before, name, behind = _kind(schema.get("items", {}))
        return f"list of {before}", name, behind
    if isinstance(schema.get("additionalProperties"), dict):
        before, name, behind = _kind(schema["additionalProperties"])
        return f"map to {before}", name, behind
    lists = [(key, item) for key, item in schema.get("properties", {}).items() if item.get("type") == "array"]
    if lists:
        before, name, behind = _kind(lists[0][1])
        return f"{lists[0][0]}: {before}", name, f"{behind}, nextPageToken"
    form = schema.get("format")
    return f"{schema.get('type', 'any')}{f' ({form})' if form else ''}", "", ""
