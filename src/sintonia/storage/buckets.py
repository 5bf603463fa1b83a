"""Buckets in a directory, with the semantics clients of ``gs://`` rely on.

One or many processes may share a store::

    ROOT/BUCKET/bucket.json                 the bucket's own record
    ROOT/BUCKET/records/KEY.json            one for each object
    ROOT/BUCKET/data/KEY@GENERATION         its bytes
    ROOT/BUCKET/uploads/TOKEN.json, .part   resumable uploads under way

Docs: docs/reference/bucket-store.md.
"""

from __future__ import annotations

import os
import shutil
from collections.abc import Callable, Iterable, Mapping, Sequence
from contextlib import suppress
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path

from sintonia.errors import AlreadyExists, BucketNotEmpty, InvalidArgument, NotFound, PermissionDenied
from sintonia.storage.bucket_folder import BucketFolder, Content, create_folder
from sintonia.storage.files import replace_json, room_on_disk, sync_directory
from sintonia.storage.listing import Selection, write_token
from sintonia.storage.names import check_bucket_name, check_object_name, is_bucket_name
from sintonia.storage.objects import (
    ALWAYS,
    NO_METADATA,
    UNKNOWN,
    Bucket,
    Digests,
    ObjectMetadata,
    ObjectPage,
    Preconditions,
    StoredObject,
    Upload,
)
from sintonia.storage.records import bucket_record
from sintonia.storage.samples import SampleBucket
from sintonia.storage.streams import ObjectReader, ObjectWriter
from sintonia.storage.sweeping import TRASH, sweep
from sintonia.storage.uploads import RunningChecksums, UploadAppender, UploadFiles, start_upload

MAX_PAGE_SIZE = 1000
MAX_COMPONENTS = 32
_BLOCK = 1 << 20


