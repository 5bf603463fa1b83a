"""What a job puts at its ``outputUri``: adapters in PEFT's format, metrics, and a page that says what they are."""

from __future__ import annotations

import asyncio
import json
from dataclasses import dataclass
from pathlib import Path

from sintonia.database import Database, metrics
from sintonia.database.metrics import Series
from sintonia.database.tuning_jobs import JobRecord
from sintonia.errors import ApiError, FieldViolation, InvalidArgument, Unavailable
from sintonia.resources.tuning import SupervisedTuningSpec
from sintonia.runs.layout import RunDirectory
from sintonia.storage import Storage

_README = "README.md"
# No name of what is written is longer.
_LONGEST = "checkpoints/1000000/adapter_model.safetensors"


@dataclass(frozen=True)
class Outputs:
    """Writes what finished jobs left to where they were told to; may be repeated."""

    database: Database
    storage: Storage
    runs_dir: Path

    async def write(self, record: JobRecord, *, base_model: str) -> None:
        """Nothing if the job names no place.

        Args:
            base_model: the real one's id.

        Raises:
            NotFound, PermissionDenied, Unavailable: nothing can be written there any more, or for some minutes.
        """
        if not record.job.output_uri:
            return
        series = await self.database.read(lambda tx: metrics.behind(tx, record.id, -1))
        await asyncio.to_thread(self._write, record, series, base_model)

    def _write(self, record: JobRecord, series: dict[str, Series], base_model: str) -> None:
        run = RunDirectory(self.runs_dir / str(record.id))
        tuned = record.job.tuned_model
        for checkpoint in tuned.checkpoints if tuned else []:
            for file in sorted(run.checkpoint(checkpoint.checkpoint_id).iterdir()):
                self._put(record, f"checkpoints/{checkpoint.checkpoint_id}/{file.name}", file)
        points = {name: {"steps": found.steps, "values": found.values} for name, found in series.items()}
        self._put(record, "metrics.json", json.dumps({"series": points}).encode() + b"\n")
        self._put(record, _README, _page(record, base_model).encode())

    def _put(self, record: JobRecord, name: str, content: Path | bytes) -> None:
        self.storage.put(_address(record.job.output_uri or "", name), content, project=record.parent.project)


def check_output_uri(uri: str, storage: Storage, project: str) -> None:
    """Raises InvalidArgument if nothing can be written at ``uri``, Unavailable if its storage does not answer."""
    field = "tuning_job.output_uri"
    try:
        for name in (_README, _LONGEST):
            storage.check_writable(_address(uri, name), project=project)
    except Unavailable:
        raise
    except ApiError as error:
        message = f"output_uri should be a folder of a bucket, as in gs://BUCKET/FOLDER. {error.message}"
        raise InvalidArgument(message, violations=[FieldViolation(field, message)]) from None


def _address(place: str, name: str) -> str:
    return f"{place.rstrip('/')}/{name}"


def _page(record: JobRecord, base_model: str) -> str:
    job = record.job
    spec = job.supervised_tuning_spec or SupervisedTuningSpec()
    hyper_parameters = spec.hyper_parameters.to_wire() if spec.hyper_parameters else {}
    rows = "\n".join(f"| {name} | {value} |" for name, value in sorted(hyper_parameters.items()))
    checkpoints = job.tuned_model.checkpoints if job.tuned_model else []
    listed = "\n".join(
        f"* `checkpoints/{item.checkpoint_id}`: epoch {item.epoch}, step {item.step}" for item in checkpoints
    )
    return f"""# {job.tuned_model_display_name}

LoRA adapters in PEFT's format on the base model `{base_model}`, left by `{job.name}`.

{listed}

Trained on {spec.training_dataset_uri} with

| hyperparameter | value |
|---|---|
{rows}

`metrics.json` has the metrics of every step. To use an adapter elsewhere, load the base model with transformers, then
`peft.PeftModel.from_pretrained(model, "checkpoints/{checkpoints[-1].checkpoint_id if checkpoints else 1}")`.
"""
