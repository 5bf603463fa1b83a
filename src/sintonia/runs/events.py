"""The trainer's events, one JSON object a line: written by one attempt, followed by the controller.

A crash may tear the last line of an attempt; readers ignore a line until its newline is there. After a resume an
attempt repeats steps that the one before already told: readers keep the last word for each (series, step).
"""

from __future__ import annotations

import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, BinaryIO, Literal

from pydantic import BaseModel, ConfigDict, Field, TypeAdapter, ValidationError


class _Event(BaseModel):
    model_config = ConfigDict(extra="ignore", frozen=True)

    time: float = Field(default_factory=time.time, description="seconds since the epoch")


class Started(_Event):
    """An attempt begins. ``total_steps`` counts optimizer steps of the whole run."""

    kind: Literal["started"] = "started"
    attempt: int
    pid: int
    resumed_from_step: int
    total_steps: int
    steps_per_epoch: int
    epochs: int
    trainable_parameters: int
    device: str
    precision: str
    packing: bool
    processes: int = 1


class Metrics(_Event):
    """Values of the six documented series at one optimizer step; 0 is before any training."""

    kind: Literal["metrics"] = "metrics"
    step: int
    values: dict[str, float]


class Progress(_Event):
    """Where the attempt is. ``seconds_left`` is None until it can be told."""

    kind: Literal["progress"] = "progress"
    step: int
    epoch: int = Field(description="completed epochs")
    loss: float | None = None
    tokens_per_second: float | None = Field(default=None, description="all tokens of the examples, per second")
    seconds_left: float | None = None
    activity: str = "training"


class CheckpointExported(_Event):
    """``checkpoints/ID`` is complete on disk and may be served."""

    kind: Literal["checkpoint"] = "checkpoint"
    checkpoint_id: str
    epoch: int
    step: int
    validation_loss: float | None = Field(default=None, description="at that step; None without a validation set")


class Finished(_Event):
    """All steps are done, or early stopping ended the run, and all is exported: the last event of a run."""

    kind: Literal["finished"] = "finished"
    step: int


class Stopped(_Event):
    """The attempt obeyed a request to stop; its state is saved and a later attempt goes on from it."""

    kind: Literal["stopped"] = "stopped"
    step: int


class Failed(_Event):
    """The run cannot go on: no further attempt will help. ``message`` is for the user."""

    kind: Literal["failed"] = "failed"
    status: str = Field(description="name of a google.rpc code, such as INVALID_ARGUMENT or RESOURCE_EXHAUSTED")
    message: str


Event = Started | Metrics | Progress | CheckpointExported | Finished | Stopped | Failed
_EVENT: TypeAdapter[Event] = TypeAdapter(Annotated[Event, Field(discriminator="kind")])


class EventWriter:
    """Appends events to one attempt's file; each line reaches the operating system before ``write`` returns."""

    def __init__(self, path: Path) -> None:
        path.parent.mkdir(parents=True, exist_ok=True)
        self._stream: BinaryIO = path.open("ab", buffering=0)

    def write(self, event: Event) -> None:
        self._stream.write(event.model_dump_json(exclude_none=True).encode() + b"\n")

    def close(self) -> None:
        self._stream.close()


@dataclass(frozen=True)
class ReadEvent:
    """An event and the offset in bytes just behind its line."""

    event: Event
    end: int


def read_events(path: Path, *, offset: int = 0) -> Iterator[ReadEvent]:
    """The complete events of one attempt's file from ``offset`` on; a torn last line is left for later.

    A complete line that is no event (a newer trainer's kind, say) is skipped.
    """
    with path.open("rb") as stream:
        stream.seek(offset)
        for line in stream:
            if not line.endswith(b"\n"):
                return
            offset += len(line)
            try:
                yield ReadEvent(_EVENT.validate_json(line), offset)
            except ValidationError:
                continue
