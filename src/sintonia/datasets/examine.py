"""One dataset file, row by row: every line checked and rendered, tokens counted, what is wrong told.

Knows neither run directories nor buckets: a source is whatever can be opened, so that the same verdict is given to a
job's dataset and to a file that nobody has uploaded yet.
"""

from __future__ import annotations

import json
import time
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import BinaryIO, Protocol

from sintonia.datasets.lines import Line, read_lines
from sintonia.datasets.row_errors import RowError
from sintonia.datasets.rows import parse_row
from sintonia.datasets.statistics import DatasetStatistics
from sintonia.errors import InvalidArgument
from sintonia.model_families import ModelFamily
from sintonia.resources.content import Conversation
from sintonia.resources.datasets import BadLine, Dataset, DatasetProgress, DatasetReport

BAD_LINES_TOLD = 100
EXCERPT_CHARACTERS = 300
DROPPED_SHARE = 0.1
PROGRESS_SECONDS = 1.0

VALIDATION_ALWAYS = 1000
VALIDATION_MOST = 5000
VALIDATION_SHARE = 0.3


@dataclass(frozen=True)
class Source:
    """A dataset file. ``uri`` is what people know it by; what ``open`` gives can seek; ``version`` is its content's."""

    dataset: Dataset
    uri: str
    size: int
    open: Callable[[], BinaryIO]
    version: str = ""

    @property
    def title(self) -> str:
        return f"the {self.dataset} dataset {self.uri}"


@dataclass(frozen=True)
class Reader:
    """The base model as datasets see it; longer examples than ``max_example_tokens`` are dropped."""

    family: ModelFamily
    base_model: str
    max_example_tokens: int


class RowTaker(Protocol):
    """Gets the examples to learn from, as they are found."""

    def add(self, conversation: Conversation, *, number: int, line: int) -> None:
        """``number`` counts all rows of the file from 1, ``line`` its lines."""
        ...


@dataclass
class ProgressTeller:
    """Passes on how far reading is, about once a second."""

    tell: Callable[[DatasetProgress], None]
    bytes_total: int
    bytes_before: int = 0
    bad_rows: int = 0
    _told: float = field(default=float("-inf"))

    def look(self, source: Source, stream: BinaryIO, rows: int, *, at_once: bool = False) -> None:
        if not at_once and time.monotonic() - self._told < PROGRESS_SECONDS:
            return
        self._told = time.monotonic()
        progress = DatasetProgress(
            dataset=source.dataset,
            bytes_read=self.bytes_before + (source.size if at_once else stream.tell()),
            bytes_total=self.bytes_total,
            rows=rows,
            bad_rows=self.bad_rows,
        )
        self.tell(progress)


def examine(
    source: Source, reader: Reader, *, progress: ProgressTeller, report: BinaryIO, rows: RowTaker
) -> DatasetReport:
    """Read the whole file.

    Args:
        report: gets every bad or dropped line, one JSON object a line.
    """
    return _Examination(source, reader, progress, report).run(rows)


def held_to_limits(validation: DatasetReport, training: DatasetReport) -> DatasetReport:
    """The report of a validation set, with a problem if it is too large beside its training set.

    At most 5,000 examples; above 1,000 no more than 30 % of the training examples (source: the API's limits of tuning).
    """
    share = int(VALIDATION_SHARE * training.examples)
    limit = min(VALIDATION_MOST, max(VALIDATION_ALWAYS, share))
    if validation.problem or validation.examples <= limit:
        return validation
    problem = (
        f"The validation dataset {validation.uri} has {validation.examples:,} examples; at most {limit:,} are taken "
        f"beside {training.examples:,} to train on: {VALIDATION_SHARE:.0%} of those, but {VALIDATION_ALWAYS:,} always "
        f"and never over {VALIDATION_MOST:,}."
    )
    return validation.model_copy(update={"problem": problem})


