"""What a create request may ask for: checks, and the job that is stored for it."""

from __future__ import annotations

import asyncio
from datetime import UTC, datetime

from sintonia.base_models import BaseModelEntry, Catalog
from sintonia.errors import ApiError, FailedPrecondition, FieldViolation, InvalidArgument, Unavailable, about
from sintonia.resources.base import JsonObject, Resource
from sintonia.resources.hyper_parameters import AdapterSize, HyperParameters, TuningMode
from sintonia.resources.names import Parent
from sintonia.resources.tuning import JobState, PreTunedModel, SupervisedTuningSpec, TuningJob, TuningJobState
from sintonia.services.ids import readable_name
from sintonia.services.labels import EARLY_STOPPING_LABEL, check_display_name, check_labels, early_stopping
from sintonia.services.outputs import check_output_uri
from sintonia.services.pre_tuned import PreTuned, PreTunedModels, is_tuned_model
from sintonia.storage import Storage

_SPEC = "tuning_job.supervised_tuning_spec"
_PRE_TUNED = "tuning_job.pre_tuned_model.tuned_model_name"
_MAX_EPOCHS = 1000
_MAX_BATCH = 1024

# Fields of the API that this server knows and cannot honour yet. Refusing them is better than half-doing them.
_UNSERVED = (
    "custom_base_model",
    "preference_optimization_spec",
    "distillation_spec",
    "partner_model_tuning_spec",
    "reinforcement_tuning_spec",
    "full_fine_tuning_spec",
    "veo_tuning_spec",
    "veo_lora_tuning_spec",
    "distillation_sampling_spec",
    "encryption_spec",
    "service_account",
    "evaluation_config",
)


async def accept(
    request: TuningJob,
    *,
    parent: Parent,
    job_id: int,
    catalog: Catalog,
    storage: Storage,
    pre_tuned_models: PreTunedModels,
) -> TuningJob:
    """The PENDING job that a valid request makes; its output-only fields are ignored.

    A job that goes on from a tuned model tells that one as its only source: the API's two fields exclude each other.

    Raises:
        InvalidArgument, FailedPrecondition: the request asks for something wrong, or for something not served yet.
        NotFound: the base model or the tuned model is unknown.
        Unavailable: a storage does not answer.
    """
    refuse_unserved(request)
    spec = request.supervised_tuning_spec
    if spec is None:
        raise _invalid("tuning_job.supervised_tuning_spec", "supervised_tuning_spec is required.")
    before = await _pre_tuned(request, parent, pre_tuned_models)
    base_model = before.version.base_model if before else request.base_model
    if not base_model:
        raise _invalid("tuning_job.base_model", "base_model is required.")
    with about(_PRE_TUNED if before else "tuning_job.base_model"):
        entry = catalog.find(base_model)
        catalog.facts(entry)  # refuses a model that is not on this machine yet
        if before and before.spec.base_model != entry.id:
            raise FailedPrecondition(
                f"{before.resource.tuned_model_name} was tuned from {before.spec.base_model}, and {base_model} now "
                f"means {entry.id}; an adapter works on its own base model only."
            )
    check_labels(request.labels, "tuning_job.labels")
    if early_stopping(request.labels) and not spec.validation_dataset_uri:
        raise _invalid(
            f"{_SPEC}.validation_dataset_uri",
            f"The label '{EARLY_STOPPING_LABEL}' needs validation_dataset_uri: early stopping looks at the validation "
            "loss.",
        )
    inherited = before.version.model.display_name if before else None
    display_name = request.tuned_model_display_name or inherited or readable_name()
    check_display_name(display_name, "tuning_job.tuned_model_display_name")
    hyper_parameters = _hyper_parameters(spec.hyper_parameters or HyperParameters(), entry, before)
    await _check_datasets(spec, storage, parent.project)
    if request.output_uri:
        await asyncio.to_thread(check_output_uri, request.output_uri, storage, parent.project)
    now = datetime.now(UTC)
    return TuningJob(
        name=parent.tuning_job(job_id),
        tuned_model_display_name=display_name,
        description=request.description,
        base_model=None if before else base_model,
        pre_tuned_model=before.resource if before else None,
        supervised_tuning_spec=spec.model_copy(update={"hyper_parameters": hyper_parameters}),
        labels=request.labels,
        output_uri=request.output_uri or None,
        state=JobState.JOB_STATE_PENDING,
        tuning_job_state=TuningJobState.TUNING_JOB_STATE_PROCESSING_DATASET,
        create_time=now,
        update_time=now,
    )


def refuse_unserved(request: TuningJob) -> None:
    """Raises FailedPrecondition that names the field, for what this server knows and cannot do yet."""
    for name in _UNSERVED:
        if _is_set(getattr(request, name)):
            raise _unserved(f"tuning_job.{name}")
    spec = request.supervised_tuning_spec
    if spec and _is_set(spec.evaluation_config):
        raise _unserved(f"{_SPEC}.evaluation_config")
    if spec and spec.tuning_mode is TuningMode.TUNING_MODE_FULL:
        raise _unserved(f"{_SPEC}.tuning_mode", "TUNING_MODE_FULL")


