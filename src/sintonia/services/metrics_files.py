"""Where ``gcsMetricsUri`` of a job leads: its metrics as an object, one JSON line for each step.

The API does not document what lies there; whoever wants the curves as TensorBoard has them reads the job's experiment.
"""

from __future__ import annotations

import asyncio
import contextlib
import hashlib
import json
import logging
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from sintonia.database import Database, metrics
from sintonia.database.metrics import Series
from sintonia.database.tuning_jobs import JobRecord
from sintonia.errors import AlreadyExists, ApiError
from sintonia.resources.base import format_timestamp
from sintonia.services.tensorboards import moment
from sintonia.storage import BucketStore, ObjectUri, Storage
from sintonia.storage.names import is_bucket_name

_log = logging.getLogger(__name__)

BUCKETS = "sintonia-metrics-"
"""So begin the names of the buckets of metrics files."""


@dataclass(frozen=True)
class MetricsFiles:
    """Metrics files lie in a bucket of their project, which is made on first need."""

    database: Database
    storage: Storage

    async def write(self, record: JobRecord) -> str | None:
        """Put down all metrics that the job has told, over what was there; the object's address.

        None if they cannot be put there: a job does not fail for it. None too where ``gs://`` is Google's, whose
        buckets are not ours to make.
        """
        if self.storage.buckets is None:
            return None
        found = await self.database.read(lambda tx: metrics.behind(tx, record.id, -1))
        uri = ObjectUri(
            bucket_of(record.parent.project), f"{record.parent.location}/tuningJobs/{record.id}/metrics.jsonl"
        )
        try:
            await asyncio.to_thread(self._put, self.storage.buckets, uri, record.parent.project, _lines(record, found))
        except (ApiError, OSError) as error:
            _log.warning("job %d: its metrics could not be written to %s: %s", record.id, uri, error)
            return None
        return str(uri)

    def _put(self, buckets: BucketStore, uri: ObjectUri, project: str, content: bytes) -> None:
        with contextlib.suppress(AlreadyExists):
            buckets.create_bucket(uri.bucket, project)
        if buckets.get_bucket(uri.bucket).project != project:
            raise AlreadyExists(f"The bucket '{uri.bucket}' belongs to another project.")
        self.storage.put(str(uri), content, project=project, content_type="application/jsonl")


def bucket_of(project: str) -> str:
    """Where the metrics files of a project lie. Not every project's id can be a part of a bucket's name."""
    name = f"{BUCKETS}{project}"
    return name if is_bucket_name(name) else f"{BUCKETS}{hashlib.sha256(project.encode()).hexdigest()[:16]}"


def _lines(record: JobRecord, found: Mapping[str, Series]) -> bytes:
    steps: dict[int, dict[str, Any]] = {}
    for name, series in found.items():
        for step, value, recorded in zip(series.steps, series.values, series.recorded, strict=True):
            known = moment(recorded, record.job)
            line = steps.setdefault(step, {"step": step} | ({"wallTime": format_timestamp(known)} if known else {}))
            line[name] = value
    return b"".join(json.dumps(steps[step]).encode() + b"\n" for step in sorted(steps))
