"""The seam between addresses and where their bytes lie, and the embedded buckets behind it."""

from __future__ import annotations

import io
import shutil
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO, Protocol

from sintonia.errors import ApiError, NotFound, PermissionDenied
from sintonia.storage.buckets import BucketStore
from sintonia.storage.objects import Bucket, ObjectMetadata
from sintonia.storage.uri import ObjectUri


@dataclass(frozen=True)
class FoundObject:
    """``version`` changes with the content: a generation, an ETag, or what a file system knows."""

    address: ObjectUri
    size: int
    version: str


@dataclass(frozen=True)
class OpenObject:
    """``stream`` is binary, can seek and reads exactly the version found; whoever opened it closes it.

    Where a store cannot hold on to that version, a read raises Aborted once another is there.
    """

    found: FoundObject
    stream: BinaryIO


class ObjectStore(Protocol):
    """Objects of one kind. All methods are synchronous and may be called from several threads.

    Raises, besides what each says: PermissionDenied if the store does not let this server, Unavailable if it does not
    answer. No message holds credentials or signatures.
    """

    def stat(self, address: ObjectUri) -> FoundObject:
        """Raises NotFound if there is no such object."""
        ...

    def open(self, address: ObjectUri) -> OpenObject:
        """Raises NotFound if there is no such object; Unavailable, also while reading, only after some patience."""
        ...

    def put(self, address: ObjectUri, content: Path | bytes, *, content_type: str | None) -> None:
        """Make the file's bytes, or these, the object: whole, or not at all. What was there before is replaced."""
        ...

    def check_writable(self, address: ObjectUri) -> None:
        """Raises what ``put`` would, as far as can be told now; leaves nothing behind."""
        ...

    def check_readable(self, address: ObjectUri) -> None:
        """Whether objects beside ``address`` can be read. Raises NotFound if there is no such bucket or folder."""
        ...


class EmbeddedStore:
    """The embedded buckets, as one project sees them.

    Args:
        owner: the only project whose buckets, beside the built-in ones, are answered for; None: all.
    """

    def __init__(self, buckets: BucketStore, owner: str | None) -> None:
        self._buckets = buckets
        self._owner = owner

    def stat(self, address: ObjectUri) -> FoundObject:
        bucket = self._bucket(address)
        stored = self._buckets.stat_object(address.bucket, address.name)
        self._check_same(bucket, address)
        return FoundObject(address, stored.size, str(stored.generation))

    def open(self, address: ObjectUri) -> OpenObject:
        bucket = self._bucket(address)
        reader = self._buckets.open_object(address.bucket, address.name)
        try:
            self._check_same(bucket, address)
        except ApiError:
            reader.close()
            raise
        return OpenObject(FoundObject(address, reader.stored.size, str(reader.stored.generation)), reader)

    def put(self, address: ObjectUri, content: Path | bytes, *, content_type: str | None) -> None:
        bucket = self._bucket(address)
        metadata = ObjectMetadata(content_type=content_type)
        with (
            self._buckets.write_object(address.bucket, address.name, metadata=metadata) as writer,
            content.open("rb") if isinstance(content, Path) else io.BytesIO(content) as stream,
        ):
            shutil.copyfileobj(stream, writer, 1 << 20)
            self._check_same(bucket, address)

    def check_writable(self, address: ObjectUri) -> None:
        self._bucket(address)
        self._buckets.write_object(address.bucket, address.name).abort()

    def check_readable(self, address: ObjectUri) -> None:
        self._bucket(address)

    def _bucket(self, address: ObjectUri) -> Bucket:
        bucket = self._buckets.get_bucket(address.bucket)
        if self._owner is not None and bucket.project not in (None, self._owner):
            raise PermissionDenied(f"The bucket '{address.bucket}' belongs to another project.")
        return bucket

    def _check_same(self, before: Bucket, address: ObjectUri) -> None:
        """A bucket that was deleted and made anew meanwhile, by whomever, is another one."""
        if self._bucket(address).created != before.created:
            raise NotFound(f"The bucket '{address.bucket}' is not the one that was there a moment ago.")
