"""The documented measures, of a step's batch and of the whole validation set."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass

import torch

from sintonia.modeling.loss import TokenLosses
from sintonia.training.data import Example, micro_batches
from sintonia.training.forward import Forward


@dataclass
class Measures:
    """Sums over target tokens."""

    loss: float = 0.0
    correct: int = 0
    targets: int = 0

    def add(self, losses: TokenLosses) -> None:
        self.loss += float(losses.loss_T.detach().double().sum())
        self.correct += int(losses.correct_T.sum())
        self.targets += len(losses.loss_T)

    def series(self, prefix: str) -> dict[str, float]:
        """By series name; ``prefix`` is ``train`` or ``eval``."""
        return {
            f"/{prefix}_total_loss": self.loss / self.targets,
            f"/{prefix}_fraction_of_correct_next_step_preds": self.correct / self.targets,
            f"/{prefix}_num_predictions": float(self.targets),
        }


@torch.no_grad()
def evaluate(
    forward: Forward, examples: Iterable[Example], *, budget: int, on_batch: Callable[[int], None] = lambda tokens: None
) -> Measures:
    """Over all of ``examples``, every target token weighing the same.

    Args:
        budget: tokens of a micro-batch.
        on_batch: called after each micro-batch with its tokens, to tell progress or to stop by raising.
    """
    measures = Measures()
    for batch in micro_batches(examples, budget):
        measures.add(forward(batch))
        on_batch(sum(map(len, batch)))
    return measures
