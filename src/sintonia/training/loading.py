"""What a run trains: its base model with an adapter on it, fresh or that of an earlier job."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch
from safetensors import SafetensorError

from sintonia.errors import FailedPrecondition
from sintonia.modeling.load import Precision, load_base_model
from sintonia.modeling.lora import add_adapter, load_adapter
from sintonia.runs.layout import RunDirectory
from sintonia.runs.spec import TrainingSpec


def load_adapted(
    directory: RunDirectory,
    spec: TrainingSpec,
    *,
    device: torch.device,
    precision: Precision,
    on_part: Callable[[], None],
) -> Any:
    """The model as PEFT wraps it, on ``device``.

    Args:
        on_part: called now and then; may raise to end the loading.

    Raises:
        FailedPrecondition: the base model or the adapter to begin with cannot be used.
    """
    on_part()
    try:
        model = load_base_model(spec.model_dir, device=device, precision=precision)
    except (OSError, ValueError, KeyError, SafetensorError) as error:
        if isinstance(error, OSError) and error.errno is not None:
            raise
        raise FailedPrecondition(f"The base model '{spec.base_model}' cannot be loaded: {error}") from error
    on_part()
    adapted = add_adapter(model, rank=spec.adapter_rank, alpha=spec.adapter_alpha, seed=spec.seed)
    if spec.initial_adapter:
        try:
            load_adapter(adapted, directory.initial_adapter, base_model=spec.base_model)
        except FailedPrecondition as error:
            raise FailedPrecondition(f"The run cannot begin with {spec.initial_adapter}: {error.message}") from error
    return adapted.to(device)
