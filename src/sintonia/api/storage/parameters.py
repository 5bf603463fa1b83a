"""What storage requests say beside their bodies: conditions, generations, numbers, checksums."""

from __future__ import annotations

import base64
import binascii

from fastapi import Request
from starlette.datastructures import QueryParams

from sintonia.errors import InvalidArgument, Unimplemented
from sintonia.resources.base import JsonObject
from sintonia.storage import Digests, Preconditions

_LARGEST = 2**63 - 1
_DIGEST_BYTES = {"md5": 16, "crc32c": 4}


def conditions(query: QueryParams, prefix: str = "if") -> Preconditions:
    """``ifGenerationMatch`` and its kin; with the prefix ``ifSource`` those about the source of a copy."""
    return Preconditions(
        generation_match=number(query, f"{prefix}GenerationMatch"),
        generation_not_match=number(query, f"{prefix}GenerationNotMatch"),
        metageneration_match=number(query, f"{prefix}MetagenerationMatch"),
        metageneration_not_match=number(query, f"{prefix}MetagenerationNotMatch"),
    )


def number(query: QueryParams, name: str) -> int | None:
    """A whole number; None if the URL does not say it. Raises InvalidArgument."""
    text = query.get(name)
    return None if text is None else whole_number(name, text)


def whole_number(name: str, value: object) -> int:
    """Of text or of JSON, where int64 comes as text. Raises InvalidArgument."""
    text = str(value) if isinstance(value, int | str) and not isinstance(value, bool) else ""
    if not (text.isascii() and text.isdecimal() and len(text) < 20 and int(text) <= _LARGEST):
        raise InvalidArgument(f"Invalid value for {name}: {value}; it must be a whole number.")
    return int(text)


def flag(query: QueryParams, name: str) -> bool:
    return query.get(name, "false").lower() in ("true", "1")


def required(query: QueryParams, name: str) -> str:
    """Raises InvalidArgument if the URL does not say it."""
    value = query.get(name)
    if not value:
        raise InvalidArgument(f"Required parameter: {name}")
    return value


def digests(request: Request, document: JsonObject) -> Digests:
    """Checksums that the sender of an object tells: in its resource, in ``X-Goog-Hash`` or ``Content-MD5``.

    Raises InvalidArgument for one that is none.
    """
    told: dict[str, str | None] = {"md5": document.get("md5Hash"), "crc32c": document.get("crc32c")}
    for header in request.headers.getlist("x-goog-hash"):
        for part in header.split(","):
            kind, _, value = part.strip().partition("=")
            if kind.lower() in told and value:
                told[kind.lower()] = value
    told["md5"] = request.headers.get("content-md5") or told["md5"]
    for kind, digest in told.items():
        if digest is not None and not _is_digest(digest, _DIGEST_BYTES[kind]):
            raise InvalidArgument(f"Invalid {kind} checksum: {digest}; write it in base64.")
    return Digests(**told)


def refuse_encryption(request: Request) -> None:
    """Raises Unimplemented: keys of the sender's own, or of a key service, must not be taken and forgotten."""
    if "kmsKeyName" in request.query_params or "destinationKmsKeyName" in request.query_params:
        raise Unimplemented("Encryption by keys of a key service (kmsKeyName) is not supported by this server.")
    if any(name.endswith("encryption-key") for name in request.headers):
        raise Unimplemented("Customer-supplied encryption keys are not supported by this server.")


def _is_digest(value: object, size: int) -> bool:
    try:
        return isinstance(value, str) and len(base64.b64decode(value, validate=True)) == size
    except (binascii.Error, ValueError):
        return False
