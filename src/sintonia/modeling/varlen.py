"""All sequences of a packed batch in one launch: torch's flash attention for variable lengths, on GPUs that have it."""

from __future__ import annotations

import torch
from torch import Tensor
from torch.nn.attention.varlen import varlen_attn

_WIDEST_HEAD = 256
_OLDEST = (8, 0)
"""Compute capability (Ampere): what flash attention is written for."""


def serves(query_BHTD: Tensor) -> bool:
    """Whether the kernel is there for tensors like this one."""
    return (
        query_BHTD.is_cuda
        and query_BHTD.dtype in (torch.bfloat16, torch.float16)
        and query_BHTD.shape[-1] <= _WIDEST_HEAD
        and torch.cuda.get_device_capability(query_BHTD.device) >= _OLDEST
    )


def attend(
    query_BHTD: Tensor,
    key_BKTD: Tensor,
    value_BKTD: Tensor,
    *,
    bounds: Tensor,
    longest: int,
    scale: float,
    window: int | None,
) -> Tensor:
    """Causal attention within each sequence; of shape (1, T, H, D).

    Args:
        bounds: where the sequences begin, and the end of the last; int32, on the tensors' device.
        longest: tokens of the longest.
        window: how many tokens each one sees, itself included; None: all before it.
    """
    query, key, value = (tensor[0].transpose(0, 1) for tensor in (query_BHTD, key_BKTD, value_BKTD))
    output = varlen_attn(
        query,
        key,
        value,
        bounds,
        bounds,
        longest,
        longest,
        scale=scale,
        window_size=(-1 if window is None else window - 1, 0),
        enable_gqa=query.shape[1] != key.shape[1],
    )
    assert isinstance(output, Tensor)
    return output[None]
