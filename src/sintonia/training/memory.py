"""Whether memory suffices, judged before the first step: nobody wants to learn it in the third hour.

On a GPU the heaviest micro-batch is tried. A CPU has no such trial, as the system ends processes that take too much:
there the need is estimated, from what two short examples keep in memory between their forward and backward pass.
"""

from __future__ import annotations

import heapq
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import psutil
import torch
from torch import Tensor

from sintonia.errors import ResourceExhausted
from sintonia.modeling.attention import LONG_SEQUENCE
from sintonia.modeling.loss import CHUNK_LOGITS
from sintonia.training.data import Example, micro_batches
from sintonia.training.forward import Forward

_SHORT = 64
_MARGIN = 1.25
_ALWAYS = 4 * CHUNK_LOGITS * 4
"""Bytes that a step takes however small it is: logits of a chunk, their softmax, its gradient, and one to spare."""


@dataclass(frozen=True)
class StepMemory:
    """Bytes that a micro-batch needs beside the model: for each token, and for the square of each short example."""

    per_token: float
    per_square: float

    def of(self, batch: Sequence[Example]) -> float:
        """Bytes, with some margin."""
        squares = sum(len(example) ** 2 for example in batch if len(example) <= LONG_SEQUENCE)
        return _ALWAYS + _MARGIN * (self.per_token * sum(map(len, batch)) + self.per_square * squares)


def measure_step(forward: Forward, model: torch.nn.Module, example: Example) -> StepMemory:
    """Measured on the tokens of ``example``, at two lengths."""
    short, long = (_kept_bytes(forward, model, _of_length(example, n)) for n in (_SHORT, 2 * _SHORT))
    per_square = max(0.0, (long - 2 * short) / (2 * _SHORT**2))
    return StepMemory(max(0.0, short / _SHORT - per_square * _SHORT), per_square)


def heaviest(examples: Iterable[Example], budget: int) -> list[Example]:
    """The micro-batch of at most ``budget`` tokens, or of one example, that takes most memory."""
    longest_first = heapq.nlargest(max(1, budget // 2), examples, key=len)
    return next(micro_batches(longest_first, budget), [])


def fitting_budget(need: StepMemory, examples: Sequence[Example], budget: int, *, free: int) -> int:
    """``budget`` halved until the heaviest of ``examples`` fit into ``free`` bytes.

    Raises:
        ResourceExhausted: the longest of them alone does not fit.
    """
    longest = max(examples, key=len)
    while need.of(heaviest(examples, budget)) > free:
        if budget <= len(longest):
            raise ResourceExhausted(
                f"The longest example, of {len(longest)} tokens, needs about {mebibytes(need.of([longest]))} beside "
                f"the model, and {mebibytes(free)} of memory are free. Shorten or leave out the longest examples, use "
                "a smaller base model, or give the trainer more memory."
            )
        budget //= 2
    return budget


def free_memory(*, root: Path = Path("/sys/fs/cgroup"), own: Path = Path("/proc/self/cgroup")) -> int:
    """Bytes that this process may still take, of the machine's memory and of its control groups' limits."""
    found = [psutil.virtual_memory().available]
    try:
        group = root / own.read_text(encoding="utf-8").rpartition("0::/")[2].strip()
    except OSError:
        return found[0]
    for place in (group, *group.parents):
        try:
            limit, used = (int((place / f"memory.{name}").read_text()) for name in ("max", "current"))
            lines = (place / "memory.stat").read_text().splitlines()
        except (OSError, ValueError):  # no limit here ("max"), or no control groups of this kind
            continue
        cache = next((int(line.split()[1]) for line in lines if line.startswith("inactive_file ")), 0)
        found.append(limit - used + cache)
    return max(0, min(found))


def mebibytes(size: float) -> str:
    return f"{size / 2**20:,.0f} MiB"


def _kept_bytes(forward: Forward, model: torch.nn.Module, example: Example) -> int:
    """What lies in memory between forward and backward, the model's own weights not counted."""
    known = {tensor.untyped_storage().data_ptr() for tensor in (*model.parameters(), *model.buffers())}
    kept: dict[int, int] = {}

    def keep(tensor: Tensor) -> Tensor:
        storage = tensor.untyped_storage()
        if storage.data_ptr() not in known:
            kept[storage.data_ptr()] = storage.nbytes()
        return tensor

    with torch.autograd.graph.saved_tensors_hooks(keep, lambda tensor: tensor):
        losses = forward([example])
    del losses
    return sum(kept.values())


def _of_length(example: Example, length: int) -> Example:
    return Example(np.resize(example.token_ids, length), np.ones(length, dtype=np.bool_))
