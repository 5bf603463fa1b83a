"""The two checksums of Cloud Storage, taken while bytes pass; knows no files' names."""

from __future__ import annotations

import base64
import hashlib
import os

import google_crc32c

from sintonia.errors import InvalidArgument
from sintonia.storage.objects import Digests

_BLOCK = 1 << 20


class Checksums:
    """MD5, CRC32C and the number of the bytes so far."""

    def __init__(self) -> None:
        self._md5 = hashlib.md5(usedforsecurity=False)
        self._crc32c = google_crc32c.Checksum()
        self.size = 0

    def update(self, chunk: bytes) -> None:
        self._md5.update(chunk)
        self._crc32c.update(chunk)
        self.size += len(chunk)

    def catch_up(self, descriptor: int) -> None:
        """Take in what an open file has behind the bytes so far."""
        while block := os.pread(descriptor, _BLOCK, self.size):
            self.update(block)

    @property
    def md5(self) -> str:
        return base64.b64encode(self._md5.digest()).decode()

    @property
    def crc32c(self) -> str:
        return base64.b64encode(self._crc32c.digest()).decode()

    def check(self, told: Digests) -> None:
        """Raises InvalidArgument if the sender told other checksums."""
        for kind, expected, found in (("MD5", told.md5, self.md5), ("CRC32C", told.crc32c, self.crc32c)):
            if expected not in (None, found):
                raise InvalidArgument(
                    f"Provided {kind} hash '{expected}' doesn't match calculated {kind} hash '{found}'; the bytes were "
                    "damaged on their way and are not kept. Send them again."
                )
