"""What S3 and Cloud Storage have in common: ranges read one behind the other, and patience with broken connections.

The file systems are made of the process' configuration and given buckets and keys; no address picks one.
"""

from __future__ import annotations

import io
import threading
import time
from abc import ABC, abstractmethod
from collections.abc import Callable
from functools import cached_property
from pathlib import Path
from typing import Any, TypeVar

from sintonia.errors import Unavailable
from sintonia.storage.elsewhere.failures import silence_libraries, told
from sintonia.storage.stores import FoundObject, OpenObject
from sintonia.storage.uri import ObjectUri

QUICK_SECONDS = 20
"""Somebody waits for the answer."""
BLOCK = 4 * 2**20
PART = 8 * 2**20
"""Bytes that are read and sent at once."""

_BLOCK_SECONDS = 60
_SLOWEST = 2**18  # bytes a second; whatever sends slower has hung
_PATIENCE_SECONDS = 120
_LONGEST_PAUSE_SECONDS = 15

T = TypeVar("T")


class RemoteStore(ABC):
    """See ``ObjectStore``. What differs from one kind to the other is below ``# Each kind:``."""

    def __init__(self) -> None:
        self._making = threading.Lock()

    def stat(self, address: ObjectUri) -> FoundObject:
        return told(address, lambda: self._head(address))

    def open(self, address: ObjectUri) -> OpenObject:
        found = _patiently(lambda: self.stat(address))

        def read(start: int, end: int) -> bytes:
            chunk = self._read(found, start, end, timeout=_BLOCK_SECONDS)
            if len(chunk) != end - start:
                raise ConnectionResetError
            return chunk

        stream = _Ranges(
            found.size, lambda start, end: _patiently(lambda: told(address, lambda: read(start, end), reading=True))
        )
        return OpenObject(found, io.BufferedReader(stream, BLOCK))

    def put(self, address: ObjectUri, content: Path | bytes, *, content_type: str | None) -> None:
        kind = content_type or "application/octet-stream"
        size = len(content) if isinstance(content, bytes) else content.stat().st_size
        timeout = _BLOCK_SECONDS + size / _SLOWEST
        _patiently(lambda: told(address, lambda: self._send(address, content, kind, timeout=timeout)))

    def check_writable(self, address: ObjectUri) -> None:
        told(address, lambda: self._begin_and_cancel(address))

    def check_readable(self, address: ObjectUri) -> None:
        told(address, lambda: self._list_one(address))

    @cached_property
    def _files(self) -> Any:
        with self._making:
            silence_libraries()
            return self._connect()

    # Each kind:

    @abstractmethod
    def _connect(self) -> Any:
        """Its fsspec file system, without caches."""

    @abstractmethod
    def _head(self, address: ObjectUri) -> FoundObject: ...

    @abstractmethod
    def _read(self, found: FoundObject, start: int, end: int, *, timeout: float) -> bytes: ...

    @abstractmethod
    def _send(self, address: ObjectUri, content: Path | bytes, content_type: str, *, timeout: float) -> None: ...

    @abstractmethod
    def _begin_and_cancel(self, address: ObjectUri) -> None:
        """An upload that never ends; only the right to do so shows."""

    @abstractmethod
    def _list_one(self, address: ObjectUri) -> None: ...


class _Ranges(io.RawIOBase):
    """Bytes that are fetched where they are read."""

    def __init__(self, size: int, fetch: Callable[[int, int], bytes]) -> None:
        self._size, self._fetch = size, fetch
        self._position = 0

    def readable(self) -> bool:
        return True

    def seekable(self) -> bool:
        return True

    def seek(self, offset: int, whence: int = io.SEEK_SET) -> int:
        self._position = max(0, offset + {io.SEEK_SET: 0, io.SEEK_CUR: self._position, io.SEEK_END: self._size}[whence])
        return self._position

    def readinto(self, buffer: Any) -> int:
        end = min(self._position + len(buffer), self._size)
        if end <= self._position:
            return 0
        chunk = self._fetch(self._position, end)
        buffer[: len(chunk)] = chunk
        self._position += len(chunk)
        return len(chunk)

    def readall(self) -> bytes:
        return b"".join(iter(lambda: self.read(BLOCK) or b"", b""))


def _patiently(work: Callable[[], T]) -> T:
    """``work`` until it is done, however often the connection breaks. Raises Unavailable when patience ends."""
    until = time.monotonic() + _PATIENCE_SECONDS
    pause = 0.5
    while True:
        try:
            return work()
        except Unavailable:
            if time.monotonic() + pause > until:
                raise
        time.sleep(pause)
        pause = min(2 * pause, _LONGEST_PAUSE_SECONDS)
