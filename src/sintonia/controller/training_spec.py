"""From a job to what its trainer is told: hyperparameters as they are really used."""

from __future__ import annotations

from pathlib import Path

from sintonia.base_models import BaseModelEntry
from sintonia.base_models.catalog import ModelFacts
from sintonia.datasets.recommend import (
    recommended_batch_size,
    recommended_epochs,
    recommended_learning_rate,
    total_steps,
)
from sintonia.errors import Internal
from sintonia.resources.datasets import DatasetReport
from sintonia.resources.hyper_parameters import HyperParameters
from sintonia.resources.tuning import SupervisedTuningSpec, TuningDataStats, TuningJob
from sintonia.runs.spec import TrainingSpec
from sintonia.services.labels import early_stopping
from sintonia.settings import Settings

# The adapter's output is scaled by alpha / rank, so one alpha suits all ranks with the same learning rate.
_ADAPTER_ALPHA = 32.0


def with_plan(job: TuningJob, prepared: DatasetReport) -> TuningJob:
    """The job with the statistics of its dataset and the epochs and batch size that follow from it."""
    examples = prepared.examples
    spec = job.supervised_tuning_spec or SupervisedTuningSpec()
    asked = spec.hyper_parameters or HyperParameters()
    epochs = asked.epoch_count or recommended_epochs(examples)
    batch = asked.batch_size or recommended_batch_size(examples)
    used = asked.model_copy(update={"epoch_count": epochs, "batch_size": batch})
    told = prepared.statistics.model_copy(
        update={"tuning_step_count": total_steps(examples, batch_size=batch, epochs=epochs)}
    )
    return job.model_copy(
        update={
            "supervised_tuning_spec": spec.model_copy(update={"hyper_parameters": used}),
            "tuning_data_stats": TuningDataStats(supervised_tuning_data_stats=told),
        }
    )


def training_spec(
    job: TuningJob, *, entry: BaseModelEntry, facts: ModelFacts, model_dir: Path, settings: Settings
) -> TrainingSpec:
    """The spec of a job whose plan is made."""
    spec = job.supervised_tuning_spec
    chosen = spec.hyper_parameters if spec else None
    if not (spec and chosen and chosen.epoch_count and chosen.batch_size and chosen.adapter_size):
        raise Internal("The job's hyperparameters are not settled; its dataset was not processed.")
    before = job.pre_tuned_model
    rate = chosen.learning_rate or recommended_learning_rate(facts.hidden_size)
    return TrainingSpec.model_validate(
        {
            "base_model": entry.id,
            "model_dir": model_dir,
            "family": entry.family,
            "precision": settings.precision,
            "device": settings.device,
            "threads": settings.training_threads,
            "processes": settings.training_processes,
            "hang_seconds": settings.training_hang_seconds,
            "compile": settings.compile_training,
            "code_cache": None if settings.compile_training == "never" else settings.cache / "compiled",
            "max_example_tokens": min(entry.max_example_tokens or facts.context_length, facts.context_length),
            "initial_adapter": f"{before.tuned_model_name} checkpoint {before.checkpoint_id}" if before else None,
            "adapter_rank": chosen.adapter_size.rank,
            "adapter_alpha": _ADAPTER_ALPHA,
            "epochs": chosen.epoch_count,
            "batch_size": chosen.batch_size,
            "learning_rate": rate * (chosen.learning_rate_multiplier or 1.0),
            "export_last_checkpoint_only": bool(spec.export_last_checkpoint_only),
            "patience": early_stopping(job.labels),
            "resume_checkpoint_seconds": settings.resume_checkpoint_seconds,
        }
    )
