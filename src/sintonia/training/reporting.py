"""What the trainer tells: events for the controller, TensorBoard files, and lines of a log for people."""

from __future__ import annotations

import os
import time
from pathlib import Path

from tensorboardX import FileWriter
from tensorboardX.proto.event_pb2 import Event as TensorBoardEvent
from tensorboardX.proto.event_pb2 import SessionLog
from tensorboardX.proto.summary_pb2 import Summary

from sintonia.runs.events import (
    CheckpointExported,
    EventWriter,
    Failed,
    Finished,
    Metrics,
    Progress,
    Started,
    Stopped,
)
from sintonia.runs.layout import RunDirectory
from sintonia.training.plan import PlannedCheckpoint

_SECONDS_BETWEEN_PROGRESS = 1.0
_SECONDS_BETWEEN_LINES = 10.0
_TENSORBOARD_FLUSH_SECONDS = 5


class Reporter:
    """Writes one attempt's events. Its file exists, and tells that the run is loading, as soon as this does.

    Args:
        step: where the attempt will go on, as far as is known before anything is loaded.
        silent: write nothing at all: of several processes only the first tells.
    """

    def __init__(self, directory: RunDirectory, *, step: int, silent: bool = False) -> None:
        self._directory = directory
        self._silent = silent
        self.attempt = len(directory.event_files()) + 1
        self.pid = os.getpid()
        events = directory.events / f"attempt-{self.attempt:04d}.jsonl"
        self._events = EventWriter(Path(os.devnull) if silent else events)
        self._tensorboard: FileWriter | None = None
        self._next_progress = self._next_line = 0.0
        self._first_step = step
        self.loading()

    def loading(self) -> None:
        self.progress(Progress(step=self._first_step, epoch=0, activity="loading"))

    def started(self, event: Started) -> None:
        self._events.write(event)
        if self._silent:
            return
        self._tensorboard = FileWriter(
            str(self._directory.tensorboard),
            flush_secs=_TENSORBOARD_FLUSH_SECONDS,
            filename_suffix=f".{self.attempt:04d}",
        )
        # What an earlier attempt wrote from here on is about to be written again: readers drop it.
        restart = SessionLog(status=SessionLog.START)
        first = event.resumed_from_step + 1 if event.resumed_from_step else 0
        self._tensorboard.add_event(TensorBoardEvent(session_log=restart), step=first)

    def metrics(self, step: int, values: dict[str, float]) -> None:
        self._events.write(Metrics(step=step, values=values))
        if self._tensorboard is not None:
            # Not SummaryWriter.add_scalar: it strips the leading slash of the documented names.
            summary = Summary(value=[Summary.Value(tag=tag, simple_value=value) for tag, value in values.items()])
            self._tensorboard.add_summary(summary, step)

    def progress(self, event: Progress, *, now: bool = False) -> None:
        """At most about one a second; more are dropped unless ``now``."""
        clock = time.monotonic()
        if now or clock >= self._next_progress:
            self._next_progress = clock + _SECONDS_BETWEEN_PROGRESS
            self._events.write(event)
        if clock >= self._next_line:
            self._next_line = clock + _SECONDS_BETWEEN_LINES
            self.line(_describe(event))

    def checkpoint(self, planned: PlannedCheckpoint, *, validation_loss: float | None) -> None:
        self._flush_tensorboard()
        event = CheckpointExported(
            checkpoint_id=planned.checkpoint_id,
            epoch=planned.epoch,
            step=planned.step,
            validation_loss=validation_loss,
        )
        self._events.write(event)
        self.line(f"checkpoint {planned.checkpoint_id} exported (epoch {planned.epoch}, step {planned.step})")

    def finished(self, step: int) -> None:
        self._close_tensorboard()
        self._events.write(Finished(step=step))
        self.line(f"finished at step {step}")

    def stopped(self, step: int) -> None:
        self._close_tensorboard()
        self._events.write(Stopped(step=step))
        self.line(f"stopped on request at step {step}; a later attempt goes on from there")

    def failed(self, status: str, message: str) -> None:
        self.line(f"failed: {status}: {message}")
        self._events.write(Failed(status=status, message=message))
        self._close_tensorboard()

    def line(self, text: str) -> None:
        if not self._silent:
            print(f"{time.strftime('%Y-%m-%d %H:%M:%S')} {text}", flush=True)

    def _flush_tensorboard(self) -> None:
        if self._tensorboard is not None:
            self._tensorboard.flush()

    def _close_tensorboard(self) -> None:
        if self._tensorboard is not None:
            self._tensorboard.close()
            self._tensorboard = None


def start_summary(event: Started) -> str:
    """The first line of a run's log that says what is going to happen."""
    begin = f"resumed from step {event.resumed_from_step}" if event.resumed_from_step else "from the beginning"
    return (
        f"attempt {event.attempt} (pid {event.pid}) {begin}: {event.total_steps} steps in {event.epochs} epochs, "
        f"{event.trainable_parameters:,} trainable parameters, {event.precision} on {event.device}"
        + (f", {event.processes} processes" if event.processes > 1 else "")
    )


def _describe(event: Progress) -> str:
    parts = [f"{event.activity}: step {event.step}, {event.epoch} epochs completed"]
    if event.loss is not None:
        parts.append(f"loss {event.loss:.4f}")
    if event.tokens_per_second is not None:
        parts.append(f"{event.tokens_per_second:.0f} tokens/s")
    if event.seconds_left is not None:
        parts.append(f"about {event.seconds_left:.0f} s left")
    return ", ".join(parts)
