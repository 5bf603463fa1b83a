"""Dataset processing as a process of its own: on the server's event loop it would starve heartbeats."""

from __future__ import annotations

import asyncio
import contextlib
import sys
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any

from sintonia.base_models import Catalog
from sintonia.datasets.handover import (
    PrepareResult,
    PrepareSpec,
    read_prepare_progress,
    read_prepare_result,
    write_prepare_spec,
)
from sintonia.errors import Internal
from sintonia.runs.layout import RunDirectory
from sintonia.settings import child_environment
from sintonia.storage import StorageConfig

_LOOK_SECONDS = 0.4


class DatasetProcess:
    """Prepares the data of run directories by ``python -m sintonia.datasets``.

    Args:
        catalog: knows the base models whose tokenizers read.
        storage: where datasets lie.
        processes: how many may read a large file together.
        prepared_dir: where what was read is kept for the next time.
        prepared_bytes: what it may take there; 0: nothing is kept.
    """

    def __init__(
        self, *, catalog: Catalog, storage: StorageConfig, processes: int, prepared_dir: Path, prepared_bytes: int
    ) -> None:
        self._catalog = catalog
        self._storage = storage
        self._processes = processes
        self._prepared_dir = prepared_dir if prepared_bytes else None
        self._prepared_bytes = prepared_bytes

    async def prepare(
        self,
        run: RunDirectory,
        *,
        project: str,
        base_model: str,
        training_dataset_uri: str,
        validation_dataset_uri: str | None,
        keep_rows: bool = True,
        keep_on: Callable[[], Awaitable[bool]],
    ) -> PrepareResult | None:
        """How it ended, well or badly; None if ``keep_on``, asked again and again, said to stop.

        Raises:
            NotFound, FailedPrecondition: the base model is unknown or not on this machine.
            Internal: the process died.
        """
        entry = self._catalog.find(base_model)
        write_prepare_spec(
            run,
            PrepareSpec(
                storage=self._storage,
                project=project,
                training_dataset_uri=training_dataset_uri,
                validation_dataset_uri=validation_dataset_uri,
                base_model=entry.id,
                family=entry.family,
                model_dir=self._catalog.directory(entry),
                max_example_tokens=self._catalog.max_example_tokens(entry),
                keep_rows=keep_rows,
                processes=self._processes,
                prepared_dir=self._prepared_dir,
                prepared_bytes=self._prepared_bytes,
            ),
        )
        run.logs.mkdir(parents=True, exist_ok=True)
        with run.dataset_log.open("ab") as log:
            process = await asyncio.create_subprocess_exec(
                *(sys.executable, "-m", "sintonia.datasets", str(run.path)),
                stdin=asyncio.subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                env=child_environment(storage_credentials=self._storage.needs_credentials)
                | {"TOKENIZERS_PARALLELISM": "false"},
                start_new_session=True,
            )
        ended = asyncio.ensure_future(process.wait())
        try:
            while not ended.done():
                await asyncio.wait([ended], timeout=_LOOK_SECONDS)
                if not ended.done() and not await keep_on():
                    return None
        finally:
            if not ended.done():
                with contextlib.suppress(ProcessLookupError):
                    process.kill()
                await ended
        result = await asyncio.to_thread(read_prepare_result, run)
        if result is None:
            raise Internal(f"Dataset processing ended unexpectedly (exit status {process.returncode}); see the log.")
        return result

    def progress(self, run: RunDirectory) -> dict[str, Any]:
        """How far processing has come, for the job's progress."""
        told = read_prepare_progress(run)
        if told is None:
            return {}
        return {"activity": "reading the dataset", "rowsRead": told.rows, "badRows": told.bad_rows}
