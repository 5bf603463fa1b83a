"""The benchmarks work: on tiny data, without their peers, with what they measure left unjudged."""

from __future__ import annotations

import math
import subprocess
import sys
from pathlib import Path

import pytest
import torch
from benchmarks import training
from safetensors.torch import save_file

ROOT = Path(__file__).resolve().parents[2]


def benchmark(module: str, *arguments: object) -> str:
    done = subprocess.run(
        [sys.executable, "-m", module, *map(str, arguments)], cwd=ROOT, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr[-3000:]
    return done.stdout


@pytest.mark.parametrize("part", ["training", "start", "serving", "datasets", "control_plane"])
def test_each_part_explains_itself(part: str) -> None:
    assert f"python -m benchmarks.{part}" in benchmark(f"benchmarks.{part}", "--help")


def test_control_plane() -> None:
    table = benchmark("benchmarks.control_plane", "--jobs", 120, "--requests", 3, "--idle", 0.1)
    assert "| list a page of 100, 120 jobs " in table
    assert "| create, 120 jobs " in table


def test_datasets(tiny_model_dir: Path) -> None:
    options = ["--only", "ours", "--rows", 40, "--repeats", 1]
    assert "| dataset of 40 rows " in benchmark("benchmarks.datasets", *options, "--model-dir", tiny_model_dir)


def test_training(tiny_model_dir: Path) -> None:
    options = ["--only", "ours", "--only", "compiled", "--steps", 2, "--repeats", 1]
    table = benchmark("benchmarks.training", *options, "--model-dir", tiny_model_dir)
    assert "| training " in table
    assert "| training, compiled layers " in table
    assert " GFLOP/s in bfloat16 " in table


def test_training_of_a_shape(tiny_model_dir: Path) -> None:
    options = ["--only", "ours", "--steps", 2, "--repeats", 1, "--shape", "toy", "--batch", 3, "--longest", 900]
    assert "| training " in benchmark("benchmarks.training", *options, "--model-dir", tiny_model_dir)


def outcome(*losses: float) -> training.Outcome:
    return training.Outcome(list(losses), ends=[0.0, 1.0], seconds=2.0, peak=1, gradient="", others=0.0)


@pytest.mark.parametrize(
    ("ours", "theirs", "words"),
    [
        ((2.0, 1.9), (2.0, 1.8), "nats apart"),
        ((2.0, math.nan), (2.0, 1.9), "losses of Sintonia are no numbers"),
        ((2.0, 1.9), (math.nan, 1.9), "losses of TRL 1.16, defaults are no numbers"),
        ((2.0, 1.9), (2.0, math.inf), "are no numbers"),
        ((2.0, 1.9), (2.0,), "took 2 steps and TRL 1.16, defaults 1"),
    ],
)
def test_speeds_of_other_work_are_not_reported(ours: tuple[float, ...], theirs: tuple[float, ...], words: str) -> None:
    with pytest.raises(SystemExit, match=words):
        training._check_parity({"ours": [outcome(*ours)], "defaults": [outcome(*theirs)]})
    training._check_parity({"ours": [outcome(2.0, 1.9)], "defaults": [outcome(2.01, 1.89)]})


@pytest.mark.parametrize(
    ("moved", "norms"),
    [(0.0, [1.0, 1.0]), (math.nan, [1.0, 1.0]), (1e-4, [0.0, 1.0]), (1e-4, [1.0, math.nan]), (1e-4, [1.0])],
)
def test_speeds_of_what_learns_nothing_are_not_reported(moved: float, norms: list[float]) -> None:
    with pytest.raises(SystemExit, match=r"did not move|gradient norms"):
        training._check_learning("TRL", moved=moved, norms=norms, steps=2)
    training._check_learning("TRL", moved=1e-4, norms=[0.5, 1.0], steps=2)


def test_a_single_part_that_did_not_move_is_found(tmp_path: Path) -> None:
    weights = {"a.lora_B.weight": torch.full((2, 2), 1e-3), "b.lora_B.weight": torch.zeros(2, 2)}
    save_file(weights | {"a.lora_A.weight": torch.zeros(2)}, tmp_path / "one")
    assert training._least_largest(tmp_path / "one", "lora_B") == 0.0
    save_file({name: tensor + 1e-3 for name, tensor in weights.items()}, tmp_path / "all")
    assert training._least_largest(tmp_path / "all", "lora_B") == pytest.approx(1e-3)