async def _pre_tuned(request: TuningJob, parent: Parent, models: PreTunedModels) -> PreTuned | None:
    """The tuned model that the job goes on from, if it is to."""
    asked = request.pre_tuned_model if _is_set(request.pre_tuned_model) else None
    if asked and request.base_model:
        raise _invalid(
            "tuning_job.pre_tuned_model",
            "base_model and pre_tuned_model are both set, but a job has one source; leave base_model out to go on from "
            "the tuned model.",
        )
    if request.base_model and is_tuned_model(request.base_model):
        asked = PreTunedModel(tuned_model_name=request.base_model)
    with about(_PRE_TUNED):
        return await models.find(parent, asked) if asked else None


def _is_set(value: Resource | JsonObject | str | None) -> bool:
    """Some clients send empty texts and messages for what their user left out."""
    if isinstance(value, Resource):
        return bool(value.to_wire())
    return value is not None and value != ""


def _unserved(field: str, value: str = "") -> FailedPrecondition:
    what = f"{field} {value}".rstrip()
    return FailedPrecondition(
        f"{what} is not supported by this server yet; leave it out.",
        violations=[FieldViolation(field, "not supported yet")],
    )


def _hyper_parameters(asked: HyperParameters, entry: BaseModelEntry, before: PreTuned | None) -> HyperParameters:
    field = f"{_SPEC}.hyper_parameters"
    if asked.epoch_count is not None and not 1 <= asked.epoch_count <= _MAX_EPOCHS:
        raise _invalid(f"{field}.epoch_count", f"epoch_count must be from 1 to {_MAX_EPOCHS}, or unset.")
    multiplier = 1.0 if asked.learning_rate_multiplier is None else asked.learning_rate_multiplier
    if not 0 < multiplier <= 100:
        raise _invalid(
            f"{field}.learning_rate_multiplier", "learning_rate_multiplier must be above 0 and at most 100, or unset."
        )
    if asked.learning_rate is not None and not 0 < asked.learning_rate <= 1:
        raise _invalid(f"{field}.learning_rate", "learning_rate must be above 0 and at most 1, or unset.")
    if asked.batch_size is not None and not 1 <= asked.batch_size <= _MAX_BATCH:
        raise _invalid(f"{field}.batch_size", f"batch_size must be from 1 to {_MAX_BATCH}, or unset.")
    rank = asked.adapter_size.rank if asked.adapter_size else 0
    if before:
        if rank not in (0, before.spec.adapter_rank):
            raise _invalid(
                f"{field}.adapter_size",
                f"adapter_size {rank} differs from {before.spec.adapter_rank}, that of "
                f"{before.resource.tuned_model_name}, whose adapter is tuned on; leave it unset.",
            )
        rank = before.spec.adapter_rank
    rank = rank or entry.default_adapter_size
    if rank not in entry.adapter_sizes and not before:
        sizes = ", ".join(map(str, entry.adapter_sizes))
        raise _invalid(
            f"{field}.adapter_size",
            f"The adapter size is not supported for this base model. {entry.id} supports: {sizes}.",
        )
    return asked.model_copy(update={"learning_rate_multiplier": multiplier, "adapter_size": AdapterSize.of_rank(rank)})


async def _check_datasets(spec: SupervisedTuningSpec, storage: Storage, project: str) -> None:
    wrong: list[tuple[str, str]] = []
    for name, uri in (
        ("training_dataset_uri", spec.training_dataset_uri),
        ("validation_dataset_uri", spec.validation_dataset_uri),
    ):
        if not uri:
            if name == "training_dataset_uri":
                wrong.append((name, "training_dataset_uri is required."))
            continue
        problem = await asyncio.to_thread(problem_with_dataset, uri, storage, project)
        if problem:
            wrong.append((name, f"{name} should be a GCS object of type JSONL. {problem}"))
    if wrong:
        found = "".join(
            f"\t{i}.Field: {_SPEC}.{name}; Message: {text}" for i, (name, text) in enumerate(wrong, start=1)
        )
        raise InvalidArgument(
            f"List of found errors:{found}\t",
            violations=[FieldViolation(f"{_SPEC}.{name}", text) for name, text in wrong],
        )


def problem_with_dataset(uri: str, storage: Storage, project: str) -> str | None:
    """Why ``uri`` is no object of type JSONL, as far as can be told without reading it.

    Raises Unavailable if its storage does not answer.
    """
    try:
        storage.stat(uri, project=project)
    except Unavailable:
        raise
    except ApiError as error:
        return error.message
    if not uri.endswith((".jsonl", ".jsonl.gz")):
        return f"The name of '{uri}' does not end in .jsonl (or .jsonl.gz)."
    return None


def _invalid(field: str, message: str) -> InvalidArgument:
    return InvalidArgument(message, violations=[FieldViolation(field, message)])
