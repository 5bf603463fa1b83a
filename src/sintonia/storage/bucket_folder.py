"""One bucket on disk: its records and its bytes, changed under its lock; knows nothing of requests.

An object's bytes lie in a file of their own for each generation and never change; its record, a small JSON file that is
replaced atomically, says which generation is the object. So readers and crashes see an object whole, old or new, and a
reader that has it open keeps it.
"""

from __future__ import annotations

import os
import shutil
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from pathlib import Path

from sintonia.errors import InvalidArgument, NotFound
from sintonia.storage.checksums import Checksums
from sintonia.storage.files import (
    copy,
    is_directory,
    link_or_copy,
    locked,
    open_file,
    read_json,
    replace_json,
    room_on_disk,
    sync_directory,
    try_lock,
)
from sintonia.storage.names import check_object_name, is_bucket_name, name_of_key, object_key
from sintonia.storage.objects import Bucket, ObjectMetadata, Preconditions, StoredObject
from sintonia.storage.records import bucket_of, bucket_record, object_of, object_record

DEFAULT_CONTENT_TYPE = "application/octet-stream"
INCOMING = ".incoming-"
NEW = ".new-"
_DELETED = "deleted.json"


@dataclass(frozen=True)
class Content:
    """What is known of bytes that are to become an object."""

    size: int
    md5: str | None
    crc32c: str
    component_count: int | None = None


