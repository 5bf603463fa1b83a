"""Places outside the embedded store that the operator lets projects use; what a request names must lie below one."""

from __future__ import annotations

import re
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from pydantic import BaseModel, ConfigDict, Field, ValidationError, field_validator

from sintonia.errors import InvalidArgument
from sintonia.storage.uri import ObjectUri

_BUCKET = re.compile(r"[a-z0-9][a-z0-9._-]*[a-z0-9]")


class Place(BaseModel):
    """A bucket, a part of one, or a folder. It holds no credentials: those come from the environment."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    uri: str = Field(description="gs://BUCKET[/PREFIX], s3://BUCKET[/PREFIX] or file:///FOLDER")
    projects: tuple[str, ...] | None = Field(default=None, min_length=1, description="who may use it; None: everybody")
    read_only: bool = False

    @field_validator("uri")
    @classmethod
    def _is_a_place(cls, text: str) -> str:
        try:
            something = _something_in(text)
        except InvalidArgument:
            raise ValueError(
                "write gs://BUCKET, s3://BUCKET or file:///FOLDER, with a folder behind if need be"
            ) from None
        try:
            something.parts()
        except InvalidArgument as error:
            raise ValueError(error.message) from None
        if something.scheme != "file" and not _BUCKET.fullmatch(something.bucket):
            raise ValueError(f"'{something.bucket}' is no name of a bucket")
        return text

    @property
    def scheme(self) -> str:
        return _something_in(self.uri).scheme

    @property
    def bucket(self) -> str:
        return _something_in(self.uri).bucket

    @property
    def parts(self) -> tuple[str, ...]:
        """Its path from slash to slash; empty for a whole bucket."""
        return _something_in(self.uri).parts()[:-1]

    @property
    def folder(self) -> Path:
        """Of a ``file:`` place."""
        return Path("/", *self.parts)

    def holds(self, address: ObjectUri, parts: tuple[str, ...]) -> bool:
        """Whether ``address`` lies below, by whole ``parts`` as they are written."""
        same = (self.scheme, self.bucket) == (address.scheme, address.bucket)
        return same and len(parts) > len(self.parts) and parts[: len(self.parts)] == self.parts

    def is_open_to(self, project: str) -> bool:
        return self.projects is None or project in self.projects


def read_places(entries: Sequence[dict[str, Any]], *, home: Path) -> tuple[Place, ...]:
    """The places of the setting ``storage``. Raises InvalidArgument, also for a folder that would open the home."""
    places = []
    for entry in entries:
        try:
            place = Place.model_validate(entry)
        except ValidationError as error:
            first = error.errors()[0]
            where = ".".join(map(str, first["loc"]))
            reason = first["msg"].removeprefix("Value error, ")
            raise InvalidArgument(f"Storage place '{entry.get('uri')}' is not valid: {where}: {reason}") from None
        folder, own = place.folder.resolve(), home.resolve()
        if place.scheme == "file" and (own.is_relative_to(folder) or folder.is_relative_to(own)):
            raise InvalidArgument(
                f"Storage place '{place.uri}' is not valid: it would open this server's own files in '{home}'; name a "
                "folder outside."
            )
        places.append(place)
    return tuple(places)


def _something_in(place: str) -> ObjectUri:
    return ObjectUri.parse(f"{place.rstrip('/')}/x")
