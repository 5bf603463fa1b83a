"""Whether memory suffices is known before the first step, and what does not fit is made to."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch
import training_runs as runs

from sintonia.base_models import Catalog
from sintonia.datasets.estimate import activation_bytes
from sintonia.errors import ResourceExhausted
from sintonia.modeling.loss import TokenLosses
from sintonia.runs.events import Metrics
from sintonia.runs.layout import RunDirectory
from sintonia.training import memory
from sintonia.training import run as training_run
from sintonia.training.data import Example
from sintonia.training.forward import PackedForward
from sintonia.training.memory import StepMemory, fitting_budget, free_memory, heaviest, measure_step
from sintonia.training.run import Run


def example(length: int) -> Example:
    return Example(np.arange(length, dtype=np.int32) % 200, np.ones(length, np.bool_))


def test_the_heaviest_micro_batch_is_of_the_longest_examples() -> None:
    lengths = [30, 700, 10, 400, 300, 20, 200]
    found = heaviest(map(example, lengths), 1400)
    assert [len(each) for each in found] == [700, 400, 300]
    assert [len(each) for each in heaviest(map(example, lengths), 100)] == [700], "one alone is the least there is"
    assert heaviest([], 100) == []


def test_what_does_not_fit_is_halved_and_what_never_fits_is_refused() -> None:
    need = StepMemory(per_token=1e6, per_square=0.0)
    examples = [example(500)] * 8
    plenty = int(need.of(examples))
    assert fitting_budget(need, examples, 4000, free=plenty) == 4000
    assert fitting_budget(need, examples, 4000, free=plenty - 1) == 2000
    least = int(need.of(examples[:1])) + 1
    assert fitting_budget(need, examples, 4000, free=least) == 500
    with pytest.raises(ResourceExhausted, match=r"The longest example, of 500 tokens, needs about [\d,]+ MiB"):
        fitting_budget(need, examples, 4000, free=least - 2)


def test_the_estimate_follows_what_really_is_kept(tmp_path: Path, tiny_model_dir: Path) -> None:
    """From 64 and 128 tokens to a pack of 512 and 300: within a tenth of what its forward keeps."""
    run: Run = runs.train_here(runs.prepare(tmp_path / "run", tiny_model_dir, epochs=1, validation=0))
    forward, model = run._forward, run._adapted
    need = measure_step(forward, model, example(40))
    pack = [example(512), example(300)]
    known = {p.untyped_storage().data_ptr() for p in (*model.parameters(), *model.buffers())}
    kept: dict[int, int] = {}

    def keep(tensor: torch.Tensor) -> torch.Tensor:
        storage = tensor.untyped_storage()
        kept[storage.data_ptr()] = storage.nbytes()
        return tensor

    with torch.autograd.graph.saved_tensors_hooks(keep, lambda tensor: tensor):
        forward(pack)
    real = sum(size for pointer, size in kept.items() if pointer not in known)
    estimate = need.per_token * 812 + need.per_square * (512**2 + 300**2)
    assert need.per_square > 0
    assert estimate == pytest.approx(real, rel=0.1)


def test_what_is_told_before_a_job_is_near_what_is_kept(tmp_path: Path, embedded_model_dir: Path) -> None:
    """The embedded model, by its sizes alone: within a third of what its forward keeps, and rather more than less."""
    catalog = Catalog.load(cache=tmp_path, entries=[{"id": "real", "source": str(embedded_model_dir)}], aliases={})
    facts = catalog.facts(catalog.find("real"))
    directory = runs.prepare(tmp_path / "run", embedded_model_dir, rows=4, validation=0, epochs=1, precision="bfloat16")
    run = runs.train_here(directory)
    need = measure_step(run._forward, run._adapted, example(40))
    kept = need.per_token * 4000 + need.per_square * 10 * 400**2
    assert 0.9 < activation_bytes(facts, tokens=4000, longest=400) / kept < 1.4


def test_a_run_in_little_memory_takes_smaller_bites(
    tmp_path: Path, tiny_model_dir: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    roomy = runs.prepare(tmp_path / "roomy", tiny_model_dir, batch_size=8)
    run = runs.train_here(roomy)
    assert run._budget == training_run.MICRO_BATCH_TOKENS["cpu"]
    need = measure_step(run._forward, run._adapted, next(run._rows.examples()))
    adam = 3 * sum(p.nbytes for p in run._parameters.values())
    longest = [max(run._rows.examples(), key=len)]
    monkeypatch.setattr(training_run, "free_memory", lambda: int(need.of(longest * 2)) + adam)
    tight = runs.prepare(tmp_path / "tight", tiny_model_dir, batch_size=8)
    capsys.readouterr()
    smaller = runs.train_here(tight)
    assert smaller._budget < 4096
    said = capsys.readouterr().out
    assert f"memory is short: at most {smaller._budget} tokens at a time instead of 4096" in said
    assert runs.metrics(tight) == pytest.approx(runs.metrics(roomy), abs=2e-5)

    # Not even the longest example fits, unless nothing but the inputs is kept of some layers, or of all.
    layers = len(run._recomputable)
    everything = int(need.of(longest)) + adam
    recomputed = []
    for name, free in (("one", everything - 1), ("all", int(StepMemory(0.3 * need.per_token, 0).of(longest)) + adam)):
        monkeypatch.setattr(training_run, "free_memory", lambda free=free: free)
        tighter = runs.prepare(tmp_path / name, tiny_model_dir, batch_size=8)
        run = runs.train_here(tighter)
        recomputed.append(run._recomputed)
        assert f"memory is short: {run._recomputed} of {layers} layers are computed anew" in capsys.readouterr().out
        assert runs.metrics(tighter) == pytest.approx(runs.metrics(roomy), abs=2e-5)
    assert recomputed == [1, layers]
    assert measure_step(run._forward, run._adapted, longest[0]).per_token < 0.25 * need.per_token

    monkeypatch.setattr(training_run, "free_memory", lambda: 0)
    with pytest.raises(ResourceExhausted, match="The longest example"):
        runs.train_here(runs.prepare(tmp_path / "none", tiny_model_dir))
    assert not any(isinstance(event, Metrics) for event in runs.events(RunDirectory(tmp_path / "none")))


def test_a_gpu_tries_the_heaviest_before_the_first_step(
    tmp_path: Path, tiny_model_dir: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A GPU is not at hand everywhere: the trial runs on the CPU, where its error is raised in its stead."""
    compute = PackedForward.__call__
    tried: list[int] = []

    def compute_in_little_memory(self: PackedForward, examples: list[Example]) -> TokenLosses:
        tokens = sum(map(len, examples))
        if torch.is_grad_enabled():
            tried.append(tokens)
            if tokens > 200:
                raise torch.OutOfMemoryError("CUDA out of memory.")
        return compute(self, examples)

    monkeypatch.setattr(Run, "_make_room", Run._try_the_heaviest)
    monkeypatch.setitem(training_run.MICRO_BATCH_TOKENS, "cpu", 600)
    monkeypatch.setattr(PackedForward, "__call__", compute_in_little_memory)
    tight = runs.prepare(tmp_path / "tight", tiny_model_dir, batch_size=8)
    run = runs.train_here(tight)
    assert run._budget == 150
    too_large = [tokens for tokens in tried if tokens > 200]
    assert tried[: len(too_large)] == too_large, "never after the trial"
    monkeypatch.undo()
    roomy = runs.prepare(tmp_path / "roomy", tiny_model_dir, batch_size=8)
    runs.train_here(roomy)
    assert runs.metrics(tight) == pytest.approx(runs.metrics(roomy), abs=2e-5)


def test_a_control_groups_limit_counts(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    assert 0 < free_memory() <= memory.psutil.virtual_memory().total
    group = tmp_path / "cgroup" / "slice" / "job"
    group.mkdir(parents=True)
    for name, text in (("max", "max"), ("current", "5")):
        (group / f"memory.{name}").write_text(text)
    for name, text in (("max", "1000000"), ("current", "400000"), ("stat", "anon 1\ninactive_file 50000\n")):
        (group.parent / f"memory.{name}").write_text(text)
    own = tmp_path / "own"
    own.write_text("0::/slice/job\n")
    assert free_memory(root=tmp_path / "cgroup", own=own) == 650_000
