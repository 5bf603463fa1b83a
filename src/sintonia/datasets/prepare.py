"""The dataset job: examines both files and leaves prepared rows, the report on bad lines, and a result.

May be killed and run again at any moment: everything is written under a passing name, then renamed, the result last.
"""

from __future__ import annotations

import fcntl
import json
import os
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import BinaryIO

from sintonia.datasets.chunks import Reader
from sintonia.datasets.examine import ProgressTeller, held_to_limits
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
from sintonia.datasets.set_work import SetWork, discard_rows, hand_over, own_sets
from sintonia.datasets.workers import Workers
from sintonia.errors import ApiError, InvalidArgument, NotFound
from sintonia.resources.datasets import DATASETS, Dataset, DatasetProgress, DatasetReport
from sintonia.runs.layout import RunDirectory, sync_directory, write_atomically
from sintonia.storage import OpenObject, Storage


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
    def find(dataset: Dataset, uri: str) -> OpenObject:
        """What is there now is what will be read, however long the other set takes."""
        try:
            return storage.open(uri, project=spec.project)
        except NotFound as error:
            raise NotFound(f"The {dataset} dataset {uri} cannot be read: {error.message}.") from None

    for dataset in DATASETS:
        discard_rows(run, dataset)
    storage = Storage(spec.storage)
    wanted: list[tuple[Dataset, str, OpenObject]] = []
    for dataset, uri in _uris(spec).items():
        wanted.append((dataset, uri, find(dataset, uri)))
    reader = Reader(spec.family, spec.model_dir, spec.base_model, spec.max_example_tokens)
    progress = ProgressTeller(
        lambda told: _write_progress(progress_file(run), told), sum(found.found.size for _, _, found in wanted)
    )
    told: list[DatasetReport] = []
    with Workers(reader, processes=spec.processes) as workers, _Draft(report_file(run)) as report:
        work = SetWork(run, spec, workers, progress, report.stream)
        for dataset, uri, found in wanted:
            with work.prepared(dataset, uri, found) as prepared:
                verdict = held_to_limits(prepared.report, told[0]) if told else prepared.report
                told.append(verdict)
                if prepared.directory is not None:
                    hand_over(prepared.directory, run, dataset, whole=spec.keep_rows and not verdict.problem)
    shutil.rmtree(own_sets(run), ignore_errors=True)
    problems = [report.problem for report in told if report.problem]
    return PrepareResult(
        ok=not problems,
        spec_digest=digest,
        status=InvalidArgument.status if problems else None,
        message="\n".join(problems) or None,
        train=told[0],
        validation=told[1] if len(told) > 1 else None,
        versions={dataset: found.found.version for dataset, _, found in wanted},
    )


def _uris(spec: PrepareSpec) -> dict[Dataset, str]:
    validation: dict[Dataset, str] = {"validation": spec.validation_dataset_uri} if spec.validation_dataset_uri else {}
    return {"training": spec.training_dataset_uri, **validation}


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
    """A file that appears at ``path``, durable, only when the block has ended well.

    Safe for one process at a time: a draft left by a killed one is written anew.
    """

    def __init__(self, path: Path) -> None:
        self._path = path
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
            self._draft.replace(self._path)
            sync_directory(self._path.parent)
        else:
            self._draft.unlink(missing_ok=True)
