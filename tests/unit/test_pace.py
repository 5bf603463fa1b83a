"""The time left, as a run tells it: right within a quarter once a tenth is done, whatever the run is made of."""

from __future__ import annotations

import random
from collections.abc import Iterator

import pytest
from test_training_plan import spec

from sintonia.training.pace import Paces
from sintonia.training.plan import make_plan

ROWS, TOKENS_A_ROW = 400, 200


class Machine:
    """A run of known costs on a clock of its own: every kind of work, told as the trainer tells it."""

    def __init__(self, *, epochs: int, validation_rows: int, noise: float, evaluation: float, export: float) -> None:
        self.now = 0.0
        self._chance = random.Random(7)
        self._noise, self._evaluation, self._export = noise, evaluation, export
        self._validation = validation_rows
        self._plan = make_plan(
            spec(epochs=epochs),
            rows=ROWS,
            train_tokens=ROWS * TOKENS_A_ROW,
            validation_tokens=validation_rows * TOKENS_A_ROW,
        )
        self._paces = Paces(
            self._plan,
            tokens=ROWS * TOKENS_A_ROW,
            validation_tokens=validation_rows * TOKENS_A_ROW,
            save_every=30.0,
            clock=lambda: self.now,
        )

    def told(self) -> Iterator[tuple[float, float | None]]:
        """(time, seconds left) at every moment at which the trainer tells its progress."""
        saved = 0.0
        yield from self._settle(0)
        for step in range(1, self._plan.total_steps + 1):
            self._paces.training.begin()
            for _ in range(8):
                tokens = self._chance.randint(TOKENS_A_ROW // 10, 2 * TOKENS_A_ROW - TOKENS_A_ROW // 10)
                self._spend(tokens * 0.005)
                self._paces.training.add(tokens)
                yield self.now, self._paces.seconds_left(step - 1, settled=True)
            self._spend(0.2)  # the optimizer
            self._paces.training.add(0)
            yield self.now, self._paces.seconds_left(step, settled=False)
            yield from self._settle(step)
            if self.now - saved > 30:
                self._paces.saving.begin()
                self._spend(1.0)
                self._paces.saving.add(1)
                saved = self.now

    def _settle(self, step: int) -> Iterator[tuple[float, float | None]]:
        if step in self._plan.evaluations:
            self._paces.evaluating.begin()
            for _ in range(0, self._validation, 8):
                self._spend(8 * TOKENS_A_ROW * self._evaluation)
                self._paces.evaluating.add(8 * TOKENS_A_ROW)
                yield self.now, self._paces.seconds_left(step, settled=False)
            self._paces.evaluating.begin()
        if step in self._plan.checkpoints:
            self._paces.exporting.begin()
            self._spend(self._export)
            self._paces.exporting.add(1)

    def _spend(self, seconds: float) -> None:
        self.now += seconds * self._chance.uniform(1 - self._noise, 1 + self._noise)


@pytest.mark.parametrize(
    "costs",
    [
        {"epochs": 3, "validation_rows": 0, "noise": 0.1, "evaluation": 0.0, "export": 1.0},
        {"epochs": 3, "validation_rows": 400, "noise": 0.3, "evaluation": 0.002, "export": 5.0},
        {"epochs": 1, "validation_rows": 160, "noise": 0.3, "evaluation": 0.003, "export": 1.0},
        {"epochs": 10, "validation_rows": 80, "noise": 0.3, "evaluation": 0.001, "export": 20.0},
    ],
    ids=["training alone", "much evaluation", "slow evaluation", "slow exports"],
)
def test_the_time_left_is_right_within_a_quarter_after_a_tenth(costs: dict[str, float]) -> None:
    machine = Machine(**costs)  # type: ignore[arg-type]
    told = list(machine.told())
    end = machine.now
    assert told[-1][1] is not None
    checked = [(now, left) for now, left in told if 0.1 * end <= now <= 0.97 * end]
    assert len(checked) > 100
    for now, left in checked:
        assert left == pytest.approx(end - now, rel=0.25), f"{now:.0f} s of {end:.0f} s"
    assert told[-1][1] == pytest.approx(0, abs=0.02 * end)


def test_nothing_is_told_before_anything_is_known() -> None:
    paces = Paces(make_plan(spec(), rows=8, train_tokens=800, validation_tokens=0), tokens=800, validation_tokens=0,
                  save_every=30.0, clock=lambda: 0.0)  # fmt: skip
    assert paces.seconds_left(0, settled=True) is None
