"""Errors as storage clients read them: the API's own, and beside it ``errors`` with a reason each."""

from __future__ import annotations

import json

from fastapi import Response

from sintonia.api.errors import error_response
from sintonia.errors import (
    AlreadyExists,
    ApiError,
    BucketNotEmpty,
    ConditionNotMet,
    FailedPrecondition,
    InsufficientStorage,
    InvalidArgument,
    NotFound,
    NotModified,
    PermissionDenied,
    RangeNotSatisfiable,
    ResourceExhausted,
    Unauthenticated,
    Unimplemented,
)

# Source: "HTTP status and error codes for JSON" of Cloud Storage. The first that fits tells.
_REASONS: tuple[tuple[type[ApiError], str], ...] = (
    (ConditionNotMet, "conditionNotMet"),
    (RangeNotSatisfiable, "requestedRangeNotSatisfiable"),
    (NotFound, "notFound"),
    (AlreadyExists, "conflict"),
    (BucketNotEmpty, "conflict"),
    (PermissionDenied, "forbidden"),
    (Unauthenticated, "authError"),
    (InsufficientStorage, "insufficientStorage"),
    (ResourceExhausted, "rateLimitExceeded"),
    (Unimplemented, "notImplemented"),
    (InvalidArgument, "invalid"),
    (FailedPrecondition, "failedPrecondition"),
)


def storage_error(error: ApiError) -> Response:
    """The answer that says it."""
    if isinstance(error, NotModified):
        return Response(status_code=error.http)
    # Clients send again what a 5xx answers, gcloud for half a minute, and there is no other answer to come.
    plain = error_response(FailedPrecondition(error.message) if isinstance(error, Unimplemented) else error)
    document = json.loads(bytes(plain.body))
    document["error"]["errors"] = [{"domain": "global", "reason": _reason(error), "message": error.message}]
    headers = {name: value for name, value in plain.headers.items() if name != "content-length"}
    text = json.dumps(document, indent=2, ensure_ascii=False) + "\n"
    return Response(text, status_code=plain.status_code, headers=headers)


def _reason(error: ApiError) -> str:
    if isinstance(error, InvalidArgument) and error.message.startswith("Required"):
        return "required"
    return next((reason for kind, reason in _REASONS if isinstance(error, kind)), "backendError")
