"""What is done to every row, a chunk of lines at a time: checked, rendered, counted, written down as tokens.

A pure function of its lines, so that any process may do it; what depends on the rows before (their numbers, the
limits of a file) is seen to where chunks are put together.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal

from sintonia.datasets.lines import Line
from sintonia.datasets.row_errors import Category, RowError
from sintonia.datasets.rows import parse_row
from sintonia.datasets.statistics import DatasetStatistics
from sintonia.errors import InvalidArgument
from sintonia.model_families import ModelFamily, open_family
from sintonia.resources.content import Conversation
from sintonia.runs.tokens import TokenColumns

CHUNK_CHARACTERS = 2**18
CHUNK_LINES = 1_000
EXCERPT_CHARACTERS = 300


@dataclass(frozen=True)
class Reader:
    """The base model as datasets see it: ``family`` by name, on the tokenizer in ``model_dir``.

    Longer examples than ``max_example_tokens`` are dropped; ``base_model`` is for messages only.
    """

    family: str
    model_dir: Path
    base_model: str
    max_example_tokens: int

    def open(self) -> ModelFamily:
        return open_family(self.family, self.model_dir)


@dataclass(frozen=True)
class Verdict:
    """On a line that is no kept example, and how that begins; ``row`` counts rows of its chunk from 1."""

    row: int
    line: int
    category: Category | Literal["dropped"]
    reason: str
    excerpt: str | None


@dataclass
class ChunkOutcome:
    """``documents`` are the kept rows, one Conversation a line; of each ``places`` has its row, line and bytes."""

    rows: int = 0
    verdicts: list[Verdict] = field(default_factory=list)
    statistics: DatasetStatistics = field(default_factory=DatasetStatistics)
    longest: int = 0
    documents: bytes = b""
    places: list[tuple[int, int, int]] = field(default_factory=list)
    tokens: TokenColumns = field(default_factory=TokenColumns)

    def numbered(self, before: int) -> Iterator[tuple[int, int, bytes]]:
        """Number, line and document of each kept row, if ``before`` rows are before the chunk."""
        start = 0
        for row, line, size in self.places:
            yield before + row, line, self.documents[start : start + size]
            start += size


def chunks_of(lines: Iterable[Line]) -> Iterator[list[Line]]:
    """Lines in runs that take about a tenth of a second each, and little memory; a long line is one by itself."""
    chunk: list[Line] = []
    characters = 0
    for line in lines:
        chunk.append(line)
        characters += len(line.content) if isinstance(line.content, str) else 0
        if characters >= CHUNK_CHARACTERS or len(chunk) >= CHUNK_LINES:
            yield chunk
            chunk, characters = [], 0
    if chunk:
        yield chunk


def examine_chunk(family: ModelFamily, reader: Reader, lines: list[Line], *, keep: bool) -> ChunkOutcome:
    """
    Args:
        keep: whether documents and tokens are wanted.
    """
    outcome = ChunkOutcome()
    documents: list[bytes] = []

    def note(line: Line, category: Category | Literal["dropped"], reason: str) -> None:
        excerpt = _excerpt(line.content) if isinstance(line.content, str) else None
        outcome.verdicts.append(Verdict(outcome.rows, line.number, category, reason, excerpt))

    for line in lines:
        outcome.rows += 1
        row = parse_row(line.content, family.modalities) if isinstance(line.content, str) else line.content
        if isinstance(row, RowError):
            note(line, row.category, row.reason)
            continue
        try:
            examples = family.render_training(row)
        except InvalidArgument as error:
            reason = f"cannot be put to this base model: {error.message}"
            note(line, "not_renderable", reason)
            continue
        trained = sum(example.trained_count for example in examples)
        if not trained:
            reason = "has nothing to learn: no token of a model turn"
            note(line, "missing_text", reason)
            continue
        lengths = [len(example) for example in examples]
        longest = max(lengths)
        if longest > reader.max_example_tokens:
            limit = reader.max_example_tokens
            reason = f"has {longest:,} tokens; at most {limit:,} are taken by base model {reader.base_model}"
            note(line, "dropped", reason)
            continue
        outcome.longest = max(outcome.longest, longest)
        outcome.statistics.add(row, input_tokens=sum(lengths) - trained, output_tokens=trained)
        if keep:
            documents.append(row_document(row))
            outcome.places.append((outcome.rows, line.number, len(documents[-1])))
            outcome.tokens.append([example.segments for example in examples])
    outcome.documents = b"".join(documents)
    return outcome


def row_document(row: Conversation) -> bytes:
    """A line of prepared rows."""
    return json.dumps(row.to_wire(), ensure_ascii=False, separators=(",", ":")).encode() + b"\n"


def _excerpt(text: str) -> str:
    return text if len(text) <= EXCERPT_CHARACTERS else text[:EXCERPT_CHARACTERS] + "…"
