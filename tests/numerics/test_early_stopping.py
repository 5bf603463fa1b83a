"""A run that is told to ends when its validation loss falls no more, and resumes there as everywhere."""

from __future__ import annotations

from itertools import pairwise
from pathlib import Path

import pytest
import training_runs as runs

from sintonia.runs.events import CheckpointExported, Finished
from sintonia.runs.layout import RunDirectory


def prepare(path: Path, model_dir: Path, *, patience: int | None) -> RunDirectory:
    """Eight rows learnt by heart at a high rate: the validation loss falls at first, then rises."""
    return runs.prepare(
        path, model_dir, rows=8, validation=8, epochs=60, batch_size=8, learning_rate=2e-2, patience=patience
    )


@pytest.fixture(scope="module")
def whole(tmp_path_factory: pytest.TempPathFactory, tiny_model_dir: Path) -> RunDirectory:
    directory = prepare(tmp_path_factory.mktemp("whole") / "run", tiny_model_dir, patience=None)
    runs.train_here(directory)
    return directory


def expected_end(curve: dict[int, float], patience: int) -> int:
    """From the definition: the first step at which none of the last ``patience`` evaluations was a new low."""
    waited, lowest = 0, float("inf")
    for step in sorted(curve):
        waited = 0 if curve[step] < lowest else waited + 1
        lowest = min(lowest, curve[step])
        if waited == patience:
            return step
    raise AssertionError("the validation loss does not rise: the test's data are wrong")


@pytest.mark.parametrize("patience", [1, 3])
def test_it_ends_where_the_curve_says(patience: int, tmp_path: Path, tiny_model_dir: Path, whole: RunDirectory) -> None:
    curve = runs.series(whole, "/eval_total_loss")
    assert max(curve) == 60, "without it all steps are taken"
    end = expected_end(curve, patience)
    assert end < 60
    directory = prepare(tmp_path / "run", tiny_model_dir, patience=patience)
    runs.train_here(directory)
    assert runs.series(directory, "/eval_total_loss") == {step: curve[step] for step in curve if step <= end}
    told = runs.events(directory)
    assert isinstance(told[-1], Finished)
    assert told[-1].step == end
    exported = [event for event in told if isinstance(event, CheckpointExported)]
    assert exported[-1].step == end, "what there is at the end is exported, planned or not"
    assert [event.checkpoint_id for event in exported] == [str(n) for n in range(1, len(exported) + 1)]
    assert all(before.step < after.step for before, after in pairwise(exported))
    assert {event.step: event.validation_loss for event in exported} == {
        event.step: curve[event.step] for event in exported
    }

    # Another attempt finds nothing left to do, though steps are left in the plan.
    runs.train_here(directory)
    assert [event.kind for event in runs.events(directory, attempt=2)] == ["progress", "started", "finished"]


def test_what_was_waited_survives_a_resume(tmp_path: Path, tiny_model_dir: Path, whole: RunDirectory) -> None:
    directory = prepare(tmp_path / "run", tiny_model_dir, patience=3)
    runs.train_here(directory)
    undisturbed = runs.checkpoint_bytes(directory)
    # As after a crash just before the end: the state before is there, the last one is not.
    (sorted(directory.resume.iterdir())[-1] / "position.json").unlink()
    runs.train_here(directory)
    assert runs.checkpoint_bytes(directory) == undisturbed
    assert runs.last_told(directory, "/eval_total_loss").keys() == {
        step
        for step in runs.series(whole, "/eval_total_loss")
        if step <= expected_end(runs.series(whole, "/eval_total_loss"), 3)
    }
