"""``sintonia jobs``: tuning jobs over the public API."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any

import typer

from sintonia.cli.failures import CommandFailed
from sintonia.cli.listing import (
    DEFAULT_LIMIT,
    Filter,
    Limit,
    PageSize,
    labels_of,
    moment,
    number,
    show_facts,
    show_list,
)
from sintonia.cli.session import Session, remote_command
from sintonia.cli.watch import log_pieces, stage_of, watch_job

Json = dict[str, Any]
Job = Annotated[str, typer.Argument(metavar="JOB", help="The job's number or full resource name.")]

_ADAPTER_SIZES = {1: "ONE", 2: "TWO", 4: "FOUR", 8: "EIGHT", 16: "SIXTEEN", 32: "THIRTY_TWO"}
_CODES = {1: "CANCELLED", 3: "INVALID_ARGUMENT", 5: "NOT_FOUND", 8: "RESOURCE_EXHAUSTED", 9: "FAILED_PRECONDITION",
          13: "INTERNAL", 14: "UNAVAILABLE"}  # fmt: skip


def register(app: typer.Typer) -> None:
    group = typer.Typer(help="Tuning jobs: create, follow, cancel.", no_args_is_help=True)
    remote_command(group, "create")(create)
    remote_command(group, "list")(list_jobs)
    remote_command(group, "describe")(describe)
    remote_command(group, "watch")(watch)
    remote_command(group, "logs")(logs)
    remote_command(group, "cancel")(cancel)
    app.add_typer(group, name="jobs")


def create(
    session: Session,
    base_model: Annotated[
        str,
        typer.Option(help="A name that `sintonia base-models list` shows, or models/ID to go on from a tuned model."),
    ],
    train: Annotated[str, typer.Option(help="Training rows: gs://BUCKET/OBJECT, a JSONL file.")],
    validation: Annotated[str | None, typer.Option(help="Validation rows: gs://BUCKET/OBJECT.")] = None,
    checkpoint: Annotated[
        str | None, typer.Option(help="Go on from this checkpoint of the tuned model. (default: its default one)")
    ] = None,
    epochs: Annotated[int | None, typer.Option(min=1, help="Passes over the rows. (default: by their number)")] = None,
    adapter_size: Annotated[
        int | None, typer.Option(help="LoRA rank: 1, 2, 4, 8, 16 or 32. (default: the base model's)")
    ] = None,
    learning_rate_multiplier: Annotated[
        float | None, typer.Option(help="Times the recommended learning rate. (default: 1)")
    ] = None,
    name: Annotated[
        str | None, typer.Option(help="Display name of the tuned model. (default: a readable random one)")
    ] = None,
    export_last_checkpoint_only: Annotated[
        bool, typer.Option("--export-last-checkpoint-only", help="Keep no checkpoint but the last.")
    ] = False,
    early_stopping: Annotated[
        int | None,
        typer.Option(min=1, help="End after so many evaluations in a row without a lower validation loss."),
    ] = None,
    watch: Annotated[bool, typer.Option("--watch", help="Follow the job until it ends.")] = False,
) -> None:
    """Create a tuning job."""
    for option, uri in (("--train", train), ("--validation", validation)):
        if uri is not None and "://" not in uri and Path(uri).exists():
            raise typer.BadParameter(
                f"{uri} is a file of this machine: `sintonia cp {uri} gs://BUCKET/` first.", param_hint=option
            )
    if adapter_size is not None and adapter_size not in _ADAPTER_SIZES:
        raise typer.BadParameter("one of 1, 2, 4, 8, 16, 32.", param_hint="--adapter-size")
    tuned = base_model.startswith(("models/", "projects/")) and "/publishers/" not in base_model
    if checkpoint is not None and not tuned:
        raise typer.BadParameter("only a tuned model (--base-model models/ID) has any.", param_hint="--checkpoint")
    if early_stopping is not None and validation is None:
        raise typer.BadParameter("it looks at the validation loss: give --validation.", param_hint="--early-stopping")
    job = session.api.post(
        f"/v1/{session.api.parent}/tuningJobs",
        job_document(
            base_model=None if tuned else base_model,
            pre_tuned_model=session.api.name_of("models", base_model) if tuned else None,
            checkpoint=checkpoint,
            train=train,
            validation=validation,
            epochs=epochs,
            adapter_size=adapter_size,
            learning_rate_multiplier=learning_rate_multiplier,
            display_name=name,
            export_last_checkpoint_only=export_last_checkpoint_only,
            early_stopping=early_stopping,
        ),
    )
    if watch:
        session.out.print(f"created {job['name']}")
        _watch_to_end(session, job["name"])
    else:
        session.tell(job, f"created {job['name']}\nfollow it with: sintonia jobs watch {number(job['name'])}")


def job_document(
    *,
    train: str,
    base_model: str | None = None,
    pre_tuned_model: str | None = None,
    checkpoint: str | None = None,
    validation: str | None = None,
    epochs: int | None = None,
    adapter_size: int | None = None,
    learning_rate_multiplier: float | None = None,
    display_name: str | None = None,
    export_last_checkpoint_only: bool = False,
    early_stopping: int | None = None,
) -> Json:
    """The body of ``tuningJobs.create``; what is None is left to the server."""
    hyper_parameters = {
        "epochCount": epochs,
        "adapterSize": f"ADAPTER_SIZE_{_ADAPTER_SIZES[adapter_size]}" if adapter_size else None,
        "learningRateMultiplier": learning_rate_multiplier,
    }
    spec = {
        "trainingDatasetUri": train,
        "validationDatasetUri": validation,
        "hyperParameters": _without_none(hyper_parameters) or None,
        "exportLastCheckpointOnly": export_last_checkpoint_only or None,
    }
    return _without_none(
        {
            "baseModel": base_model,
            "preTunedModel": _without_none({"tunedModelName": pre_tuned_model, "checkpointId": checkpoint}) or None,
            "supervisedTuningSpec": _without_none(spec),
            "tunedModelDisplayName": display_name,
            "labels": {"sintonia-early-stopping": str(early_stopping)} if early_stopping else None,
        }
    )


def list_jobs(
    session: Session, filter: Filter = None, page_size: PageSize = None, limit: Limit = DEFAULT_LIMIT
) -> None:
    """List the jobs of the project and location."""
    columns = (
        ("JOB", lambda job: number(job["name"])),
        ("STATE", _state),
        ("TUNED MODEL", lambda job: job.get("tunedModelDisplayName", "")),
        ("BASE MODEL", _base_model),
        ("CREATED", lambda job: moment(job.get("createTime"))),
        ("ENDPOINT", lambda job: number(job.get("tunedModel", {}).get("endpoint", ""))),
    )
    show_list(session, "tuningJobs", columns, filter=filter, page_size=page_size, limit=limit)


def describe(session: Session, job: Job) -> None:
    """Tell everything about one job."""
    document = session.api.get_resource(session.api.name_of("tuningJobs", job))
    best = {}
    if len(document.get("tunedModel", {}).get("checkpoints", [])) > 1:
        best = session.api.get(f"/sintonia/v1/{document['name']}/progress").get("bestCheckpoint", {})
    show_facts(session, document, _facts(document, best))


def watch(session: Session, job: Job) -> None:
    """Follow a job until it ends; Ctrl+C stops following, not the job."""
    _watch_to_end(session, session.api.name_of("tuningJobs", job))


def logs(
    session: Session,
    job: Job,
    follow: Annotated[bool, typer.Option("--follow", "-f", help="Go on until the job ends.")] = False,
) -> None:
    """Print what the job's processes wrote to their log."""
    name = session.api.name_of("tuningJobs", job)
    pieces = []
    for piece in log_pieces(session.api, name, follow=follow):
        if session.as_json:
            pieces.append(piece)
        else:
            typer.echo(piece, nl=False)
    if session.as_json:
        session.print_json({"text": "".join(pieces)})


