"""Tuning jobs as a controller moves them on: every write is guarded by the lease on the job."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from typing import Any

from sintonia.database import Database, Transaction, endpoints, metrics, micros, tuning_jobs
from sintonia.database.endpoints import EndpointRecord
from sintonia.database.tuning_jobs import JobRecord, Lease, LeaseLost
from sintonia.resources.serving import DeployedModel, Endpoint
from sintonia.resources.tuning import JobState, Status, TunedModel, TunedModelCheckpoint, TuningJob, TuningJobMetadata
from sintonia.runs.events import CheckpointExported, Event, Metrics, Progress, ReadEvent, Started
from sintonia.services.ids import new_id
from sintonia.services.model_versions import etag_of, register, retell
from sintonia.services.transitions import check_transition

__all__ = ["JobLedger", "JobRecord", "Lease", "LeaseLost"]


@dataclass(frozen=True)
class JobLedger:
    """What a controller may do to jobs. All methods but ``claim`` raise LeaseLost when the lease has gone."""

    database: Database
    lease_seconds: float

    async def claim(self, token: str, *, slots: int) -> tuple[Lease, JobRecord] | None:
        """Lease the next job to work on, see ``tuning_jobs.claim_next``; None if there is nothing to do."""

        async def work(tx: Transaction) -> tuple[Lease, JobRecord] | None:
            job_id = await tuning_jobs.claim_next(tx, token=token, seconds=self.lease_seconds, slots=slots)
            if job_id is None:
                return None
            lease = Lease(job_id, token)
            return lease, await tuning_jobs.get_leased(tx, lease, lock=True)

        return await self.database.write(work)

    async def renew(self, lease: Lease) -> None:
        await self.database.write(lambda tx: tuning_jobs.renew(tx, lease, seconds=self.lease_seconds))

    async def release(self, lease: Lease) -> None:
        await self.database.write(lambda tx: tuning_jobs.release(tx, lease))

    async def read(self, lease: Lease) -> JobRecord:
        return await self.database.read(lambda tx: tuning_jobs.get_leased(tx, lease))

    async def change(self, lease: Lease, edit: Callable[[JobRecord], JobRecord]) -> JobRecord:
        """Write what ``edit`` makes of the job as it stands now.

        Raises:
            FailedPrecondition: ``edit`` changes the state in a way that is not legal.
        """

        async def work(tx: Transaction) -> JobRecord:
            return await _write(tx, await tuning_jobs.get_leased(tx, lease, lock=True), edit)

        return await self.database.write(work)

    async def take_in(self, lease: Lease, attempt: int, read: Sequence[ReadEvent]) -> JobRecord:
        """Take a trainer's events into the records, together with how far they were read."""

        async def work(tx: Transaction) -> JobRecord:
            record = await tuning_jobs.get_leased(tx, lease, lock=True)
            values: dict[tuple[str, int], float] = {}
            recorded: dict[int, int] = {}
            for item in read:
                event = item.event
                if isinstance(event, Metrics):
                    values |= {(name, event.step): value for name, value in event.values.items()}
                    recorded[event.step] = round(event.time * 1e6)
                elif isinstance(event, CheckpointExported):
                    record = replace(record, job=await _deploy_checkpoint(tx, record, event))
            await metrics.put(tx, record.id, values, recorded)
            after = replace(
                record,
                job=_with_metadata(record.job, [item.event for item in read]),
                progress=_with_progress(record.progress, [item.event for item in read]),
                event_attempt=attempt,
                event_offset=read[-1].end if read else record.event_offset,
            )
            return await _write(tx, record, lambda _: after)

        return await self.database.write(work)

    async def succeed(self, lease: Lease, *, base_model: str) -> JobRecord:
        """Register the tuned model, see ``model_versions.register``, and end the job: all in one transaction."""

        async def work(tx: Transaction) -> JobRecord:
            record = await tuning_jobs.get_leased(tx, lease, lock=True)
            check_transition(record.state, JobState.JOB_STATE_SUCCEEDED)
            await register(tx, record, base_model=base_model)
            tuned = (await retell(tx, record)).tuned_model
            return await _write(tx, record, lambda r: ended(r, JobState.JOB_STATE_SUCCEEDED, tuned_model=tuned))

        return await self.database.write(work)

    async def end(self, lease: Lease, state: JobState, error: Status | None = None) -> JobRecord:
        """End the job in ``state``, with what went wrong."""
        return await self.change(lease, lambda record: ended(record, state, error=error))


