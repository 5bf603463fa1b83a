"""Several processes that share a run do what one does, and end together, whatever becomes of any of them."""

from __future__ import annotations

import random
import signal
import subprocess
import sys
from pathlib import Path

import numpy as np
import psutil
import pytest
import torch
import training_runs as runs
from safetensors.torch import load_file

from sintonia.runs.events import CheckpointExported, Event, Failed, Finished, Metrics, Started, Stopped
from sintonia.runs.layout import RunDirectory
from sintonia.training.data import Example, shares

# Sums are taken in another order, in float32: on these models that moves a loss by 1e-7 nats.
TOLERANCE = 2e-6
ROWS = 13
"""Of which four steps of four leave one for the last: fewer than there are processes."""


def prepare(path: Path, model_dir: Path, *, epochs: int = 3, hang_seconds: float = 600.0) -> RunDirectory:
    return runs.prepare(path, model_dir, rows=ROWS, epochs=epochs, processes=2, threads=2, hang_seconds=hang_seconds)


def trained(event: Event) -> bool:
    return isinstance(event, Metrics) and "/train_total_loss" in event.values


def ranks(trainer: subprocess.Popen[bytes]) -> list[psutil.Process]:
    """The processes that the trainer started, first to last."""
    found = {}
    for child in psutil.Process(trainer.pid).children():
        command = child.cmdline()
        found[int(command[command.index("--rank") + 1])] = child
    return [found[rank] for rank in sorted(found)]


def assert_close(directory: RunDirectory, alone: RunDirectory) -> None:
    """The same curve, and adapters that differ by no more than the few roundings that Adam magnifies."""
    assert runs.metrics(directory) == pytest.approx(runs.metrics(alone), abs=TOLERANCE)
    for checkpoint in sorted(path.name for path in alone.checkpoints.iterdir()):
        found, expected = (
            load_file(each.checkpoint(checkpoint) / "adapter_model.safetensors") for each in (directory, alone)
        )
        for name, tensor in expected.items():
            torch.testing.assert_close(found[name], tensor, atol=1e-4, rtol=1e-3)


@pytest.fixture(scope="module")
def alone(tmp_path_factory: pytest.TempPathFactory, tiny_model_dir: Path) -> RunDirectory:
    directory = runs.prepare(tmp_path_factory.mktemp("alone") / "run", tiny_model_dir, rows=ROWS, epochs=3)
    runs.train_here(directory)
    return directory


def test_two_processes_equal_one(tmp_path: Path, tiny_model_dir: Path, alone: RunDirectory) -> None:
    directory = prepare(tmp_path / "run", tiny_model_dir)
    assert runs.start_trainer(directory).wait() == 0, directory.trainer_log.read_text()
    assert_close(directory, alone)
    told = runs.events(directory)
    assert len(directory.event_files()) == 1, "one of them tells"
    assert next(event for event in told if isinstance(event, Started)).processes == 2
    assert [event.checkpoint_id for event in told if isinstance(event, CheckpointExported)] == ["1", "2", "3"]
    assert isinstance(told[-1], Finished)
    assert not (directory.path / "meeting").exists()


def test_stopped_killed_and_resumed_alone(tmp_path: Path, tiny_model_dir: Path) -> None:
    directory = prepare(tmp_path / "run", tiny_model_dir, epochs=30)
    first = runs.start_trainer(directory)
    assert runs.wait_for_event(first, directory, trained, attempt=1), directory.trainer_log.read_text()
    first.send_signal(signal.SIGTERM)
    assert first.wait() == 0
    stopped = runs.events(directory)[-1]
    assert isinstance(stopped, Stopped)

    # One that is killed takes the other with it. No word of failure: a later attempt goes on.
    second = runs.start_trainer(directory)
    assert runs.wait_for_event(second, directory, trained, attempt=2), directory.trainer_log.read_text()
    members = ranks(second)
    members[1].kill()
    assert second.wait() == 1
    psutil.wait_procs(members, timeout=60)
    assert not any(member.is_running() for member in members)
    assert not isinstance(runs.events(directory, attempt=2)[-1], Finished | Failed)

    # With another number of processes the run is the same within rounding.
    directory.write_spec(directory.read_spec().model_copy(update={"processes": 1}))
    runs.train_here(directory)
    resumed = next(event for event in runs.events(directory, attempt=3) if isinstance(event, Started))
    assert resumed.resumed_from_step >= stopped.step > 0
    undisturbed = runs.prepare(tmp_path / "alone", tiny_model_dir, rows=ROWS, epochs=30)
    runs.train_here(undisturbed)
    curve = runs.last_told(directory, "/train_total_loss")
    assert curve == pytest.approx(runs.series(undisturbed, "/train_total_loss"), abs=1e-4)


@pytest.mark.parametrize("rank", [0, 1])
def test_one_that_hangs_fails_the_run_with_a_reason(rank: int, tmp_path: Path, tiny_model_dir: Path) -> None:
    directory = prepare(tmp_path / "run", tiny_model_dir, epochs=100_000, hang_seconds=6.0)
    trainer = runs.start_trainer(directory)
    assert runs.wait_for_event(trainer, directory, trained, attempt=1), directory.trainer_log.read_text()
    members = ranks(trainer)
    members[rank].suspend()
    members[1 - rank].wait()
    members[rank].resume()
    assert trainer.wait() == 1
    (failed,) = (event for event in runs.events(directory) if isinstance(event, Failed))
    assert failed.status == "DEADLINE_EXCEEDED"
    assert f"stood still for 6 s (process {2 - rank} of 2: waiting for the others after step" in failed.message
    assert "Thread" in directory.trainer_log.read_text(), "the log shows where it stood"


def test_a_process_that_waits_for_ever_is_ended() -> None:
    code = (
        "import threading; from sintonia.training.watchdog import Watchdog\n"
        "dog = Watchdog(0.2, lambda doing: print('hung:', doing, flush=True))\n"
        "dog.beat('thinking'); threading.Event().wait()"
    )
    ended = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert ended.returncode == 1
    assert ended.stdout.endswith("hung: thinking\n")


@pytest.mark.parametrize("count", [1, 2, 5])
def test_a_step_is_dealt_evenly_and_whole(count: int) -> None:
    chance = random.Random(count)
    for _ in range(50):
        lengths = [chance.randint(2, 400) for _ in range(chance.randint(1, 40))]
        examples = [Example(np.full(n, i, np.int32), np.ones(n, np.bool_)) for i, n in enumerate(lengths)]
        dealt = shares(examples, count)
        numbers = [[int(example.token_ids[0]) for example in share] for share in dealt]
        assert sorted(number for share in numbers for number in share) == list(range(len(examples)))
        assert all(share == sorted(share) for share in numbers)
        best = max(max(lengths), sum(lengths) / count)
        assert max(sum(lengths[number] for number in share) for share in numbers) <= best * 4 / 3 + 1
