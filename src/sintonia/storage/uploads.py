"""Resumable uploads: bytes that come in pieces, over days and restarts, and become an object at the end.

An upload is two files in ``ROOT/BUCKET/uploads``: ``TOKEN.json`` says what it is to become, ``TOKEN.part`` has the
bytes. How many there are is the file's size, nothing else, so no crash makes two numbers disagree. Checksums cannot be
stored half-taken: each process keeps those of the uploads it saw last, and takes the others anew from the file.
"""

from __future__ import annotations

import os
import re
import secrets
import threading
from collections import OrderedDict
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import asdict
from datetime import UTC, datetime, timedelta
from pathlib import Path
from types import TracebackType

from sintonia.errors import ConditionNotMet, FailedPrecondition, InvalidArgument, NotFound, Unavailable
from sintonia.storage.bucket_folder import BucketFolder, Content
from sintonia.storage.checksums import Checksums
from sintonia.storage.files import (
    is_directory,
    open_file,
    read_json,
    replace_json,
    room_on_disk,
    try_lock,
    write_all,
)
from sintonia.storage.objects import Digests, ObjectMetadata, Preconditions, StoredObject, Upload
from sintonia.storage.records import object_of, object_record

LIFETIME = timedelta(days=7)
_TOKEN = re.compile(r"[A-Za-z0-9_-]{43}")
_MOST_RUNNING = 256


def start_upload(
    folder: BucketFolder,
    name: str,
    *,
    metadata: ObjectMetadata,
    when: Preconditions,
    size: int | None,
    told: Digests,
) -> str:
    """The id of a new upload."""
    token = secrets.token_urlsafe(32)
    part = folder.uploads / f"{token}.part"
    document = {
        "name": name,
        "size": size,
        "created": datetime.now(UTC).isoformat(),
        "metadata": asdict(metadata),
        "when": asdict(when),
        "told": asdict(told),
    }
    with room_on_disk():
        try:
            folder.uploads.mkdir(exist_ok=True)  # a bucket of an older version has none
            os.close(open_file(part, os.O_WRONLY | os.O_CREAT | os.O_EXCL))
            replace_json(part.with_suffix(".json"), document)
        except FileNotFoundError:
            raise folder.missing() from None
        except OSError:
            part.unlink(missing_ok=True)
            raise
    return f"{folder.name}.{token}"


class RunningChecksums:
    """Those of the uploads that this process saw last. Who holds an upload's lock may use its own."""

    def __init__(self) -> None:
        self._known: OrderedDict[str, Checksums] = OrderedDict()
        self._lock = threading.Lock()

    def of(self, token: str) -> Checksums:
        with self._lock:
            checksums = self._known.pop(token, None) or Checksums()
            self._known[token] = checksums
            if len(self._known) > _MOST_RUNNING:
                self._known.popitem(last=False)
            return checksums

    def forget(self, token: str) -> None:
        with self._lock:
            self._known.pop(token, None)