class BucketStore:
    """Buckets below ``root``, and the read-only sample buckets below ``samples`` (``SAMPLES/BUCKET/OBJECT``).

    All methods are synchronous, safe to call from several threads and processes, and never make a path from a
    request's name. A change is durable when its method returns. Every method raises NotFound if the bucket or object it
    names is not there, PermissionDenied for a change of a built-in bucket, InvalidArgument for a name that cannot be,
    and InsufficientStorage when the disk is full; its own docstring has what else.
    """

    def __init__(self, root: Path, samples: Path | None = None) -> None:
        self._root = root
        self._samples = SampleBucket.all_below(samples) if samples else {}
        self._running = RunningChecksums()

    # Buckets

    def create_bucket(
        self,
        name: str,
        project: str,
        *,
        labels: Mapping[str, str] | None = None,
        location: str = "LOCAL",
        storage_class: str = "STANDARD",
    ) -> Bucket:
        """Raises AlreadyExists if the name is taken, in any project."""
        check_bucket_name(name)
        if name in self._samples:
            raise PermissionDenied(f"The bucket '{name}' is built in and read-only; choose another name.")
        now = datetime.now(UTC)
        bucket = Bucket(
            name, project, now, now, labels=labels or {}, location=location, storage_class=storage_class
        )  # fmt: skip
        with room_on_disk():
            if not create_folder(self._root, bucket):
                raise AlreadyExists(f"The bucket '{name}' already exists; bucket names are shared by all projects.")
        return bucket

    def get_bucket(self, name: str) -> Bucket:
        return self._shelf(name).describe()

    def list_buckets(self, project: str | None = None, *, prefix: str = "") -> list[Bucket]:
        """All buckets of a project, or of all projects, by name; the built-in ones are not listed."""
        buckets = []
        for name in sorted(os.listdir(self._root)) if self._root.is_dir() else []:
            if is_bucket_name(name) and name.startswith(prefix):
                with suppress(NotFound):  # deleted meanwhile, or no bucket
                    buckets.append(self.get_bucket(name))
        return [bucket for bucket in buckets if project is None or bucket.project == project]

    def update_bucket(
        self, name: str, *, labels: Mapping[str, str], storage_class: str | None = None, when: Preconditions = ALWAYS
    ) -> Bucket:
        """Give a bucket these labels, all of them. Raises ConditionNotMet."""
        self._refuse_samples(name)
        folder = self._folder(name)
        with room_on_disk(), folder.locked():
            bucket = folder.describe()
            when.check(bucket)
            bucket = replace(
                bucket,
                labels=dict(labels),
                storage_class=storage_class or bucket.storage_class,
                metageneration=bucket.metageneration + 1,
                updated=datetime.now(UTC),
            )
            replace_json(folder.path / "bucket.json", bucket_record(bucket))
        return bucket

    def delete_bucket(self, name: str, *, when: Preconditions = ALWAYS) -> None:
        """And its unfinished uploads. Raises BucketNotEmpty, ConditionNotMet."""
        self._refuse_samples(name)
        folder = self._folder(name)
        with folder.locked():
            when.check(folder.describe())
            if folder.record_files():
                # The first sentence is the one by which gsutil knows this.
                raise BucketNotEmpty(
                    f"The bucket you tried to delete is not empty. Delete the objects of '{name}' first."
                )
            trash = self._root / f"{TRASH}{os.urandom(16).hex()}"
            folder.path.rename(trash)  # at one moment it is gone, with all that is in it
            sync_directory(self._root)
        shutil.rmtree(trash, ignore_errors=True)

    # Objects

    def list_objects(
        self,
        bucket: str,
        *,
        prefix: str = "",
        delimiter: str | None = None,
        start_offset: str | None = None,
        end_offset: str | None = None,
        include_trailing_delimiter: bool = False,
        match_glob: str | None = None,
        page_size: int = MAX_PAGE_SIZE,
        page_token: str | None = None,
    ) -> ObjectPage:
        """Objects and prefixes as ``Selection`` tells; both count towards ``page_size`` (1000 at most).

        Pages go on by name: what is added or deleted meanwhile moves nothing else. Raises InvalidArgument for a token
        that no page gave, or a glob that cannot be read.
        """
        if page_size < 1:
            raise InvalidArgument(f"Invalid value for maxResults: {page_size}; it must be at least 1.")
        selection = Selection(
            prefix, delimiter, start_offset, end_offset, include_trailing_delimiter, match_glob
        )  # fmt: skip
        shelf = self._shelf(bucket)
        page = ObjectPage([], [], None)
        last = None
        for item in selection.items(shelf.names(), page_token):
            if last and len(page.objects) + len(page.prefixes) == min(page_size, MAX_PAGE_SIZE):
                return replace(page, next_page_token=write_token(last))
            if not item.is_object:
                page.prefixes.append(item.text)
            else:
                with suppress(NotFound):  # deleted since the names were read
                    page.objects.append(shelf.stat(item.text))
            last = item
        return page

    def stat_object(
        self, bucket: str, name: str, *, generation: int | None = None, when: Preconditions = ALWAYS
    ) -> StoredObject:
        """Raises NotModified or ConditionNotMet, as for a reader."""
        stored = self._shelf(bucket).stat(name, generation)
        when.check_read(stored)
        return stored

    def open_object(self, bucket: str, name: str, *, generation: int | None = None) -> ObjectReader:
        """The bytes, from their start; seekable, and unmoved by an overwrite. The caller closes it."""
        return ObjectReader(*self._shelf(bucket).open(name, generation))

    def write_object(
        self,
        bucket: str,
        name: str,
        *,
        metadata: ObjectMetadata = NO_METADATA,
        when: Preconditions = ALWAYS,
        told: Digests = UNKNOWN,
    ) -> ObjectWriter:
        """Start writing an object, new or over an old one; it is there when the writer commits, whole.

        Raises ConditionNotMet if ``when`` does not hold now; the commit looks again.
        """
        return ObjectWriter(self._target(bucket, name, when), name, metadata, when, told)

    def update_object(
        self,
        bucket: str,
        name: str,
        change: Callable[[ObjectMetadata], ObjectMetadata],
        *,
        generation: int | None = None,
        when: Preconditions = ALWAYS,
    ) -> StoredObject:
        """Change what is said of an object: ``change`` is given the metadata as it is, while no other change is made.

        Raises ConditionNotMet.
        """
        self._refuse_samples(bucket)
        return self._folder(bucket).update(name, change, when, generation)

    def delete_object(
        self, bucket: str, name: str, *, generation: int | None = None, when: Preconditions = ALWAYS
    ) -> None:
        """Raises ConditionNotMet."""
        self._refuse_samples(bucket)
        self._folder(bucket).delete(name, when, generation)

    def copy_object(
        self,
        source: tuple[str, str],
        target: tuple[str, str],
        *,
        generation: int | None = None,
        metadata: ObjectMetadata | None = None,
        when: Preconditions = ALWAYS,
        source_when: Preconditions = ALWAYS,
    ) -> StoredObject:
        """Both are (bucket, name). The bytes are shared where the file system can, as they never change.

        Args:
            generation: the source's.
            metadata: None leaves it as the source's.
            when: what must hold of the target.

        Raises:
            ConditionNotMet: ``when`` or ``source_when`` does not hold.
        """
        folder = self._target(*target, when)
        with self.open_object(*source, generation=generation) as reader:
            stored = reader.stored
            source_when.check(stored)
            content = Content(stored.size, stored.md5, stored.crc32c, stored.component_count)
            with room_on_disk():
                draft = folder.adopt(reader.fileno(), shared=source[0] not in self._samples)
            try:
                return folder.commit(draft, target[1], content, metadata or stored.metadata, when)
            finally:
                draft.unlink(missing_ok=True)

    def compose(
        self,
        bucket: str,
        sources: Sequence[tuple[str, int | None]],
        target: str,
        *,
        metadata: ObjectMetadata = NO_METADATA,
        when: Preconditions = ALWAYS,
    ) -> StoredObject:
        """One object of the bytes of several, given as (name, generation or None for the newest).

        Raises InvalidArgument for no source or over 32, ConditionNotMet.
        """
        if not 1 <= len(sources) <= MAX_COMPONENTS:
            raise InvalidArgument(
                f"The number of source components provided ({len(sources)}) must be 1 to {MAX_COMPONENTS}."
            )
        components = 0
        with self.write_object(bucket, target, metadata=metadata, when=when) as writer:
            for name, generation in sources:
                with self.open_object(bucket, name, generation=generation) as reader:
                    shutil.copyfileobj(reader, writer, _BLOCK)
                    components += reader.stored.component_count or 1
            return writer.commit(component_count=components)

    # Resumable uploads

    def start_upload(
        self,
        bucket: str,
        name: str,
        *,
        metadata: ObjectMetadata = NO_METADATA,
        when: Preconditions = ALWAYS,
        size: int | None = None,
        told: Digests = UNKNOWN,
    ) -> str:
        """The id of a new upload: nobody can guess it, and it is good for a week.

        Raises ConditionNotMet if ``when`` does not hold now; ``finish`` looks again.
        """
        folder = self._target(bucket, name, when)
        return start_upload(folder, name, metadata=metadata, when=when, size=size, told=told)

    def upload_status(self, id: str) -> Upload:
        """What has arrived, safe on disk; or what became of it. Raises NotFound, as all these methods."""
        return self._upload(id).status()

    def open_upload(self, id: str, offset: int) -> UploadAppender:
        """Go on with an upload. Bytes from ``offset`` on that have arrived before are skipped.

        Raises:
            Unavailable: another request appends to it at the moment.
            InvalidArgument: bytes before ``offset`` are missing.
            FailedPrecondition: it is finished.
        """
        return self._upload(id).append(offset)

    def append(self, id: str, offset: int, chunks: Iterable[bytes]) -> Upload:
        """As ``open_upload``; all of ``chunks``, and what has arrived then."""
        with self.open_upload(id, offset) as upload:
            for chunk in chunks:
                upload.write(chunk)
        return self.upload_status(id)

    def set_upload_size(self, id: str, size: int) -> None:
        """The size of an upload that was started without one. Raises InvalidArgument if it had another."""
        self._upload(id).set_size(size)

    def finish(self, id: str, *, told: Digests = UNKNOWN) -> StoredObject:
        """Make an upload the object. May be repeated: the answer is the same, and nothing happens again.

        Raises:
            ConditionNotMet, InvalidArgument: the conditions it was started with do not hold any more, or its bytes
                have other checksums than told; the upload is gone.
            FailedPrecondition: not all bytes have arrived.
            Unavailable: another request appends to it or finishes it at the moment.
        """
        return self._upload(id).finish(told)

    def cancel_upload(self, id: str) -> None:
        self._upload(id).cancel()

    def sweep(self, now: datetime | None = None) -> None:
        """Remove what killed processes left and what is over: uploads after a week. Never what is in use."""
        sweep(self._root, now or datetime.now(UTC))

    def _upload(self, id: str) -> UploadFiles:
        return UploadFiles(self._root, id, self._running)

    def _target(self, bucket: str, name: str, when: Preconditions) -> BucketFolder:
        self._refuse_samples(bucket)
        check_object_name(name)
        folder = self._folder(bucket)
        when.check(folder.find(name))
        return folder

    def _shelf(self, bucket: str) -> SampleBucket | BucketFolder:
        return self._samples.get(bucket) or self._folder(bucket)

    def _folder(self, bucket: str) -> BucketFolder:
        return BucketFolder(self._root, bucket)

    def _refuse_samples(self, bucket: str) -> None:
        if bucket in self._samples:
            raise PermissionDenied(f"The bucket '{bucket}' is built in and read-only; write to a bucket of your own.")
