"""Compiled layers compute what the model computes, and a compiled run goes on as one that nobody disturbed."""

from __future__ import annotations

import signal
from pathlib import Path

import pytest
import training_runs as runs

from sintonia.runs.events import Event, Metrics, Stopped
from sintonia.runs.layout import RunDirectory
from sintonia.runs.spec import TrainingSpec
from sintonia.training.compiled import is_wanted

STEPS = 8


@pytest.fixture(scope="module")
def code(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """What was compiled for one run serves the next."""
    return tmp_path_factory.mktemp("code")


def train(directory: RunDirectory, **environment: str) -> str:
    """Its log."""
    assert runs.start_trainer(directory, **environment).wait() == 0, directory.trainer_log.read_text()
    return directory.trainer_log.read_text()


def third_step(event: Event) -> bool:
    return isinstance(event, Metrics) and event.step == 3


def compiled(path: Path, model_dir: Path, code: Path) -> RunDirectory:
    return runs.prepare(path, model_dir, compile="always", code_cache=code)


def test_a_compiled_run_tells_the_same_and_goes_on_bit_for_bit(
    tmp_path: Path, tiny_model_dir: Path, code: Path
) -> None:
    plain, whole = runs.prepare(tmp_path / "plain", tiny_model_dir), compiled(tmp_path / "whole", tiny_model_dir, code)
    assert "layers are" not in train(plain)
    assert "the model's layers are compiled" in train(whole)
    told, expected = runs.metrics(whole), runs.metrics(plain)
    assert told.keys() == expected.keys()
    losses = [key for key in expected if "loss" in key[0]]
    assert max(abs(told[key] - expected[key]) for key in losses) < 1e-4
    assert told != expected  # the code did run: it rounds in other places

    stopped = compiled(tmp_path / "stopped", tiny_model_dir, code)
    process = runs.start_trainer(stopped)
    assert runs.wait_for_event(
        process, stopped, lambda event: isinstance(event, Metrics) and event.step == 3, attempt=1
    )
    process.send_signal(signal.SIGTERM)
    assert process.wait() == 0, stopped.trainer_log.read_text()
    last = runs.events(stopped)[-1]
    assert isinstance(last, Stopped)
    assert 3 <= last.step < STEPS
    train(stopped)
    assert runs.metrics(stopped) == told
    assert runs.checkpoint_bytes(stopped) == runs.checkpoint_bytes(whole)


def test_another_architecture(tmp_path: Path, tiny_other_model_dir: Path, code: Path) -> None:
    """Windows, capped scores and norms of another kind: whether it can be compiled or not, it is trained right."""
    plain = runs.prepare(tmp_path / "plain", tiny_other_model_dir)
    other = compiled(tmp_path / "compiled", tiny_other_model_dir, code)
    train(plain)
    assert "the model's layers are compiled" in train(other)
    told = runs.metrics(other)
    for key, value in runs.metrics(plain).items():
        assert told[key] == pytest.approx(value, abs=1e-4), key


def test_without_a_compiler_a_run_goes_as_it_is(tmp_path: Path, tiny_model_dir: Path, code: Path) -> None:
    plain, bare = runs.prepare(tmp_path / "plain", tiny_model_dir), compiled(tmp_path / "bare", tiny_model_dir, code)
    train(plain)
    assert "the model's layers are not compiled: no C++ compiler is installed" in train(bare, CXX="no-such-compiler")
    assert runs.checkpoint_bytes(bare) == runs.checkpoint_bytes(plain)


def test_short_runs_are_not_compiled(tmp_path: Path, tiny_model_dir: Path) -> None:
    import torch

    model = torch.nn.Linear(10_000, 10_000, device="meta")  # a hundred million parameters
    spec = TrainingSpec.model_validate(runs.prepare(tmp_path / "run", tiny_model_dir).read_spec())

    def wanted(compile_when: str, tokens: int) -> bool:
        return is_wanted(spec.model_copy(update={"compile": compile_when, "threads": 2}), model, tokens=tokens)

    assert [wanted("auto", 50_000), wanted("auto", 500_000)] == [False, True]
    assert [wanted("always", 1), wanted("never", 500_000)] == [True, False]
