"""What the libraries of remote storages raise, as the API's errors.

Their words may hold signed URLs, keys or upload sessions, so nothing of them is passed on: neither text nor cause.
"""

from __future__ import annotations

import logging
from collections.abc import Callable
from typing import TypeVar

from sintonia.errors import Aborted, ApiError, FailedPrecondition, NotFound, PermissionDenied, Unavailable
from sintonia.storage.uri import ObjectUri

_LIBRARIES = ("aiobotocore", "aiohttp", "botocore", "fsspec", "gcsfs", "google.auth", "s3fs", "urllib3")

T = TypeVar("T")

# By name, so that none of these libraries need be there.
_NO_CREDENTIALS = {
    "CredentialRetrievalError",
    "GoogleAuthError",
    "NoCredentialsError",
    "NonRetryableError",
    "PartialCredentialsError",
    "ProfileNotFound",
    "SSOError",
    "TokenRetrievalError",
}


def silence_libraries() -> None:
    """Some log what they then raise."""
    for name in _LIBRARIES:
        logging.getLogger(name).setLevel(logging.CRITICAL)


def told(address: ObjectUri, work: Callable[[], T], *, reading: bool = False) -> T:
    """What ``work`` returns. Raises ApiErrors only; once it is ``reading``, what is absent was there before."""
    try:
        return work()
    except ApiError:
        raise
    except Exception as error:
        failure = _failure(address, error, reading)
    raise failure  # outside of the handler: not even its context is the library's error


def _failure(address: ObjectUri, error: Exception, reading: bool) -> ApiError:
    status = _status(error)
    if status == 412 or (status == 404 and reading):
        return Aborted(f"'{address}' was changed while it was read; begin again.")
    if status == 404:
        return NotFound(f"No such object: {address}")
    if status in (401, 403):
        return PermissionDenied(
            f"'{address}' is refused to this server: its credentials, which its operator sets in its environment, are "
            "missing, not valid or without that right."
        )
    if status is not None and 300 <= status < 500 and status not in (408, 409, 429):
        return FailedPrecondition(
            f"'{address}' cannot be used: the storage answers with HTTP status {status}; the operator of this server "
            "checks the endpoint and the region in its environment."
        )
    what = f"HTTP status {status}" if status else type(error).__name__
    return Unavailable(
        f"'{address}' cannot be reached at the moment ({what}); try again. If it stays so, the operator of this server "
        "checks the endpoint in its environment, and the network."
    )


def _status(error: Exception) -> int | None:
    """The HTTP status behind an error, or the one that stands for it; None if there was no answer."""
    if _NO_CREDENTIALS & {kind.__name__ for kind in type(error).__mro__}:
        return 401
    if isinstance(error, FileNotFoundError):
        return 404
    if isinstance(error, PermissionError) or str(error).startswith("Forbidden"):
        return 403
    if isinstance(error, ValueError) and str(error).startswith("Bad Request"):
        return 400
    if type(error).__name__ == "HttpError":  # gcsfs'
        code = str(getattr(error, "code", ""))
        return int(code) if code.isdecimal() else None
    response = getattr(error.__cause__ or error, "response", None)  # botocore's
    status = response.get("ResponseMetadata", {}).get("HTTPStatusCode") if isinstance(response, dict) else None
    return status if isinstance(status, int) else None
