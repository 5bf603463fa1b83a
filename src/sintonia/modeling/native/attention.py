"""Causal attention of a packed batch in one call for all sequences; ``attention.cpp`` has the arithmetic.

Products are of bfloat16 and summed in float32, the softmax is in float32; of the L x L matrices nothing is kept.
"""

from __future__ import annotations

import ctypes
from functools import lru_cache
from typing import Any

import torch
from torch import Tensor

from sintonia.modeling.native.library import Heads, heads, kernels, library, pointer

_COLUMNS = 32
"""What the width of a head must be a multiple of: COLUMNS in ``simd.h``."""


_HEADS = ctypes.POINTER(Heads)


class _Tensors(ctypes.Structure):
    _fields_ = (
        *((name, _HEADS) for name in ("q", "k", "v", "output")),
        ("log_sums", ctypes.c_void_p),
        *((name, _HEADS) for name in ("grad", "grad_q", "grad_k", "grad_v")),
    )


class _Shape(ctypes.Structure):
    _fields_ = (
        ("sequences", ctypes.c_int),
        ("bounds", ctypes.c_void_p),
        ("order", ctypes.c_void_p),
        ("heads", ctypes.c_int),
        ("key_heads", ctypes.c_int),
        ("width", ctypes.c_int),
        ("scale", ctypes.c_float),
        ("window", ctypes.c_int),
        ("longest", ctypes.c_int),
        ("threads", ctypes.c_int),
    )


def serves(
    query_BHTD: Tensor, key_BKTD: Tensor, value_BKTD: Tensor, lengths: tuple[int, ...], window: int | None
) -> bool:
    """Whether the kernel is there for tensors like these, and has work for all threads."""
    tensors = (query_BHTD, key_BKTD, value_BKTD)
    batch, heads, tokens, width = query_BHTD.shape
    groups = key_BKTD.shape[1]
    return (
        all(tensor.is_cpu and tensor.dtype is torch.bfloat16 for tensor in tensors)
        and key_BKTD.shape == value_BKTD.shape == (batch, groups, tokens, width)
        and batch == 1
        and tokens == sum(lengths)
        and heads % groups == 0
        and width % _COLUMNS == 0
        and (window is None or window > 0)
        and len(lengths) * groups >= torch.get_num_threads()
        and library() is not None
    )


def attend(
    query_BHTD: Tensor,
    key_BKTD: Tensor,
    value_BKTD: Tensor,
    *,
    lengths: tuple[int, ...],
    scale: float,
    window: int | None,
) -> Tensor:
    """Causal attention within each sequence; of shape (1, T, H, D).

    Args:
        window: how many tokens each one sees, itself included; None: all before it.
    """
    output: Tensor = _Attention.apply(query_BHTD, key_BKTD, value_BKTD, lengths, scale, window)
    return output


class _Attention(torch.autograd.Function):
    @staticmethod
    def forward(
        ctx: Any,
        query: Tensor,
        key: Tensor,
        value: Tensor,
        lengths: tuple[int, ...],
        scale: float,
        window: int | None,
    ) -> Tensor:
        query, key, value = map(_width_together, (query, key, value))
        _, count, tokens, width = query.shape
        output_BTHD = query.new_empty(1, tokens, count, width)
        log_sums_HT = query.new_empty(count, tokens, dtype=torch.float32)
        bounds, order = _places(lengths)
        shape = _Shape(
            len(lengths),
            bounds.data_ptr(),
            order.data_ptr(),
            count,
            key.shape[1],
            width,
            scale,
            0 if window is None or window >= max(lengths) else window,
            max(lengths),
            torch.get_num_threads(),
        )
        tensors = _Tensors(*map(heads, (query, key, value, output_BTHD.transpose(1, 2))), pointer(log_sums_HT))
        kernels().attention_forward(ctypes.byref(shape), ctypes.byref(tensors))
        ctx.save_for_backward(query, key, value, output_BTHD, log_sums_HT)
        ctx.shape, ctx.places = shape, (bounds, order)
        return output_BTHD

    @staticmethod
    def backward(ctx: Any, grad_BTHD: Tensor) -> tuple[Tensor | None, ...]:
        query, key, value, output_BTHD, log_sums_HT = ctx.saved_tensors
        grad_BTHD = _width_together(grad_BTHD.to(output_BTHD.dtype))
        gradients = [
            torch.empty_like(tensor.transpose(1, 2), memory_format=torch.contiguous_format).transpose(1, 2)
            for tensor in (query, key, value)
        ]
        tensors = _Tensors(
            *map(heads, (query, key, value, output_BTHD.transpose(1, 2))),
            pointer(log_sums_HT),
            *map(heads, (grad_BTHD.transpose(1, 2), *gradients)),
        )
        kernels().attention_backward(ctypes.byref(ctx.shape), ctypes.byref(tensors))
        return *gradients, None, None, None


def _width_together(tensor: Tensor) -> Tensor:
    return tensor if tensor.stride(-1) == 1 else tensor.contiguous()


@lru_cache(maxsize=16)
def _places(lengths: tuple[int, ...]) -> tuple[Tensor, Tensor]:
    """Where sequences begin and the end of the last; sequences by length, the longest first."""
    bounds = torch.tensor((0, *lengths)).cumsum(0)
    order = torch.tensor(lengths).argsort(descending=True, stable=True)
    return bounds.to(torch.int32), order.to(torch.int32)
