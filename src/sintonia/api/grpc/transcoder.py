"""gRPC calls answered by the HTTP routes that their methods' annotations name.

Errors are mapped nowhere but there: a reply that is one becomes the same google.rpc.Status here.
"""

from __future__ import annotations

import json
from collections.abc import AsyncIterator, Callable
from typing import Any, NoReturn, TypeAlias
from urllib.parse import unquote

import grpc
from google.protobuf import json_format
from google.protobuf.message import DecodeError, Message
from starlette.routing import Match
from starlette.types import Scope

from sintonia.api.errors import error_body
from sintonia.api.grpc.descriptors import Descriptors, Method
from sintonia.api.grpc.in_process import Headers, InProcess, Reply
from sintonia.api.grpc.rules import Binding, HttpRequest
from sintonia.errors import ApiError, Internal, InvalidArgument, Unimplemented

_CODES = {code.name: code for code in grpc.StatusCode}
# What a client says beside its message and the routes may ask for; the rest is gRPC's own, or routing.
_FORWARDED = ("authorization", "x-goog-api-key", "x-goog-user-project", "x-request-id")
# Clients may refuse answers whose header fields are longer than 8 KiB. An error is told in them twice: its message in a
# percent encoding, and as a part of the status in base64. Bytes:
_MESSAGE_LIMIT, _SHORTENED, _STATUS_LIMIT = 3000, 1000, 3000

_Call: TypeAlias = grpc.aio.ServicerContext
# (verb, path): is there a route?
Routes = Callable[[str, str], bool]


class Transcoder(grpc.GenericRpcHandler):
    """All methods of ``descriptors``, over an application's ``routes``."""

    def __init__(self, descriptors: Descriptors, application: InProcess, routes: Routes) -> None:
        self._pool = descriptors.pool
        self._status = descriptors.message("google.rpc.Status")
        self._application = application
        self._routes = routes
        self._handlers = {path: self._handler(path, method) for path, method in descriptors.methods.items()}

    def service(self, details: grpc.HandlerCallDetails) -> grpc.RpcMethodHandler | None:
        return self._handlers.get(details.method)

    def _handler(self, path: str, method: Method) -> grpc.RpcMethodHandler:
        async def unary(message: bytes, call: _Call) -> Message:
            request = await self._transcoded(path, method, message, call)
            async with self._application.ask(request, _headers(call), client=_client(call)) as reply:
                return self._answer(method, await self._good(reply, call))

        async def stream(message: bytes, call: _Call) -> AsyncIterator[Message]:
            request = await self._transcoded(path, method, message, call)
            async with self._application.ask(request, _headers(call), client=_client(call)) as reply:
                if reply.status != 200:
                    await self._good(reply, call)
                async for event in _events(reply):
                    if "error" in event:
                        await self._abort(call, event)
                    yield self._answer(method, event)

        make = grpc.unary_stream_rpc_method_handler if method.streams else grpc.unary_unary_rpc_method_handler
        return make(
            stream if method.streams else unary,
            request_deserializer=None,  # one that fails would end the call without words, and fill the log
            response_serializer=method.response.SerializeToString,
        )

    async def _transcoded(self, path: str, method: Method, encoded: bytes, call: _Call) -> HttpRequest:
        try:
            message = method.request.FromString(encoded)
            request = self._binding(path, method, message).request(message, self._pool)
        except ApiError as error:
            await self._abort(call, error_body(error))
        except DecodeError:
            wanted = method.request.DESCRIPTOR.full_name
            await self._abort(call, error_body(InvalidArgument(f"The request is no message of type {wanted}.")))
        except json_format.Error as error:  # a mask with "displayName" for "display_name", NaN in a Struct
            await self._abort(call, error_body(InvalidArgument(f"The request cannot be said as JSON: {error}")))
        if method.streams:
            query = f"{request.query}&alt=sse" if request.query else "alt=sse"
            return HttpRequest(request.verb, request.path, query, request.body)
        return request

    def _binding(self, path: str, method: Method, message: Message) -> Binding:
        """The first way to say it that the message fits and the application knows.

        A name of another form will do where the path ends with a verb, which cannot mean another method: tuned models
        are asked by ``projects/*/locations/*/models/*:generateContent`` too, of which the annotations do not speak.
        """
        fits = False
        for binding in method.bindings:
            if binding.fits(message):
                fits = True
                if self._routes(binding.verb, binding.path(message)):
                    return binding
        if method.bindings and not fits:
            for binding in method.bindings:
                if not binding.template.endswith("}") and self._routes(binding.verb, binding.path(message)):
                    return binding
            forms = " or ".join(
                dict.fromkeys(f"{field}={form}" for b in method.bindings for field, form in b.variables)
            )
            raise InvalidArgument(f"A name in the request has not the form that {path} takes: {forms}.")
        raise Unimplemented(f"Method {path} is not supported by this server.")

    async def _good(self, reply: Reply, call: _Call) -> Any:
        """The reply's document; an error ends the call."""
        try:
            content = await reply.body()
            document = json.loads(content)
        except (ConnectionError, ValueError):
            await self._abort(
                call, error_body(Internal("Internal error encountered. The server's log has the details."))
            )
        if reply.status != 200:
            await self._abort(call, document)
        return document

    def _answer(self, method: Method, document: Any) -> Message:
        """Fields that the descriptors do not know yet are left out."""
        return json_format.ParseDict(
            document, method.response(), ignore_unknown_fields=True, descriptor_pool=self._pool
        )

    async def _abort(self, call: _Call, document: Any) -> NoReturn:
        """End the call with the error that the API would answer with: ``{"error": …}``."""
        error = document["error"]
        code = _CODES.get(error["status"], grpc.StatusCode.UNKNOWN)
        message = _shortly(error["message"])
        status = self._status(code=code.value[0], message=message)
        details = {"details": error.get("details", [])}
        json_format.ParseDict(details, status, ignore_unknown_fields=True, descriptor_pool=self._pool)
        if status.ByteSize() > _STATUS_LIMIT:
            status.ClearField("details")
        await call.abort(code, message, (("grpc-status-details-bin", status.SerializeToString()),))
        raise AssertionError("abort raises")


