"""One dataset file: what its chunks gave put together, every bad line told, limits kept.

Knows neither run directories nor buckets: a source is whatever can be opened, so that the same verdict is given to a
job's dataset and to a file that nobody has uploaded yet.
"""

from __future__ import annotations

import json
import time
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import BinaryIO

from sintonia.datasets.chunks import ChunkOutcome, chunks_of
from sintonia.datasets.lines import read_lines
from sintonia.datasets.statistics import DatasetStatistics
from sintonia.datasets.workers import Workers
from sintonia.resources.datasets import BadLine, Dataset, DatasetProgress, DatasetReport

BAD_LINES_TOLD = 100
DROPPED_SHARE = 0.1
PROGRESS_SECONDS = 1.0

VALIDATION_ALWAYS = 1000
VALIDATION_MOST = 5000
VALIDATION_SHARE = 0.3


@dataclass(frozen=True)
class Source:
    """A dataset file. ``uri`` is what people know it by; what ``open`` gives can seek."""

    dataset: Dataset
    uri: str
    size: int
    open: Callable[[], BinaryIO]

    @property
    def title(self) -> str:
        return f"the {self.dataset} dataset {self.uri}"


@dataclass
class ProgressTeller:
    """Passes on how far reading is, about once a second."""

    tell: Callable[[DatasetProgress], None]
    bytes_total: int
    bytes_before: int = 0
    bad_rows: int = 0
    _told: float = field(default=float("-inf"))

    def look(self, source: Source, stream: BinaryIO, rows: int) -> None:
        if time.monotonic() - self._told >= PROGRESS_SECONDS:
            self._tell(source, stream.tell(), rows)

    def ended(self, source: Source, rows: int) -> None:
        """The whole file is read."""
        self._tell(source, source.size, rows)
        self.bytes_before += source.size

    def _tell(self, source: Source, position: int, rows: int) -> None:
        self._told = time.monotonic()
        progress = DatasetProgress(
            dataset=source.dataset,
            bytes_read=self.bytes_before + position,
            bytes_total=self.bytes_total,
            rows=rows,
            bad_rows=self.bad_rows,
        )
        self.tell(progress)


def examine(
    source: Source,
    workers: Workers,
    *,
    progress: ProgressTeller,
    report: BinaryIO,
    keep: Callable[[ChunkOutcome, int], None] | None = None,
) -> DatasetReport:
    """Read the whole file.

    Args:
        report: gets every bad or dropped line, one JSON object a line.
        keep: gets the kept examples, chunk by chunk, and how many rows were before; None if nobody wants them.
    """
    return _Examination(source, workers, progress, report).run(keep)


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
    def __init__(self, source: Source, workers: Workers, progress: ProgressTeller, report: BinaryIO) -> None:
        self._source, self._workers = source, workers
        self._progress, self._report = progress, report
        self._statistics = DatasetStatistics()
        self._rows = 0
        self._longest = 0
        self._bad_count = 0
        self._bad_lines: list[BadLine] = []
        self._categories: Counter[str] = Counter()

    def run(self, keep: Callable[[ChunkOutcome, int], None] | None) -> DatasetReport:
        source = self._source
        with source.open() as stream:
            chunks = chunks_of(read_lines(stream))
            for outcome in self._workers.examine(chunks, size=source.size, keep=keep is not None):
                if keep is not None:
                    keep(outcome, self._rows)
                self._take_in(outcome)
                self._progress.look(source, stream, self._rows)
        self._progress.ended(source, self._rows)
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

    def _take_in(self, outcome: ChunkOutcome) -> None:
        for verdict in outcome.verdicts:
            example = self._rows + verdict.row
            if verdict.category == "dropped":
                self._statistics.drop(example, f"Example {example} (line {verdict.line}) {verdict.reason}.")
            else:
                self._bad_count += 1
                self._progress.bad_rows += 1
            told = BadLine(
                dataset=self._source.dataset,
                uri=self._source.uri,
                line=verdict.line,
                example=example,
                category=verdict.category,
                reason=verdict.reason,
                excerpt=verdict.excerpt,
            )
            self._categories[verdict.category] += 1
            if verdict.category != "dropped" and self._bad_count <= BAD_LINES_TOLD:
                self._bad_lines.append(told)
            write_report_line(self._report, told)
        self._rows += outcome.rows
        self._longest = max(self._longest, outcome.longest)
        self._statistics.merge(outcome.statistics)

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


def write_report_line(report: BinaryIO, told: BadLine) -> None:
    report.write(json.dumps(told.to_wire(), ensure_ascii=False).encode() + b"\n")
