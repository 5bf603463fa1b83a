"""Objects at a URI: the embedded buckets behind ``gs://`` and what lies elsewhere; knows neither requests nor jobs."""

from __future__ import annotations

from sintonia.storage.buckets import BucketStore
from sintonia.storage.objects import (
    Bucket,
    Digests,
    ObjectMetadata,
    ObjectPage,
    Preconditions,
    StoredObject,
    Upload,
)
from sintonia.storage.places import Place, read_places
from sintonia.storage.storage import Storage, StorageConfig
from sintonia.storage.stores import OpenObject
from sintonia.storage.streams import ObjectReader, ObjectWriter
from sintonia.storage.uploads import UploadAppender
from sintonia.storage.uri import ObjectUri

__all__ = [
    "Bucket",
    "BucketStore",
    "Digests",
    "ObjectMetadata",
    "ObjectPage",
    "ObjectReader",
    "ObjectUri",
    "ObjectWriter",
    "OpenObject",
    "Place",
    "Preconditions",
    "Storage",
    "StorageConfig",
    "StoredObject",
    "Upload",
    "UploadAppender",
    "read_places",
]
