"""What people may see of datasets: a job's reports, and rows as the model sees them."""

from __future__ import annotations

import asyncio

from sintonia.datasets.handover import read_prepare_result, read_prepare_spec
from sintonia.datasets.kept_rows import read_kept_rows
from sintonia.datasets.row_views import row_view
from sintonia.errors import ApiError, NotFound
from sintonia.model_families import shared_family
from sintonia.resources.datasets import Dataset, DatasetReport, FileState, JobDataset, RowPage
from sintonia.resources.names import Parent
from sintonia.runs.layout import RunDirectory
from sintonia.services.dataset_validations import DatasetValidations
from sintonia.services.tuning_jobs import TuningJobs
from sintonia.storage import Storage

# Storage elsewhere may take minutes to say that it does not answer; what became of a file is not worth that.
_PATIENCE_SECONDS = 5.0


class DatasetViews:
    """Reads what dataset processing left of jobs and validations; it stays there, whatever becomes of the files."""

    def __init__(self, jobs: TuningJobs, validations: DatasetValidations, storage: Storage) -> None:
        self._jobs = jobs
        self._validations = validations
        self._storage = storage

    async def of_job(self, parent: Parent, job_id: str) -> JobDataset:
        """Empty while the files are being read, and if they could not be. Raises NotFound."""
        result = await asyncio.to_thread(read_prepare_result, await self._jobs.run_of(parent, job_id))
        if result is None:
            return JobDataset()
        training, validation = await asyncio.gather(
            self._state(result.train, result.versions.get("training"), parent.project),
            self._state(result.validation, result.versions.get("validation"), parent.project),
        )
        return JobDataset(
            training=result.train, validation=result.validation, training_file=training, validation_file=validation
        )

    async def job_rows(self, parent: Parent, job_id: str, dataset: Dataset, *, start: int, limit: int) -> RowPage:
        """Rows from a number on; none before they were read. Raises NotFound."""
        return await _rows(await self._jobs.run_of(parent, job_id), dataset, start, limit)

    async def validation_rows(
        self, parent: Parent, validation_id: str, dataset: Dataset, *, start: int, limit: int
    ) -> RowPage:
        """As ``job_rows``."""
        return await _rows(await self._validations.run_of(parent, validation_id), dataset, start, limit)

    async def _state(self, report: DatasetReport | None, version: str | None, project: str) -> FileState | None:
        if report is None:
            return None
        try:
            async with asyncio.timeout(_PATIENCE_SECONDS):
                found = await asyncio.to_thread(self._storage.stat, report.uri, project=project)
        except NotFound:
            return "DELETED"
        except (ApiError, TimeoutError):
            return None
        return "UNCHANGED" if version == found.version else "CHANGED"


async def _rows(run: RunDirectory, dataset: Dataset, start: int, limit: int) -> RowPage:
    """In a thread: long rows take a while, in which others want to be answered."""

    def read() -> RowPage:
        page = read_kept_rows(run, dataset, start=start, limit=limit)
        if not page.rows:
            return RowPage(kept=page.kept, last_number=page.last, previous_number=page.before)
        spec = read_prepare_spec(run)
        family = shared_family(spec.family, spec.model_dir)
        return RowPage(
            rows=[row_view(row, family) for row in page.rows],
            kept=page.kept,
            last_number=page.last,
            previous_number=page.before,
            next_number=page.after,
        )

    return await asyncio.to_thread(read)
