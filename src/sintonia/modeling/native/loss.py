"""Cross-entropy of rows of logits with its gradient, each row gone over while it lies in the caches."""

from __future__ import annotations

import torch
from torch import Tensor

from sintonia.modeling.native.library import kernels, library, pointer

_COLUMNS = 32
"""What a vocabulary must be a multiple of: COLUMNS in ``simd.h``."""


def serves(scores_CV: Tensor) -> bool:
    """Whether the kernel is there for logits like these."""
    return (
        scores_CV.is_cpu
        and scores_CV.dtype is torch.bfloat16
        and scores_CV.shape[1] % _COLUMNS == 0
        and library() is not None
    )


def row_losses(scores_CV: Tensor, targets_C: Tensor, *, with_slopes: bool) -> tuple[Tensor, Tensor, Tensor | None]:
    """Losses in nats (float32); whether the target was the likeliest; d loss / d scores, in bfloat16."""
    scores_CV, targets_C = scores_CV.contiguous(), targets_C.contiguous()
    rows, vocabulary = scores_CV.shape
    if rows and not (int(targets_C.min()) >= 0 and int(targets_C.max()) < vocabulary):
        raise IndexError(f"targets from {int(targets_C.min())} to {int(targets_C.max())}, of {vocabulary} tokens")
    loss_C = scores_CV.new_empty(rows, dtype=torch.float32)
    correct_C = scores_CV.new_empty(rows, dtype=torch.bool)
    slope_CV = torch.empty_like(scores_CV) if with_slopes else None
    kernels().row_losses(
        pointer(scores_CV),
        pointer(targets_C),
        rows,
        vocabulary,
        pointer(loss_C),
        pointer(correct_C),
        None if slope_CV is None else pointer(slope_CV),
        torch.get_num_threads(),
    )
    return loss_C, correct_C, slope_CV
