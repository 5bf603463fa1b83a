"""One set of a dataset job: made of its file or found as it was made before, then handed over to the run."""

from __future__ import annotations

import os
import shutil
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import BinaryIO

from sintonia.datasets.chunks import ChunkOutcome
from sintonia.datasets.examine import ProgressTeller, Source, examine, write_report_line
from sintonia.datasets.handover import PrepareSpec
from sintonia.datasets.kept_rows import RowWriter, copy_first, first_rows, whole_rows
from sintonia.datasets.prepared import DROPPED_FILE, PreparedSet, PreparedSets, digest_of_stream, set_key, set_rows
from sintonia.datasets.workers import Workers
from sintonia.resources.datasets import BadLine, Dataset, DatasetReport
from sintonia.runs.durable import new_directory
from sintonia.runs.layout import RunDirectory, sync_directory
from sintonia.runs.tokens import token_files, write_tokens
from sintonia.storage import OpenObject


def own_sets(run: RunDirectory) -> Path:
    """Where sets are made that are not to be kept."""
    return run.data / ".sets"


class SetWork:
    """
    Args:
        report: gets what was found in every line that is no kept example.
    """

    def __init__(
        self, run: RunDirectory, spec: PrepareSpec, workers: Workers, progress: ProgressTeller, report: BinaryIO
    ) -> None:
        self._run, self._spec, self._workers = run, spec, workers
        self._progress, self._report = progress, report
        self._sets = PreparedSets(spec.prepared_dir or own_sets(run), most_bytes=spec.prepared_bytes)

    @contextmanager
    def prepared(self, dataset: Dataset, uri: str, found: OpenObject) -> Iterator[PreparedSet]:
        """The set of a file; it stays where it is within the block."""
        with found.stream, self._local(found.stream) as (stream, content):
            source = Source(dataset, uri, found.found.size, lambda: stream)
            key = set_key(self._spec.project, content, self._workers.reader)
            with self._sets.claim(key):
                kept = self._sets.find(key)
                yield (
                    self._sets.make(key, lambda d: self._make(source, d)) if kept is None else self._again(source, kept)
                )
        self._sets.sweep()

    @contextmanager
    def _local(self, stream: BinaryIO) -> Iterator[tuple[BinaryIO, str]]:
        """The same bytes from their beginning, and their digest; what is far away is fetched once only."""
        try:
            stream.fileno()
        except OSError:
            with tempfile.TemporaryFile(dir=self._run.data) as copy:
                content = digest_of_stream(stream, copy=copy)
                copy.seek(0)
                yield copy, content
            return
        content = digest_of_stream(stream)
        stream.seek(0)
        yield stream, content

    def _make(self, source: Source, directory: Path) -> DatasetReport:
        files = set_rows(directory)
        with (
            files.rows.open("wb") as rows,
            files.index.open("wb") as index,
            (directory / DROPPED_FILE).open("w+b") as lines,
            write_tokens(directory) as tokens,
        ):
            writer = RowWriter(rows, index)

            def keep(outcome: ChunkOutcome, before: int) -> None:
                for number, line, document in outcome.numbered(before):
                    writer.add(document, number=number, line=line)
                tokens.write(outcome.tokens)

            report = examine(source, self._workers, progress=self._progress, report=lines, keep=keep)
            lines.seek(0)
            shutil.copyfileobj(lines, self._report)
        if report.problem:  # the set will not be kept
            hand_over(directory, self._run, source.dataset, whole=False)
        return report

    def _again(self, source: Source, kept: PreparedSet) -> PreparedSet:
        """What was found in the file before, told of the address that it has now."""
        assert kept.directory is not None
        with (kept.directory / DROPPED_FILE).open("rb") as lines:
            for line in lines:
                told = BadLine.model_validate_json(line)
                write_report_line(self._report, told.model_copy(update={"dataset": source.dataset, "uri": source.uri}))
        self._progress.ended(source, kept.report.rows)
        return replace(kept, report=kept.report.model_copy(update={"uri": source.uri}))


def hand_over(prepared: Path, run: RunDirectory, dataset: Dataset, *, whole: bool) -> None:
    """Give the run its rows and tokens under names of its own, which no sweeping takes away.

    Args:
        whole: false: nobody shall train on them, so only the first rows are given, to be looked at.
    """
    files = set_rows(prepared)
    if not whole:
        copy_first(files, first_rows(run, dataset))
        return
    places = whole_rows(run, dataset)
    for file, place in ((files.rows, places.rows), (files.index, places.index)):
        _link(file, place)
    sync_directory(run.data)
    with new_directory(_tokens(run, dataset)) as directory:
        for file in token_files(prepared):
            _link(file, directory / file.name)


def discard_rows(run: RunDirectory, dataset: Dataset) -> None:
    """Leave nothing of what an earlier job may have handed over."""
    whole_rows(run, dataset).remove()
    first_rows(run, dataset).remove()
    shutil.rmtree(_tokens(run, dataset), ignore_errors=True)


def _tokens(run: RunDirectory, dataset: Dataset) -> Path:
    return run.train_tokens if dataset == "training" else run.validation_tokens


def _link(file: Path, name: Path) -> None:
    try:
        os.link(file, name)
    except OSError:  # not within one file system, or it knows no second names
        shutil.copyfile(file, name)
