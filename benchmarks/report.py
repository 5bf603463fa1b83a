"""Figures and the one table that shows them; the machine they are from."""

from __future__ import annotations

import math
import os
import platform
import statistics
import sys
from argparse import Namespace
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path


@dataclass(frozen=True)
class Figure:
    """A line of the table. ``peer`` is the other's value for the same work, ``ratio`` how many times better ours is."""

    what: str
    ours: str
    peer: str = ""
    ratio: str = ""


def compared(what: str, ours: float, peer: float, unit: str, peer_name: str, *, more_is_better: bool = True) -> Figure:
    better = ours / peer if more_is_better else peer / ours
    return Figure(what, f"{number(ours)} {unit}", f"{number(peer)} {unit} ({peer_name})", f"{better:.2f}")


def number(value: float) -> str:
    """Three significant digits."""
    digits = max(0, 2 - math.floor(math.log10(abs(value)))) if value else 0
    return f"{value:,.{digits}f}"


def mebibytes(size: float) -> float:
    return size / 2**20


def spread(values: Sequence[float]) -> str:
    """The median and how far the values lie apart."""
    return f"{number(statistics.median(values))} ({number(min(values))} to {number(max(values))}, {len(values)} runs)"


def table(figures: Sequence[Figure]) -> str:
    """As Markdown."""
    head = ("what", "Sintonia", "peer", "times better")
    rows = [head, *((figure.what, figure.ours, figure.peer, figure.ratio) for figure in figures)]
    widths = [max(len(row[column]) for row in rows) for column in range(len(head))]
    lines = [
        "| " + " | ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)) + " |" for row in rows
    ]
    return "\n".join([lines[0], "|" + "|".join("-" * (width + 2) for width in widths) + "|", *lines[1:]])


def machine() -> str:
    """Date, processor, cores, memory, and how busy it is with other things."""
    model = _first("/proc/cpuinfo", "model name") or platform.processor() or platform.machine()
    memory = int((_first("/proc/meminfo", "MemTotal") or "0 kB").split()[0]) / 2**20
    load = ", ".join(f"{value:.2f}" for value in os.getloadavg())
    now = datetime.now(UTC).strftime("%Y-%m-%d %H:%M UTC")
    cores = len(os.sched_getaffinity(0))
    return f"{now}; {model}, {cores} cores, {memory:.0f} GiB; load {load}; Python {platform.python_version()}"


def show(line: str) -> None:
    """What happens, while it happens; not part of the result."""
    print(line, file=sys.stderr, flush=True)


def _first(file: str, name: str) -> str | None:
    try:
        lines = Path(file).read_text(encoding="utf-8").splitlines()
    except OSError:
        return None
    return next((line.partition(":")[2].strip() for line in lines if line.startswith(name)), None)


def main(parse: Callable[[], Namespace], measure: Callable[[Namespace], Sequence[Figure]]) -> None:
    """A part of the benchmarks on its own."""
    options = parse()
    print(f"{machine()}\n")
    print(table(measure(options)))
