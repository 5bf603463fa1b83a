"""Cross-entropy over a large vocabulary in little memory: logits exist for one chunk of tokens at a time.

Legend of shape suffixes: T target tokens, C tokens of a chunk, D width of the model, V vocabulary.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, NamedTuple

import torch
import torch.nn.functional as F
from torch import Tensor

from sintonia.modeling.compilation import Kernels, kernel
from sintonia.modeling.native import loss as native

CHUNK_LOGITS = 16 * 2**20
"""Logits that exist at a time: 64 MiB in float32."""
CPU_CHUNK_LOGITS = 4 * 2**20
"""On a CPU, whose allocator hands larger pieces back, to take them anew from the system, page by page, …"""
CPU_CHUNK = 64
"""… but no fewer tokens than this: each chunk reads the weights of the whole head."""
CACHED_LOGITS = 2**18
"""Logits that are gone over at a time, several times: in float32 they still lie in a CPU's caches."""

Head = Callable[[Tensor], Tensor]
"""From hidden states (C, D) to logits (C, V). Its own weights must not need gradients."""


class TokenLosses(NamedTuple):
    """For each target token its negative log-likelihood in nats (float32), and whether it was the likeliest."""

    loss_T: Tensor
    correct_T: Tensor


def token_losses(logits_TV: Tensor, targets_T: Tensor) -> TokenLosses:
    """The plain definition, on logits that exist already."""
    loss_T = F.cross_entropy(logits_TV.float(), targets_T, reduction="none")
    return TokenLosses(loss_T, logits_TV.argmax(-1) == targets_T)


def chunked_token_losses(hidden_TD: Tensor, targets_T: Tensor, head: Head, *, vocabulary: int) -> TokenLosses:
    """``token_losses(head(hidden_TD), targets_T)`` without the whole of the logits ever in memory.

    The gradient is formed together with the loss, so no logits are kept or computed twice (the idea is that of
    Liger-Kernel's fused linear cross-entropy).
    """
    chunk = max(1, CHUNK_LOGITS // vocabulary)
    if hidden_TD.is_cpu:
        chunk = min(chunk, max(CPU_CHUNK, CPU_CHUNK_LOGITS // vocabulary))
    loss_T, correct_T = _ChunkedTokenLosses.apply(hidden_TD, targets_T, head, chunk)
    return TokenLosses(loss_T, correct_T)


class _ChunkedTokenLosses(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, hidden_TD: Tensor, targets_T: Tensor, head: Head, chunk: int) -> tuple[Tensor, Tensor]:
        needs_gradient = ctx.needs_input_grad[0]
        gradient_TD = torch.empty_like(hidden_TD) if needs_gradient else None
        losses, correct = [], []
        for hidden_CD, targets_C, rows in zip(
            hidden_TD.split(chunk),
            targets_T.split(chunk),
            torch.arange(len(targets_T)).split(chunk),
            strict=True,
        ):
            hidden_CD = hidden_CD.detach().requires_grad_(needs_gradient)
            with torch.set_grad_enabled(needs_gradient):
                logits_CV = head(hidden_CD)
            scores_CV = logits_CV.detach()
            if native.serves(scores_CV):
                loss_C, correct_C, slope_CV = native.row_losses(scores_CV, targets_C, with_slopes=needs_gradient)
            else:
                loss_C, correct_C, slope_CV = _losses_and_slopes(scores_CV, targets_C)
            correct.append(correct_C)
            losses.append(loss_C)
            if gradient_TD is not None:
                (gradient_CD,) = torch.autograd.grad(logits_CV, hidden_CD, slope_CV)
                gradient_TD[rows[0] : rows[-1] + 1] = gradient_CD
        ctx.gradient_TD = gradient_TD
        loss_T, correct_T = torch.cat(losses), torch.cat(correct)
        ctx.mark_non_differentiable(correct_T)
        return loss_T, correct_T

    @staticmethod
    def backward(ctx: Any, grad_T: Tensor, _: Tensor) -> tuple[Tensor | None, ...]:
        return (ctx.gradient_TD * grad_T[:, None]).to(ctx.gradient_TD.dtype), None, None, None


def _losses_and_slopes(scores_CV: Tensor, targets_C: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    if Kernels.compiled or not scores_CV.is_cpu:
        return _row_losses(scores_CV, targets_C)
    rows = max(1, CACHED_LOGITS // scores_CV.shape[1])
    parts = map(_row_losses, scores_CV.split(rows), targets_C.split(rows))
    loss_C, correct_C, slope_CV = map(torch.cat, zip(*parts, strict=True))
    return loss_C, correct_C, slope_CV


@kernel
def _row_losses(scores_CV: Tensor, targets_C: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    """Loss, whether it was the likeliest, and d loss / d logits in the precision of the scores."""
    logs_CV = torch.log_softmax(scores_CV, -1, dtype=torch.float32)
    loss_C = -logs_CV.gather(1, targets_C[:, None])[:, 0]
    # softmax - one_hot
    slope_CV = logs_CV.exp_().to(scores_CV.dtype)
    slope_CV.scatter_(1, targets_C[:, None], torch.expm1(-loss_C)[:, None].to(slope_CV.dtype))
    # Not argmax, which takes five times as long on a CPU for the same.
    return loss_C, scores_CV.max(-1).indices == targets_C, slope_CV
