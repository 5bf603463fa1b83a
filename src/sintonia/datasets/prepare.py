"""The dataset job: examines both files and leaves prepared rows, the report on bad lines, and a result.

May be killed and run again at any moment: everything is written under a passing name, then renamed, the result last.
"""

from __future__ import annotations

import fcntl
import json
import os
from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager, nullcontext
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
from sintonia.errors import ApiError, InvalidArgument, NotFound
from sintonia.model_families import open_family
from sintonia.resources.datasets import Dataset, DatasetProgress, DatasetReport
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
            train, validation = _prepare_sets(run, spec)
            problems = [told.problem for told in (train, validation) if told and told.problem]
            result = PrepareResult(
                ok=not problems,
                spec_digest=digest,
                status=InvalidArgument.status if problems else None,
                message="\n".join(problems) or None,
                train=train,
                validation=validation,
            )
        except ApiError as error:
            result = PrepareResult(ok=False, spec_digest=digest, status=error.status, message=error.message)
        write_atomically(result_file(run), json.dumps(result.model_dump(mode="json", by_alias=True)).encode() + b"\n")
        return result


def _prepare_sets(run: RunDirectory, spec: PrepareSpec) -> tuple[DatasetReport, DatasetReport | None]:
    def find(dataset: Dataset, uri: str) -> Source:
        """What is there now is what will be read, however long the other set takes."""
        try:
            opened = storage.open(uri, project=spec.project)
        except NotFound as error:
            raise NotFound(f"The {dataset} dataset {uri} cannot be read: {error.message}.") from None
        return Source(dataset, uri, opened.found.size, lambda: opened.stream)

    storage = Storage(spec.storage)
    sources = [(find("training", spec.training_dataset_uri), run.train_file)]
    if spec.validation_dataset_uri is not None:
        sources.append((find("validation", spec.validation_dataset_uri), run.validation_file))
    else:
        run.validation_file.unlink(missing_ok=True)
    reader = Reader(open_family(spec.family, spec.model_dir), spec.base_model, spec.max_example_tokens)
    progress = ProgressTeller(
        lambda told: _write_progress(progress_file(run), told), sum(source.size for source, _ in sources)
    )
    told: list[DatasetReport] = []
    with _Draft(report_file(run)) as report:
        for source, output in sources:
            draft: AbstractContextManager[_Draft | None] = _Draft(output) if spec.keep_rows else nullcontext()
            with draft as rows:
                found = examine(
                    source, reader, progress=progress, report=report.stream, rows=rows.stream if rows else None
                )
                told.append(held_to_limits(found, told[0]) if told else found)
                if rows and told[-1].problem:
                    rows.discard()
    return told[0], told[1] if len(told) > 1 else None


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
    """A file that appears at ``path``, durable, only when the block has ended well and it was not discarded.

    Safe for one process at a time: a draft left by a killed one is written anew.
    """

    def __init__(self, path: Path) -> None:
        self._path = path
        self._draft = path.with_name(f".{path.name}.partial")
        self._wanted = True

    def discard(self) -> None:
        """Leave nothing at ``path``, not even what was there before."""
        self._wanted = False
        self._path.unlink(missing_ok=True)

    def __enter__(self) -> _Draft:
        self.stream: BinaryIO = self._draft.open("wb")
        return self

    def __exit__(self, kind: type[BaseException] | None, *_: object) -> None:
        with self.stream:
            if kind is None and self._wanted:
                self.stream.flush()
                os.fsync(self.stream.fileno())
        if kind is None and self._wanted:
            self._draft.replace(self._path)
            sync_directory(self._path.parent)
        else:
            self._draft.unlink(missing_ok=True)
