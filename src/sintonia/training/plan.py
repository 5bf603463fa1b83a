"""What a run does at which step: known before it starts, from counts alone, so that every attempt plans the same."""

from __future__ import annotations

from dataclasses import dataclass
from itertools import pairwise
from math import ceil

from sintonia.runs.spec import TrainingSpec

MOST_CHECKPOINTS = 10
MOST_EVALUATIONS_PER_EPOCH = 5
TRAINING_COST = 2.0
"""Compute of training on a token, in forward passes: with a frozen base, one forward and one backward through it."""


@dataclass(frozen=True)
class PlannedCheckpoint:
    checkpoint_id: str
    epoch: int
    step: int


@dataclass(frozen=True)
class Plan:
    """Steps count from 1; step 0 is before any training.

    ``checkpoints`` maps a step to what is exported after it; ``evaluations`` holds the steps after which the whole
    validation set is evaluated, and is empty when there is none.
    """

    steps_per_epoch: int
    total_steps: int
    checkpoints: dict[int, PlannedCheckpoint]
    evaluations: frozenset[int]

    def completed_epochs(self, step: int) -> int:
        return step // self.steps_per_epoch

    def checkpoint_now(self, step: int) -> PlannedCheckpoint:
        """The one that is due after ``step``, also if the run is to end there out of plan."""
        number = 1 + sum(planned < step for planned in self.checkpoints)
        return PlannedCheckpoint(str(number), ceil(step / self.steps_per_epoch), step)

    def evaluations_after(self, step: int) -> int:
        return sum(planned > step for planned in self.evaluations)


def make_plan(spec: TrainingSpec, *, rows: int, train_tokens: int, validation_tokens: int) -> Plan:
    """Plan a run over ``rows`` training rows; token counts are of one pass over each set, 0 for no validation set."""
    steps_per_epoch = ceil(rows / spec.batch_size)
    total_steps = steps_per_epoch * spec.epochs
    epochs = checkpoint_epochs(spec.epochs, last_only=spec.export_last_checkpoint_only)
    checkpoints = {
        epoch * steps_per_epoch: PlannedCheckpoint(str(number), epoch, epoch * steps_per_epoch)
        for number, epoch in enumerate(epochs, 1)
    }
    evaluations: frozenset[int] = frozenset()
    if validation_tokens:
        allowed = int(spec.evaluation_budget * TRAINING_COST * train_tokens * spec.epochs / validation_tokens)
        between = _evaluations_between([0, *checkpoints], spec.epochs, allowed)
        evaluations = frozenset({0, *checkpoints, *between})
    return Plan(steps_per_epoch, total_steps, checkpoints, evaluations)


def checkpoint_epochs(epochs: int, *, last_only: bool) -> list[int]:
    """After which epochs a checkpoint is exported: each of fewer than ten, else ten evenly spread, the last always."""
    if last_only:
        return [epochs]
    count = min(epochs, MOST_CHECKPOINTS)
    return [round(epochs * number / count) for number in range(1, count + 1)]


def _evaluations_between(anchors: list[int], epochs: int, allowed: int) -> set[int]:
    """Divide each stretch between two anchors into equal parts, as many as ``allowed`` evaluations in all permit."""
    stretches = list(pairwise(anchors))
    for parts in range(MOST_EVALUATIONS_PER_EPOCH * epochs // len(stretches), 1, -1):
        steps = {start + round((end - start) * i / parts) for start, end in stretches for i in range(1, parts)}
        steps -= set(anchors)
        if len(steps) <= allowed:
            return steps
    return set()
