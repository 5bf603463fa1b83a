"""Dataset validations: a dataset read and judged without tuning on it, as a resource of our own.

Each is a folder (``validations/ID``) with the resource in ``validation.json`` and what the dataset process leaves. They
are cheap to repeat and nothing refers to them, so they need no database: whatever a killed server left open is listed
under ``validations/open`` and read again by the next.
"""

from __future__ import annotations

import asyncio
import contextlib
import shutil
from datetime import UTC, datetime
from pathlib import Path

from sintonia.base_models import Catalog
from sintonia.database import Database, micros, tuning_jobs
from sintonia.database.listing import Listed, Slice
from sintonia.datasets.estimate import estimate
from sintonia.datasets.handover import PrepareResult, read_prepare_progress, read_report
from sintonia.errors import ApiError, FailedPrecondition, FieldViolation, InvalidArgument, NotFound, about
from sintonia.resources.base import JsonObject
from sintonia.resources.datasets import DatasetValidation, ReportPage
from sintonia.resources.filters import invalid_filter
from sintonia.resources.names import Parent, parse_id
from sintonia.resources.tuning import Status
from sintonia.runs.layout import RunDirectory, write_atomically
from sintonia.services.ids import new_id
from sintonia.services.paging import ListRequest, Pager
from sintonia.services.repeats import made_meanwhile, named_request
from sintonia.services.tuning_requests import problem_with_dataset
from sintonia.storage import Storage

_ENDED = ("SUCCEEDED", "FAILED")

# How far back the speed of a base model is looked for.
_RECENT_JOBS = 100


