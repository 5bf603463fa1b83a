"""Training: tokens/s and peak memory of our trainer and of TRL's SFTTrainer, on the same tokens in the same order.

Both start from the same adapter, take the same rows into each step, and minimise the same loss: the mean over the
target tokens of a step. Their losses are compared step by step, and both must have moved the adapter. Turns
alternate, so that what else the machine does meets both alike. The first step of a run is warm-up and is not timed;
neither is loading. What both cost is in the rows on whole jobs, which are computed: from all that a run took besides
its timed steps, the longest seen (compiling for the first time included), and from the speed of those.

On a machine with a GPU both train there, on its first, and memory is the most that was in use on it.
``--shape llama-3-8b --batch 32 --longest 4096`` is what others publish figures of.
"""

from __future__ import annotations

import argparse
import json
import math
import os
import statistics
import struct
import sys
import tempfile
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from benchmarks.chats import LONGEST, chats_of_length, model_dir
from benchmarks.processes import PEERS, has_gpu, peer_python, run
from benchmarks.random_model import SHAPES
from benchmarks.report import Figure, compared, main, mebibytes, show, spread
from sintonia.model_families import open_family
from sintonia.runs.events import Metrics, read_events
from sintonia.runs.layout import RunDirectory
from sintonia.runs.spec import TrainingSpec
from sintonia.settings import compute_environment, training_environment
from sintonia.training.data import Example, epoch_order, read_rows

RANK, ALPHA = 16, 32
RATE = 2e-4
SEED = 0

OURS = ("ours", "compiled")
_WHAT = {"ours": "training", "compiled": "training, compiled layers"}
JOBS = {5: "ours", 30: "compiled"}
"""How we do a job for which TRL takes so many minutes at its defaults; with native kernels, nothing is compiled."""

STEP_TOLERANCE = 0.05
MEAN_TOLERANCE = 0.02
"""Nats by which losses may differ, at any step and in the mean: TRL's defaults keep the base model in float32, so a
little rounding lies between them (0.007 and 0.005 were measured). A token too many or too few in the loss makes 0.1."""

VARIANTS = {
    "ours": "Sintonia",
    "compiled": "Sintonia, compiled",
    "defaults": "TRL 1.16, defaults",
    "best": "TRL 1.16, best flags",
}


@dataclass(frozen=True)
class Outcome:
    """One run. ``losses`` and ``ends`` (seconds on some clock) have one entry a step; ``seconds`` is all it took."""

    losses: list[float]
    ends: list[float]
    seconds: float
    peak: int
    gradient: str
    others: float
    native: bool = False

    def tokens_per_second(self, tokens: Sequence[int]) -> float:
        """Tokens of the examples, padding not counted, over all steps but the first."""
        return sum(tokens[1:]) / (self.ends[-1] - self.ends[0])

    @property
    def besides(self) -> float:
        """Seconds that no timed step had: start, loading, compiling, the first step, the end."""
        return self.seconds - (self.ends[-1] - self.ends[0])