class BucketFolder:
    """The bucket ``name`` below ``root``."""

    def __init__(self, root: Path, name: str) -> None:
        """Raises NotFound if there is no such bucket."""
        self.name = name
        self.path = root / name
        # A link that leads elsewhere is no bucket: whatever a name in a request is, it stays below the root.
        if not is_bucket_name(name) or not all(map(is_directory, (self.path, self.records, self.data))):
            raise self.missing()

    @property
    def records(self) -> Path:
        return self.path / "records"

    @property
    def data(self) -> Path:
        return self.path / "data"

    @property
    def uploads(self) -> Path:
        return self.path / "uploads"

    def missing(self) -> NotFound:
        return NotFound(f"The specified bucket does not exist: {self.name}")

    @contextmanager
    def locked(self) -> Iterator[None]:
        """One change of the bucket at a time. Raises NotFound if the bucket is gone."""
        with ExitStack() as held:
            try:
                held.enter_context(locked(self.path))
            except FileNotFoundError:
                raise self.missing() from None
            yield

    def describe(self) -> Bucket:
        try:
            return bucket_of(self.name, read_json(self.path / "bucket.json"))
        except FileNotFoundError:
            raise self.missing() from None

    def names(self) -> Iterator[str]:
        """Of all objects, in no order."""
        for file in self.record_files():
            name = name_of_key(file.removesuffix(".json"))
            try:
                yield name if name is not None else read_json(self.records / file)["name"]
            except FileNotFoundError:  # deleted meanwhile
                continue

    def record_files(self) -> list[str]:
        try:
            return [file for file in os.listdir(self.records) if not file.startswith(".")]
        except FileNotFoundError:
            raise self.missing() from None

    def stat(self, name: str, generation: int | None = None) -> StoredObject:
        """Raises NotFound if there is no such object, or not of this generation."""
        while True:
            stored = self._found(name, generation)
            try:
                return stored if stored.crc32c else self._with_crc32c(stored)
            except FileNotFoundError:
                if self.find(name) == stored:
                    raise  # not overwritten meanwhile: the store is damaged

    def find(self, name: str) -> StoredObject | None:
        """As the record has it: one of an older version tells no CRC32C."""
        try:
            return object_of(self.name, read_json(self._record_of(name)))
        except (FileNotFoundError, InvalidArgument):
            return None

    def open(self, name: str, generation: int | None = None) -> tuple[StoredObject, int]:
        """The object and a descriptor of its bytes."""
        while True:
            stored = self.stat(name, generation)
            try:
                return stored, open_file(self.data_of(name, stored.generation))
            except FileNotFoundError:
                if self.stat(name, generation).generation == stored.generation:
                    raise  # not overwritten meanwhile: the store is damaged

    def draft(self) -> tuple[int, Path]:
        """An empty file for bytes on their way; locked while its descriptor is open, so that no sweep takes it."""
        try:
            descriptor, path = tempfile.mkstemp(dir=self.data, prefix=INCOMING)
        except FileNotFoundError:
            raise self.missing() from None
        try_lock(descriptor)
        return descriptor, Path(path)

    def adopt(self, descriptor: int, *, shared: bool = True) -> Path:
        """A draft of the bytes of an open file: another name for them if they never change, else a copy."""
        path = self.data / f"{INCOMING}{os.urandom(16).hex()}"
        try:
            (link_or_copy if shared else copy)(descriptor, path)
        except FileNotFoundError:
            raise self.missing() from None
        return path

    def commit(
        self,
        draft: Path,
        name: str,
        content: Content,
        metadata: ObjectMetadata,
        when: Preconditions,
        *,
        announce: Callable[[StoredObject], None] | None = None,
    ) -> StoredObject:
        """Make a draft, whose bytes are safe on disk, the object ``name``, if ``when`` holds. The draft's name is free
        again afterwards.

        Args:
            announce: called before the object becomes the draft's, when only that can still fail; from then on
                the bytes of the generation stay in ``data`` until the object is overwritten, even if it fails.
        """
        if metadata.content_type is None:
            metadata = replace(metadata, content_type=DEFAULT_CONTENT_TYPE)
        with room_on_disk(), self.locked():
            previous = self.find(name)
            when.check(previous)
            now = datetime.now(UTC)
            stored = StoredObject(
                bucket=self.name,
                name=name,
                size=content.size,
                md5=content.md5,
                crc32c=content.crc32c,
                generation=self._next_generation(previous),
                metageneration=1,
                created=now,
                updated=now,
                metadata=metadata,
                component_count=content.component_count,
            )
            data = self.data_of(name, stored.generation)
            try:
                draft.rename(data)
            except FileNotFoundError:  # the bucket was deleted, and another made in its place
                raise self.missing() from None
            try:
                sync_directory(self.data)
                if announce:
                    announce(stored)
                replace_json(self._record_of(name), object_record(stored))
            except BaseException:
                if announce is None and self.find(name) == previous:
                    data.unlink(missing_ok=True)
                raise
            if previous:
                self.data_of(name, previous.generation).unlink(missing_ok=True)
        return stored

    def update(
        self,
        name: str,
        change: Callable[[ObjectMetadata], ObjectMetadata],
        when: Preconditions,
        generation: int | None,
    ) -> StoredObject:
        with room_on_disk(), self.locked():
            stored = self._found(name, generation)
            when.check(stored)
            stored = replace(
                stored,
                metadata=change(stored.metadata),
                metageneration=stored.metageneration + 1,
                updated=datetime.now(UTC),
            )
            replace_json(self._record_of(name), object_record(stored))
        return stored if stored.crc32c else self.stat(name)

    def delete(self, name: str, when: Preconditions, generation: int | None) -> None:
        with self.locked():
            stored = self._found(name, generation)
            when.check(stored)
            self._note_deleted(stored.generation)
            self._record_of(name).unlink()
            sync_directory(self.records)
            self.data_of(name, stored.generation).unlink(missing_ok=True)

    def data_of(self, name: str, generation: int) -> Path:
        return self.data / f"{object_key(name)}@{generation}"

    def _found(self, name: str, generation: int | None) -> StoredObject:
        stored = self.find(name)
        if stored is None or generation not in (None, stored.generation):
            raise NotFound(f"No such object: {self.name}/{name}{'' if generation is None else f'#{generation}'}")
        return stored

    def _record_of(self, name: str) -> Path:
        check_object_name(name)
        return self.records / f"{object_key(name)}.json"

    def _with_crc32c(self, stored: StoredObject) -> StoredObject:
        """An older version wrote the record: take the checksum now, and keep it."""
        with os.fdopen(open_file(self.data_of(stored.name, stored.generation)), "rb") as stream:
            checksums = Checksums()
            checksums.catch_up(stream.fileno())
        complete = replace(stored, crc32c=checksums.crc32c)
        with self.locked():
            if self.find(stored.name) == stored:
                with suppress(OSError):  # a full disk: the next who asks takes it again
                    replace_json(self._record_of(stored.name), object_record(complete))
        return complete

    def _next_generation(self, previous: StoredObject | None) -> int:
        """The time in microseconds, and greater than all before it at this name, however the clock is set."""
        return max(time.time_ns() // 1000, self._deleted() + 1, previous.generation + 1 if previous else 0)

    def _deleted(self) -> int:
        """The greatest generation that was deleted."""
        try:
            generation: int = read_json(self.path / _DELETED)["generation"]
        except (FileNotFoundError, ValueError):  # torn by a loss of power
            return 0
        return generation

    def _note_deleted(self, generation: int) -> None:
        if self._deleted() < generation:
            with suppress(OSError):  # deleting must work on a full disk, too
                replace_json(self.path / _DELETED, {"generation": generation}, durable=False)


def create_folder(root: Path, bucket: Bucket) -> bool:
    """Whether the name was free."""
    root.mkdir(parents=True, exist_ok=True)
    draft = Path(tempfile.mkdtemp(dir=root, prefix=NEW))
    try:
        for name in ("records", "data", "uploads"):
            (draft / name).mkdir()
        replace_json(draft / "bucket.json", bucket_record(bucket))
        draft.chmod(0o755)
        draft.rename(root / bucket.name)
    except OSError:
        shutil.rmtree(draft, ignore_errors=True)
        if not (root / bucket.name).exists():
            raise
        return False
    sync_directory(root)
    return True