class UploadFiles:
    """One upload, ``id`` as it was given out: ``BUCKET.TOKEN``."""

    def __init__(self, root: Path, id: str, running: RunningChecksums) -> None:
        """Raises NotFound if there is no such upload, or its week is over."""
        self.id = id
        bucket, _, self._token = id.rpartition(".")
        if not _TOKEN.fullmatch(self._token):
            raise self.missing()
        try:
            self._folder = BucketFolder(root, bucket)
            if not is_directory(self._folder.uploads):
                raise self.missing()
            self._document = read_json(self._info)
        except (NotFound, FileNotFoundError):
            raise self.missing() from None
        self._running = running
        self.created = datetime.fromisoformat(self._document["created"])
        if datetime.now(UTC) - self.created > LIFETIME:
            raise self.missing()

    @property
    def name(self) -> str:
        name: str = self._document["name"]
        return name

    @property
    def size(self) -> int | None:
        size: int | None = self._document["size"]
        return size

    @property
    def _info(self) -> Path:
        return self._folder.uploads / f"{self._token}.json"

    @property
    def _part(self) -> Path:
        return self._folder.uploads / f"{self._token}.part"

    def missing(self) -> NotFound:
        return NotFound(
            f"No such upload: {self.id}. It was cancelled, or is over a week old, or never was; start a new one."
        )

    def status(self) -> Upload:
        """What it tells as received is safe on disk."""
        done = self._done()
        received = done.size if done else 0
        if done is None:
            try:
                descriptor = open_file(self._part)
            except FileNotFoundError:
                raise self.missing() from None
            try:
                received = os.fstat(descriptor).st_size
                os.fsync(descriptor)
            finally:
                os.close(descriptor)
        return Upload(self.id, self._folder.name, self.name, received, self.size, self.created, done)

    def append(self, offset: int) -> UploadAppender:
        """Raises Unavailable while another request appends; InvalidArgument if bytes are missing before ``offset``, or
        the upload is finished.
        """
        with ExitStack() as held:
            descriptor = held.enter_context(self._held())
            if descriptor is None or self._done():
                raise FailedPrecondition(f"The upload of '{self.name}' is finished; nothing can be added to it.")
            received = os.fstat(descriptor).st_size
            if offset > received:
                raise InvalidArgument(
                    f"Invalid offset: {offset}. {received} bytes of this upload have arrived; go on from there."
                )
            checksums = self._running.of(self._token)
            checksums.catch_up(descriptor)
            return UploadAppender(self, descriptor, checksums, skip=received - offset, held=held.pop_all())

    def set_size(self, size: int) -> None:
        with self._held() as descriptor, room_on_disk():
            received = size if descriptor is None else os.fstat(descriptor).st_size
            if self.size not in (None, size) or received > size:
                known = f"{received} bytes of it have arrived" if self.size is None else f"it was {self.size} before"
                raise InvalidArgument(f"Invalid size of the upload of '{self.name}': {size}; {known}.")
            if self.size is None:
                self._document["size"] = size
                replace_json(self._info, self._document)

    def finish(self, told: Digests) -> StoredObject:
        """The object. Whoever asks again gets the same, and nothing happens."""
        with self._held() as descriptor:
            done = self._done()
            if done is None:
                if descriptor is None:
                    raise self.missing()
                done = self._become(descriptor, told)
            self._part.unlink(missing_ok=True)
            self._running.forget(self._token)
            return done

    def _become(self, descriptor: int, told: Digests) -> StoredObject:
        received = os.fstat(descriptor).st_size
        if self.size not in (None, received):
            raise FailedPrecondition(
                f"The upload of '{self.name}' has {received} of {self.size} bytes; send the rest before it is finished."
            )
        os.fsync(descriptor)
        checksums = self._running.of(self._token)
        checksums.catch_up(descriptor)
        draft = None
        try:
            checksums.check(told)
            checksums.check(Digests(**self._document["told"]))
            with room_on_disk():
                # The part stays until the object is there: a crash in between leaves the upload as it was.
                draft = self._folder.adopt(descriptor)
                return self._folder.commit(
                    draft,
                    self.name,
                    Content(received, checksums.md5, checksums.crc32c),
                    ObjectMetadata(**self._document["metadata"]),
                    Preconditions(**self._document["when"]),
                    announce=self._announce,
                )
        except (ConditionNotMet, InvalidArgument):
            self.cancel()  # it can become nothing any more
            self._forget_try(self._announced())
            raise
        finally:
            if draft:
                draft.unlink(missing_ok=True)

    def _announce(self, stored: StoredObject) -> None:
        """Written before the object is there, so that a crash leaves no doubt about what became of the upload."""
        earlier, announcement = self._announced(), {**self._document, "result": object_record(stored)}
        try:
            replace_json(self._info, announcement)
        except OSError:
            with suppress(FileNotFoundError):  # cancelled meanwhile
                if read_json(self._info) != announcement:
                    self._forget_try(stored)
            raise
        self._forget_try(earlier)

    def _forget_try(self, announced: StoredObject | None) -> None:
        """To finish was tried before, and a crash or a full disk came in between: nothing names those bytes."""
        if announced:
            self._folder.data_of(self.name, announced.generation).unlink(missing_ok=True)

    def _announced(self) -> StoredObject | None:
        result = self._document.get("result")
        return object_of(self._folder.name, result) if result else None

    def _done(self) -> StoredObject | None:
        """What it became, if the object came to be.

        The bytes of an announced generation were in place before it was announced, and go only when the object is
        overwritten or deleted. So the object was there if the record says so or they are gone.
        """
        announced = self._announced()
        if announced is None or not self._part.exists():
            return announced
        current = self._folder.find(self.name)
        if current is not None and current.generation == announced.generation:
            return announced
        return None if self._folder.data_of(self.name, announced.generation).exists() else announced

    def cancel(self) -> None:
        self._info.unlink(missing_ok=True)
        self._part.unlink(missing_ok=True)
        self._running.forget(self._token)

    @contextmanager
    def _held(self) -> Iterator[int | None]:
        """The part's descriptor, while nobody else has it; None if there is no part: it became the object.

        Raises Unavailable while another request has it, NotFound if the upload was cancelled.
        """
        descriptor = None
        try:
            with suppress(FileNotFoundError):
                descriptor = open_file(self._part, os.O_RDWR | os.O_APPEND)
            if descriptor is not None and not try_lock(descriptor):
                raise Unavailable(
                    f"Another request works on the upload of '{self.name}' at the moment; ask for its status and go "
                    "on from what has arrived."
                )
            try:
                self._document = read_json(self._info)
            except FileNotFoundError:
                raise self.missing() from None
            # Whoever held it before may have made it the object: what is open then is the object's bytes.
            yield descriptor if self._part.exists() else None
        finally:
            if descriptor is not None:
                os.close(descriptor)