def ended(record: JobRecord, state: JobState, **fields: Any) -> JobRecord:
    """``record`` in a final state, now."""
    now = datetime.now(UTC)
    job = record.job.model_copy(update={"state": state, "tuning_job_state": None, "end_time": now, **fields})
    progress = {key: value for key, value in record.progress.items() if key not in ("secondsLeft", "activity")}
    return replace(record, job=job, progress=progress)


async def _write(tx: Transaction, before: JobRecord, edit: Callable[[JobRecord], JobRecord]) -> JobRecord:
    after = edit(before)
    check_transition(before.state, after.state)
    job = after.job.model_copy(update={"update_time": datetime.now(UTC)})
    await tuning_jobs.update(
        tx,
        before.id,
        job=job,
        phase=after.phase,
        progress=after.progress,
        events=(after.event_attempt, after.event_offset),
    )
    return replace(after, job=job)


async def _deploy_checkpoint(tx: Transaction, record: JobRecord, event: CheckpointExported) -> TuningJob:
    """Give a fresh checkpoint its endpoint; one that was told before (by an earlier attempt) has it already."""
    tuned = record.job.tuned_model or TunedModel()
    if any(known.checkpoint_id == event.checkpoint_id for known in tuned.checkpoints):
        return record.job
    now = datetime.now(UTC)
    endpoint_id = new_id()
    name = record.parent.endpoint(endpoint_id)
    display_name = record.job.tuned_model_display_name
    deployed = DeployedModel(
        id=str(new_id()), display_name=display_name, create_time=now, checkpoint_id=event.checkpoint_id
    )
    await endpoints.insert(
        tx,
        EndpointRecord(
            id=endpoint_id,
            parent=record.parent,
            created=micros(now),
            job_id=record.id,
            checkpoint_id=event.checkpoint_id,
            base_model=record.job.base_model_name,
            endpoint=Endpoint(
                name=name,
                display_name=display_name,
                deployed_models=[deployed],
                traffic_split={deployed.id: 100},
                labels=record.job.labels,
                create_time=now,
                update_time=now,
                etag=etag_of(now),
            ),
        ),
    )
    checkpoint = TunedModelCheckpoint(
        checkpoint_id=event.checkpoint_id, epoch=event.epoch, step=event.step, endpoint=name
    )
    tuned = tuned.model_copy(update={"checkpoints": [*tuned.checkpoints, checkpoint]})
    return record.job.model_copy(update={"tuned_model": tuned})


def _with_metadata(job: TuningJob, events: Sequence[Event]) -> TuningJob:
    last = next((event for event in reversed(events) if isinstance(event, Progress)), None)
    if last is None:
        return job
    done = TuningJobMetadata(completed_epoch_count=last.epoch, completed_step_count=last.step)
    return job.model_copy(update={"tuning_job_metadata": done})


def _with_progress(before: dict[str, Any], events: Sequence[Event]) -> dict[str, Any]:
    progress = dict(before)
    for event in events:
        if isinstance(event, Started):
            progress |= {"totalSteps": event.total_steps, "epochs": event.epochs, "step": event.resumed_from_step}
        elif isinstance(event, Progress):
            told = {
                "step": event.step,
                "epoch": event.epoch,
                "activity": event.activity,
                "loss": event.loss,
                "tokensPerSecond": event.tokens_per_second,
                "secondsLeft": event.seconds_left,
            }
            progress |= {key: value for key, value in told.items() if value is not None}
        elif isinstance(event, CheckpointExported) and event.validation_loss is not None:
            best = progress.get("bestCheckpoint")
            if best is None or event.validation_loss < best["validationLoss"]:
                progress["bestCheckpoint"] = {
                    "checkpointId": event.checkpoint_id,
                    "validationLoss": event.validation_loss,
                }
    return progress
