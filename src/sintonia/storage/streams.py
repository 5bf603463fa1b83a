"""Objects as streams of bytes: one that is read, and one on its way into a bucket."""

from __future__ import annotations

import io
import os
import threading
from types import TracebackType

from sintonia.errors import ApiError
from sintonia.storage.bucket_folder import BucketFolder, Content
from sintonia.storage.checksums import Checksums
from sintonia.storage.files import room_on_disk, write_all
from sintonia.storage.objects import Digests, ObjectMetadata, Preconditions, StoredObject


class ObjectReader(io.BufferedReader):
    """The bytes of exactly the generation that ``stored`` tells of, whatever happens to the object meanwhile."""

    def __init__(self, stored: StoredObject, descriptor: int) -> None:
        super().__init__(io.FileIO(descriptor, "rb"))
        self.stored = stored


class ObjectWriter:
    """Bytes on their way into an object. As a context manager it commits at the end, and aborts on an exception.

    ``checksums`` are those of what was written so far.
    """

    def __init__(
        self,
        folder: BucketFolder,
        name: str,
        metadata: ObjectMetadata,
        when: Preconditions,
        told: Digests,
    ) -> None:
        self._folder, self._name, self._metadata, self._when, self._told = folder, name, metadata, when, told
        self._descriptor: int | None
        with room_on_disk():
            self._descriptor, self._path = folder.draft()
        self.checksums = Checksums()
        self.stored: StoredObject | None = None
        # A request that was cancelled may leave a thread that still writes: its descriptor must not be another file's.
        self._one_at_a_time = threading.RLock()

    def write(self, chunk: bytes) -> int:
        """All of ``chunk``. Raises InsufficientStorage; then the writer is aborted."""
        with self._one_at_a_time:
            if self._descriptor is None:
                raise ValueError("the writer is closed")
            try:
                with room_on_disk():
                    write_all(self._descriptor, chunk)
            except (OSError, ApiError):
                self.abort()
                raise
            self.checksums.update(chunk)
        return len(chunk)

    def commit(self, *, component_count: int | None = None) -> StoredObject:
        """Make what was written the object, durably. Of several writers without conditions the last to commit wins.

        Raises:
            ConditionNotMet: the conditions the writer was opened with do not hold (any more).
            InvalidArgument: the bytes have other checksums than the sender told.
            InsufficientStorage, NotFound: there is no room, or the bucket was deleted.
        """
        with self._one_at_a_time:
            if self._descriptor is None:
                raise ValueError("the writer is closed")
            try:
                self.checksums.check(self._told)
                with room_on_disk():
                    os.fsync(self._descriptor)
                content = Content(
                    self.checksums.size,
                    self.checksums.md5 if component_count is None else None,
                    self.checksums.crc32c,
                    component_count,
                )
                self.stored = self._folder.commit(self._path, self._name, content, self._metadata, self._when)
            finally:
                self.abort()
        return self.stored

    def abort(self) -> None:
        """Forget what was written; the object stays as it was. Nothing if it was committed."""
        with self._one_at_a_time:
            if self._descriptor is not None:
                os.close(self._descriptor)
                self._descriptor = None
                self._path.unlink(missing_ok=True)

    def __enter__(self) -> ObjectWriter:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if error is not None:
            self.abort()
        elif self.stored is None:
            self.commit()
