"""Files below a folder that the operator names. A link is never followed, and nothing but plain files is opened.

Every step from the folder down is taken by a descriptor of the step before, so that nobody who may change the folder
can lead a step elsewhere between a look and a use.
"""

from __future__ import annotations

import errno
import io
import os
import secrets
import shutil
import stat
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any, BinaryIO, cast

from sintonia.errors import Aborted, ApiError, InsufficientStorage, NotFound, PermissionDenied, Unavailable
from sintonia.storage.places import Place
from sintonia.storage.stores import FoundObject, OpenObject
from sintonia.storage.uri import ObjectUri

_DIRECTORY = os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC
# O_NONBLOCK: a pipe that takes the file's place between look and open does not hang us.
_FILE = os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_NOCTTY | os.O_CLOEXEC
_NEW_FILE = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC
_BUFFER = 2**18


class FolderStore:
    """The files of one ``file:`` place; see ``ObjectStore``."""

    def __init__(self, place: Place) -> None:
        self._place = place

    def stat(self, address: ObjectUri) -> FoundObject:
        opened = self.open(address)
        opened.stream.close()
        return opened.found

    def open(self, address: ObjectUri) -> OpenObject:
        *folders, name = self._path(address)
        with _told(address), self._folder(address, folders) as folder:
            _check_plain(address, os.stat(name, dir_fd=folder, follow_symlinks=False))
            stream = _Unchanging(os.open(name, _FILE, dir_fd=folder), address)
            try:
                _check_plain(address, stream.status)
            except ApiError:
                stream.close()
                raise
        found = FoundObject(address, stream.status.st_size, ".".join(map(str, _version(stream.status))))
        return OpenObject(found, cast(BinaryIO, io.BufferedReader(cast(io.RawIOBase, stream), _BUFFER)))

    def put(self, address: ObjectUri, content: Path | bytes, *, content_type: str | None) -> None:
        *folders, name = self._path(address)
        draft = f".{secrets.token_hex(8)}.partial"
        with _told(address), self._folder(address, folders, make=True) as folder:
            try:
                with (
                    content.open("rb") if isinstance(content, Path) else io.BytesIO(content) as source,
                    os.fdopen(os.open(draft, _NEW_FILE, 0o666, dir_fd=folder), "wb") as target,
                ):
                    shutil.copyfileobj(source, target, 1 << 20)
                    target.flush()
                    os.fsync(target.fileno())
                os.rename(draft, name, src_dir_fd=folder, dst_dir_fd=folder)
                os.fsync(folder)
            except BaseException:
                with suppress(OSError):
                    os.unlink(draft, dir_fd=folder)
                raise

    def check_writable(self, address: ObjectUri) -> None:
        *folders, _ = self._path(address)
        with _told(address), self._folder(address, folders, nearest=True) as folder:
            if not os.access(".", os.W_OK | os.X_OK, dir_fd=folder):
                raise PermissionError(errno.EACCES, os.strerror(errno.EACCES))

    def check_readable(self, address: ObjectUri) -> None:
        with _told(address), self._folder(address, []) as folder:
            os.listdir(folder)

    def _path(self, address: ObjectUri) -> tuple[str, ...]:
        """Below the place."""
        return address.parts()[len(self._place.parts) :]

    @contextmanager
    def _folder(
        self, address: ObjectUri, folders: list[str], *, make: bool = False, nearest: bool = False
    ) -> Iterator[int]:
        """A descriptor of the folder at the end of ``folders``: made on the way, or the ``nearest`` that is there."""
        descriptor = os.open(self._place.folder, _DIRECTORY)
        try:
            for name in folders:
                try:
                    if make:
                        with suppress(FileExistsError):
                            os.mkdir(name, dir_fd=descriptor)
                    deeper = os.open(name, _DIRECTORY | os.O_NOFOLLOW, dir_fd=descriptor)
                except FileNotFoundError:
                    if nearest:
                        break
                    raise
                except OSError as error:
                    if error.errno in (errno.ENOTDIR, errno.ELOOP):
                        _check_no_link(address, os.stat(name, dir_fd=descriptor, follow_symlinks=False))
                    raise
                os.close(descriptor)
                descriptor = deeper
            yield descriptor
        finally:
            os.close(descriptor)


class _Unchanging(io.FileIO):
    """A file that is not believed at its end if it was changed since it was opened."""

    def __init__(self, descriptor: int, address: ObjectUri) -> None:
        super().__init__(descriptor, "rb")
        self._address = address
        self.status = os.fstat(descriptor)

    def readinto(self, buffer: Any) -> int | None:
        with _told(self._address):
            size = super().readinto(buffer)
            if not size and _version(os.fstat(self.fileno())) != _version(self.status):
                raise Aborted(f"'{self._address}' was changed while it was read; begin again.")
            return size

    def readall(self) -> bytes:
        buffer = bytearray(_BUFFER)
        return b"".join(iter(lambda: bytes(buffer[: self.readinto(buffer) or 0]), b""))


def _version(status: os.stat_result) -> tuple[int, int, int]:
    return status.st_ino, status.st_mtime_ns, status.st_size


def _check_no_link(address: ObjectUri, status: os.stat_result) -> None:
    if stat.S_ISLNK(status.st_mode):
        raise PermissionDenied(
            f"'{address}' leads over a symbolic link, which is not followed; name what it points to."
        )


def _check_plain(address: ObjectUri, status: os.stat_result) -> None:
    _check_no_link(address, status)
    if not stat.S_ISREG(status.st_mode):
        raise PermissionDenied(f"'{address}' is no plain file.")
    if status.st_nlink != 1:
        raise PermissionDenied(
            f"'{address}' has several names (hard links), maybe outside of the place too; copy it instead."
        )


@contextmanager
def _told(address: ObjectUri) -> Iterator[None]:
    """Errors of the system as the API's."""
    try:
        yield
    except (FileNotFoundError, NotADirectoryError):
        raise NotFound(f"No such object: {address}") from None
    except OSError as error:
        reason = os.strerror(error.errno) if error.errno else type(error).__name__
        if error.errno in (errno.EACCES, errno.EPERM, errno.EROFS):
            raise PermissionDenied(f"This server has not the right to use '{address}' ({reason}).") from None
        if error.errno in (errno.EISDIR, errno.EEXIST, errno.ENAMETOOLONG, errno.ELOOP):
            raise PermissionDenied(f"'{address}' cannot be used ({reason}).") from None
        if error.errno in (errno.ENOSPC, errno.EDQUOT, errno.EFBIG):
            raise InsufficientStorage(f"There is no room left for '{address}' ({reason}).") from None
        raise Unavailable(f"'{address}' cannot be reached at the moment ({reason}).") from None
