"""spec.json: everything a trainer needs to know, in full, with nothing left to a default of another room."""

from __future__ import annotations

from pathlib import Path
from typing import Literal

from pydantic import BaseModel, ConfigDict, Field

MICRO_BATCH_TOKENS = {"cpu": 4096, "cuda": 16384}
"""Tokens that go through the model at a time: enough to keep the device busy, few enough for its memory."""


class TrainingSpec(BaseModel):
    """A training run. Paths of data and outputs follow from the run directory (``layout.RunDirectory``).

    Two runs of equal specs on one machine give the same adapter, bit for bit.
    """

    model_config = ConfigDict(extra="forbid", frozen=True)

    base_model: str = Field(description="catalog id, for messages only")
    model_dir: Path = Field(description="Hugging Face model directory with safetensors weights")
    family: str = Field(description="name of the model family that renders conversations")
    precision: Literal["auto", "bfloat16", "float32"] = Field(
        default="auto", description="auto: bfloat16 where the device computes in it, else float32"
    )
    device: Literal["auto", "cpu", "cuda"] = "auto"
    threads: int = Field(gt=0, description="CPU threads of the trainer; part of what makes runs repeatable")
    processes: int | None = Field(
        default=None,
        gt=0,
        description="that train together, each on a GPU of its own or on its part of the threads; None: one for each "
        "GPU, else one. Another number gives the same result within rounding",
    )
    compile: Literal["auto", "always", "never"] = Field(
        default="never", description="whether layers run as code compiled for them; auto: where that repays"
    )
    code_cache: Path | None = Field(default=None, description="folder where compiled code is kept for other runs")
    max_example_tokens: int = Field(gt=0, description="no example of the data is longer than this, in tokens")

    initial_adapter: str | None = Field(
        default=None,
        description="whose adapter ``initial_adapter/`` holds, for messages only; None: a fresh one",
    )
    adapter_rank: int = Field(gt=0)
    adapter_alpha: float = Field(gt=0, description="the adapter's output is scaled by alpha / rank")
    epochs: int = Field(gt=0)
    batch_size: int = Field(gt=0, description="examples per optimizer step")
    learning_rate: float = Field(gt=0, description="peak rate")
    warmup_fraction: float = Field(default=0.05, ge=0, lt=1, description="of all steps, rounded up")
    weight_decay: float = Field(default=0.0, ge=0)
    max_gradient_norm: float = Field(default=1.0, gt=0)
    seed: int = 0

    export_last_checkpoint_only: bool = False
    resume_checkpoint_seconds: float = Field(default=30.0, gt=0)
    evaluation_budget: float = Field(
        default=0.1, ge=0, description="evaluations between checkpoints may cost this share of training compute"
    )
    patience: int | None = Field(
        default=None,
        gt=0,
        description="end the run after so many evaluations in a row without a lower validation loss; None: never",
    )
    hang_seconds: float = Field(
        default=1800.0, gt=0, description="a run that gets nothing done for so long, once it trains, is ended as failed"
    )
