"""Read-only buckets made of packaged files, so that well-known sample addresses answer out of the box."""

from __future__ import annotations

import os
from datetime import UTC, datetime
from functools import cached_property
from pathlib import Path

from sintonia.errors import NotFound
from sintonia.storage.checksums import Checksums
from sintonia.storage.objects import Bucket, ObjectMetadata, StoredObject


class SampleBucket:
    """One built-in bucket: the files below ``directory`` are its objects, read at the first question."""

    def __init__(self, directory: Path) -> None:
        self._directory = directory

    @classmethod
    def all_below(cls, directory: Path) -> dict[str, SampleBucket]:
        """``DIRECTORY/BUCKET`` as buckets by name; a bucket has at least one file below a folder."""
        return {path.name: cls(path) for path in sorted(directory.iterdir()) if any(path.glob("*/**/*.jsonl"))}

    def describe(self) -> Bucket:
        created = datetime.fromtimestamp(self._directory.stat().st_mtime, UTC)
        return Bucket(self._directory.name, None, created, created)

    def names(self) -> list[str]:
        return sorted(self._paths)

    def stat(self, name: str, generation: int | None = None) -> StoredObject:
        """Raises NotFound."""
        stored, descriptor = self.open(name, generation)
        os.close(descriptor)
        return stored

    def open(self, name: str, generation: int | None = None) -> tuple[StoredObject, int]:
        """The object and a descriptor of its bytes. Raises NotFound."""
        if name not in self._paths:
            raise NotFound(f"No such object: {self._directory.name}/{name}")
        descriptor = os.open(self._paths[name], os.O_RDONLY)
        checksums = Checksums()
        checksums.catch_up(descriptor)
        modified = os.fstat(descriptor).st_mtime_ns
        created = datetime.fromtimestamp(modified / 1e9, UTC)
        stored = StoredObject(
            bucket=self._directory.name,
            name=name,
            size=checksums.size,
            md5=checksums.md5,
            crc32c=checksums.crc32c,
            generation=modified // 1000,
            metageneration=1,
            created=created,
            updated=created,
            metadata=ObjectMetadata(content_type="application/jsonl"),
        )
        if generation not in (None, stored.generation):
            os.close(descriptor)
            raise NotFound(f"No such object: {self._directory.name}/{name}#{generation}")
        return stored, descriptor

    @cached_property
    def _paths(self) -> dict[str, Path]:
        files = (path for path in self._directory.rglob("*.jsonl"))
        return {path.relative_to(self._directory).as_posix(): path for path in files}
