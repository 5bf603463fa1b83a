"""What a job goes through: process_dataset, wait_for_capacity, tune, post_process. Each step may be repeated."""

from __future__ import annotations

import asyncio
import json
import logging
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from functools import partial
from pathlib import Path

from sintonia.base_models import Catalog
from sintonia.controller.dataset_process import DatasetProcess
from sintonia.controller.following import Follower
from sintonia.controller.training_spec import training_spec, with_plan
from sintonia.errors import ApiError, Internal, Unavailable
from sintonia.executors.local_process import LocalProcessExecutor
from sintonia.resources.content import Conversation
from sintonia.resources.experiments import ExperimentNames
from sintonia.resources.tuning import JobState, Status, SupervisedTuningSpec, TuningJobState
from sintonia.runs.durable import copy_directory
from sintonia.runs.events import Failed, Finished
from sintonia.runs.layout import RunDirectory
from sintonia.services.generation import Generation
from sintonia.services.job_ledger import JobLedger, JobRecord, Lease
from sintonia.services.metrics_files import MetricsFiles
from sintonia.services.outputs import Outputs
from sintonia.services.pre_tuned import PreTunedModels
from sintonia.settings import Settings

_log = logging.getLogger(__name__)

_FOLLOW_SECONDS = 0.25
# A cancelled trainer may save its state for so long before it is killed; users wait for it.
_CANCEL_GRACE_SECONDS = 3.0
# At the server's stop a trainer may finish its step and save; it is then killed and goes on from its last checkpoint.
_STOP_GRACE_SECONDS = 4.5
# A trainer that dies so often without getting further will not get further.
_MAX_FRUITLESS_ATTEMPTS = 4
_SERVE_ATTEMPTS = 3


@dataclass(frozen=True)
class Steps:
    """The steps and what they work with."""

    settings: Settings
    ledger: JobLedger
    catalog: Catalog
    datasets: DatasetProcess
    executor: LocalProcessExecutor
    metrics_files: MetricsFiles
    generation: Generation
    outputs: Outputs
    pre_tuned_models: PreTunedModels

    async def advance(self, lease: Lease, record: JobRecord, stopping: asyncio.Event) -> None:
        """Do what comes next for a claimed job, until it waits, ends, or ``stopping`` is set."""
        run = self._run(record)
        if record.state is JobState.JOB_STATE_CANCELLING:
            await self.finish_cancel(lease)
        elif record.phase is TuningJobState.TUNING_JOB_STATE_PROCESSING_DATASET:
            await self._process_dataset(lease, record, run, stopping)
        else:
            if record.phase is not TuningJobState.TUNING_JOB_STATE_POST_PROCESSING:
                record = await self._tune(lease, record, run, stopping)
            if record.phase is TuningJobState.TUNING_JOB_STATE_POST_PROCESSING:
                await self._post_process(lease, record, run, stopping)

    async def finish_cancel(self, lease: Lease) -> None:
        """End the trainer, if there is one, and the job; what was checkpointed stays."""
        run = await self.stop_trainer(lease)
        await self._take_in_rest(lease, run)
        cancelled = Status(code=1, message="The tuning job was cancelled.")
        await self.ledger.end(lease, JobState.JOB_STATE_CANCELLED, cancelled)

    async def stop_trainer(self, lease: Lease) -> RunDirectory:
        """End the job's trainer, if one runs; returns where it worked."""
        run = RunDirectory(self.settings.runs_dir / str(lease.job_id))
        await asyncio.to_thread(self.executor.stop, run, grace=_CANCEL_GRACE_SECONDS)
        return run

    async def _process_dataset(
        self, lease: Lease, record: JobRecord, run: RunDirectory, stopping: asyncio.Event
    ) -> None:
        spec = record.job.supervised_tuning_spec or SupervisedTuningSpec()

        async def keep_on() -> bool:
            current = await self.ledger.change(
                lease, lambda r: replace(r, progress=r.progress | self.datasets.progress(run))
            )
            return not stopping.is_set() and current.state is not JobState.JOB_STATE_CANCELLING

        await self._keep_initial_adapter(record, run)
        result = await self.datasets.prepare(
            run,
            project=record.parent.project,
            base_model=record.job.base_model_name,
            training_dataset_uri=spec.training_dataset_uri or "",
            validation_dataset_uri=spec.validation_dataset_uri or None,
            keep_on=keep_on,
        )
        if result is None:
            current = await self.ledger.read(lease)
            if current.state is JobState.JOB_STATE_CANCELLING:
                await self.finish_cancel(lease)
            return
        if not result.ok or result.train is None:
            raise result.error()
        prepared = result.train
        await self.ledger.change(
            lease,
            lambda r: replace(
                r,
                job=with_plan(r.job, prepared).model_copy(
                    update={"tuning_job_state": TuningJobState.TUNING_JOB_STATE_WAITING_FOR_CAPACITY}
                ),
                phase=TuningJobState.TUNING_JOB_STATE_WAITING_FOR_CAPACITY,
                progress={},
            ),
        )

    async def _keep_initial_adapter(self, record: JobRecord, run: RunDirectory) -> None:
        """A job that goes on from a tuned model gets a copy: whatever becomes of that one cannot change it."""
        if record.job.pre_tuned_model and not run.initial_adapter.exists():
            before = await self.pre_tuned_models.find(record.parent, record.job.pre_tuned_model)
            await asyncio.to_thread(copy_directory, before.adapter, run.initial_adapter)

    async def _tune(self, lease: Lease, record: JobRecord, run: RunDirectory, stopping: asyncio.Event) -> JobRecord:
        entry = self.catalog.find(record.job.base_model_name)
        if not run.spec_file.is_file():
            spec = training_spec(
                record.job,
                entry=entry,
                facts=self.catalog.facts(entry),
                model_dir=self.catalog.directory(entry),
                settings=self.settings,
            )
            await asyncio.to_thread(run.write_spec, spec)
        record = await self.ledger.change(lease, _running)
        follower = Follower(self.ledger, lease, run)
        fruitless = 0
        while record.state is not JobState.JOB_STATE_CANCELLING:
            await asyncio.to_thread(self.executor.start, run, threads=self.settings.training_threads)
            before = follower.steps_done
            while not stopping.is_set() and record.state is not JobState.JOB_STATE_CANCELLING:
                alive = await asyncio.to_thread(self.executor.is_running, run)
                record = await follower.take_in(record)
                if not alive or follower.outcome is not None:
                    break
                await asyncio.sleep(_FOLLOW_SECONDS)
            if record.state is JobState.JOB_STATE_CANCELLING:
                break
            if stopping.is_set():
                await asyncio.to_thread(self.executor.stop, run, grace=_STOP_GRACE_SECONDS)
                return await follower.take_in(record)
            if follower.outcome is not None:  # its last word; its memory must be free before anything else is loaded
                await asyncio.to_thread(self.executor.stop, run, grace=_STOP_GRACE_SECONDS)
            if isinstance(follower.outcome, Finished):
                metrics_uri = await self.metrics_files.write(record)
                return await self.ledger.change(lease, partial(_post_processing, metrics_uri=metrics_uri))
            if isinstance(follower.outcome, Failed):
                raise _as_error(follower.outcome)
            # The trainer died without a word. It goes on from its last checkpoint, unless that leads nowhere.
            fruitless = 0 if follower.steps_done > before else fruitless + 1
            _log.warning("job %d: the trainer ended at step %d; starting it again", record.id, follower.steps_done)
            if fruitless >= _MAX_FRUITLESS_ATTEMPTS:
                raise Internal(
                    f"The training process ended {fruitless} times without getting further than step "
                    f"{follower.steps_done}, as when memory runs out. Last lines of its log: {_tail(run.trainer_log)}"
                )
            await asyncio.sleep(min(fruitless, 3))
        await self.finish_cancel(lease)
        return replace(record, phase=TuningJobState.TUNING_JOB_STATE_UNSPECIFIED)

    async def _post_process(self, lease: Lease, record: JobRecord, run: RunDirectory, stopping: asyncio.Event) -> None:
        """The tuned model must answer once before anybody is told that the job succeeded."""
        checkpoints = record.job.tuned_model.checkpoints if record.job.tuned_model else []
        if not checkpoints:
            raise Internal("Training finished, but left no checkpoint.")
        conversation = await asyncio.to_thread(_first_prompt, run.train_file)
        entry = self.catalog.find(record.job.base_model_name)
        for attempt in range(1, _SERVE_ATTEMPTS + 1):
            try:
                target = await self.generation.checkpoint(entry.id, record.id, checkpoints[-1].checkpoint_id)
                await self.generation.try_once(target, conversation)
                break
            except Unavailable as error:
                if stopping.is_set():
                    return
                if attempt == _SERVE_ATTEMPTS:
                    raise Internal(f"The tuned model could not be loaded and asked: {error.message}") from None
            except ApiError as error:
                raise Internal(f"The tuned model could not be loaded and asked: {error.message}") from None
        await self.outputs.write(record, base_model=entry.id)
        if (await self.ledger.read(lease)).state is JobState.JOB_STATE_CANCELLING:
            await self.finish_cancel(lease)
        else:
            await self.ledger.succeed(lease, base_model=entry.id)

    async def _take_in_rest(self, lease: Lease, run: RunDirectory) -> None:
        """What the trainer told before its end: checkpoints above all."""
        await Follower(self.ledger, lease, run).take_in(await self.ledger.read(lease))

    def _run(self, record: JobRecord) -> RunDirectory:
        return RunDirectory(self.settings.runs_dir / str(record.id))


