"""Causal attention over sequences that are packed end to end, each attending to itself only.

It stands behind transformers' attention interface, so it serves every architecture that uses that interface. What
it does not know (attention sinks, prepared masks, …) it refuses, so that nobody trains on a wrong result.

Legend of shape suffixes: B batch (always 1), T tokens of all sequences, L of one sequence, H query heads, K key/value
heads, G = H / K, D width of a head.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from functools import lru_cache
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor
from transformers import AttentionInterface

from sintonia.modeling import varlen
from sintonia.modeling.compilation import kernel
from sintonia.modeling.native import attention as native

PACKED_ATTENTION = "sintonia_packed"

LONG_SEQUENCE = 1024
"""Above this many tokens the L x L matrices cost more than they gain, and torch's own kernels take over."""

HARMLESS_ARGUMENTS = frozenset(
    {"position_ids", "cache_position", "use_cache", "return_dict", "output_hidden_states", "output_router_logits"}
)


class UnsupportedAttention(ValueError):
    """The model asks for something that packed attention does not know."""


@dataclass
class PackedLayout:
    """Where sequences lie in a packed batch; a model hands it on to its attention as the argument ``packed_layout``.

    ``windows`` collects the sliding window of each attention call (None: unlimited), so that a caller can tell
    whether the model told its attention everything that its configuration says.
    """

    lengths: tuple[int, ...]
    windows: list[int | None] = field(default_factory=list)
    _bounds: Tensor | None = None

    def bounds(self, device: torch.device) -> Tensor:
        """Where the sequences begin, and the end of the last: int32, made once for all layers."""
        if self._bounds is None:
            ends = torch.tensor((0, *self.lengths)).cumsum(0)
            self._bounds = ends.to(device=device, dtype=torch.int32)
        return self._bounds


def packed_attention(
    module: torch.nn.Module,
    query_BHTD: Tensor,
    key_BKTD: Tensor,
    value_BKTD: Tensor,
    attention_mask: Tensor | None,
    *,
    packed_layout: PackedLayout | None = None,
    scaling: float | None = None,
    dropout: float = 0.0,
    sliding_window: int | None = None,
    softcap: float | None = None,
    is_causal: bool | None = None,
    **other: Any,
) -> tuple[Tensor, None]:
    """Attention in the way transformers calls it.

    Returns:
        output of shape (B, T, H, D), and None in place of the weights.

    Raises:
        UnsupportedAttention: an argument asks for more than causal, windowed, soft-capped attention.
    """
    unknown = sorted(name for name, value in other.items() if _asks_something(name, value))
    if packed_layout is None or attention_mask is not None or dropout or unknown or query_BHTD.shape[0] != 1:
        raise UnsupportedAttention(
            f"packed attention cannot honour this call ({', '.join(unknown) or 'mask, dropout'})"
        )
    if is_causal is False or not getattr(module, "is_causal", True):
        raise UnsupportedAttention("packed attention is causal only")
    packed_layout.windows.append(sliding_window)
    scale = query_BHTD.shape[-1] ** -0.5 if scaling is None else float(scaling)
    lengths = packed_layout.lengths
    if softcap is None and varlen.serves(query_BHTD):
        bounds = packed_layout.bounds(query_BHTD.device)
        return varlen.attend(
            query_BHTD,
            key_BKTD,
            value_BKTD,
            bounds=bounds,
            longest=max(lengths),
            scale=scale,
            window=sliding_window,
        ), None
    if softcap is None and native.serves(query_BHTD, key_BKTD, value_BKTD, lengths, sliding_window):
        return native.attend(
            query_BHTD, key_BKTD, value_BKTD, lengths=lengths, scale=scale, window=sliding_window
        ), None
    parts = zip(
        lengths, query_BHTD.split(lengths, 2), key_BKTD.split(lengths, 2), value_BKTD.split(lengths, 2), strict=True
    )
    outputs = []
    for length, query, key, value in parts:
        window = sliding_window if sliding_window is not None and sliding_window < length else None
        if softcap is None and (query.is_cuda or length > LONG_SEQUENCE):
            mask = None if window is None else _bias(length, window, query.device) == 0
            grouped = query.shape[1] != key.shape[1]
            output = F.scaled_dot_product_attention(
                query, key, value, attn_mask=mask, is_causal=mask is None, scale=scale, enable_gqa=grouped
            )
        else:
            output = _Attention.apply(query, key, value, scale, window, softcap)
        outputs.append(output.transpose(1, 2))
    return torch.cat(outputs, dim=1), None


AttentionInterface.register(PACKED_ATTENTION, packed_attention)


def keep_out_of_compiled_layers() -> None:
    """A layer's code then ends where its attention begins: lengths are of each batch, and the code is for all."""
    AttentionInterface.register(PACKED_ATTENTION, torch.compiler.disable(packed_attention))


