"""Dataset preparation: rows/s and peak memory of ``python -m sintonia.datasets``, for a small file and a large one.

The peers turn the same rows into tokens with the tokenizer's own ``apply_chat_template``, as scripts in this field do:
line by line, and through ``datasets.map`` of Hugging Face, at its default flags and batched on two processes. They
check nothing, tell no bad lines and keep no statistics, which is part of what ours does in its time. All must count the
very same tokens to learn. Starting up is part of the time. Memory is that of all processes together.

Ours runs as in a server, with two processes; then once more on the same rows, which it finds prepared.
"""

from __future__ import annotations

import argparse
import json
import statistics
import sys
import tempfile
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from benchmarks.chats import chats, model_dir
from benchmarks.processes import PEERS, Ended, peer_python, run
from benchmarks.report import Figure, compared, main, mebibytes, number, show, spread
from sintonia.datasets.handover import PrepareSpec, read_prepare_result, write_prepare_spec
from sintonia.runs.layout import RunDirectory
from sintonia.storage import BucketStore, StorageConfig

BUCKET = "bench-data"
PROCESSES = 2
VARIANTS = {
    "ours": "Sintonia",
    "again": "Sintonia, the same rows again",
    "plain": "json, apply_chat_template",
    "datasets": "datasets.map, apply_chat_template",
    "batched": "datasets.map, batched, num_proc=2",
}

OURS = {"ours", "again"}


@dataclass(frozen=True)
class Outcome:
    seconds: float
    peak: int
    trained_tokens: int
    others: float


def parse(arguments: Sequence[str] | None = None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.datasets", description=__doc__)
    parser.add_argument("--rows", type=int, help="rows of the large file (default: 40000; quick: 5000)")
    parser.add_argument("--repeats", type=int, help="runs of each (default: 3; quick: 1)")
    parser.add_argument("--quick", action="store_true", help="smaller files, one run of each")
    parser.add_argument("--model-dir", type=Path, help="another base model (default: the embedded one)")
    parser.add_argument("--only", choices=list(VARIANTS), action="append", help="leave the others out")
    options = parser.parse_args(arguments)
    options.rows = options.rows or (5_000 if options.quick else 40_000)
    options.repeats = options.repeats or (1 if options.quick else 3)
    return options


def measure(options: argparse.Namespace) -> list[Figure]:
    variants = [name for name in VARIANTS if name in (options.only or VARIANTS)]
    python = peer_python() if set(variants) - OURS else Path()
    base = options.model_dir or model_dir()
    figures: list[Figure] = []
    for count in (max(options.rows // 20, 1), options.rows):
        outcomes: dict[str, list[Outcome]] = {name: [] for name in variants}
        with tempfile.TemporaryDirectory(prefix="sintonia-bench-") as name:
            folder = Path(name)
            size = _write_rows(folder, count)
            show(f"{count:,} rows, {mebibytes(size):.1f} MiB")
            for repeat in range(options.repeats):
                for variant in variants:
                    if variant in OURS:
                        outcome = _run_ours(folder, base, repeat, again=variant == "again")
                    else:
                        outcome = _run_peer(python, folder, base, variant)
                    outcomes[variant].append(outcome)
                    show(f"{VARIANTS[variant]:33} {outcome.seconds:6.2f} s  others {outcome.others:4.0%}")
        _check_parity(outcomes)
        figures += _figures(outcomes, count, size, large=count == options.rows)
    return figures


def _write_rows(folder: Path, count: int) -> int:
    """The rows as an object of a bucket and as a plain file; returns the bytes of one."""
    store = BucketStore(folder / "buckets")
    store.create_bucket(BUCKET, "bench")
    file = folder / "rows.jsonl"
    with file.open("wb") as stream:
        for row in chats(count):
            stream.write(json.dumps(row).encode() + b"\n")
    with store.write_object(BUCKET, "rows.jsonl") as writer, file.open("rb") as stream:
        while chunk := stream.read(2**20):
            writer.write(chunk)
    return file.stat().st_size


def _run_ours(folder: Path, base: Path, repeat: int, *, again: bool) -> Outcome:
    directory = RunDirectory(folder / f"ours-{repeat}-{again}")
    directory.path.mkdir()
    spec = PrepareSpec(
        storage=StorageConfig(buckets_dir=folder / "buckets"),
        project="bench",
        training_dataset_uri=f"gs://{BUCKET}/rows.jsonl",
        base_model=base.name,
        family="chat_template",
        model_dir=base,
        max_example_tokens=8192,
        processes=PROCESSES,
        prepared_dir=folder / f"prepared-{repeat}",
        prepared_bytes=2**40,
    )
    write_prepare_spec(directory, spec)
    ended = run([sys.executable, "-m", "sintonia.datasets", directory.path])
    result = read_prepare_result(directory)
    if result is None or result.train is None or result.train.dropped:
        raise SystemExit(f"the rows were refused: {ended.output}")
    return Outcome(ended.seconds, ended.peak, result.train.trained_tokens, ended.others)


def _run_peer(python: Path, folder: Path, base: Path, variant: str) -> Outcome:
    with tempfile.TemporaryDirectory(dir=folder) as home:  # one for all would keep what the first run made
        ended: Ended = run(
            [python, PEERS / "hf_rows.py", variant, base, folder / "rows.jsonl", f"{home}/tokens.jsonl"],
            environment={"HF_HOME": home},
        )
    return Outcome(ended.seconds, ended.peak, int(ended.output.split()[-1]), ended.others)


def _check_parity(outcomes: dict[str, list[Outcome]]) -> None:
    counts = {outcome.trained_tokens for many in outcomes.values() for outcome in many}
    if len(counts) != 1 or not min(counts) > 0:
        raise SystemExit(f"the tokens to learn were counted differently: {sorted(counts)}")
    show(f"all count {counts.pop():,} tokens to learn")


def _figures(outcomes: dict[str, list[Outcome]], count: int, size: int, *, large: bool) -> list[Figure]:
    speeds = {name: [count / outcome.seconds for outcome in many] for name, many in outcomes.items()}
    peaks = {name: [mebibytes(outcome.peak) for outcome in many] for name, many in outcomes.items()}
    for name in outcomes:
        show(f"{VARIANTS[name]}: {spread(speeds[name])} rows/s, {spread(peaks[name])} MiB")
    what = f"dataset of {count:,} rows ({number(mebibytes(size))} MiB)"
    speed = {name: statistics.median(values) for name, values in speeds.items()}
    peak = {name: statistics.median(values) for name, values in peaks.items()}
    if set(speed) == {"ours"}:
        return [Figure(what, f"{speed['ours']:.0f} rows/s, {peak['ours']:.0f} MiB")]
    figures = []
    if large and speed.keys() >= OURS:
        seconds = {name: count / speed[name] for name in OURS}
        figures.append(
            Figure(f"{what}, again", f"{seconds['again']:.2f} s", f"{seconds['ours']:.2f} s (the first time)")
        )
    for name in [name for name in outcomes if name not in OURS and "ours" in outcomes]:
        if large:  # with a small file it is mostly the start
            figures.append(compared(f"{what}, speed", speed["ours"], speed[name], "rows/s", VARIANTS[name]))
        figures.append(
            compared(f"{what}, memory", peak["ours"], peak[name], "MiB", VARIANTS[name], more_is_better=False)
        )
    return figures


if __name__ == "__main__":
    main(parse, measure)
