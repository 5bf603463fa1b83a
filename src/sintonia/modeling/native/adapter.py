"""A linear layer with its low-rank adapter as one operation; ``adapter.cpp`` has the narrow products.

The wide product is torch's. What the adapter adds is summed in float32 and rounded once, together with the wide
product's output, where PEFT's layer rounds twice; gradients of the adapter's weights are never rounded.

Legend of shape suffixes: T tokens, C width of the input, N of the output, R rank.
"""

from __future__ import annotations

import ctypes
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor

from sintonia.modeling.native.library import kernels, library, pointer

_COLUMNS = 32
"""What widths must be multiples of: COLUMNS in ``simd.h``."""


class _Factor(ctypes.Structure):
    _fields_ = (("data", ctypes.c_void_p), ("rank", ctypes.c_long), ("column", ctypes.c_long))


def serves(x: Tensor, weight_NC: Tensor, a_RC: Tensor, b_NR: Tensor) -> bool:
    """Whether the kernels are there for tensors like these."""
    return (
        x.is_cpu
        and x.dtype is weight_NC.dtype is torch.bfloat16
        and a_RC.dtype is b_NR.dtype is torch.float32
        and weight_NC.shape[0] % _COLUMNS == 0
        and weight_NC.shape[1] % _COLUMNS == 0
        and not weight_NC.requires_grad
        and library() is not None
    )


def adapted_linear(
    x: Tensor, weight_NC: Tensor, bias_N: Tensor | None, a_RC: Tensor, b_NR: Tensor, scale: float
) -> Tensor:
    """``x W' + bias + scale x A' B'`` of shape (…, N); gradients for x, A and B."""
    output: Tensor = _AdaptedLinear.apply(x, weight_NC, bias_N, a_RC, b_NR, scale)
    return output


class _AdaptedLinear(torch.autograd.Function):
    @staticmethod
    def forward(
        ctx: Any,
        x: Tensor,
        weight_NC: Tensor,
        bias_N: Tensor | None,
        a_RC: Tensor,
        b_NR: Tensor,
        scale: float,
    ) -> Tensor:
        x_TC = x.reshape(-1, x.shape[-1]).contiguous()
        output_TN = F.linear(x_TC, weight_NC, bias_N)
        narrow_TR = _down(x_TC, a_RC, 1, scale)
        _up(output_TN, narrow_TR, b_NR, 0)
        ctx.save_for_backward(x_TC, weight_NC, a_RC, b_NR, narrow_TR)
        ctx.scale, ctx.shape = scale, x.shape
        return output_TN.view(*x.shape[:-1], weight_NC.shape[0])

    @staticmethod
    def backward(ctx: Any, grad: Tensor) -> tuple[Tensor | None, ...]:
        x_TC, weight_NC, a_RC, b_NR, narrow_TR = ctx.saved_tensors
        grad_TN = grad.reshape(-1, grad.shape[-1]).to(x_TC.dtype).contiguous()
        slope_TR = _down(grad_TN, b_NR, 0, ctx.scale)
        grad_b_NR = _outer(narrow_TR, grad_TN, b_NR, 0)
        grad_a_RC = _outer(slope_TR, x_TC, a_RC, 1)
        grad_x = None
        if ctx.needs_input_grad[0]:
            grad_TC = grad_TN @ weight_NC
            _up(grad_TC, slope_TR, a_RC, 1)
            grad_x = grad_TC.view(ctx.shape)
        return grad_x, None, None, grad_a_RC, grad_b_NR, None


def _down(x_TC: Tensor, matrix: Tensor, columns: int, factor: float) -> Tensor:
    """``factor`` times x times the transpose of ``matrix``, whose dimension ``columns`` is that of x."""
    rank = matrix.shape[1 - columns]
    narrow = x_TC.new_empty(len(x_TC), kernels().adapter_room(rank))
    kernels().adapter_down(
        pointer(x_TC), *x_TC.shape, _factor(matrix, columns), rank, ctypes.c_float(factor), pointer(narrow), _threads()
    )
    return narrow


def _up(y_TC: Tensor, narrow: Tensor, matrix: Tensor, columns: int) -> None:
    """Add narrow times ``matrix`` to y."""
    rank = matrix.shape[1 - columns]
    kernels().adapter_up(pointer(y_TC), *y_TC.shape, _factor(matrix, columns), rank, pointer(narrow), _threads())


def _outer(narrow: Tensor, x_TC: Tensor, matrix: Tensor, columns: int) -> Tensor:
    """The transpose of narrow times x, in the shape of ``matrix``."""
    gradient = torch.empty_like(matrix, memory_format=torch.contiguous_format)
    strides = (ctypes.c_long(gradient.stride(1 - columns)), ctypes.c_long(gradient.stride(columns)))
    rank = matrix.shape[1 - columns]
    kernels().adapter_outer(pointer(narrow), pointer(x_TC), *x_TC.shape, rank, pointer(gradient), *strides, _threads())
    return gradient


def _factor(matrix: Tensor, columns: int) -> Any:
    return ctypes.byref(_Factor(matrix.data_ptr(), matrix.stride(1 - columns), matrix.stride(columns)))


def _threads() -> int:
    return torch.get_num_threads()
