"""The dataset job: examines both files and leaves prepared rows, the report on bad lines, and a result.

May be killed and run again at any moment: everything is written under a passing name, then renamed, the result last.
"""

from __future__ import annotations

import fcntl
import json
import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import BinaryIO

from sintonia.datasets.examine import ProgressTeller, Reader, Source, examine, held_to_limits
from sintonia.datasets.handover import (
    PrepareResult,
    PrepareSpec,
    progress_file,
    read_prepare_result,
    read_prepare_spec,
    report_file,
    result_file,
    spec_digest,
)
from sintonia.datasets.kept_rows import HEAD_ROWS, RowWriter, first_rows, whole_rows
from sintonia.errors import ApiError, InvalidArgument, NotFound
from sintonia.model_families import open_family
from sintonia.resources.datasets import DATASETS, Dataset, DatasetProgress, DatasetReport
from sintonia.runs.layout import RunDirectory, sync_directory, write_atomically
from sintonia.storage import Storage


def prepare(run: RunDirectory) -> PrepareResult:
    """Do the dataset job of ``run``, unless it is done already; a second process for the same run waits for the first.

    Whatever the user can mend is told in the result; other exceptions are faults of this server.
    """
    run.data.mkdir(parents=True, exist_ok=True)
    with _only_process(run.data / "prepare.lock"):
        if done := read_prepare_result(run):
            return done
        spec, digest = read_prepare_spec(run), spec_digest(run)
        result_file(run).unlink(missing_ok=True)
        try:
            result = _prepare_sets(run, spec, digest)
        except ApiError as error:
            result = PrepareResult(ok=False, spec_digest=digest, status=error.status, message=error.message)
        write_atomically(result_file(run), json.dumps(result.model_dump(mode="json", by_alias=True)).encode() + b"\n")
        return result


def _prepare_sets(run: RunDirectory, spec: PrepareSpec, digest: str) -> PrepareResult:
    def find(dataset: Dataset, uri: str) -> Source:
        """What is there now is what will be read, however long the other set takes."""
        try:
            opened = storage.open(uri, project=spec.project)
        except NotFound as error:
            raise NotFound(f"The {dataset} dataset {uri} cannot be read: {error.message}.") from None
        return Source(dataset, uri, opened.found.size, lambda: opened.stream, opened.found.version)

    for dataset in DATASETS:
        whole_rows(run, dataset).remove()
        first_rows(run, dataset).remove()
    storage = Storage(spec.storage)
    sources = [find("training", spec.training_dataset_uri)]
    if spec.validation_dataset_uri is not None:
        sources.append(find("validation", spec.validation_dataset_uri))
    reader = Reader(open_family(spec.family, spec.model_dir), spec.base_model, spec.max_example_tokens)
    progress = ProgressTeller(
        lambda told: _write_progress(progress_file(run), told), sum(source.size for source in sources)
    )
    told: list[DatasetReport] = []
    with _Draft(report_file(run)) as report:
        for source in sources:
            files = whole_rows(run, source.dataset)
            with _Draft(files.rows) as rows, _Draft(files.index) as index:
                writer = RowWriter(rows.stream, index.stream, most=None if spec.keep_rows else HEAD_ROWS)
                found = examine(source, reader, progress=progress, report=report.stream, rows=writer)
                told.append(held_to_limits(found, told[0]) if told else found)
                if told[-1].problem or not spec.keep_rows:
                    # Nobody shall train on them.
                    writer.cut()
                    head = first_rows(run, source.dataset)
                    rows.path, index.path = head.rows, head.index
    problems = [report.problem for report in told if report.problem]
    return PrepareResult(
        ok=not problems,
        spec_digest=digest,
        status=InvalidArgument.status if problems else None,
        message="\n".join(problems) or None,
        train=told[0],
        validation=told[1] if len(told) > 1 else None,
        versions={source.dataset: source.version for source in sources},
    )


def _write_progress(path: Path, progress: DatasetProgress) -> None:
    draft = path.with_name(f".{path.name}.partial")
    draft.write_bytes(progress.model_dump_json(by_alias=True).encode() + b"\n")
    draft.replace(path)


@contextmanager
def _only_process(path: Path) -> Iterator[None]:
    with path.open("ab") as stream:
        fcntl.flock(stream, fcntl.LOCK_EX)
        yield


class _Draft:
    """A file that appears at ``path``, durable, only when the block has ended well; until then it may be given another.

    Safe for one process at a time: a draft left by a killed one is written anew.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        self._draft = path.with_name(f".{path.name}.partial")

    def __enter__(self) -> _Draft:
        self.stream: BinaryIO = self._draft.open("wb")
        return self

    def __exit__(self, kind: type[BaseException] | None, *_: object) -> None:
        with self.stream:
            if kind is None:
                self.stream.flush()
                os.fsync(self.stream.fileno())
        if kind is None:
            self._draft.replace(self.path)
            sync_directory(self.path.parent)
        else:
            self._draft.unlink(missing_ok=True)
