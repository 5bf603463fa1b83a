"""Norms, gates and rotations of a decoder layer, in one pass each; ``layers.cpp`` has the arithmetic.

torch does each of them in five to ten operations, and on a CPU every one of these waits for memory. They stand in for
code that is letter by letter that of Llama, which most architectures share; others keep theirs.
"""

from __future__ import annotations

import ctypes
import sys
from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor, nn
from transformers.models.llama import modeling_llama as llama

from sintonia.modeling.native.library import heads, kernels, library, pointer

_COLUMNS = 32
"""What widths must be multiples of: COLUMNS in ``simd.h``."""


def use_native_layers(model: nn.Module) -> None:
    """Have the parts of ``model`` that the kernels know run on them, wherever they get bfloat16 on a CPU."""
    if library() is None:
        return
    rotating = set()
    for part in model.modules():
        forward = type(part).forward
        if _same_code(forward, llama.LlamaRMSNorm.forward):
            part.forward = _norm_of(part)
        elif _same_code(forward, llama.LlamaMLP.forward) and _is_silu(part.act_fn):
            part.forward = _gated_of(part)
        rotating.add(type(part).__module__)
    for name in rotating:
        module = sys.modules[name]
        rotate, half = (getattr(module, name, None) for name in ("apply_rotary_pos_emb", "rotate_half"))
        if _same_code(rotate, llama.apply_rotary_pos_emb) and _same_code(half, llama.rotate_half):
            vars(module)["apply_rotary_pos_emb"] = _rotation_of(rotate)


def _same_code(one: Any, other: Any) -> bool:
    """Whether two functions do the same, whatever their documentation says."""

    def code(function: Any) -> tuple[Any, ...] | None:
        found = getattr(function, "__code__", None)  # the first constant is the documentation
        return found and (found.co_code, found.co_names, found.co_varnames, found.co_consts[1:])

    return code(one) is not None and code(one) == code(other)


def _is_silu(function: Any) -> bool:
    return isinstance(function, nn.SiLU) or type(function).__name__ == "SiLUActivation"


def _serves(*tensors: Tensor) -> bool:
    return all(
        tensor.is_cpu and tensor.dtype is torch.bfloat16 and tensor.shape[-1] % _COLUMNS == 0 for tensor in tensors
    )


def _norm_of(norm: Any) -> Callable[[Tensor], Tensor]:
    plain = norm.forward

    def forward(hidden_states: Tensor) -> Tensor:
        weight = norm.weight
        fits = weight.shape == hidden_states.shape[-1:] and weight.is_contiguous() and not weight.requires_grad
        if not (fits and _serves(hidden_states, weight)):
            return plain(hidden_states)
        output: Tensor = _RMSNorm.apply(hidden_states, weight, norm.variance_epsilon)
        return output

    return forward


def _gated_of(mlp: Any) -> Callable[[Tensor], Tensor]:
    def forward(x: Tensor) -> Tensor:
        gate, up = mlp.gate_proj(x), mlp.up_proj(x)
        gated = _Gated.apply(gate, up) if _serves(gate, up) else mlp.act_fn(gate) * up
        output: Tensor = mlp.down_proj(gated)
        return output

    return forward


def _rotation_of(plain: Any) -> Callable[..., tuple[Tensor, Tensor]]:
    def apply_rotary_pos_emb(
        q: Tensor, k: Tensor, cos: Tensor, sin: Tensor, unsqueeze_dim: int = 1
    ) -> tuple[Tensor, Tensor]:
        places = (1, q.shape[-2], q.shape[-1])  # of one batch, a row for each token
        fits = unsqueeze_dim == 1 and q.ndim == k.ndim == 4 and len(q) == len(k) == 1
        if not (fits and k.shape[2:] == q.shape[2:] and cos.shape == sin.shape == places and _serves(q, k, cos, sin)):
            return plain(q, k, cos, sin, unsqueeze_dim)
        cos_TD, sin_TD = cos[0].contiguous(), sin[0].contiguous()
        return _Rotation.apply(q, cos_TD, sin_TD), _Rotation.apply(k, cos_TD, sin_TD)

    return apply_rotary_pos_emb


class _RMSNorm(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, x: Tensor, weight: Tensor, epsilon: float) -> Tensor:
        x = x.contiguous()
        output = torch.empty_like(x)
        rows = x.numel() // x.shape[-1]
        inverses = x.new_empty(rows, dtype=torch.float32)
        kernels().rms_norm_forward(
            pointer(x),
            pointer(weight),
            rows,
            x.shape[-1],
            ctypes.c_float(epsilon),
            pointer(output),
            pointer(inverses),
            torch.get_num_threads(),
        )
        ctx.save_for_backward(x, weight, inverses)
        return output

    @staticmethod
    def backward(ctx: Any, grad: Tensor) -> tuple[Tensor | None, ...]:
        x, weight, inverses = ctx.saved_tensors
        grad, grad_x = grad.contiguous(), torch.empty_like(x)
        kernels().rms_norm_backward(
            *map(pointer, (grad, x, weight, inverses)),
            len(inverses),
            x.shape[-1],
            pointer(grad_x),
            torch.get_num_threads(),
        )
        return grad_x, None, None


class _Gated(torch.autograd.Function):
    """silu(gate) * up"""

    @staticmethod
    def forward(ctx: Any, gate: Tensor, up: Tensor) -> Tensor:
        gate, up = gate.contiguous(), up.contiguous()
        output = torch.empty_like(gate)
        kernels().gated_forward(
            pointer(gate), pointer(up), ctypes.c_long(gate.numel()), pointer(output), torch.get_num_threads()
        )
        ctx.save_for_backward(gate, up)
        return output

    @staticmethod
    def backward(ctx: Any, grad: Tensor) -> tuple[Tensor, Tensor]:
        gate, up = ctx.saved_tensors
        grad, grad_gate, grad_up = grad.contiguous(), torch.empty_like(gate), torch.empty_like(up)
        kernels().gated_backward(
            *map(pointer, (grad, gate, up)),
            ctypes.c_long(gate.numel()),
            pointer(grad_gate),
            pointer(grad_up),
            torch.get_num_threads(),
        )
        return grad_gate, grad_up


class _Rotation(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, x_BHTD: Tensor, cos_TD: Tensor, sin_TD: Tensor) -> Tensor:
        ctx.save_for_backward(cos_TD, sin_TD)
        return _rotated(x_BHTD, cos_TD, sin_TD, back=False)

    @staticmethod
    def backward(ctx: Any, grad_BHTD: Tensor) -> tuple[Tensor | None, ...]:
        return _rotated(grad_BHTD, *ctx.saved_tensors, back=True), None, None


def _rotated(x_BHTD: Tensor, cos_TD: Tensor, sin_TD: Tensor, *, back: bool) -> Tensor:
    x_BHTD = x_BHTD if x_BHTD.stride(-1) == 1 else x_BHTD.contiguous()
    _, count, tokens, width = x_BHTD.shape
    output = x_BHTD.new_empty(1, tokens, count, width).transpose(1, 2)
    kernels().rotate(
        heads(x_BHTD),
        pointer(cos_TD),
        pointer(sin_TD),
        tokens,
        count,
        width,
        int(back),
        heads(output),
        torch.get_num_threads(),
    )
    return output