def routes_of(router: Any) -> Routes:
    """What ``router`` of a Starlette application has."""

    def known(verb: str, path: str) -> bool:
        scope: Scope = {"type": "http", "method": verb, "path": path, "root_path": "", "headers": []}
        return any(route.matches(scope)[0] is Match.FULL for route in router.routes)

    return known


def _shortly(message: str) -> str:
    encoded = message.encode()
    size = sum(1 if 0x20 <= byte < 0x7F and byte != ord("%") else 3 for byte in encoded)
    return message if size <= _MESSAGE_LIMIT else encoded[:_SHORTENED].decode(errors="ignore") + " …"


def _headers(call: _Call) -> Headers:
    said = call.invocation_metadata() or ()
    return [(key.encode(), value.encode()) for key, value in said if key in _FORWARDED and isinstance(value, str)]


def _client(call: _Call) -> tuple[str, int] | None:
    """Its address, of a peer such as ``ipv4:127.0.0.1:50000`` or ``ipv6:%5B::1%5D:50000``."""
    kind, _, address = unquote(call.peer()).partition(":")
    host, _, port = address.rpartition(":")
    return (host.strip("[]"), int(port)) if kind in ("ipv4", "ipv6") and port.isdecimal() else None


async def _events(reply: Reply) -> AsyncIterator[Any]:
    """The documents of an event stream."""
    rest = b""
    async for piece in reply.pieces():
        *whole, rest = (rest + piece).split(b"\r\n\r\n")
        for event in whole:
            yield json.loads(event.removeprefix(b"data: "))
