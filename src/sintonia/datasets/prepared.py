"""Prepared sets, kept by all that decides what they are: what was read once is not read again.

A set is a directory of rows, tokens, lines on what was dropped, and ``set.json``, which tells the report and checksums.
Only usable sets are kept, the ones asked for last, in a bounded number of bytes. Knows no run directories.
"""

from __future__ import annotations

import fcntl
import json
import logging
import os
import shutil
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import date
from hashlib import sha256
from importlib.metadata import version
from pathlib import Path
from typing import BinaryIO

from pydantic import BaseModel, ConfigDict, ValidationError

import sintonia
from sintonia.datasets.chunks import Reader
from sintonia.datasets.kept_rows import RowFiles
from sintonia.model_families import read_files
from sintonia.resources.datasets import DatasetReport
from sintonia.runs.durable import new_directory
from sintonia.runs.tokens import map_tokens

_log = logging.getLogger(__name__)

ROWS_FILE, INDEX_FILE = "rows.jsonl", "rows.index"
"""The kept examples, as in a run."""

DROPPED_FILE = "dropped.jsonl"
"""Those that are left out, one BadLine a line."""

_SET_FILE = "set.json"
_LOCKS = "locks"
_BLOCK = 2**20


class _SetRecord(BaseModel):
    model_config = ConfigDict(extra="forbid")

    report: DatasetReport
    sha256: dict[str, str]


@dataclass(frozen=True)
class PreparedSet:
    """``directory`` is None if nothing can be learnt from the set; the report then tells the problem."""

    directory: Path | None
    report: DatasetReport


class PreparedSets:
    """The sets below ``root``, which may be used by several processes at once.

    Args:
        most_bytes: what they may take in all, but for sets in use.
    """

    def __init__(self, root: Path, *, most_bytes: int) -> None:
        self._root = root
        self._most_bytes = most_bytes

    @contextmanager
    def claim(self, key: str) -> Iterator[None]:
        """Nobody else makes, replaces or removes the set of ``key`` within the block; whoever wants to waits."""
        with self._lock(key).open("ab") as stream:
            fcntl.flock(stream, fcntl.LOCK_EX)
            yield

    def find(self, key: str) -> PreparedSet | None:
        """The set, if it is there and whole; one that is damaged is as good as none."""
        directory = self._root / key
        try:
            record = _SetRecord.model_validate_json((directory / _SET_FILE).read_bytes())
            if any(digest_of_file(directory / name) != digest for name, digest in record.sha256.items()):
                raise ValueError("a checksum does not match")
            map_tokens(directory)
            os.utime(directory / _SET_FILE)
        except FileNotFoundError:
            return None
        except (OSError, ValueError, ValidationError) as error:
            _log.warning("the prepared set %s is damaged and made again: %s", key, error)
            return None
        return PreparedSet(directory, record.report)

    def make(self, key: str, fill: Callable[[Path], DatasetReport]) -> PreparedSet:
        """A new set that ``fill`` puts into the directory it is given; not kept if its report tells a problem."""
        try:
            with new_directory(self._root / key) as directory:
                report = fill(directory)
                if report.problem:
                    raise _UnusableError(report)
                digests = {name: digest_of_file(directory / name) for name in (ROWS_FILE, INDEX_FILE, DROPPED_FILE)}
                record = _SetRecord(report=report, sha256=digests)
                (directory / _SET_FILE).write_text(record.model_dump_json(by_alias=True) + "\n", encoding="utf-8")
        except _UnusableError as unusable:
            return PreparedSet(None, unusable.report)
        return PreparedSet(self._root / key, report)

    def sweep(self) -> None:
        """Remove what was asked for longest ago until the rest fits, and what killed processes left half made."""
        sets = sorted(
            ((_age(path), path) for path in self._root.iterdir() if path.name != _LOCKS and path.is_dir()), reverse=True
        )
        room = self._most_bytes
        for _, path in sets:
            room -= _size(path)
            if room < 0 or path.name.startswith("."):
                self._remove(path)

    def _remove(self, path: Path) -> None:
        with self._lock(path.name.rpartition("-")[2]).open("ab") as stream:
            try:
                fcntl.flock(stream, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError:
                return
            shutil.rmtree(path, ignore_errors=True)

    def _lock(self, key: str) -> Path:
        # Few files that stay, each for many keys: a lock file cannot be removed without a race.
        locks = self._root / _LOCKS
        locks.mkdir(parents=True, exist_ok=True, mode=0o700)
        return locks / key[:2]


class _UnusableError(Exception):
    def __init__(self, report: DatasetReport) -> None:
        self.report = report


def set_rows(directory: Path) -> RowFiles:
    return RowFiles(directory / ROWS_FILE)


def set_key(project: str, content: str, reader: Reader) -> str:
    """Names the set that ``reader`` makes of a file.

    Sets of one project are of no use to another, which could tell by the time it takes what others have.

    Args:
        content: SHA-256 of the file.
    """
    files = read_files(reader.model_dir)
    told = [project, content, reader.family, reader.base_model, reader.max_example_tokens, _code()]
    told += [[name, sha256(text).hexdigest()] for name, text in files.items()]
    if any(b"strftime_now" in text for text in files.values()):
        told.append(date.today().isoformat())  # a template that writes the day into its texts
    return sha256(json.dumps(told).encode()).hexdigest()


def digest_of_stream(stream: BinaryIO, *, copy: BinaryIO | None = None) -> str:
    """SHA-256 of the rest of ``stream``, which is written to ``copy`` on the way."""
    state = sha256()
    while block := stream.read(_BLOCK):
        state.update(block)
        if copy is not None:
            copy.write(block)
    return state.hexdigest()


def digest_of_file(path: Path) -> str:
    with path.open("rb") as stream:
        return digest_of_stream(stream)


def _code() -> str:
    """Stands for the code that turns files into sets; whoever changes it need not remember to say so."""
    state = sha256(f"{version('tokenizers')} {version('jinja2')}".encode())
    package = Path(sintonia.__file__).parent
    for room in ("datasets", "model_families", "resources", "runs"):
        for file in sorted((package / room).glob("*.py")):
            state.update(file.read_bytes())
    return state.hexdigest()


def _age(path: Path) -> float:
    try:
        return (path / _SET_FILE).stat().st_mtime
    except FileNotFoundError:
        return 0.0


def _size(path: Path) -> int:
    try:
        return sum(file.stat().st_size for file in path.iterdir())
    except FileNotFoundError:  # somebody else removed it
        return 0