def cancel(session: Session, job: Job) -> None:
    """Ask a job to stop; checkpoints it has exported stay."""
    name = session.api.name_of("tuningJobs", job)
    session.api.post(f"/v1/{name}:cancel")
    session.tell({"name": name}, f"cancelling {name}")


def failure_of(job: Json) -> CommandFailed:
    """Why a job that ended otherwise than SUCCEEDED did so."""
    error = job.get("error") or {}
    status = _CODES.get(int(error.get("code", 2)), "UNKNOWN")
    message = error.get("message") or f"the job ended as {job.get('state')}"
    return CommandFailed(status, f"{message} (see `sintonia jobs logs {number(job['name'])}`)")


def _watch_to_end(session: Session, name: str) -> None:
    try:
        job = watch_job(session.api, name, session.out)
    except KeyboardInterrupt:
        short = number(name)
        session.err.print(
            f"the job goes on; `sintonia jobs watch {short}` follows it, `sintonia jobs cancel {short}` stops it"
        )
        raise
    if session.as_json:
        session.print_json(job)
    if job.get("state") != "JOB_STATE_SUCCEEDED":
        raise failure_of(job)
    if not session.as_json:
        endpoint = job.get("tunedModel", {}).get("endpoint", "")
        session.out.print(f"succeeded: {endpoint}")
        session.out.print(f"ask it with: sintonia generate {number(endpoint)} 'your prompt'")