def _running(record: JobRecord) -> JobRecord:
    if record.state is JobState.JOB_STATE_CANCELLING:
        return record
    job = record.job.model_copy(
        update={
            "state": JobState.JOB_STATE_RUNNING,
            "tuning_job_state": TuningJobState.TUNING_JOB_STATE_TUNING,
            "start_time": record.job.start_time or datetime.now(UTC),
            # Not before: clients that find it in the reply to create fall over it.
            "experiment": ExperimentNames(record.parent, record.id).experiment,
        }
    )
    return replace(record, job=job, phase=TuningJobState.TUNING_JOB_STATE_TUNING)


def _post_processing(record: JobRecord, metrics_uri: str | None) -> JobRecord:
    if record.state is JobState.JOB_STATE_CANCELLING:
        return record
    phase = TuningJobState.TUNING_JOB_STATE_POST_PROCESSING
    job = record.job.model_copy(update={"tuning_job_state": phase, "gcs_metrics_uri": metrics_uri})
    return replace(record, job=job, phase=phase)


def _as_error(failed: Failed) -> ApiError:
    kinds = {kind.status: kind for kind in ApiError.__subclasses__()}
    return kinds.get(failed.status, Internal)(failed.message)


def _first_prompt(train_file: Path) -> Conversation:
    """The first training row up to its last model turn."""
    with train_file.open(encoding="utf-8") as stream:
        row = Conversation.from_wire(json.loads(stream.readline()))
    turns = list(row.contents)
    while turns and turns[-1].role == "model":
        turns.pop()
    return row.model_copy(update={"contents": turns})


def _tail(log: Path, lines: int = 5) -> str:
    try:
        return " | ".join(log.read_text(encoding="utf-8", errors="replace").strip().splitlines()[-lines:])
    except OSError:
        return "(none)"
