"""Our own resources: what may be watched of a job, and the catalog; the documented API has no words for them."""

from __future__ import annotations

from pydantic import Field

from sintonia.resources.base import Double, Int32, Int64, Resource, WireEnum
from sintonia.resources.tuning import JobState, TuningJobState


class Health(Resource):
    status: str
    version: str


class BestCheckpoint(Resource):
    checkpoint_id: str
    validation_loss: Double


class Progress(Resource):
    """Where a job is; what is not known, or does not apply, is not there."""

    state: JobState
    tuning_job_state: TuningJobState | None = None
    queue_position: Int32 | None = Field(default=None, description="while PENDING; the first is next")
    rows_read: Int32 | None = Field(default=None, description="of the datasets, so far")
    step: Int32 | None = None
    total_steps: Int32 | None = None
    epoch: Int32 | None = Field(default=None, description="epochs that are complete")
    epochs: Int32 | None = None
    activity: str | None = Field(default=None, description="what the trainer does right now")
    loss: Double | None = Field(default=None, description="of the last step")
    best_checkpoint: BestCheckpoint | None = Field(
        default=None, description="of those exported so far, the one of the lowest validation loss"
    )
    tokens_per_second: Double | None = None
    seconds_left: Double | None = None


class ProgressOfJobs(Resource):
    progress: dict[str, Progress] = Field(default_factory=dict, description="by the id of the job")


class MetricSeries(Resource):
    """One series as two columns of equal length."""

    steps: list[Int32] = Field(default_factory=list)
    values: list[Double] = Field(default_factory=list)
    decimated_from: Int32 | None = Field(
        default=None,
        description="points in all, when these are only some: ends, and least and greatest of equal stretches",
    )


class Metrics(Resource):
    series: dict[str, MetricSeries] = Field(default_factory=dict)


class JobLog(Resource):
    text: str
    next_offset: int = Field(description="where to go on; the same again when there is nothing new")


class TrainingSetup(Resource):
    """What a job's trainer works with; nothing before it is settled, the last four not before the trainer began."""

    base_model: str | None = Field(default=None, description="the catalog's id, whatever name was asked for")
    epochs: Int32 | None = None
    batch_size: Int32 | None = Field(default=None, description="examples of an optimizer step")
    learning_rate: Double | None = Field(default=None, description="at its peak, times the multiplier")
    warmup_fraction: Double | None = Field(default=None, description="of all steps, in which the rate rises")
    adapter_rank: Int32 | None = None
    adapter_alpha: Double | None = Field(default=None, description="the adapter's output is scaled by alpha / rank")
    max_example_tokens: Int32 | None = Field(default=None, description="longer examples are left out")
    seed: Int32 | None = None
    trainable_parameters: Int64 | None = None
    precision: str | None = None
    device: str | None = None
    attempts: Int32 | None = Field(default=None, description="how often the trainer was started")


class EngineState(WireEnum):
    STARTING = "STARTING", 1
    """The model is being loaded, or waits until another one leaves it room."""
    RUNNING = "RUNNING", 2


class CatalogEntry(Resource):
    """A base model that this server can tune."""

    id: str
    display_name: str | None = None
    aliases: list[str] = Field(default_factory=list)
    source: str | None = None
    license: str | None = None
    provenance: str | None = None
    modalities: list[str] = Field(default_factory=list)
    context_length: Int32 | None = Field(default=None, description="in tokens; unknown until the model is here")
    adapter_sizes: list[Int32] = Field(default_factory=list)
    default_adapter_size: Int32 | None = None
    stage: str | None = None
    prepared: bool | None = Field(default=None, description="whether the model is on this machine")
    engine_state: EngineState | None = Field(
        default=None, description="of what answers for it here; without one, it is started when first asked"
    )


class CatalogPage(Resource):
    base_models: list[CatalogEntry] = Field(default_factory=list)
