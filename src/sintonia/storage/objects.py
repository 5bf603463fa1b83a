"""What a store tells of its buckets and objects, and what its callers may ask to hold before it acts; no files here."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime

from sintonia.errors import ConditionNotMet, NotModified


@dataclass(frozen=True)
class Bucket:
    """``project`` is None for a built-in bucket, which belongs to nobody and everybody may read."""

    name: str
    project: str | None
    created: datetime
    updated: datetime
    metageneration: int = 1
    labels: Mapping[str, str] = field(default_factory=dict)
    location: str = "LOCAL"
    storage_class: str = "STANDARD"


@dataclass(frozen=True)
class ObjectMetadata:
    """What its writer says of an object. ``custom`` is free: the ``metadata`` of the wire."""

    content_type: str | None = None
    content_encoding: str | None = None
    content_disposition: str | None = None
    content_language: str | None = None
    cache_control: str | None = None
    custom: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True)
class StoredObject:
    """What is known of an object without reading it.

    ``generation`` is another, greater number for every content that was ever at the name; ``metageneration`` starts at
    1 with each and counts the changes of the metadata. ``created`` is the time of the generation, ``updated`` that of
    the metageneration.
    """

    bucket: str
    name: str
    size: int
    md5: str | None
    """Base64 of the MD5 digest, as ``md5Hash`` on the wire; None if the object was composed of others."""
    crc32c: str
    """Base64 of the CRC32C in big-endian order, as ``crc32c`` on the wire."""
    generation: int
    metageneration: int
    created: datetime
    updated: datetime
    metadata: ObjectMetadata
    component_count: int | None = None
    """Of how many objects it was composed; None if it was not."""

    @property
    def uri(self) -> str:
        return f"gs://{self.bucket}/{self.name}"


@dataclass(frozen=True)
class Preconditions:
    """What must hold of the thing at a name; None asks nothing. A generation of 0 means that nothing is there.

    Source: "Request preconditions" of Cloud Storage.
    """

    generation_match: int | None = None
    generation_not_match: int | None = None
    metageneration_match: int | None = None
    metageneration_not_match: int | None = None

    def check(self, stored: StoredObject | Bucket | None) -> None:
        """Before a change of ``stored``, or for the source of a copy. Raises ConditionNotMet."""
        if broken := self._broken(stored):
            raise ConditionNotMet(f"At least one of the pre-conditions you specified did not hold: {broken}.")

    def check_read(self, stored: StoredObject | Bucket) -> None:
        """Before ``stored`` is told or read. Raises NotModified if one of the ``not_match`` does not hold, else as
        ``check``.
        """
        Preconditions(
            generation_match=self.generation_match, metageneration_match=self.metageneration_match
        ).check(stored)  # fmt: skip
        if broken := self._broken(stored):
            raise NotModified(f"Not modified: {broken}.")

    def _broken(self, stored: StoredObject | Bucket | None) -> str | None:
        generation = stored.generation if isinstance(stored, StoredObject) else 0
        metageneration = stored.metageneration if stored else 0
        if self.generation_match not in (None, generation):
            return f"the generation is {generation}, not {self.generation_match}"
        if self.generation_not_match == generation:
            return f"the generation is {generation}"
        if self.metageneration_match not in (None, metageneration):
            return f"the metageneration is {metageneration}, not {self.metageneration_match}"
        if self.metageneration_not_match == metageneration:
            return f"the metageneration is {metageneration}"
        return None


@dataclass(frozen=True)
class Digests:
    """Which checksums the sender says its bytes have, in base64; None says nothing."""

    md5: str | None = None
    crc32c: str | None = None


NO_METADATA = ObjectMetadata()
ALWAYS = Preconditions()
UNKNOWN = Digests()


@dataclass(frozen=True)
class Upload:
    """A resumable upload: ``received`` bytes lie safe on disk. ``done`` is what it became, if it is finished."""

    id: str
    bucket: str
    name: str
    received: int
    size: int | None
    created: datetime
    done: StoredObject | None = None


@dataclass(frozen=True)
class ObjectPage:
    """Objects and prefixes of one page, each sorted by name (UTF-8), and where the next page starts."""

    objects: list[StoredObject]
    prefixes: list[str]
    next_page_token: str | None
