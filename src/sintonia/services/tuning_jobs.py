"""Tuning jobs as users act on them: create, get, list, cancel; and what they may watch while a job works."""

from __future__ import annotations

import asyncio
import codecs
from collections.abc import Collection
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

from sintonia.base_models import Catalog
from sintonia.database import Database, Transaction, metrics, micros, tuning_jobs
from sintonia.database.listing import ORDERS
from sintonia.database.metrics import Series
from sintonia.database.tuning_jobs import JobRecord
from sintonia.datasets.handover import read_report
from sintonia.errors import NotFound
from sintonia.resources.base import JsonObject
from sintonia.resources.datasets import ReportPage
from sintonia.resources.names import Parent, parse_id
from sintonia.resources.own import TrainingSetup
from sintonia.resources.tuning import JobState, TuningJob, TuningJobState
from sintonia.runs.events import Started, read_events
from sintonia.runs.layout import RunDirectory
from sintonia.services import tuning_requests
from sintonia.services.ids import new_id
from sintonia.services.paging import ListRequest, Pager
from sintonia.services.pre_tuned import PreTunedModels
from sintonia.services.repeats import made_before, made_meanwhile, named_request
from sintonia.services.transitions import check_transition
from sintonia.storage import Storage

LOG_LIMIT = 256 * 1024
"""Bytes of a log in one answer."""

SERIES_POINTS = 5000
"""Points of a series in one answer, when all of it is asked for."""

# Of a setup, what only the trainer finds out.
_BY_TRAINER = {"trainable_parameters", "precision", "device"}


@dataclass(frozen=True)
class LogPart:
    """A stretch of a job's log, and the offset in bytes where the next one begins."""

    text: str
    next_offset: int


class TuningJobs:
    """See the API's tuningJobs methods; every one of them only reads or writes rows and returns."""

    def __init__(
        self,
        *,
        database: Database,
        catalog: Catalog,
        storage: Storage,
        pager: Pager,
        pre_tuned_models: PreTunedModels,
        runs_dir: Path,
    ) -> None:
        self._database = database
        self._catalog = catalog
        self._storage = storage
        self._pager = pager
        self._pre_tuned_models = pre_tuned_models
        self._runs_dir = runs_dir

    async def create(self, parent: Parent, request: TuningJob, *, request_id: str | None = None) -> TuningJob:
        """Store a job as PENDING: see ``tuning_requests.accept`` for what is refused, and ``repeats``."""
        named = named_request(parent, "tuningJobs", request_id, request.to_wire())
        if (earlier := await made_before(self._database, named)) is not None:
            return await self.get(parent, str(earlier))
        job_id = new_id()
        job = await tuning_requests.accept(
            request,
            parent=parent,
            job_id=job_id,
            catalog=self._catalog,
            storage=self._storage,
            pre_tuned_models=self._pre_tuned_models,
        )
        assert job.create_time is not None
        record = JobRecord(
            id=job_id,
            parent=parent,
            created=micros(job.create_time),
            job=job,
            phase=TuningJobState.TUNING_JOB_STATE_PROCESSING_DATASET,
        )

        async def work(tx: Transaction) -> TuningJob:
            if (twin := await made_meanwhile(tx, named, job_id)) is not None:
                return (await _existing(tx, parent, str(twin))).job
            await tuning_jobs.insert(tx, record)
            return job

        return await self._database.write(work)

    async def get(self, parent: Parent, job_id: str) -> TuningJob:
        """Raises NotFound."""
        return (await self._database.read(lambda tx: _existing(tx, parent, job_id))).job

    async def list(self, parent: Parent, request: ListRequest) -> tuple[list[JsonObject], str | None]:
        """A page of jobs as the wire has them, newest first, and the token of the next page."""
        return await self._pager.page(
            lambda wanted: self._database.read(lambda tx: tuning_jobs.page(tx, parent, wanted)),
            request,
            what=f"{parent}/tuningJobs",
            orders=ORDERS,
        )

    async def cancel(self, parent: Parent, job_id: str) -> None:
        """Ask for the job's end; a controller carries it out. A job that is being cancelled stays so.

        Raises:
            NotFound: there is no such job.
            FailedPrecondition: it has ended already.
        """

        async def work(tx: Transaction) -> None:
            record = await _existing(tx, parent, job_id, lock=True)
            check_transition(record.state, JobState.JOB_STATE_CANCELLING)
            job = record.job.model_copy(
                update={"state": JobState.JOB_STATE_CANCELLING, "update_time": datetime.now(UTC)}
            )
            await tuning_jobs.update(tx, record.id, job=job, phase=record.phase)

        await self._database.write(work)

    async def progress(self, parent: Parent, job_id: str) -> JsonObject:
        """Where the job is: state, queue position, step, loss, speed, time left. Raises NotFound."""

        async def work(tx: Transaction) -> JsonObject:
            return await _progress(tx, await _existing(tx, parent, job_id))

        return await self._database.read(work)

    async def progress_of(self, parent: Parent, job_ids: Collection[str]) -> dict[str, JsonObject]:
        """Where several jobs are, by their ids as they were asked for; there is nothing of those that do not exist."""

        async def work(tx: Transaction) -> dict[str, JsonObject]:
            found = {}
            for job_id in job_ids:
                number = parse_id(job_id)
                if number is not None and (record := await tuning_jobs.get(tx, number, parent)):
                    found[job_id] = await _progress(tx, record)
            return found

        return await self._database.read(work)

    async def metrics(self, parent: Parent, job_id: str, *, after: int | None = None) -> dict[str, JsonObject]:
        """The job's series by name, each as columns ``steps`` and ``values``: every point behind the step ``after``.

        Without ``after`` all of them, long ones decimated, which ``decimatedFrom`` then tells. Raises NotFound.
        """

        async def work(tx: Transaction) -> dict[str, Series]:
            record = await _existing(tx, parent, job_id)
            if after is None:
                return await metrics.overview(tx, record.id, points=SERIES_POINTS)
            return await metrics.behind(tx, record.id, after)

        found = await self._database.read(work)
        return {
            name: {"steps": series.steps, "values": series.values}
            | ({"decimatedFrom": series.total} if series.total else {})
            for name, series in found.items()
        }

    async def dataset_report(self, parent: Parent, job_id: str, *, offset: int, limit: int) -> ReportPage:
        """The bad and dropped lines of the job's datasets, all of them, from an offset on. Raises NotFound."""
        run = await self.run_of(parent, job_id)
        return await asyncio.to_thread(read_report, run, offset=offset, limit=limit)

    async def setup(self, parent: Parent, job_id: str) -> TrainingSetup:
        """What the job's trainer works with, as far as that is settled. Raises NotFound."""
        return await asyncio.to_thread(_read_setup, await self.run_of(parent, job_id))

    async def log(self, parent: Parent, job_id: str, *, offset: int = 0, limit: int = LOG_LIMIT) -> LogPart:
        """The log of dataset processing and of the trainer, one behind the other: ``limit`` bytes from an offset on.

        Raises NotFound.
        """
        run = await self.run_of(parent, job_id)
        return await asyncio.to_thread(_read_log, [run.dataset_log, run.trainer_log], offset, limit)

    async def run_of(self, parent: Parent, job_id: str) -> RunDirectory:
        """Where the job works, or worked. Raises NotFound."""
        record = await self._database.read(lambda tx: _existing(tx, parent, job_id))
        return RunDirectory(self._runs_dir / str(record.id))