class DatasetValidations:
    """What users do (create, get, page, delete, report), and below what a controller does (open, start, finish, fail).

    Args:
        folder: where all validations lie.
        cores: CPU cores a trainer may use, for estimates.
        gpu: whether a trainer will find a GPU.
    """

    def __init__(
        self,
        *,
        folder: Path,
        database: Database,
        catalog: Catalog,
        storage: Storage,
        pager: Pager,
        cores: int,
        gpu: bool,
    ) -> None:
        self._folder = folder
        self._database = database
        self._catalog = catalog
        self._storage = storage
        self._pager = pager
        self._cores = cores
        self._gpu = gpu

    async def create(
        self, parent: Parent, request: DatasetValidation, *, request_id: str | None = None
    ) -> DatasetValidation:
        """Store a PENDING validation; the base model defaults to the catalog's first. ``request_id``: see ``repeats``.

        Raises:
            InvalidArgument: an address is no object of type JSONL.
            NotFound, FailedPrecondition: the base model is unknown, or not on this machine.
        """
        fresh = number = new_id()
        named = named_request(parent, "datasetValidations", request_id, request.to_wire())
        if named is not None:
            # Under the number that the first of the requests got; what a server that was killed then had no time to
            # store is stored now.
            made = await self._database.write(lambda tx: made_meanwhile(tx, named, fresh))
            number = fresh if made is None else made
            with contextlib.suppress(NotFound):
                return await self.get(parent, str(number))
        base_model = request.base_model or next(iter(self._catalog.entries))
        with about("dataset_validation.base_model"):
            self._catalog.facts(self._catalog.find(base_model))
        if not request.dataset_uri:
            raise _invalid("dataset_uri", "dataset_uri is required.")
        for field in ("dataset_uri", "validation_dataset_uri"):
            uri = getattr(request, field)
            if uri and (problem := await asyncio.to_thread(problem_with_dataset, uri, self._storage, parent.project)):
                raise _invalid(field, f"{field} should be a GCS object of type JSONL. {problem}")
        validation = DatasetValidation(
            name=f"{parent}/datasetValidations/{number}",
            dataset_uri=request.dataset_uri,
            validation_dataset_uri=request.validation_dataset_uri or None,
            base_model=base_model,
            state="PENDING",
            create_time=datetime.now(UTC),
        )
        await asyncio.to_thread(self._store_new, number, validation)
        return validation

    async def get(self, parent: Parent, validation_id: str) -> DatasetValidation:
        """With its progress while it runs. Raises NotFound."""
        run = await self.run_of(parent, validation_id)
        validation = await asyncio.to_thread(_read, run)
        if validation.state == "RUNNING":
            progress = await asyncio.to_thread(read_prepare_progress, run)
            return validation.model_copy(update={"progress": progress})
        return validation

    async def page(self, parent: Parent, request: ListRequest) -> tuple[list[JsonObject], str | None]:
        """A page of validations as the wire has them, newest first, and the token of the next page."""

        async def read(wanted: Slice) -> list[Listed]:
            if wanted.filter is not None:
                raise invalid_filter("dataset validations cannot be filtered")
            rows = await asyncio.to_thread(self._stored, parent)
            rows.sort(key=lambda row: row.position, reverse=not wanted.ascending)
            if (last := wanted.behind) is not None:
                rows = [row for row in rows if (row.position > last if wanted.ascending else row.position < last)]
            return rows[: wanted.size]

        return await self._pager.page(read, request, what=f"{parent}/datasetValidations")

    async def delete(self, parent: Parent, validation_id: str) -> None:
        """Forget a validation that has ended.

        Raises:
            NotFound: there is none.
            FailedPrecondition: its files are still being read, or about to.
        """
        run = await self.run_of(parent, validation_id)
        if (state := (await asyncio.to_thread(_read, run)).state) not in _ENDED:
            raise FailedPrecondition(
                f"A dataset validation that is {state} cannot be deleted; wait until it has ended."
            )
        await asyncio.to_thread(_remove, run)

    async def report(self, parent: Parent, validation_id: str, *, offset: int, limit: int) -> ReportPage:
        """All bad and dropped lines, page by page. Raises NotFound."""
        run = await self.run_of(parent, validation_id)
        return await asyncio.to_thread(read_report, run, offset=offset, limit=limit)

    async def run_of(self, parent: Parent, validation_id: str) -> RunDirectory:
        """Where it lies. Raises NotFound."""
        return await asyncio.to_thread(self._find, parent, validation_id)

    def open(self) -> list[RunDirectory]:
        """What is not finished, oldest first."""
        marks = sorted(self._open_dir.iterdir(), key=lambda mark: mark.stat().st_mtime_ns)
        return [RunDirectory(self._folder / mark.name) for mark in marks]

    async def start(self, run: RunDirectory) -> DatasetValidation | None:
        """The validation, RUNNING from now on; None if it had ended when its server was killed."""
        if (await asyncio.to_thread(_read, run)).state in _ENDED:
            self._close(run)
            return None
        return await self._change(run, state="RUNNING", start_time=datetime.now(UTC))

    async def finish(self, run: RunDirectory, result: PrepareResult) -> None:
        """Judge by what the dataset process found. Raises its error if it could not read the files."""
        if result.train is None:
            raise result.error()
        validation = await asyncio.to_thread(_read, run)
        entry = self._catalog.find(validation.base_model or "")
        estimates = estimate(
            result.train,
            result.validation,
            facts=self._catalog.facts(entry),
            tokens_per_second=await self._speed(validation, entry.id),
            cores=self._cores,
            gpu=self._gpu,
        )
        await self._end(
            run,
            state="SUCCEEDED",
            valid=result.ok,
            training=result.train,
            validation=result.validation,
            estimates=estimates,
        )

    async def fail(self, run: RunDirectory, error: ApiError) -> None:
        await self._end(run, state="FAILED", error=Status(code=error.code, message=error.message))

    @property
    def _open_dir(self) -> Path:
        path = self._folder / "open"
        path.mkdir(parents=True, exist_ok=True)
        return path

    def _store_new(self, number: int, validation: DatasetValidation) -> None:
        _write(RunDirectory(self._folder / str(number)), validation)
        (self._open_dir / str(number)).touch()

    def _stored(self, parent: Parent) -> list[Listed]:
        rows = []
        for folder in self._folder.iterdir() if self._folder.is_dir() else ():
            number, run = parse_id(folder.name), RunDirectory(folder)
            if number is None:
                continue
            with contextlib.suppress(FileNotFoundError):  # deleted meanwhile
                validation = _read(run)
                if (validation.name or "").startswith(f"{parent}/") and validation.create_time is not None:
                    rows.append(Listed(number, micros(validation.create_time), validation.to_wire()))
        return rows

    def _find(self, parent: Parent, validation_id: str) -> RunDirectory:
        number = parse_id(validation_id)
        run = RunDirectory(self._folder / str(number))
        name = f"{parent}/datasetValidations/{validation_id}"
        if number is None or not _file(run).is_file() or _read(run).name != name:
            raise NotFound(f"DatasetValidation `{name}` not found.")
        return run

    async def _speed(self, validation: DatasetValidation, model_id: str) -> float | None:
        """Tokens per second of this base model's last job in the same namespace."""
        speeds = await self._database.read(
            lambda tx: tuning_jobs.recent_speeds(tx, parent_of(validation), limit=_RECENT_JOBS)
        )
        for asked, speed in speeds:
            try:
                if self._catalog.find(asked).id == model_id:
                    return speed
            except NotFound:  # the operator has taken it out of the catalog
                continue
        return None

    async def _change(self, run: RunDirectory, **fields: object) -> DatasetValidation:
        changed = (await asyncio.to_thread(_read, run)).model_copy(update=fields)
        await asyncio.to_thread(_write, run, changed)
        return changed

    async def _end(self, run: RunDirectory, **fields: object) -> None:
        await self._change(run, end_time=datetime.now(UTC), **fields)
        self._close(run)

    def _close(self, run: RunDirectory) -> None:
        (self._open_dir / run.path.name).unlink(missing_ok=True)


def parent_of(validation: DatasetValidation) -> Parent:
    """Whose it is, by its name."""
    _, project, _, location = (validation.name or "").split("/")[:4]
    return Parent(project, location)


def _file(run: RunDirectory) -> Path:
    return run.path / "validation.json"


def _read(run: RunDirectory) -> DatasetValidation:
    return DatasetValidation.model_validate_json(_file(run).read_bytes())


def _remove(run: RunDirectory) -> None:
    """Its resource first: what a killed server leaves of the rest is nobody's."""
    _file(run).unlink(missing_ok=True)
    shutil.rmtree(run.path, ignore_errors=True)


def _write(run: RunDirectory, validation: DatasetValidation) -> None:
    write_atomically(_file(run), validation.model_dump_json(by_alias=True).encode() + b"\n")


def _invalid(field: str, message: str) -> InvalidArgument:
    path = f"dataset_validation.{field}"
    return InvalidArgument(message, violations=[FieldViolation(path, message)])
