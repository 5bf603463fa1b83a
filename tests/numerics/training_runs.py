"""Run directories for tests of the trainer: small data, runs in this process or in one of their own, what they told."""

from __future__ import annotations

import json
import os
import random
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

from sintonia.runs.durable import copy_directory
from sintonia.runs.events import Event, Metrics, read_events
from sintonia.runs.layout import RunDirectory
from sintonia.runs.spec import TrainingSpec
from sintonia.training.processes import Place
from sintonia.training.ranks import Ranks
from sintonia.training.reporting import Reporter
from sintonia.training.run import Run
from sintonia.training.stopping import StopRequest
from sintonia.training.watchdog import Watchdog

_TEXT = "the quick brown fox jumps over the lazy dog and runs to the river order number kettle refund São Paulo"


def conversations(count: int, *, seed: int = 0) -> Iterator[dict[str, Any]]:
    """Chats of one to three exchanges."""
    chance = random.Random(seed)
    vocabulary = _TEXT.split()

    def words() -> dict[str, Any]:
        return {"text": " ".join(chance.choice(vocabulary) for _ in range(chance.randint(1, 12)))}

    for _ in range(count):
        turns = []
        for _ in range(chance.choice([1, 1, 2, 3])):
            turns += [{"role": "user", "parts": [words()]}, {"role": "model", "parts": [words()]}]
        yield {"contents": turns}


def prepare(path: Path, model_dir: Path, *, rows: int = 14, validation: int = 5, **changes: Any) -> RunDirectory:
    """A run directory as the control plane leaves it."""
    values: dict[str, Any] = {
        "base_model": "tiny-model",
        "model_dir": model_dir,
        "family": "chat_template",
        "precision": "float32",
        "device": "cpu",
        "threads": 1,
        "max_example_tokens": 512,
        "adapter_rank": 4,
        "adapter_alpha": 8,
        "epochs": 2,
        "batch_size": 4,
        "learning_rate": 5e-3,
        "warmup_fraction": 0.2,
        "evaluation_budget": 1.0,
    }
    directory = RunDirectory(path)
    directory.write_spec(TrainingSpec.model_validate(values | changes))
    directory.data.mkdir()
    _write_rows(directory.train_file, rows, seed=0)
    if validation:
        _write_rows(directory.validation_file, validation, seed=1)
    return directory


def prepare_continued(path: Path, model_dir: Path, before: RunDirectory, **changes: Any) -> RunDirectory:
    """A run directory that begins with the second checkpoint of another run."""
    directory = prepare(path, model_dir, initial_adapter="models/7@1", **changes)
    copy_directory(before.checkpoint("2"), directory.initial_adapter)
    return directory


def train_here(directory: RunDirectory) -> Run:
    """A whole run in this process."""
    reporter = Reporter(directory, step=0)
    watchdog = Watchdog(600.0, lambda doing: None)
    try:
        run = Run(directory, directory.read_spec(), reporter, StopRequest(), Ranks(Place(), device="cpu"), watchdog)
        run()
    finally:
        watchdog.close()
    return run


def start_trainer(directory: RunDirectory, **environment: str) -> subprocess.Popen[bytes]:
    """A run in a process of its own, as executors start it; its log is appended to the run's."""
    directory.logs.mkdir(exist_ok=True)
    with directory.trainer_log.open("ab") as log:
        return subprocess.Popen(
            [sys.executable, "-m", "sintonia.training", str(directory.path)],
            stdout=log,
            stderr=subprocess.STDOUT,
            env={**os.environ, **environment},
        )


def wait_for_event(
    process: subprocess.Popen[bytes], directory: RunDirectory, wanted: Callable[[Event], bool], *, attempt: int
) -> bool:
    """Wait until the attempt has told such an event; False if the process ended without."""
    while True:
        ended = process.poll() is not None
        if any(wanted(event) for event in events(directory, attempt=attempt)):
            return True
        if ended:
            return False
        time.sleep(0.002)


def events(directory: RunDirectory, *, attempt: int | None = None) -> list[Event]:
    """Of one attempt or of all, in order."""
    files = directory.event_files()
    if attempt is not None:
        files = files[attempt - 1 : attempt]
    return [read.event for file in files for read in read_events(file)]


def metrics(directory: RunDirectory) -> dict[tuple[str, int], float]:
    """What all attempts told, by (series, step); attempts that told the same step must agree."""
    merged: dict[tuple[str, int], float] = {}
    for event in events(directory):
        if isinstance(event, Metrics):
            for series, value in event.values.items():
                assert merged.setdefault((series, event.step), value) == value, (series, event.step)
    return merged


def series(directory: RunDirectory, name: str) -> dict[int, float]:
    return {step: value for (series_name, step), value in metrics(directory).items() if series_name == name}


def last_told(directory: RunDirectory, name: str) -> dict[int, float]:
    """A series as readers take it: of attempts that told the same step, the last word."""
    told = [event for event in events(directory) if isinstance(event, Metrics) and name in event.values]
    return {event.step: event.values[name] for event in told}


def checkpoint_bytes(directory: RunDirectory) -> dict[str, bytes]:
    """Every file of every exported checkpoint, by path."""
    return {
        str(path.relative_to(directory.checkpoints)): path.read_bytes()
        for path in sorted(directory.checkpoints.rglob("*"))
        if path.is_file()
    }


def _write_rows(path: Path, count: int, *, seed: int) -> None:
    path.write_text("".join(json.dumps(row) + "\n" for row in conversations(count, seed=seed)), encoding="utf-8")
