"""How fast a run does each kind of its work, and from that how long it has still to go."""

from __future__ import annotations

import time
from collections import deque
from collections.abc import Callable

from sintonia.training.plan import TRAINING_COST, Plan

_RECENT_SECONDS = 60.0

Clock = Callable[[], float]


class Pace:
    """Units a second over the recent time that was spent on one kind of work."""

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self._work: deque[tuple[float, float]] = deque()
        # Sums of these: there are thousands where steps are short.
        self._seconds = self._units = 0.0
        self._since = clock()
        self.done = 0.0
        """Since ``begin``."""
        self.begun = 0
        """How often."""

    def begin(self) -> None:
        """The work begins now; what passed since the last ``add`` was something else."""
        self._since = self._clock()
        self.done = 0.0
        self.begun += 1

    def add(self, units: float) -> None:
        """So much was done since the last call of these two; 0 for what costs time alone."""
        now = self._clock()
        self._work.append((now - self._since, units))
        self._seconds += now - self._since
        self._units += units
        self._since = now
        self.done += units
        while len(self._work) > 1 and self._seconds > _RECENT_SECONDS:
            seconds, units = self._work.popleft()
            self._seconds -= seconds
            self._units -= units

    @property
    def rate(self) -> float | None:
        """Units a second; None before anything was done."""
        return self._units / self._seconds if self._seconds > 0 and self._units > 0 else None

    @property
    def seconds(self) -> float | None:
        """Of one unit."""
        return 1 / self.rate if self.rate else None


class Paces:
    """The kinds of work of a run: tokens trained and evaluated, checkpoints exported, states saved.

    Args:
        tokens: of one pass over the training rows.
        validation_tokens: of one evaluation.
        save_every: seconds between two states that are saved.
    """

    def __init__(
        self,
        plan: Plan,
        *,
        tokens: int,
        validation_tokens: int,
        save_every: float,
        clock: Clock = time.monotonic,
    ) -> None:
        self._plan = plan
        self._step_tokens = tokens / plan.steps_per_epoch
        self._validation_tokens = validation_tokens
        self._save_every = save_every
        self.training, self.evaluating, self.exporting, self.saving = (Pace(clock) for _ in range(4))

    def seconds_left(self, step: int, *, settled: bool) -> float | None:
        """Of the run; None until anything can be told.

        Args:
            step: the last completed one.
            settled: whether what is due after it, evaluation and export, is done.
        """
        trained, evaluated = self.training.seconds, self.evaluating.seconds
        if evaluated is not None and (trained is None or self.training.begun < 2):  # a part of a step says little
            trained = evaluated * TRAINING_COST
        if trained is None:
            return None
        if evaluated is None:
            evaluated = trained / TRAINING_COST
        saved = self.saving.seconds or 0.0
        exported = self.exporting.seconds or 2 * saved
        behind = step if settled else step - 1  # of what is due after a step, all up to this one is done
        training = (self._plan.total_steps - step) * self._step_tokens - (self.training.done if settled else 0)
        evaluating = self._plan.evaluations_after(behind) * self._validation_tokens - (
            0 if settled else self.evaluating.done
        )
        exports = sum(planned > behind for planned in self._plan.checkpoints)
        seconds = max(0.0, training) * trained + max(0.0, evaluating) * evaluated + exports * exported
        return seconds * (1 + saved / self._save_every)
