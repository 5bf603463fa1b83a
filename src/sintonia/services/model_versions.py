"""Versions of tuned models: how a finished job's becomes one, and how endpoints, models and jobs name each other.

Whoever locks rows of several kinds does it in this order: job, versions of the model, endpoint.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from datetime import UTC, datetime

from sintonia.database import Transaction, endpoints, micros, models, tuning_jobs
from sintonia.database.models import ModelRecord
from sintonia.database.tuning_jobs import JobRecord
from sintonia.resources.names import Parent, parse_id
from sintonia.resources.serving import Checkpoint, DeployedModelRef, Model
from sintonia.resources.tuning import TunedModel, TuningJob
from sintonia.services.ids import new_id
from sintonia.services.labels import EARLY_STOPPING_LABEL

# The official SDKs list tuned models by the presence of the first label and read the base model from the second.
TUNE_TYPE_LABEL = "tune-type"
BASE_MODEL_LABEL = "google-vertex-llm-tuning-base-model-id"

DEFAULT_ALIAS = "default"


async def register(tx: Transaction, record: JobRecord, *, base_model: str) -> None:
    """Make a model version of a job that this transaction has locked, and let its endpoints name it; then ``retell``.

    A job on a base model leaves a new model, with version 1. A job on a tuned model (``pre_tuned_model``) leaves the
    next version of that one, or a new model if it was given another display name or if that one is gone. The alias
    ``default`` stays where it is (source: the API's reference on TunedModel.model and on Model.versionAliases).

    Args:
        base_model: the real one's id.
    """
    job, now = record.job, datetime.now(UTC)
    siblings = await _siblings(tx, record)
    first = siblings[0].model if siblings else None
    model_id = siblings[0].id if siblings else new_id()
    version = await models.next_version(tx, model_id)
    checkpoints = [
        Checkpoint(checkpoint_id=item.checkpoint_id, epoch=item.epoch, step=item.step)
        for item in (job.tuned_model.checkpoints if job.tuned_model else [])
    ]
    model = Model(
        name=record.parent.model(model_id),
        version_id=str(version),
        version_aliases=[] if siblings else [DEFAULT_ALIAS],
        version_create_time=now,
        version_update_time=now,
        display_name=first.display_name if first else job.tuned_model_display_name,
        description=first.description if first else job.description,
        version_description=job.description if first else None,
        default_checkpoint_id=_default_checkpoint(record, checkpoints),
        checkpoints=checkpoints,
        labels={**job.labels, TUNE_TYPE_LABEL: "sft", BASE_MODEL_LABEL: base_model},
        create_time=first.create_time if first else now,
        update_time=now,
        etag=etag_of(now),
        model_source_info={"sourceType": "CUSTOM"},
    )
    made = ModelRecord(
        id=model_id,
        version=version,
        parent=record.parent,
        created=siblings[0].created if siblings else micros(now),
        job_id=record.id,
        base_model=job.base_model_name or base_model,
        model=model,
        is_default=not siblings,
    )
    await models.insert(tx, made)
    for item in await endpoints.of_job(tx, record.id, lock=True):
        deployed = [
            known.model_copy(update={"model": model.name, "model_version_id": model.version_id})
            for known in item.endpoint.deployed_models
        ]
        after = item.endpoint.model_copy(update={"deployed_models": deployed, "update_time": now})
        await endpoints.replace(tx, replace(item, endpoint=after))


def _default_checkpoint(record: JobRecord, checkpoints: Sequence[Checkpoint]) -> str | None:
    """The last one; with early stopping, which by its nature ends behind the best, the best by validation loss."""
    best = record.progress.get("bestCheckpoint")
    if best and EARLY_STOPPING_LABEL in record.job.labels:
        return str(best["checkpointId"])
    return checkpoints[-1].checkpoint_id


async def _siblings(tx: Transaction, record: JobRecord) -> list[ModelRecord]:
    """The locked versions of the model that the job's result joins, oldest first; none if it becomes a new model."""
    before = record.job.pre_tuned_model
    model_id = model_number(record.parent, before.tuned_model_name or "") if before else None
    found = await models.versions(tx, model_id, record.parent, lock=True) if model_id is not None else []
    display_name = record.job.tuned_model_display_name
    if found and display_name and display_name != found[0].model.display_name:
        return []
    return found


def model_number(parent: Parent, name: str) -> int | None:
    """The number in ``PARENT/models/ID`` or ``…/ID@VERSION``; None if the name is no such one."""
    collection, slash, model = name.rpartition("/")
    return parse_id(model.partition("@")[0]) if slash and collection == f"{parent}/models" else None


async def retell(tx: Transaction, record: JobRecord) -> TuningJob:
    """What a locked job says of its tuned model, as things are now; the model version it left is rewritten likewise.

    For every checkpoint the job names the endpoint where it is deployed, for the whole model that of the default
    checkpoint, and none where it is not deployed; and no model that was deleted.
    """
    tuned = record.job.tuned_model or TunedModel()
    deployed = await endpoints.of_job(tx, record.id)
    places = {item.checkpoint_id: item.endpoint.name for item in reversed(deployed)}
    checkpoints = [
        item.model_copy(update={"endpoint": places.get(item.checkpoint_id, "")}) for item in tuned.checkpoints
    ]
    version = await models.of_job(tx, record.id, lock=True)
    if version is not None:
        references = [
            DeployedModelRef(endpoint=item.endpoint.name, deployed_model_id=known.id or "")
            for item in deployed
            for known in item.endpoint.deployed_models
        ]
        model = version.model.model_copy(update={"deployed_models": references})
        await models.replace(tx, replace(version, model=model))
    told = {
        "checkpoints": checkpoints,
        "model": version.parent.model(version.id, version.version) if version else None,
        "endpoint": places.get(version.model.default_checkpoint_id) if version else None,
    }
    return record.job.model_copy(update={"tuned_model": tuned.model_copy(update=told)})


async def rewrite(tx: Transaction, job_id: int) -> None:
    """``retell`` a job that this transaction has locked, and store it; no error if there is none."""
    record = await tuning_jobs.get(tx, job_id)
    if record is not None:
        await tuning_jobs.update(tx, job_id, job=await retell(tx, record), phase=record.phase)


def etag_of(moment: datetime) -> str:
    """The etag of what was last changed then."""
    return f"{micros(moment):x}"
