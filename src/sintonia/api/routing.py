"""What all routes do first: ask the gate. Those of the API then refuse unknown parameters, and show ``fields``.

System parameters (``$alt``, ``key``, ``quotaUser``, …) are known to every route; those that mean nothing to this server
are let through.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Coroutine
from dataclasses import dataclass
from typing import Any, ClassVar, TypeAlias

from fastapi import Request, Response
from fastapi.responses import StreamingResponse
from fastapi.routing import APIRoute

from sintonia.api.bodies import json_response
from sintonia.api.gate import Gate
from sintonia.api.needs import need_of
from sintonia.api.openapi import Described
from sintonia.errors import FieldViolation, InvalidArgument
from sintonia.resources.base import JsonObject
from sintonia.resources.selections import Selection
from sintonia.resources.spelling import to_snake

Handler: TypeAlias = Callable[[Request], Coroutine[Any, Any, Response]]

# Source: the API's discovery document. Whatever begins with a dollar or with ``x-`` is one as well.
_SYSTEM = {
    "access_token", "alt", "bearer_token", "callback", "fields", "key", "oauth_token", "pp", "pretty_print",
    "quota_user", "trace", "upload_protocol", "upload_type", "user_ip",
}  # fmt: skip


@dataclass(frozen=True)
class ReplyOptions:
    """How the reply to a request is to be shown."""

    selections: tuple[Selection, ...] = ()
    compact: bool = False

    @classmethod
    def of(cls, request: Request) -> ReplyOptions:
        """Those of a request that came by an ``ApiRoute``."""
        found: ReplyOptions = getattr(request.state, "reply", cls())
        return found

    def shown(self, document: JsonObject) -> JsonObject:
        """What is to be shown of the JSON value of a reply."""
        for selection in self.selections:
            document = selection.of(document)
        return document

    def response(self, whole: Response) -> Response:
        """``whole`` as it is to be shown; streams see to it themselves."""
        if self == ReplyOptions() or isinstance(whole, StreamingResponse) or whole.status_code != 200 or not whole.body:
            return whole
        shown = json_response(self.shown(json.loads(bytes(whole.body))), compact=self.compact)
        for cookie in whole.headers.getlist("set-cookie"):
            shown.headers.append("set-cookie", cookie)
        return shown


class GatedRoute(APIRoute):
    """A route that the gate guards; one that no rule of ``needs`` fits cannot be made."""

    def get_route_handler(self) -> Handler:
        handle = self.handler()
        need = need_of(self.path, self.methods or ())

        async def handler(request: Request) -> Response:
            gate: Gate = request.app.state.gate
            await gate.admit(request, need)
            return await handle(request)

        return handler

    def handler(self) -> Handler:
        """What answers a request that was let in."""
        return super().get_route_handler()


class ApiRoute(GatedRoute):
    """A route that answers JSON, described by ``speaks``."""

    strict: ClassVar[bool] = True

    def handler(self) -> Handler:
        handle = super().handler()
        described = self.openapi_extra if isinstance(self.openapi_extra, Described) else Described()
        known = {to_snake(name) for name in described.query}
        known |= {to_snake(parameter.alias) for parameter in self.dependant.query_params}

        async def answer(request: Request) -> Response:
            if self.strict:
                _refuse_unknown(request, known)
            reply = request.state.reply = _options(request, described)
            return reply.response(await handle(request))

        return answer


class BucketRoute(ApiRoute):
    """A route of the buckets, whose API lets unknown parameters through."""

    strict = False


def _refuse_unknown(request: Request, known: set[str]) -> None:
    lines = []
    for name in dict.fromkeys(request.query_params):
        plain = to_snake(name)
        if plain not in known and plain not in _SYSTEM and not name.lower().startswith(("$", "x-")):
            lines.append(
                f'Invalid JSON payload received. Unknown name "{name}": Cannot bind query parameter. '
                f"Field '{name}' could not be found in request message."
            )
    if lines:
        raise InvalidArgument("\n".join(lines), violations=[FieldViolation("", line) for line in lines])


def _options(request: Request, described: Described) -> ReplyOptions:
    def said(*names: str) -> str:
        return next((value for name in names if (value := request.query_params.get(name))), "")

    selections = []
    if fields := said("fields", "$fields"):
        selections.append(Selection.parse(fields, described.answer))
    if "readMask" in described.query and (mask := said("readMask", "read_mask")):
        items = Selection.parse(mask, described.item, parameter="read_mask")
        selections.append(Selection({described.lists: items, "nextPageToken": Selection()}))
    compact = said("prettyPrint", "$prettyPrint", "pretty_print", "pp").lower() in ("false", "0")
    return ReplyOptions(tuple(selections), compact)
