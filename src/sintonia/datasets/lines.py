"""The rows of a dataset file, in constant memory, with their lines numbered from 1 as an editor numbers them.

Knows bytes, not rows: what a line means is ``rows``' concern.
"""

from __future__ import annotations

import codecs
from collections.abc import Iterator
from itertools import chain
from typing import BinaryIO, NamedTuple

from sintonia.datasets.encodings import DAMAGED_GZIP, as_utf8, no_text
from sintonia.datasets.json_array import split_array
from sintonia.datasets.row_errors import RowError

MAX_LINE_BYTES = 64 * 2**20
_CHUNK = 2**18


class Line(NamedTuple):
    """One line that is not blank: its text, or what kept it from being read."""

    number: int
    content: str | RowError


def read_lines(stream: BinaryIO, *, limit: int = MAX_LINE_BYTES) -> Iterator[Line]:
    """The lines of a file that can seek; a byte-order mark, CRLF, blank lines and a missing last newline are no
    trouble.

    UTF-16 and UTF-32 with a byte-order mark, gzip, and one JSON array instead of lines are read too; an item of an
    array has the number of the line it begins in. A file that is none of these gives one bad line that says what it is
    instead, and ends there.
    """
    number = 0
    try:
        for line in _lines(as_utf8(stream), limit):
            number = line.number
            yield line
    except DAMAGED_GZIP as error:
        yield _bad(number + 1, f"cannot be read: the gzip file is damaged or cut short ({error})")


def _lines(stream: BinaryIO, limit: int) -> Iterator[Line]:
    number = 0
    seen_text = False
    # An array may be a single line that is as long as the file.
    while raw := stream.readline(min(_CHUNK, limit + 1)):
        number += 1
        if number == 1:
            if wrong := no_text(raw):
                yield _bad(1, f"shows that the file {wrong}")
                return
            raw = raw.removeprefix(codecs.BOM_UTF8)
        if not seen_text and raw.lstrip().startswith(b"["):
            yield from _items(raw.lstrip()[1:], stream, number, limit)
            return
        if len(raw) >= _CHUNK and not raw.endswith(b"\n"):
            raw += stream.readline(limit + 1 - len(raw))
        if len(raw) > limit and not raw.endswith(b"\n"):
            size = len(raw) + _skip_line(stream)
            yield _bad(number, f"is {size:,} bytes long; at most {limit:,} are read")
            continue
        raw = raw.strip(b" \t\r\n")
        if not raw:
            continue
        if not seen_text and raw == b"{":
            yield _bad(
                number, "shows that the file spreads an object over several lines; write each object on one line"
            )
            return
        seen_text = True
        yield Line(number, _decode(raw))


def _items(first: bytes, stream: BinaryIO, number: int, limit: int) -> Iterator[Line]:
    rest = iter(lambda: stream.read(_CHUNK), b"")
    for line, item in split_array(chain([first], rest), line=number, limit=limit):
        yield _bad(line, item) if isinstance(item, str) else Line(line, _decode(item))


def _decode(raw: bytes) -> str | RowError:
    try:
        return raw.decode()
    except UnicodeDecodeError as error:
        wrong = f"is not UTF-8: byte 0x{raw[error.start]:02x} at position {error.start + 1}"
        return RowError("invalid_input", wrong)


def _bad(number: int, reason: str) -> Line:
    return Line(number, RowError("invalid_input", reason))


def _skip_line(stream: BinaryIO) -> int:
    """Read to the end of the line and return how many bytes that were."""
    size = 0
    while chunk := stream.readline(_CHUNK):
        size += len(chunk)
        if chunk.endswith(b"\n"):
            break
    return size
