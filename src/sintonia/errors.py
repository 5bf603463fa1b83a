"""What can go wrong, as the API's canonical codes (google.rpc.Code); the bottom room, it knows nobody.

A message says what is wrong, which thing it is about and what to do. The API maps these to the wire in one place.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import ClassVar


@dataclass(frozen=True)
class FieldViolation:
    """One bad field of a request: its path in proto spelling (``tuning_job.base_model``) and what is wrong."""

    field: str
    description: str


@contextmanager
def about(field: str) -> Iterator[None]:
    """What is refused inside is refused because of ``field``, where it names none itself."""
    try:
        yield
    except ApiError as error:
        error.violations = error.violations or (FieldViolation(field, error.message),)
        raise


class ApiError(Exception):
    """The base of all errors a user may see.

    ``code`` is the number of google.rpc.Code, ``status`` its name, ``http`` the HTTP status that goes with it
    (source: google/rpc/code.proto).
    """

    code: ClassVar[int] = 2
    status: ClassVar[str] = "UNKNOWN"
    http: ClassVar[int] = 500

    def __init__(
        self, message: str, *, violations: Sequence[FieldViolation] = (), retry_after: int | None = None
    ) -> None:
        super().__init__(message)
        self.message = message
        self.violations = tuple(violations)
        self.retry_after = retry_after
        """Seconds after which the same may be asked again, if that is known."""


class Cancelled(ApiError):
    code, status, http = 1, "CANCELLED", 499


class InvalidArgument(ApiError):
    code, status, http = 3, "INVALID_ARGUMENT", 400


class RangeNotSatisfiable(InvalidArgument):
    http = 416


class HeadTooLarge(InvalidArgument):
    http = 431


class DeadlineExceeded(ApiError):
    code, status, http = 4, "DEADLINE_EXCEEDED", 504


class RequestTimeout(DeadlineExceeded):
    """The client did not go on with its request."""

    http = 408


class NotFound(ApiError):
    code, status, http = 5, "NOT_FOUND", 404


class AlreadyExists(ApiError):
    code, status, http = 6, "ALREADY_EXISTS", 409


class PermissionDenied(ApiError):
    code, status, http = 7, "PERMISSION_DENIED", 403


class ResourceExhausted(ApiError):
    code, status, http = 8, "RESOURCE_EXHAUSTED", 429


class InsufficientStorage(ResourceExhausted):
    """The disk (or a quota) is full; what was there before is whole."""

    http = 507


class FailedPrecondition(ApiError):
    code, status, http = 9, "FAILED_PRECONDITION", 400


class ConditionNotMet(FailedPrecondition):
    """A condition that the request itself set, such as ``ifGenerationMatch``, does not hold; nothing was done."""

    http = 412


class NotModified(ConditionNotMet):
    """What a reader has is still current; on the wire a 304 without a body."""

    http = 304


class BucketNotEmpty(FailedPrecondition):
    http = 409


class Aborted(ApiError):
    code, status, http = 10, "ABORTED", 409


class Unimplemented(ApiError):
    code, status, http = 12, "UNIMPLEMENTED", 501


class Internal(ApiError):
    code, status, http = 13, "INTERNAL", 500


class Unavailable(ApiError):
    code, status, http = 14, "UNAVAILABLE", 503


class Unauthenticated(ApiError):
    code, status, http = 16, "UNAUTHENTICATED", 401