def _facts(job: Json, best: Json) -> list[tuple[str, str]]:
    spec = job.get("supervisedTuningSpec", {})
    hyper_parameters = spec.get("hyperParameters", {})
    tuned = job.get("tunedModel", {})
    stats = job.get("tuningDataStats", {}).get("supervisedTuningDataStats", {})
    error = job.get("error", {})
    facts = [
        ("name", job.get("name", "")),
        ("display name", job.get("tunedModelDisplayName", "")),
        ("state", _state(job)),
        ("error", error.get("message", "")),
        ("base model", _base_model(job)),
        ("goes on from", _gone_on_from(job)),
        ("labels", labels_of(job)),
        ("training rows", spec.get("trainingDatasetUri", "")),
        ("validation rows", spec.get("validationDatasetUri", "")),
        ("epochs", str(hyper_parameters.get("epochCount", ""))),
        ("adapter size", _rank(hyper_parameters.get("adapterSize"))),
        ("learning rate x", str(hyper_parameters.get("learningRateMultiplier", ""))),
        ("created", moment(job.get("createTime"))),
        ("started", moment(job.get("startTime"))),
        ("ended", moment(job.get("endTime"))),
        ("examples", str(stats.get("tuningDatasetExampleCount", ""))),
        ("dropped", _dropped(stats)),
        ("steps", str(stats.get("tuningStepCount", ""))),
        ("model", tuned.get("model", "")),
        ("endpoint", tuned.get("endpoint", "")),
    ]
    for checkpoint in tuned.get("checkpoints", []):
        checkpoint_id = checkpoint.get("checkpointId")
        mark = ""
        if checkpoint_id == best.get("checkpointId"):
            mark = f" (best: validation loss {float(best['validationLoss']):.4f})"
        place = f"epoch {checkpoint.get('epoch')}, step {checkpoint.get('step')}"
        facts.append((f"checkpoint {checkpoint_id}", f"{place}{mark}: {checkpoint.get('endpoint')}"))
    return facts


def _base_model(job: Json) -> str:
    return str(job.get("baseModel") or job.get("preTunedModel", {}).get("baseModel", ""))


def _gone_on_from(job: Json) -> str:
    tuned = job.get("preTunedModel")
    return f"{tuned.get('tunedModelName')} checkpoint {tuned.get('checkpointId')}" if tuned else ""


def _rank(adapter_size: str | None) -> str:
    return next((str(rank) for rank, word in _ADAPTER_SIZES.items() if adapter_size == f"ADAPTER_SIZE_{word}"), "")


def _dropped(stats: Json) -> str:
    count = int(stats.get("totalTruncatedExampleCount", 0) or 0)
    reasons = "; ".join(stats.get("droppedExampleReasons", [])[:3])
    return f"{count} ({reasons})" if count and reasons else str(count or "")


def _state(job: Json) -> str:
    state = str(job.get("state", "")).removeprefix("JOB_STATE_")
    finer = stage_of(job)
    return state if finer == state.lower() else f"{state} ({finer})"


def _without_none(document: Json) -> Json:
    return {key: value for key, value in document.items() if value is not None}
