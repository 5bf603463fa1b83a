"""Files that are changed whole and survive a crash, links that are not followed, and full disks told as such."""

from __future__ import annotations

import errno
import fcntl
import json
import os
import stat
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from sintonia.errors import InsufficientStorage

_FULL = {errno.ENOSPC, errno.EDQUOT, errno.EFBIG}
_NO_LINKS = {errno.ENOENT, errno.EXDEV, errno.EPERM, errno.EMLINK, errno.ENOTSUP, errno.EOPNOTSUPP, errno.ENOSYS}


def open_file(path: Path, flags: int = os.O_RDONLY) -> int:
    """A descriptor of a file, never of what a symbolic link points to. Raises FileNotFoundError for a link, too."""
    try:
        return os.open(path, flags | os.O_NOFOLLOW, 0o600)
    except OSError as error:
        if error.errno == errno.ELOOP:
            raise FileNotFoundError(errno.ENOENT, "is a symbolic link", str(path)) from None
        raise


def is_directory(path: Path) -> bool:
    """Whether ``path`` is a directory itself, not a symbolic link to one."""
    try:
        return stat.S_ISDIR(path.lstat().st_mode)
    except OSError:
        return False


def read_json(path: Path) -> dict[str, Any]:
    """Raises FileNotFoundError."""
    with os.fdopen(open_file(path), "rb") as stream:
        document: dict[str, Any] = json.load(stream)
    return document


def replace_json(path: Path, document: dict[str, Any], *, durable: bool = True) -> None:
    """The file holds the old document or the new one, whatever happens; the new one when this returns.

    Args:
        durable: False where it may also be lost when the machine loses its power.
    """
    descriptor, name = tempfile.mkstemp(dir=path.parent, prefix=".")
    try:
        with os.fdopen(descriptor, "wb") as stream:
            stream.write(json.dumps(document).encode())
            stream.flush()
            if durable:
                os.fsync(stream.fileno())
        os.replace(name, path)
    except BaseException:
        Path(name).unlink(missing_ok=True)
        raise
    if durable:
        sync_directory(path.parent)


def write_all(descriptor: int, chunk: bytes) -> None:
    rest = memoryview(chunk)
    while rest:
        rest = rest[os.write(descriptor, rest) :]


def link_or_copy(descriptor: int, target: Path) -> None:
    """A name for the bytes of an open file, which never change. Where there are no links (or no more), a durable copy.

    Raises FileExistsError if ``target`` is there.
    """
    try:
        # With a directory given, a system call is used that goes through /proc's link to the file itself.
        os.link(f"/proc/self/fd/{descriptor}", target, src_dir_fd=descriptor)
    except OSError as error:
        if error.errno not in _NO_LINKS:
            raise
        copy(descriptor, target)


def copy(source: int, target: Path) -> None:
    """The bytes of an open file, durably. Raises FileExistsError if ``target`` is there."""
    descriptor = open_file(target, os.O_WRONLY | os.O_CREAT | os.O_EXCL)
    try:
        offset = 0
        while block := os.pread(source, 1 << 20, offset):
            write_all(descriptor, block)
            offset += len(block)
        os.fsync(descriptor)
    except BaseException:
        target.unlink(missing_ok=True)
        raise
    finally:
        os.close(descriptor)


@contextmanager
def locked(directory: Path) -> Iterator[None]:
    """One at a time, over all threads and processes. Raises FileNotFoundError if the directory is gone."""
    while True:
        descriptor = os.open(directory, os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW)
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX)
            # Whoever had the lock before may have taken the directory away, and another may have its name now.
            if os.path.samestat(os.fstat(descriptor), directory.lstat()):
                yield
                return
        finally:
            os.close(descriptor)


def try_lock(descriptor: int) -> bool:
    """Whether the file was free; it is ours then until the descriptor is closed or its process ends."""
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    return True


def sync_directory(path: Path) -> None:
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


@contextmanager
def room_on_disk() -> Iterator[None]:
    """Raises InsufficientStorage where the system says that a disk, a quota or a file has no room left."""
    try:
        yield
    except OSError as error:
        if error.errno not in _FULL:
            raise
        raise InsufficientStorage(
            f"There is no room left where this server keeps its buckets ({os.strerror(error.errno or 0)}). Everything "
            "stored is as it was. Delete objects or give the disk more room, then go on: a resumable upload keeps what "
            "it has received."
        ) from error