class _Examination:
    def __init__(self, source: Source, reader: Reader, progress: ProgressTeller, report: BinaryIO) -> None:
        self._source, self._reader = source, reader
        self._progress, self._report = progress, report
        self._statistics = DatasetStatistics()
        self._rows = 0
        self._longest = 0
        self._bad_count = 0
        self._bad_lines: list[BadLine] = []
        self._categories: Counter[str] = Counter()

    def run(self, rows: RowTaker) -> DatasetReport:
        source = self._source
        with source.open() as stream:
            for line in read_lines(stream):
                self._rows += 1
                conversation = self._check(line)
                if conversation is not None:
                    rows.add(conversation, number=self._rows, line=line.number)
                self._progress.look(source, stream, self._rows)
            self._progress.look(source, stream, self._rows, at_once=True)
        self._progress.bytes_before += source.size
        return DatasetReport(
            uri=source.uri,
            rows=self._rows,
            examples=self._statistics.examples,
            dropped=self._statistics.dropped,
            bad=self._bad_count,
            tokens=self._statistics.tokens,
            trained_tokens=self._statistics.trained_tokens,
            longest_example_tokens=self._longest,
            problem=self._problem(),
            bad_lines=self._bad_lines,
            categories=dict(self._categories.most_common()),
            statistics=self._statistics.result(),
        )

    def _check(self, line: Line) -> Conversation | None:
        """The line's conversation if it is to be learnt from; what is wrong with it is noted otherwise."""
        family = self._reader.family
        row = parse_row(line.content, family.modalities) if isinstance(line.content, str) else line.content
        if isinstance(row, RowError):
            self._note_bad(line, row)
            return None
        try:
            examples = family.render_training(row)
        except InvalidArgument as error:
            self._note_bad(line, RowError("not_renderable", f"cannot be put to this base model: {error.message}"))
            return None
        trained = sum(example.trained_count for example in examples)
        if not trained:
            self._note_bad(line, RowError("missing_text", "has nothing to learn: no token of a model turn"))
            return None
        longest = max(map(len, examples))
        if longest > self._reader.max_example_tokens:
            self._note_dropped(line, longest)
            return None
        self._longest = max(self._longest, longest)
        self._statistics.add(row, input_tokens=sum(map(len, examples)) - trained, output_tokens=trained)
        return row

    def _note_bad(self, line: Line, error: RowError) -> None:
        self._bad_count += 1
        self._progress.bad_rows += 1
        told = self._write_report(line, error.category, error.reason)
        if self._bad_count <= BAD_LINES_TOLD:
            self._bad_lines.append(told)

    def _note_dropped(self, line: Line, tokens: int) -> None:
        limit = self._reader.max_example_tokens
        reason = f"has {tokens:,} tokens; at most {limit:,} are taken by base model {self._reader.base_model}"
        self._statistics.drop(self._rows, f"Example {self._rows} (line {line.number}) {reason}.")
        self._write_report(line, "dropped", reason)

    def _write_report(self, line: Line, category: str, reason: str) -> BadLine:
        told = BadLine(
            dataset=self._source.dataset,
            uri=self._source.uri,
            line=line.number,
            example=self._rows,
            category=category,
            reason=reason,
            excerpt=_excerpt(line.content) if isinstance(line.content, str) else None,
        )
        self._categories[category] += 1
        self._report.write(json.dumps(told.to_wire(), ensure_ascii=False).encode() + b"\n")
        return told

    def _problem(self) -> str | None:
        title = self._source.title
        if self._bad_count:
            lines = "\n".join(f"Line {bad.line} {bad.reason}. [{bad.category}]" for bad in self._bad_lines)
            more = self._bad_count - len(self._bad_lines)
            rest = f"\n… and {more:,} more, all in the dataset report." if more else ""
            return f"{self._bad_count:,} of the {self._rows:,} rows of {title} cannot be used.\n{lines}{rest}"
        if not self._rows:
            return f"{title[0].upper()}{title[1:]} has no examples; write one JSON object a line."
        dropped = self._statistics.dropped
        if dropped > DROPPED_SHARE * self._rows:
            first = self._statistics.dropped_reasons[0]
            return (
                f"{dropped:,} of the {self._rows:,} examples of {title} are too long, more than the "
                f"{DROPPED_SHARE:.0%} that may be dropped; shorten or split them. The first: {first}"
            )
        return None


def _excerpt(text: str) -> str:
    return text if len(text) <= EXCERPT_CHARACTERS else text[:EXCERPT_CHARACTERS] + "…"
