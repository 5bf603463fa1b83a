"""Claims jobs, keeps their leases alive while steps work on them, and lets go in order when it is told to stop."""

from __future__ import annotations

import asyncio
import contextlib
import logging
import secrets

from sintonia.controller.steps import Steps
from sintonia.errors import ApiError, Internal, Unavailable
from sintonia.resources.tuning import JobState, Status
from sintonia.services.job_ledger import JobLedger, JobRecord, Lease, LeaseLost

_log = logging.getLogger(__name__)

_POLL_SECONDS = 0.25
# How long steps may take to let go when the server stops; a trainer gets most of it to save its state.
_LET_GO_SECONDS = 6.0
_RETRY_SECONDS = 1.0


class Controller:
    """One of possibly many; ``run`` works until ``stop``."""

    def __init__(self, *, ledger: JobLedger, steps: Steps, slots: int) -> None:
        self._ledger = ledger
        self._steps = steps
        self._slots = slots
        self._owner = secrets.token_hex(4)
        self._stopping = asyncio.Event()
        self._tasks: set[asyncio.Task[None]] = set()

    async def run(self) -> None:
        """Claim and work, until stopped; then end the work in hand so that any controller can go on with it."""
        stopping = asyncio.create_task(self._stopping.wait())
        while not self._stopping.is_set():
            try:
                claimed = await self._ledger.claim(f"{self._owner}-{secrets.token_hex(8)}", slots=self._slots)
            except Exception:
                _log.exception("claiming a job failed; trying again")
                claimed = None
            if claimed is not None:
                task = asyncio.create_task(self._work(*claimed))
                self._tasks.add(task)
                task.add_done_callback(self._tasks.discard)
                continue
            # A job that was moved on waits for nobody.
            await asyncio.wait({stopping, *self._tasks}, timeout=_POLL_SECONDS, return_when=asyncio.FIRST_COMPLETED)
        stopping.cancel()
        if self._tasks:
            _, lingering = await asyncio.wait(self._tasks, timeout=_LET_GO_SECONDS)
            for task in lingering:
                task.cancel()
            await asyncio.gather(*lingering, return_exceptions=True)

    def stop(self) -> None:
        """Claim nothing more; steps in hand save their state and let go."""
        self._stopping.set()

    async def _work(self, lease: Lease, record: JobRecord) -> None:
        """Move one job on as far as it goes for now."""
        steps = asyncio.create_task(self._steps.advance(lease, record, self._stopping))
        heartbeat = asyncio.create_task(self._heartbeat(lease, steps))
        try:
            await steps
        except (LeaseLost, asyncio.CancelledError):
            _log.warning("job %d: let go", lease.job_id)
        except Unavailable as error:
            # The database, mostly: no fault of the job's, which any controller goes on with.
            _log.warning("job %d: %s; going on with it later", lease.job_id, error.message)
            await asyncio.sleep(_RETRY_SECONDS)
        except ApiError as error:
            await self._fail(lease, error)
        except Exception as error:
            _log.exception("job %d: unexpected failure", lease.job_id)
            await self._fail(lease, Internal(f"Internal error while moving the job on: {error}"))
        finally:
            steps.cancel()
            heartbeat.cancel()
            with contextlib.suppress(Exception):
                await self._ledger.release(lease)

    async def _heartbeat(self, lease: Lease, steps: asyncio.Task[None]) -> None:
        """Renew the lease; when it is lost, nobody may work on the job in its name any more."""
        while True:
            await asyncio.sleep(self._ledger.lease_seconds / 4)
            try:
                await self._ledger.renew(lease)
            except LeaseLost:
                steps.cancel()
                return
            except Exception:
                _log.exception("job %d: renewing the lease failed; trying again", lease.job_id)

    async def _fail(self, lease: Lease, error: ApiError) -> None:
        """End the job truthfully: FAILED with the error, or CANCELLED if that was asked for meanwhile."""
        status = Status(code=error.code, message=error.message)
        try:
            record = await self._ledger.read(lease)
            if record.state is JobState.JOB_STATE_CANCELLING:
                await self._steps.finish_cancel(lease)
            else:
                await self._steps.stop_trainer(lease)
                await self._ledger.end(lease, JobState.JOB_STATE_FAILED, status)
        except LeaseLost:
            return
        except Exception:
            _log.exception("job %d: its failure could not be stored; it will be tried again", lease.job_id)