async def _existing(tx: Transaction, parent: Parent, job_id: str, *, lock: bool = False) -> JobRecord:
    number = parse_id(job_id)
    record = await tuning_jobs.get(tx, number, parent, lock=lock) if number is not None else None
    if record is None:
        raise NotFound(f"TuningJob `{parent}/tuningJobs/{job_id}` not found.")
    return record


async def _progress(tx: Transaction, record: JobRecord) -> JsonObject:
    progress: JsonObject = {"state": record.state.value}
    if not record.state.final:
        progress["tuningJobState"] = record.phase.value
        if record.state is JobState.JOB_STATE_PENDING:
            progress["queuePosition"] = await tuning_jobs.queue_position(tx, record)
    return progress | record.progress


def _read_setup(run: RunDirectory) -> TrainingSetup:
    try:
        spec = run.read_spec()
    except FileNotFoundError:
        return TrainingSetup()
    setup = TrainingSetup.model_validate(spec.model_dump(include=TrainingSetup.model_fields.keys() - _BY_TRAINER))
    attempts = run.event_files()
    for file in reversed(attempts):
        for told in read_events(file):
            if isinstance(told.event, Started):
                began = told.event.model_dump(include=_BY_TRAINER)
                return setup.model_copy(update=began | {"attempts": len(attempts)})
    return setup


def _read_log(files: list[Path], offset: int, limit: int) -> LogPart:
    """No character is cut in two: what is not whole yet is left for the next part."""
    start, found = 0, b""
    for file in files:
        try:
            size = file.stat().st_size
        except FileNotFoundError:
            continue
        behind = offset + len(found)
        if start <= behind < start + size and len(found) < limit:
            with file.open("rb") as stream:
                stream.seek(behind - start)
                found += stream.read(min(limit - len(found), start + size - behind))
        start += size
    decoder = codecs.getincrementaldecoder("utf-8")(errors="replace")
    text = decoder.decode(found, final=len(found) < limit)
    return LogPart(text, offset + len(found) - len(decoder.getstate()[0]))
