"""The JSON documents that stand for buckets and objects on disk; those of older versions are read, too."""

from __future__ import annotations

from dataclasses import asdict
from datetime import datetime
from typing import Any

from sintonia.storage.objects import Bucket, ObjectMetadata, StoredObject


def bucket_record(bucket: Bucket) -> dict[str, Any]:
    return {
        "project": bucket.project,
        "created": bucket.created.isoformat(),
        "updated": bucket.updated.isoformat(),
        "metageneration": bucket.metageneration,
        "labels": dict(bucket.labels),
        "location": bucket.location,
        "storage_class": bucket.storage_class,
    }


def bucket_of(name: str, record: dict[str, Any]) -> Bucket:
    return Bucket(
        name,
        record["project"],
        created=datetime.fromisoformat(record["created"]),
        updated=datetime.fromisoformat(record.get("updated", record["created"])),
        **{
            field: record[field]
            for field in ("metageneration", "labels", "location", "storage_class")
            if field in record
        },
    )


def object_record(stored: StoredObject) -> dict[str, Any]:
    return {
        "name": stored.name,
        "size": stored.size,
        "md5": stored.md5,
        "crc32c": stored.crc32c,
        "generation": stored.generation,
        "metageneration": stored.metageneration,
        "created": stored.created.isoformat(),
        "updated": stored.updated.isoformat(),
        "component_count": stored.component_count,
        "metadata": asdict(stored.metadata),
    }


def object_of(bucket: str, record: dict[str, Any]) -> StoredObject:
    """Records of older versions have fewer fields: no CRC32C, and the content type alone of the metadata."""
    return StoredObject(
        bucket=bucket,
        name=record["name"],
        size=record["size"],
        md5=record["md5"],
        crc32c=record.get("crc32c", ""),
        generation=record["generation"],
        metageneration=record.get("metageneration", 1),
        created=datetime.fromisoformat(record["created"]),
        updated=datetime.fromisoformat(record.get("updated", record["created"])),
        metadata=ObjectMetadata(**record.get("metadata", {"content_type": record.get("content_type")})),
        component_count=record.get("component_count"),
    )
