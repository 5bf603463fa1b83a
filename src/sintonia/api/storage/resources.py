"""Buckets and objects as the wire shows and takes them. Source: the JSON API of Cloud Storage, resource pages."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from datetime import UTC, datetime
from typing import Any
from urllib.parse import quote

from sintonia.errors import FailedPrecondition, InvalidArgument
from sintonia.resources.base import JsonObject
from sintonia.storage import Bucket, ObjectMetadata, StoredObject

_FIELDS = {
    "contentType": "content_type",
    "contentEncoding": "content_encoding",
    "contentDisposition": "content_disposition",
    "contentLanguage": "content_language",
    "cacheControl": "cache_control",
}
# Characters of a field that becomes a header, and bytes of all names and values of a map, as the cloud limits it.
_LONGEST_HEADER = 1024
_MOST_BYTES = 8192
# What would be a promise: to keep, to lock or to encrypt.
_OBJECT_PROMISES = ("temporaryHold", "eventBasedHold", "retention", "kmsKeyName", "customerEncryption")
_BUCKET_PROMISES = {
    "versioning": "enabled",
    "hierarchicalNamespace": "enabled",
    "autoclass": "enabled",
    "lifecycle": "rule",
    "retentionPolicy": "retentionPeriod",
    "encryption": "defaultKmsKeyName",
    "billing": "requesterPays",
    "logging": "logBucket",
    "website": "mainPageSuffix",
}


def bucket_resource(bucket: Bucket, base: str) -> JsonObject:
    """``base`` is the server's address with a slash at its end, as its caller knows it."""
    return {
        "kind": "storage#bucket",
        "id": bucket.name,
        "name": bucket.name,
        "selfLink": f"{base}storage/v1/b/{bucket.name}",
        "location": bucket.location,
        "locationType": "region",
        "storageClass": bucket.storage_class,
        "metageneration": str(bucket.metageneration),
        "etag": f"m{bucket.metageneration}",
        "timeCreated": _moment(bucket.created),
        "updated": _moment(bucket.updated),
        # Who may do what is told by project; there are no access control lists.
        "iamConfiguration": {"uniformBucketLevelAccess": {"enabled": True}, "publicAccessPrevention": "enforced"},
        **({"labels": dict(bucket.labels)} if bucket.labels else {}),
    }


def object_resource(item: StoredObject, base: str) -> JsonObject:
    path = f"storage/v1/b/{item.bucket}/o/{quote(item.name, safe='')}"
    created = _moment(item.created)
    known: JsonObject = {
        "kind": "storage#object",
        "id": f"{item.bucket}/{item.name}/{item.generation}",
        "selfLink": base + path,
        "mediaLink": f"{base}download/{path}?generation={item.generation}&alt=media",
        "name": item.name,
        "bucket": item.bucket,
        "generation": str(item.generation),
        "metageneration": str(item.metageneration),
        "contentType": item.metadata.content_type,
        "storageClass": "STANDARD",
        "size": str(item.size),
        "md5Hash": item.md5,
        "crc32c": item.crc32c,
        "etag": etag(item),
        "timeCreated": created,
        "updated": _moment(item.updated),
        "timeStorageClassUpdated": created,
        "timeFinalized": created,
        "componentCount": item.component_count,
        "metadata": dict(item.metadata.custom) or None,
    }
    known |= {wire: getattr(item.metadata, name) for wire, name in _FIELDS.items()}
    return {name: value for name, value in known.items() if value is not None}


def etag(item: StoredObject) -> str:
    return f"g{item.generation}m{item.metageneration}"


def metadata_of(document: JsonObject, *, old: ObjectMetadata | None = None) -> ObjectMetadata:
    """The metadata that a resource tells; with ``old``, that changed where the resource says so.

    Raises:
        InvalidArgument: a value is none.
        FailedPrecondition: it asks for what this server cannot promise.
    """
    if asked := next((name for name in _OBJECT_PROMISES if document.get(name)), None):
        raise FailedPrecondition(f"'{asked}' of an object is not supported by this server; leave it away.")
    changes: dict[str, Any] = {
        name: _header_value(wire, document[wire]) for wire, name in _FIELDS.items() if wire in document
    }
    if "metadata" in document:
        changes["custom"] = _texts("metadata", document["metadata"], old=old.custom if old else {})
    return replace(old or ObjectMetadata(), **changes)


def labels_of(document: JsonObject, *, old: Mapping[str, str] | None = None) -> dict[str, str]:
    """The labels that a bucket's resource tells; with ``old``, those changed where the resource says so.

    Raises as ``metadata_of``.
    """
    for name, part in _BUCKET_PROMISES.items():
        inside = document.get(name)
        if isinstance(inside, dict) and inside.get(part):
            raise FailedPrecondition(f"'{name}' of a bucket is not supported by this server; leave it away.")
    if "labels" not in document:
        return dict(old or {})
    return _texts("labels", document["labels"], old=old or {})


def _texts(name: str, value: object, *, old: Mapping[str, str]) -> dict[str, str]:
    """A map of texts, laid over ``old``; null takes a key, or all of them, away."""
    if value is None:
        return {}
    if not isinstance(value, dict):
        raise InvalidArgument(f"Invalid value for {name}: it must be an object of texts.")
    for key, text in value.items():
        if text is not None and not isinstance(text, str):
            raise InvalidArgument(f"Invalid value for {name}['{key}']: it must be a text.")
    told = {key: text for key, text in {**old, **value}.items() if text is not None}
    if sum(len(key.encode()) + len(text.encode()) for key, text in told.items()) > _MOST_BYTES:
        raise InvalidArgument(f"Invalid value for {name}: its names and values may have {_MOST_BYTES} bytes together.")
    return told


def _header_value(name: str, value: object) -> str | None:
    """What comes back as a header of a download, and must not become two."""
    if value is not None and not (isinstance(value, str) and value.isprintable() and value.isascii()):
        raise InvalidArgument(f"Invalid value for {name}: it must be a text of printable ASCII characters.")
    if value and len(value) > _LONGEST_HEADER:
        raise InvalidArgument(f"Invalid value for {name}: it may have {_LONGEST_HEADER} characters.")
    return value or None


def _moment(moment: datetime) -> str:
    return moment.astimezone(UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")
