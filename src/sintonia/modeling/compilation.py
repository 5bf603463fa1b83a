"""Machine code made for a model: ``torch.compile``, layer by layer, so that it serves every architecture.

What a CPU does besides matrix products (norms, activations, rotations, casts) is bound by its memory; compiled, each
value is read and written once. Layers of a kind share their code, and the code is kept on disk for the next job.
"""

from __future__ import annotations

import os
from collections.abc import Callable
from functools import cache
from importlib.util import find_spec
from pathlib import Path
from typing import Any, TypeVar

import torch
from torch import nn
from transformers.modeling_layers import GradientCheckpointingLayer

F = TypeVar("F", bound=Callable[..., Any])


def why_not(device: torch.device) -> str | None:
    """What keeps this machine from compiling for ``device``; None if nothing does."""
    if device.type == "cuda":
        return None if find_spec("triton") else "Triton is not installed"
    # Only here: a training that is too short for it need not wait until the compiler is imported.
    from torch._inductor.cpp_builder import get_cpp_compiler
    from torch._inductor.exc import InvalidCxxCompiler

    try:
        get_cpp_compiler()
    except InvalidCxxCompiler:
        return "no C++ compiler is installed"
    return None


def prepare_compiler(folder: Path) -> None:
    """
    Args:
        folder: where compiled code goes and comes from: not one for temporary files, which all users share.
    """
    from torch._inductor import config

    folder.mkdir(parents=True, exist_ok=True, mode=0o700)
    os.environ["TORCHINDUCTOR_CACHE_DIR"] = str(folder)
    # Round wherever the model as it is does. Without, sums of a layer's and its adapter's outputs keep what bfloat16
    # drops; that is nearer to float32 by up to 0.07 nats a step early in a training, but a long job should tell the
    # same losses as a short one.
    config.emulate_precision_casts = True


def compile_layers(model: nn.Module) -> list[nn.Module]:
    """Have the decoder layers of ``model`` compiled when they run next; returns them, none if it has no such layers.

    All but the first, whose input needs no gradient: it would take code of its own, and as long to make.
    """
    layers: list[nn.Module] = [part for part in model.modules() if isinstance(part, GradientCheckpointingLayer)][1:]
    for layer in layers:
        # Lengths differ from batch to batch: one code for all of them.
        layer.compile(dynamic=True)
    return layers


def leave_layers(layers: list[nn.Module]) -> None:
    """Undo ``compile_layers``."""
    for layer in layers:
        layer._compiled_call_impl = None


class Kernels:
    """Whether functions marked ``kernel`` run compiled: a state of the process, as that trains one model."""

    compiled = False


def kernel(function: F) -> F:
    """Decorator: ``function`` of tensors is compiled where ``Kernels.compiled``."""

    @cache
    def compiled() -> Callable[..., Any]:
        return torch.compile(function, dynamic=True)

    def call(*arguments: Any) -> Any:
        return compiled()(*arguments) if Kernels.compiled else function(*arguments)

    return call  # type: ignore[return-value]
