"""Trainers as processes of this machine: never two at one run, found again, stopped when asked."""

from __future__ import annotations

import json
import os
import signal
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import psutil
import pytest

from numerics.training_runs import events, prepare
from server import until
from sintonia.executors.local_process import LocalProcessExecutor
from sintonia.runs.events import Finished, Metrics, Stopped
from sintonia.runs.layout import RunDirectory


@pytest.fixture
def run(tiny_model_dir: Path, tmp_path: Path) -> Iterator[RunDirectory]:
    """A run too long to end by itself; its trainers are gone after the test."""
    directory = prepare(tmp_path / "run", tiny_model_dir, validation=0, epochs=100_000, learning_rate=1e-4)
    yield directory
    for process in trainers(directory):
        process.kill()


def trainers(directory: RunDirectory) -> list[psutil.Process]:
    """The live trainers of a run, whoever started them."""
    found = []
    for process in psutil.process_iter(["cmdline", "status"]):
        command = process.info["cmdline"] or []
        if str(directory.path) in command and process.info["status"] != psutil.STATUS_ZOMBIE:
            found.append(process)
    return found


def until_it_trains(directory: RunDirectory) -> None:
    until(
        lambda: any(isinstance(event, Metrics) for event in events(directory)),
        what=f"a first step; the log says: {directory.trainer_log.read_text()}",
    )


def until_it_ends(executor: LocalProcessExecutor, directory: RunDirectory) -> None:
    until(lambda: not executor.is_running(directory), what="the trainer's end")


def start(directory: RunDirectory) -> LocalProcessExecutor:
    executor = LocalProcessExecutor()
    executor.start(directory, threads=1)
    return executor


def test_a_whole_run(tiny_model_dir: Path, tmp_path: Path) -> None:
    directory = prepare(tmp_path / "run", tiny_model_dir, rows=4, validation=0, epochs=1)
    executor = start(directory)
    assert executor.is_running(directory)
    (process,) = trainers(directory)
    assert process.environ()["OMP_NUM_THREADS"] == "1"
    assert os.getsid(process.pid) == process.pid != os.getsid(0)
    until_it_ends(executor, directory)
    assert isinstance(events(directory)[-1], Finished)
    assert (directory.checkpoint("1") / "adapter_model.safetensors").is_file()
    assert not LocalProcessExecutor().is_running(directory)
    executor.stop(directory, grace=0)  # no error where nothing runs
    executor.ask_to_stop(directory)


def test_started_again_and_again_it_is_one_process_which_any_executor_finds_and_stops(run: RunDirectory) -> None:
    first = start(run)
    first.start(run, threads=1)
    second = LocalProcessExecutor()
    assert second.is_running(run)
    second.start(run, threads=1)
    until_it_trains(run)
    second.start(run, threads=1)
    (process,) = trainers(run)
    assert len(run.event_files()) == 1

    second.stop(run, grace=60)
    assert not second.is_running(run)
    assert not first.is_running(run)
    assert not trainers(run)
    assert isinstance(events(run)[-1], Stopped)
    assert not process.is_running()  # reaped by the executor that started it

    # It goes on where it was when started again, by whomever.
    third = start(run)
    until(lambda: events(run, attempt=2), what="the second attempt's first event")
    third.stop(run, grace=60)
    assert len(run.event_files()) == 2


def test_without_grace_it_is_killed(run: RunDirectory) -> None:
    executor = start(run)
    until_it_trains(run)
    (process,) = trainers(run)
    process.send_signal(signal.SIGSTOP)  # deaf to anything but a kill
    executor.stop(run, grace=0.2)
    assert not executor.is_running(run)
    assert not trainers(run)


def test_several_processes_are_stopped_and_killed_as_one(run: RunDirectory) -> None:
    run.write_spec(run.read_spec().model_copy(update={"processes": 2}))
    executor = start(run)
    until_it_trains(run)
    assert len(trainers(run)) == 3, "torchrun and two of its own"
    executor.stop(run, grace=60)
    assert not trainers(run)
    assert isinstance(events(run)[-1], Stopped)

    executor.start(run, threads=1)
    until(lambda: any(isinstance(event, Metrics) for event in events(run, attempt=2)), what="a step")
    for process in trainers(run):
        process.suspend()  # deaf to anything but a kill
    executor.stop(run, grace=0.2)
    assert not executor.is_running(run)
    until(lambda: not trainers(run), what="the end of all three")


def test_found_by_its_lock_if_the_first_executor_died_before_it_took_note(run: RunDirectory) -> None:
    executor = start(run)
    until_it_trains(run)
    (run.path / "process.json").unlink()
    later = LocalProcessExecutor()
    assert later.is_running(run)
    later.start(run, threads=1)
    assert len(trainers(run)) == 1
    later.stop(run, grace=60)
    assert not trainers(run)
    until_it_ends(executor, run)


@pytest.mark.parametrize("file", ["process.json", "trainer.lock"])
@pytest.mark.parametrize(
    "change",
    [
        {"started": 1.0},  # the pid was given to somebody else since
        {"pid": 2**22 + 1},  # nobody has it
        {"pid": "x"},
        {"started": None},
    ],
)
def test_a_pid_alone_is_not_taken_for_the_trainer(file: str, change: dict[str, Any], tmp_path: Path) -> None:
    directory = RunDirectory(tmp_path)
    myself = {"pid": os.getpid(), "started": psutil.Process().create_time()}
    executor = LocalProcessExecutor()
    (tmp_path / file).write_text(json.dumps(myself))
    assert executor.is_running(directory)
    (tmp_path / file).write_text(json.dumps(myself | change))
    assert not executor.is_running(directory)
    executor.stop(directory, grace=0)  # this test goes on


@pytest.mark.parametrize("content", [b"", b"{", b"[]", b"\xff"])
def test_a_torn_note_is_none(content: bytes, tmp_path: Path) -> None:
    (tmp_path / "process.json").write_bytes(content)
    (tmp_path / "trainer.lock").write_bytes(content)
    assert not LocalProcessExecutor().is_running(RunDirectory(tmp_path))
