"""The benchmarks work: on tiny data, without their peers, with what they measure left unjudged."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

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
    options = ["--only", "ours", "--steps", 2, "--repeats", 1]
    assert "tokens/s" in benchmark("benchmarks.training", *options, "--model-dir", tiny_model_dir)
