"""Rows that were read and kept, found by their number: prepared rows with an index beside them.

A job's usable dataset is kept whole, as the rows to train on. Of one that is only judged, or cannot be used, the first
hundred good rows are kept to be looked at. Knows no model.
"""

from __future__ import annotations

import json
import os
import struct
from bisect import bisect_left
from collections.abc import Iterator
from dataclasses import dataclass
from itertools import islice
from pathlib import Path
from typing import BinaryIO

from sintonia.resources.content import Conversation
from sintonia.resources.datasets import Dataset
from sintonia.runs.layout import RunDirectory

HEAD_ROWS = 100

# Number of the row, its line in the file, and the offset in bytes at which it begins among the prepared rows.
_ENTRY = struct.Struct("<IIQ")
# Of prepared rows in one answer; a longer row is alone in its.
_PAGE_BYTES = 200_000


@dataclass(frozen=True)
class RowFiles:
    """Prepared rows, and where each of them begins."""

    rows: Path

    @property
    def index(self) -> Path:
        return self.rows.with_suffix(".index")

    def remove(self) -> None:
        self.rows.unlink(missing_ok=True)
        self.index.unlink(missing_ok=True)


def whole_rows(run: RunDirectory, dataset: Dataset) -> RowFiles:
    return RowFiles(run.train_file if dataset == "training" else run.validation_file)


def first_rows(run: RunDirectory, dataset: Dataset) -> RowFiles:
    whole = whole_rows(run, dataset).rows
    return RowFiles(whole.with_name(f"{whole.stem}-head.jsonl"))


class RowWriter:
    """Writes both files of rows."""

    def __init__(self, rows: BinaryIO, index: BinaryIO) -> None:
        self._rows, self._index = rows, index
        self._size = 0

    def add(self, document: bytes, *, number: int, line: int) -> None:
        """Rows come in the order of their numbers, which count every row of the file from 1, the bad ones too."""
        self._index.write(_ENTRY.pack(number, line, self._size))
        self._rows.write(document)
        self._size += len(document)


def copy_first(files: RowFiles, copy: RowFiles) -> None:
    """Make ``copy`` of the first hundred rows."""
    with files.index.open("rb") as index, files.rows.open("rb") as rows:
        copy.rows.write_bytes(b"".join(islice(rows, HEAD_ROWS)))
        copy.index.write_bytes(index.read(HEAD_ROWS * _ENTRY.size))


@dataclass(frozen=True)
class KeptRow:
    number: int
    line: int
    conversation: Conversation


@dataclass(frozen=True)
class KeptPage:
    """Some rows, of how many, and the numbers at which the pages before and after them begin, where there are any."""

    rows: list[KeptRow]
    kept: int = 0
    last: int | None = None
    before: int | None = None
    after: int | None = None


def read_kept_rows(run: RunDirectory, dataset: Dataset, *, start: int, limit: int) -> KeptPage:
    """At most ``limit`` rows, fewer if they are long, from the first that has the number ``start`` or a greater one."""
    for files in (whole_rows(run, dataset), first_rows(run, dataset)):
        try:
            with files.index.open("rb") as index, files.rows.open("rb") as rows:
                return _page(_Index(index), rows, start=start, limit=limit)
        except FileNotFoundError:
            continue
    return KeptPage([])


def _page(index: _Index, rows: BinaryIO, *, start: int, limit: int) -> KeptPage:
    kept = len(index)
    first = bisect_left(index, start, key=lambda entry: entry[0])
    found = list(_read(index, rows, first, min(first + limit, kept)))
    end = first + len(found)
    return KeptPage(
        found,
        kept=kept,
        last=index[-1][0] if kept else None,
        before=index[max(first - limit, 0)][0] if first else None,
        after=index[end][0] if end < kept else None,
    )


def _read(index: _Index, rows: BinaryIO, first: int, end: int) -> Iterator[KeptRow]:
    size = 0
    for position in range(first, end):
        number, line, offset = index[position]
        if position == first:
            rows.seek(offset)
        raw = rows.readline()
        size += len(raw)
        if size > _PAGE_BYTES and position > first:
            return
        yield KeptRow(number, line, Conversation.from_wire(json.loads(raw)))


class _Index:
    """The entries of an index, read as they are asked for."""

    def __init__(self, stream: BinaryIO) -> None:
        self._descriptor = stream.fileno()
        self._length = os.fstat(self._descriptor).st_size // _ENTRY.size

    def __len__(self) -> int:
        return self._length

    def __getitem__(self, position: int) -> tuple[int, int, int]:
        at = (position if position >= 0 else self._length + position) * _ENTRY.size
        number, line, offset = _ENTRY.unpack(os.pread(self._descriptor, _ENTRY.size, at))
        return number, line, offset