class UploadAppender:
    """Bytes on their way into an upload, which nobody else appends to while this is open.

    What arrived is kept, however it ends; when ``close`` returns it is safe on disk.
    """

    def __init__(
        self, upload: UploadFiles, descriptor: int, checksums: Checksums, *, skip: int, held: ExitStack
    ) -> None:
        self._upload, self._descriptor, self._checksums, self._skip = upload, descriptor, checksums, skip
        self._held: ExitStack | None = held
        self._one_at_a_time = threading.RLock()  # as in ObjectWriter

    def write(self, chunk: bytes) -> int:
        """All of ``chunk``, but for bytes that had arrived before.

        Raises:
            InvalidArgument: the upload would become longer than it was said to be when it started.
            InsufficientStorage: there is no room for all of it; the upload has what there was room for.
        """
        with self._one_at_a_time:
            if self._held is None:
                raise ValueError("the upload is closed")
            fresh, size = chunk[self._skip :], self._upload.size
            if size is not None and self._checksums.size + len(fresh) > size:
                raise InvalidArgument(
                    f"The upload of '{self._upload.name}' was started as one of {size} bytes; there are more."
                )
            try:
                with room_on_disk():
                    write_all(self._descriptor, fresh)
            except BaseException:
                self.close()
                raise
            self._skip -= len(chunk) - len(fresh)
            self._checksums.update(fresh)
        return len(chunk)

    def close(self) -> None:
        """May be repeated. Raises NotFound if the upload was cancelled meanwhile."""
        with self._one_at_a_time:
            if self._held is None:
                return
            held, self._held = self._held, None
            with held, room_on_disk():
                os.fsync(self._descriptor)
                if os.fstat(self._descriptor).st_nlink == 0:
                    raise self._upload.missing()

    def __enter__(self) -> UploadAppender:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()
