"""Rows as tokens, in memory and as files that a trainer maps: what is rendered once need not be rendered again.

A directory of four flat columns in the machine's byte order and ``tokens.json``, which tells their digest. Knows
neither rows nor models.
"""

from __future__ import annotations

import json
import mmap
import sys
from array import array
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from hashlib import sha256
from pathlib import Path
from typing import BinaryIO, Protocol

FORMAT = f"1 {sys.byteorder}"
INDEX_FILE = "tokens.json"
_COLUMNS = {"tokens": "i", "trained": "b", "example_ends": "q", "row_ends": "q"}
_BLOCK = 2**20


class Tokens(Protocol):
    """A run of tokens that is either context only or to be learnt."""

    @property
    def token_ids(self) -> Sequence[int]: ...

    @property
    def trained(self) -> bool: ...


@dataclass
class TokenColumns:
    """Rows of one or more examples each, stored flat: 5 bytes a token.

    ``trained`` has one flag a token; ends begin with 0, those of examples count tokens, those of rows examples.
    """

    tokens: array[int] = field(default_factory=lambda: array("i"))
    trained: array[int] = field(default_factory=lambda: array("b"))
    example_ends: array[int] = field(default_factory=lambda: array("q", [0]))
    row_ends: array[int] = field(default_factory=lambda: array("q", [0]))

    def append(self, examples: Iterable[Sequence[Tokens]]) -> bool:
        """Add a row of examples, each of segments. False, and nothing is added, if it has nothing to learn."""
        before = len(self.example_ends)
        for segments in examples:
            # What follows the last target teaches nothing.
            last = max(
                (i + 1 for i, segment in enumerate(segments) if segment.trained and segment.token_ids), default=0
            )
            if sum(len(segment.token_ids) for segment in segments[:last]) < 2:
                continue
            for segment in segments[:last]:
                self.tokens.extend(segment.token_ids)
                self.trained.frombytes((b"\1" if segment.trained else b"\0") * len(segment.token_ids))
            self.example_ends.append(len(self.tokens))
        if len(self.example_ends) == before:
            return False
        self.row_ends.append(len(self.example_ends) - 1)
        return True


class TokenWriter:
    """Puts columns into files one block behind the other, in memory that does not grow with them."""

    def __init__(self, files: Mapping[str, BinaryIO]) -> None:
        self._files = files
        self._tokens = self._examples = 0
        for name in ("example_ends", "row_ends"):
            files[name].write(array("q", [0]).tobytes())

    def write(self, block: TokenColumns) -> None:
        self._files["tokens"].write(block.tokens)
        self._files["trained"].write(block.trained)
        for name, ends, start in (
            ("example_ends", block.example_ends, self._tokens),
            ("row_ends", block.row_ends, self._examples),
        ):
            self._files[name].write(array("q", [start + end for end in ends[1:]]))
        self._tokens += len(block.tokens)
        self._examples += len(block.example_ends) - 1


@contextmanager
def write_tokens(directory: Path) -> Iterator[TokenWriter]:
    """A writer of the files in ``directory``, which are whole once the block has ended well."""
    with ExitStack() as stack:
        files = {name: stack.enter_context((directory / name).open("wb")) for name in _COLUMNS}
        yield TokenWriter(files)
    index = {"format": FORMAT, "digest": _digest_of_files(directory)}
    (directory / INDEX_FILE).write_text(json.dumps(index) + "\n", encoding="utf-8")


def token_files(directory: Path) -> list[Path]:
    """What ``write_tokens`` leaves."""
    return [directory / name for name in (*_COLUMNS, INDEX_FILE)]


def map_tokens(directory: Path) -> tuple[dict[str, memoryview], str]:
    """The columns by name, each as the bytes of its file, and their digest.

    Raises:
        OSError: a file is missing.
        ValueError: they are not what was written, or of another version or machine.
    """
    index = json.loads((directory / INDEX_FILE).read_bytes())
    if not isinstance(index, dict) or index.get("format") != FORMAT:
        raise ValueError("another version of Sintonia, or another kind of machine, wrote it")
    digest = _digest_of_files(directory)
    if digest != index.get("digest"):
        raise ValueError("its checksum does not match")
    return {name: _map(directory / name) for name in _COLUMNS}, digest


def digest_of(columns: TokenColumns) -> str:
    """The same for the same tokens in the same rows, and for those only; files have that of their columns."""
    state = sha256()
    for name in _COLUMNS:
        column: array[int] = getattr(columns, name)
        state.update(len(column).to_bytes(8, "little"))
        state.update(column)
    return state.hexdigest()


def _digest_of_files(directory: Path) -> str:
    # Read, not mapped: mapped pages would count as the process's memory.
    state = sha256()
    for name, kind in _COLUMNS.items():
        path = directory / name
        state.update((path.stat().st_size // array(kind).itemsize).to_bytes(8, "little"))
        with path.open("rb") as stream:
            while block := stream.read(_BLOCK):
                state.update(block)
    return state.hexdigest()


def _map(path: Path) -> memoryview:
    with path.open("rb") as stream:
        if not path.stat().st_size:
            return memoryview(b"")  # an empty file cannot be mapped
        return memoryview(mmap.mmap(stream.fileno(), 0, access=mmap.ACCESS_READ))
