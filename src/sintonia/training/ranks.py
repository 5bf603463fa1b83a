"""The processes of a run, to each other: sums over all of them, and what they must agree on; knows no data, no model.

Gradients are summed by one all-reduce of a flat buffer a step, not by DistributedDataParallel: adapters are a few
megabytes, so there is little to overlap; processes may cut their shares into different numbers of micro-batches, or
have none at all in a small step; and losses are normalised by the targets of the whole step, where DDP takes the mean
over processes.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterator, Sequence
from contextlib import contextmanager
from datetime import timedelta
from enum import IntEnum
from typing import Any, TypeVar, cast

import torch
import torch.distributed as dist
from torch._C._distributed_c10d import FileStore

from sintonia.errors import FailedPrecondition
from sintonia.modeling.load import choose_device
from sintonia.training.processes import PeerLost, Place

T = TypeVar("T")


class Outcome(IntEnum):
    """How a piece of work ended in one process; the greatest counts for all of them."""

    DONE = 0
    TOO_LARGE = 1
    STOP = 2


class Ranks:
    """A group of processes, of one mostly. Every method but ``close`` is called by all of them, in the same order.

    Args:
        place: of this process.
        device: as the spec asks for it.
        timeout: seconds after which a process that does not come is given up.

    Raises:
        FailedPrecondition: there are fewer GPUs than processes.
        PeerLost: as every method does.
    """

    def __init__(self, place: Place, *, device: str = "auto", timeout: float = 3600.0) -> None:
        self.rank, self.count, self.is_first = place.rank, place.count, place.is_first
        self.device = choose_device(device)
        if self.count == 1:
            return
        if self.device.type == "cuda":
            if self.rank >= torch.cuda.device_count():
                raise FailedPrecondition(
                    f"The run is to use {self.count} GPUs, but PyTorch sees {torch.cuda.device_count()}: bring the "
                    "others back, or set 'training_processes' and start a new job."
                )
            self.device = torch.device("cuda", self.rank)
            torch.cuda.set_device(self.device)
        assert place.meeting is not None
        with _peers():
            dist.init_process_group(
                "nccl" if self.device.type == "cuda" else "gloo",
                store=FileStore(str(place.meeting / "store"), self.count),
                rank=self.rank,
                world_size=self.count,
                timeout=timedelta(seconds=timeout),
            )

    def worst(self, outcome: Outcome) -> Outcome:
        """The worst outcome of all processes."""
        return Outcome(int(self._reduce([outcome], dist.ReduceOp.MAX)[0]))

    def total(self, numbers: Sequence[float]) -> list[float]:
        """Sums over all processes, in float64."""
        return self._reduce(numbers, dist.ReduceOp.SUM)

    def sum_gradients(self, parameters: Collection[torch.nn.Parameter]) -> None:
        """Put the sum of all processes' gradients in place of each one's own; none counts as zero."""
        if self.count == 1:
            return
        gradients = [torch.zeros_like(p) if p.grad is None else p.grad for p in parameters]
        flat = torch.cat([gradient.flatten() for gradient in gradients])
        with _peers():
            dist.all_reduce(flat)
        for parameter, part in zip(parameters, flat.split([p.numel() for p in parameters]), strict=True):
            parameter.grad = part.view_as(parameter)

    def from_first(self, find: Callable[[], T]) -> T:
        """What ``find`` answers in the first process; the others do not call it."""
        if self.count == 1:
            return find()
        found = [find() if self.is_first else None]
        with _peers():
            dist.broadcast_object_list(found, src=0)
        return cast(T, found[0])

    def close(self) -> None:
        """Leave the group."""
        if self.count > 1 and dist.is_initialized():
            dist.destroy_process_group()

    def _reduce(self, numbers: Sequence[float], operation: Any) -> list[float]:
        if self.count == 1:
            return list(numbers)
        tensor = torch.tensor(numbers, dtype=torch.float64, device=self.device)
        with _peers():
            dist.all_reduce(tensor, op=operation)
            return [float(number) for number in tensor.tolist()]


@contextmanager
def _peers() -> Iterator[None]:
    try:
        yield
    except RuntimeError as error:  # gloo has no narrower one
        raise PeerLost(f"another process of the run ended or did not answer: {error}") from error
