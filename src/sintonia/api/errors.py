"""Errors as the API says them: ``{"error": {code, message, status, details}}`` for everything that goes wrong."""

from __future__ import annotations

import json
import logging
from typing import Any

from fastapi import FastAPI, Request, Response
from fastapi.exceptions import RequestValidationError
from starlette.exceptions import HTTPException
from starlette.requests import ClientDisconnect

from sintonia.errors import ApiError, Cancelled, Internal, InvalidArgument, NotFound, Unauthenticated, Unimplemented

_log = logging.getLogger(__name__)

_BAD_REQUEST = "type.googleapis.com/google.rpc.BadRequest"


def error_body(error: ApiError) -> dict[str, Any]:
    """The JSON value of an error."""
    body: dict[str, Any] = {"code": error.http, "message": error.message, "status": error.status}
    if error.violations:
        violations = [
            {"field": item.field, "description": item.description} if item.field else {"description": item.description}
            for item in error.violations
        ]
        body["details"] = [{"@type": _BAD_REQUEST, "fieldViolations": violations}]
    return {"error": body}


def error_response(error: ApiError) -> Response:
    text = json.dumps(error_body(error), indent=2, ensure_ascii=False) + "\n"
    headers = {} if error.retry_after is None else {"Retry-After": str(error.retry_after)}
    if isinstance(error, Unauthenticated):
        headers["WWW-Authenticate"] = 'Bearer realm="sintonia"'
    return Response(text, status_code=error.http, headers=headers, media_type="application/json; charset=UTF-8")


def handle_errors(app: FastAPI) -> None:
    """Register the handlers: after this no error leaves in any other shape."""

    @app.exception_handler(ApiError)
    async def _api_error(request: Request, error: ApiError) -> Response:
        return error_response(error)

    @app.exception_handler(HTTPException)
    async def _http(request: Request, error: HTTPException) -> Response:
        if error.status_code in (404, 405):
            missing = NotFound(f"The requested URL {request.url.path} was not found with method {request.method}.")
            return error_response(missing)
        known = InvalidArgument(str(error.detail)) if error.status_code < 500 else Unimplemented(str(error.detail))
        return error_response(known)

    @app.exception_handler(RequestValidationError)
    async def _parameters(request: Request, error: RequestValidationError) -> Response:
        problems = [f"Invalid value for '{item['loc'][-1]}': {item['msg']}." for item in error.errors()]
        return error_response(InvalidArgument(" ".join(problems)))

    @app.exception_handler(ClientDisconnect)
    async def _left(request: Request, error: ClientDisconnect) -> Response:
        return Response(status_code=Cancelled.http)  # to nobody: the client left before its request was whole

    @app.exception_handler(Exception)
    async def _unexpected(request: Request, error: Exception) -> Response:
        name = getattr(request.state, "request_id", "")
        _log.error("%s %s failed (request %s)", request.method, request.url.path, name, exc_info=error)
        return error_response(Internal("Internal error encountered. The server's log has the details."))