def parse(arguments: Sequence[str] | None = None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.training", description=__doc__)
    parser.add_argument("--steps", type=int, help="optimizer steps of a run, the first untimed (default: 5; quick: 3)")
    parser.add_argument("--repeats", type=int, help="runs of each (default: 3; quick: 1)")
    parser.add_argument("--quick", action="store_true", help="one short run of each")
    parser.add_argument("--model-dir", type=Path, help="another base model (default: the embedded one)")
    parser.add_argument("--shape", choices=list(SHAPES), help="a base model of this shape, with random weights")
    parser.add_argument("--batch", type=int, default=8, help="chats of a step (default: 8; a GPU wants more)")
    parser.add_argument("--longest", type=int, default=LONGEST, help=f"tokens of a chat at most (default: {LONGEST})")
    parser.add_argument("--only", choices=list(VARIANTS), action="append", help="leave the others out")
    options = parser.parse_args(arguments)
    options.steps = options.steps or (3 if options.quick else 5)
    options.repeats = options.repeats or (1 if options.quick else 3)
    if options.steps < 2:
        parser.error("--steps must be at least 2, as the first is not timed")
    return options


def measure(options: argparse.Namespace) -> list[Figure]:
    variants = [name for name in VARIANTS if name in (options.only or VARIANTS)]
    outcomes: dict[str, list[Outcome]] = {name: [] for name in variants}
    python = peer_python() if set(variants) - set(OURS) else Path()
    with tempfile.TemporaryDirectory(prefix="sintonia-bench-") as name:
        folder = Path(name)
        spec, steps = _prepare(folder, options)
        tokens = [sum(map(len, step)) for step in steps]
        targets = sum(example.target_count for step in steps for example in step)
        operations = _operations(spec.model_dir, tokens=sum(tokens), targets=targets)
        show(f"{len(steps)} steps of {options.batch} chats: {sum(tokens)} tokens, {targets} of them targets")
        for repeat in range(options.repeats):
            for variant in list(variants):
                if variant == "compiled" and not options.only and outcomes["ours"][0].native:
                    variants.remove(variant)
                    del outcomes[variant]
                    continue
                if variant in OURS:
                    chosen = spec.model_copy(update={"compile": "always" if variant == "compiled" else "never"})
                    outcome = _run_ours(folder / f"{variant}-{repeat}", folder / "train.jsonl", chosen)
                else:
                    outcome = _run_trl(python, folder, spec, best=variant == "best")
                outcomes[variant].append(outcome)
                show(
                    f"{VARIANTS[variant]:22} {outcome.tokens_per_second(tokens):7.1f} tokens/s "
                    f"{mebibytes(outcome.peak):7.0f} MiB  besides {outcome.besides:3.0f} s  "
                    f"others {outcome.others:4.0%}  {outcome.gradient}  "
                    f"losses {' '.join(f'{loss:.4f}' for loss in outcome.losses)}"
                )
    _check_parity(outcomes)
    figures = _figures(outcomes, tokens)
    if fastest := next((name for name in reversed(OURS) if name in outcomes), None):
        speed = statistics.median(outcome.tokens_per_second(tokens) for outcome in outcomes[fastest])
        peak = _matrix_peak(spec)
        figures.append(
            Figure(
                f"{_WHAT[fastest]}, share of the machine's matrix peak",
                f"{speed * operations / sum(tokens) / peak:.0%} of {peak / 1e9:.0f} GFLOP/s in bfloat16",
            )
        )
    return figures


def _prepare(folder: Path, options: argparse.Namespace) -> tuple[TrainingSpec, list[list[Example]]]:
    """Writes the rows for us and the very same tokens for TRL; returns what each step will see."""
    base = options.model_dir or model_dir()
    if options.shape:
        run([sys.executable, "-m", "benchmarks.random_model", options.shape, folder / options.shape, base])
        base = folder / options.shape
    family = open_family("chat_template", base)
    file = folder / "train.jsonl"
    with file.open("w", encoding="utf-8") as stream:
        for row in chats_of_length(options.steps * options.batch, family, longest=options.longest):
            stream.write(json.dumps(row) + "\n")
    spec = TrainingSpec(
        base_model=base.name,
        model_dir=base,
        family="chat_template",
        threads=len(os.sched_getaffinity(0)),
        max_example_tokens=options.longest,
        adapter_rank=RANK,
        adapter_alpha=ALPHA,
        epochs=1,
        batch_size=options.batch,
        learning_rate=RATE,
        warmup_fraction=0.0,
        seed=SEED,
        code_cache=folder / "code",
    )
    rows = read_rows(file, family)
    order = [example for row in epoch_order(SEED, 0, len(rows)) for example in rows.row(int(row))]
    with (folder / "tokens.jsonl").open("w", encoding="utf-8") as stream:
        for example in order:
            ids, trained = example.token_ids.tolist(), example.trained.tolist()
            labels = [token if learnt else -100 for token, learnt in zip(ids, trained, strict=True)]
            stream.write(json.dumps({"input_ids": ids, "labels": labels}) + "\n")
    return spec, [order[start : start + options.batch] for start in range(0, len(order), options.batch)]


def _run_ours(path: Path, rows: Path, spec: TrainingSpec) -> Outcome:
    directory = RunDirectory(path)
    directory.write_spec(spec)
    directory.data.mkdir()
    directory.train_file.write_bytes(rows.read_bytes())
    environment = training_environment(spec.threads)  # as the server starts it
    ended = run([sys.executable, "-m", "sintonia.training", path], environment=environment)
    events = [read.event for file in directory.event_files() for read in read_events(file)]
    told = [event for event in events if isinstance(event, Metrics)]
    moved = _least_largest(directory.checkpoint("1") / "adapter_model.safetensors", "lora_B")
    _check_learning("ours", moved=moved)
    return Outcome(
        losses=[event.values["/train_total_loss"] for event in told],
        ends=[event.time for event in told],
        seconds=ended.seconds,
        peak=ended.card or ended.peak,
        gradient=f"B moved by {moved:.1e}",
        others=ended.others,
        native="native kernels are used" in ended.output,
    )


def _run_trl(python: Path, folder: Path, spec: TrainingSpec, *, best: bool) -> Outcome:
    result = folder / "trl.json"
    settings = {
        "model_dir": str(spec.model_dir),
        "data": str(folder / "tokens.jsonl"),
        "output": str(folder / "trl"),
        "result": str(result),
        "rank": spec.adapter_rank,
        "alpha": spec.adapter_alpha,
        "batch": spec.batch_size,
        "rate": spec.learning_rate,
        "seed": spec.seed,
        "best": best,
        "longest": spec.max_example_tokens,
        "cpu": not has_gpu(),
    }
    ended = run([python, PEERS / "trl_sft.py", json.dumps(settings)])
    told = json.loads(result.read_text())
    _check_learning("TRL", moved=told["moved"], norms=told["gradient_norms"], steps=len(told["losses"]))
    return Outcome(
        losses=told["losses"],
        ends=told["ends"],
        seconds=ended.seconds,
        peak=ended.card or ended.peak,
        gradient=f"B moved by {told['moved']:.1e}, gradient norms from {min(told['gradient_norms']):.2f}",
        others=ended.others,
    )


def _check_learning(whose: str, *, moved: float, norms: Sequence[float] = (), steps: int = 0) -> None:
    """Every part of the adapter must have had a gradient, at every step: what learns nothing is fast.

    Args:
        moved: the largest weight of that B which moved least; all of them began as zero.
        norms: of the gradient, one a step, where they are told.
    """
    if not 0 < moved < math.inf:
        raise SystemExit(f"a part of the adapter did not move ({whose}: {moved}): its gradient was zero")
    if len(norms) != steps or not all(0 < norm < math.inf for norm in norms):
        raise SystemExit(f"gradient norms were zero, no numbers or missing ({whose}: {list(norms)})")


def _check_parity(outcomes: dict[str, list[Outcome]]) -> None:
    """All runs must have computed the same losses; see ``STEP_TOLERANCE``. A loss that is no number equals none."""
    for variant, many in outcomes.items():
        if not all(map(math.isfinite, (loss for outcome in many for loss in outcome.losses))):
            raise SystemExit(f"losses of {VARIANTS[variant]} are no numbers, so its speed says nothing")
    runs = [(variant, outcome) for variant, many in outcomes.items() for outcome in many]
    first_name, first = runs[0]
    for variant, outcome in runs[1:]:
        if len(first.losses) != len(outcome.losses):
            raise SystemExit(
                f"{VARIANTS[first_name]} took {len(first.losses)} steps and {VARIANTS[variant]} {len(outcome.losses)}"
            )
        apart = [abs(a - b) for a, b in zip(first.losses, outcome.losses, strict=True)]
        mean = abs(statistics.fmean(first.losses) - statistics.fmean(outcome.losses))
        if max(apart) > STEP_TOLERANCE or mean > MEAN_TOLERANCE:
            raise SystemExit(
                f"losses of {VARIANTS[first_name]} and {VARIANTS[variant]} are up to {max(apart):.3f} nats apart "
                f"({mean:.3f} in the mean): they did not do the same work, so their speeds say nothing"
            )
        show(f"loss of {VARIANTS[variant]}: at most {max(apart):.4f} nats apart, {mean:.4f} in the mean")


def _figures(outcomes: dict[str, list[Outcome]], tokens: Sequence[int]) -> list[Figure]:
    speeds = {name: [outcome.tokens_per_second(tokens) for outcome in many] for name, many in outcomes.items()}
    peaks = {name: [mebibytes(outcome.peak) for outcome in many] for name, many in outcomes.items()}
    for name in outcomes:
        show(f"{VARIANTS[name]}: {spread(speeds[name])} tokens/s, {spread(peaks[name])} MiB")
    speed = {name: statistics.median(values) for name, values in speeds.items()}
    peak = {name: statistics.median(values) for name, values in peaks.items()}
    figures = []
    for ours in [name for name in OURS if name in outcomes]:
        if not set(outcomes) - set(OURS):
            figures.append(Figure(_WHAT[ours], f"{speed[ours]:.0f} tokens/s, {peak[ours]:.0f} MiB"))
        for name in [name for name in outcomes if name not in OURS]:
            other = VARIANTS[name]
            figures.append(compared(f"{_WHAT[ours]}, speed", speed[ours], speed[name], "tokens/s", other))
            figures.append(
                compared(f"{_WHAT[ours]}, memory", peak[ours], peak[name], "MiB", other, more_is_better=False)
            )
    if "defaults" in outcomes:
        for minutes, chosen in JOBS.items():
            ours = chosen if chosen in outcomes else "ours"
            if ours not in outcomes:
                continue
            seconds = minutes * 60.0
            besides = {name: max(outcome.besides for outcome in outcomes[name]) for name in (ours, "defaults")}
            many = (seconds - besides["defaults"]) * speed["defaults"]
            figures.append(
                compared(
                    f"{_WHAT[ours]}, {minutes} min of TRL's: {many:,.0f} tokens from start to end",
                    besides[ours] + many / speed[ours],
                    seconds,
                    "s",
                    VARIANTS["defaults"],
                    more_is_better=False,
                )
            )
    return figures


def _operations(base: Path, *, tokens: int, targets: int) -> float:
    """That training cannot do without: two a weight and token forward, two backward; in the head for targets."""
    shapes = {name: told["shape"] for file in base.glob("*.safetensors") for name, told in _tensors(file).items()}
    embedding = next(math.prod(shape) for name, shape in shapes.items() if "embed_tokens" in name)
    layers = sum(math.prod(shape) for name, shape in shapes.items() if len(shape) == 2 and ".layers." in name)
    return 4.0 * (layers * tokens + embedding * targets)


def _matrix_peak(spec: TrainingSpec) -> float:
    command = [sys.executable, "-m", "benchmarks.matrix_peak"]
    return float(run(command, environment=compute_environment(spec.threads)).output)


def _least_largest(file: Path, kind: str) -> float:
    """Of the float32 tensors of a safetensors file whose name has ``kind`` in it, the smallest largest weight."""
    content = file.read_bytes()
    start_of_all = 8 + struct.unpack_from("<Q", content)[0]
    largest = []
    for name, tensor in _tensors(file).items():
        if kind in name:
            assert tensor["dtype"] == "F32"
            start, end = (start_of_all + offset for offset in tensor["data_offsets"])
            largest.append(max(map(abs, struct.unpack(f"<{(end - start) // 4}f", content[start:end]))))
    return min(largest, default=0.0)


def _tensors(file: Path) -> dict[str, Any]:
    """The head of a safetensors file: type, shape and place of each tensor.

    Read by hand, as this process has no torch: eight bytes of length, a JSON header, then the numbers.
    """
    with file.open("rb") as stream:
        (size,) = struct.unpack("<Q", stream.read(8))
        header: dict[str, Any] = json.loads(stream.read(size))
    header.pop("__metadata__", None)
    return header


if __name__ == "__main__":
    main(parse, measure)
