"""Whether a run's model is compiled, and proof that it then computes what it computed before."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor

from sintonia.modeling.attention import keep_out_of_compiled_layers
from sintonia.modeling.compilation import Kernels, compile_layers, leave_layers, prepare_compiler, why_not
from sintonia.modeling.load import Precision
from sintonia.modeling.native.library import library
from sintonia.runs.spec import TrainingSpec
from sintonia.training.data import Example
from sintonia.training.forward import ATTENTION_TOLERANCE, Forward, PackedForward, check_close, short

REPAID_AFTER = 300.0
"""Seconds of training as it is for which compiling repays: it takes some 35 s once and 8 s from then on (two cores,
135 M parameters), and saved 2 to 11 % in the benchmark."""
SPEED_OF_A_THREAD = 180e9
"""Operations per second, roughly. Nothing is measured here: what a run does must not depend on the moment."""

GRADIENT_TOLERANCE: dict[Precision, float] = {"float32": 1e-3, "bfloat16": 0.2}
"""Distance of all gradients as one vector, compiled and not, in lengths of that vector. In bfloat16 0.034 was seen,
where each of them is 0.03 from float32."""


def is_wanted(spec: TrainingSpec, model: Any, *, tokens: int) -> bool:
    """
    Args:
        tokens: that the run trains on, each as often as it comes.
    """
    if spec.compile != "auto":
        return spec.compile == "always"
    if next(model.parameters()).is_cuda:  # whether it repays itself there has not been measured
        return False
    if library() is not None:  # native kernels are faster, and are there at once
        return False
    operations = 4 * sum(parameter.numel() for parameter in model.parameters()) * tokens
    return operations / (SPEED_OF_A_THREAD * spec.threads) > REPAID_AFTER


def compile_forward(model: Any, forward: Forward, examples: Sequence[Example], spec: TrainingSpec) -> str:
    """Have what a packed ``forward`` runs compiled if that gives the same losses and gradients; what came of it.

    Args:
        model: what ``forward`` runs, adapters inside.
        examples: a few, the same in every attempt: compiled code may depend on what it first saw.
    """
    if reason := why_not(next(model.parameters()).device):
        return f"not compiled: {reason}"
    if not isinstance(forward, PackedForward):
        return "not compiled: examples are not packed"
    if spec.code_cache is None:
        return "not compiled: the run has no folder for code"
    samples = [short(example) for example in examples]
    layers: list[torch.nn.Module] = []
    try:
        prepare_compiler(spec.code_cache)
        expected_T, expected = _losses_and_gradients(model, forward, samples)
        keep_out_of_compiled_layers()
        layers = compile_layers(model)
        Kernels.compiled = True
        found_T, found = _losses_and_gradients(model, forward, samples)
        tolerance = ATTENTION_TOLERANCE[forward.precision]
        check_close("the compiled model", found_T, "the model as it is", expected_T, tolerance)
        apart = float(torch.linalg.vector_norm(found - expected) / torch.linalg.vector_norm(expected))
        if not apart <= GRADIENT_TOLERANCE[forward.precision]:
            raise ValueError(f"its gradients are {apart:.1%} apart")
    except Exception as error:  # a compiler is a large thing, and training goes well without it
        Kernels.compiled = False
        leave_layers(layers)
        return f"not compiled: {type(error).__name__}: {str(error).strip().partition(chr(10))[0]}"
    return "compiled"


def _losses_and_gradients(model: Any, forward: Forward, examples: Sequence[Example]) -> tuple[Tensor, Tensor]:
    """Losses of ``examples``, and the gradients of their mean as one vector."""
    parameters = [parameter for parameter in model.parameters() if parameter.requires_grad]
    loss_T = forward(examples).loss_T
    gradients = torch.autograd.grad(loss_T.mean(), parameters, materialize_grads=True)
    return loss_T.detach(), torch.cat([gradient.flatten() for gradient in gradients])
