"""Addresses of objects, read and written in one place: ``gs://BUCKET/OBJECT``, ``s3://BUCKET/KEY``, ``file:///PATH``."""

from __future__ import annotations

import re
import unicodedata
from dataclasses import dataclass

from sintonia.errors import InvalidArgument

# What some system on the way reads as more than a character of a name: separators, escapes, queries, versions.
_SPECIAL = re.compile(r"[/\\%?#\x00-\x1f\x7f-\x9f]")


@dataclass(frozen=True)
class ObjectUri:
    """The address of one object. The name is taken literally: nothing in it is decoded or resolved.

    A file has no bucket, and its name is its path without the first slash.
    """

    bucket: str
    name: str
    scheme: str = "gs"

    @classmethod
    def parse(cls, text: str) -> ObjectUri:
        """Raises InvalidArgument if ``text`` is no such address."""
        scheme, _, rest = text.partition("://")
        bucket, _, name = rest.partition("/")
        if not name or not (bucket if scheme in ("gs", "s3") else scheme == "file" and not bucket):
            raise InvalidArgument(f"'{text}' is not the address of an object; write it as gs://BUCKET/OBJECT.")
        return cls(bucket, name, scheme)

    def parts(self) -> tuple[str, ...]:
        """The name from slash to slash, if it means the same to every system that may read it.

        Raises InvalidArgument for parts that are empty or lead elsewhere (``..``), for characters that have a meaning
        in URLs and paths, and for what Unicode calls compatible with either.
        """
        parts = tuple(self.name.split("/"))
        for part in parts:
            for form in (part, unicodedata.normalize("NFKC", part)):
                if form in ("", ".", "..") or _SPECIAL.search(form):
                    raise InvalidArgument(
                        f"'{self}' cannot be used: between its slashes there may be nothing that is empty, '.' or "
                        "'..', and no \\, %, ?, #, control character or look-alike of these."
                    )
        return parts

    def __str__(self) -> str:
        return f"{self.scheme}://{self.bucket}/{self.name}"