class _Attention(torch.autograd.Function):
    """One sequence: matrix products in the inputs' precision, softmax in float32.

    At a few hundred tokens this is faster than torch's flash kernel on a CPU, in the backward pass most of all.
    """

    @staticmethod
    def forward(
        ctx: Any,
        query: Tensor,
        key: Tensor,
        value: Tensor,
        scale: float,
        window: int | None,
        softcap: float | None,
    ) -> Tensor:
        _, heads, length, width = query.shape
        groups = key.shape[1]
        query_KRD = query[0].reshape(groups, -1, width)  # R = G * L: the rows that share a key head
        # Rows of a longer tensor: every product of theirs would copy them anew.
        key_KLD, value_KLD = key[0].contiguous(), value[0].contiguous()
        scores = torch.bmm(query_KRD, key_KLD.transpose(1, 2)).view(groups, -1, length, length)
        bias_LL = _bias(length, window, query.device)
        capped = None
        if softcap is not None:
            scores = capped = torch.tanh(scores.float() * (scale / softcap))
        weights = _weights(scores, bias_LL, scale if softcap is None else softcap, value.dtype).view(groups, -1, length)
        output_KRD = torch.bmm(weights, value_KLD)
        ctx.save_for_backward(query_KRD, key_KLD, value_KLD, weights, output_KRD, capped)
        ctx.scale = scale
        ctx.heads = heads
        return output_KRD.view(1, heads, length, -1)

    @staticmethod
    def backward(ctx: Any, grad_output: Tensor) -> tuple[Tensor | None, ...]:
        query_KRD, key_KLD, value_KLD, weights, output_KRD, capped = ctx.saved_tensors
        grad_KRD = grad_output[0].to(output_KRD.dtype).reshape(output_KRD.shape)
        grad_value = torch.bmm(weights.transpose(1, 2), grad_KRD)
        # Softmax backward; the row sums of weights * grad equal those of output * grad (Dao et al. 2022, sec. 3.1).
        row_sums = (output_KRD.float() * grad_KRD.float()).sum(-1, keepdim=True)
        grad_weights = torch.bmm(grad_KRD, value_KLD.transpose(1, 2))
        grad_scores = _grad_scores(grad_weights, row_sums, weights, capped)
        grad_query = torch.bmm(grad_scores, key_KLD).mul_(ctx.scale).view(1, ctx.heads, -1, query_KRD.shape[-1])
        grad_key = torch.bmm(grad_scores.transpose(1, 2), query_KRD).mul_(ctx.scale)
        return grad_query, grad_key[None], grad_value[None], None, None, None


@kernel
def _weights(scores: Tensor, bias_LL: Tensor, scale: float, dtype: torch.dtype) -> Tensor:
    """Softmax of scaled scores (…, L, L), in float32, as ``dtype``."""
    return torch.softmax(torch.add(bias_LL, scores, alpha=scale), -1).to(dtype)


@kernel
def _grad_scores(grad_weights: Tensor, row_sums: Tensor, weights: Tensor, capped: Tensor | None) -> Tensor:
    grad_scores = grad_weights.float().sub_(row_sums).mul_(weights)
    if capped is not None:
        grad_scores.mul_(1 - capped.view(grad_scores.shape).square())
    return grad_scores.to(weights.dtype)


def check_windows(config: Any, told: list[int | None], *, longest: int | None = None) -> None:
    """Refuse models whose layers restrict attention without telling it: no short sample would show that.

    Args:
        config: of the model, as transformers has it.
        told: the sliding window that each layer's attention was told in one forward.
        longest: tokens of the longest sequence there will be, if that is known.

    Raises:
        UnsupportedAttention: what was told is not what the configuration says.
    """
    kinds = getattr(config, "layer_types", None) or []
    unknown = set(kinds) - {"full_attention", "sliding_attention"}
    if unknown:
        raise UnsupportedAttention(f"layers of kind {', '.join(sorted(unknown))}")
    window = getattr(config, "sliding_window", None)
    if window is None or (longest is not None and longest <= window):
        return
    layers = [kind == "sliding_attention" for kind in kinds] or [True] * config.num_hidden_layers
    if told != [window if slides else None for slides in layers]:
        raise UnsupportedAttention("its layers do not tell their sliding window")


def _bias(length: int, window: int | None, device: torch.device) -> Tensor:
    """What is added to the scores: 0 where a token may look, -inf elsewhere; float32 of shape (L, L)."""
    # The pattern depends on distance alone, so a corner of a larger one serves every shorter sequence.
    size = max(LONG_SEQUENCE, 1 << (length - 1).bit_length())
    return _square_bias(size, window, device)[:length, :length]


@lru_cache(maxsize=8)
def _square_bias(size: int, window: int | None, device: torch.device) -> Tensor:
    position = torch.arange(size, device=device)
    distance = position[:, None] - position[None, :]
    hidden = distance < 0
    if window is not None:
        hidden |= distance >= window
    return torch.zeros(size, size, device=device).masked_fill_(hidden, float("-inf"))


def _asks_something(name: str, value: Any) -> bool:
    return name not in HARMLESS_ARGUMENTS and value is not None and value is not False
