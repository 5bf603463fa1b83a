"""Works on open dataset validations, a few at a time; whatever is cut off is read again at the next start."""

from __future__ import annotations

import asyncio
import contextlib
import logging

from sintonia.controller.dataset_process import DatasetProcess
from sintonia.errors import ApiError, Internal
from sintonia.runs.layout import RunDirectory
from sintonia.services.dataset_validations import DatasetValidations, parent_of

_log = logging.getLogger(__name__)

_POLL_SECONDS = 0.25
_AT_ONCE = 2


class ValidationLoop:
    """``run`` works until ``stop``."""

    def __init__(self, *, validations: DatasetValidations, datasets: DatasetProcess) -> None:
        self._validations = validations
        self._datasets = datasets
        self._stopping = asyncio.Event()
        self._tasks: dict[str, asyncio.Task[None]] = {}

    async def run(self) -> None:
        while not self._stopping.is_set():
            for run in self._open():
                if len(self._tasks) < _AT_ONCE and run.path.name not in self._tasks:
                    self._tasks[run.path.name] = asyncio.create_task(self._work(run))
            with contextlib.suppress(TimeoutError):
                await asyncio.wait_for(self._stopping.wait(), _POLL_SECONDS)
        if self._tasks:
            await asyncio.wait(list(self._tasks.values()))

    def stop(self) -> None:
        """Begin nothing more; reading is given up and begun again by the next server."""
        self._stopping.set()

    def _open(self) -> list[RunDirectory]:
        try:
            return self._validations.open()
        except OSError:
            _log.exception("the open dataset validations cannot be listed; trying again")
            return []

    async def _work(self, run: RunDirectory) -> None:
        try:
            await self._validate(run)
        except ApiError as error:
            await self._validations.fail(run, error)
        except Exception as error:
            _log.exception("dataset validation %s: unexpected failure", run.path.name)
            await self._validations.fail(run, Internal(f"Internal error while reading the dataset: {error}"))
        finally:
            del self._tasks[run.path.name]

    async def _validate(self, run: RunDirectory) -> None:
        validation = await self._validations.start(run)
        if validation is None:
            return

        async def keep_on() -> bool:
            return not self._stopping.is_set()

        result = await self._datasets.prepare(
            run,
            project=parent_of(validation).project,
            base_model=validation.base_model or "",
            training_dataset_uri=validation.dataset_uri or "",
            validation_dataset_uri=validation.validation_dataset_uri,
            keep_rows=False,
            keep_on=keep_on,
        )
        if result is not None:
            await self._validations.finish(run, result)
