"""Activations that are computed anew for the backward pass instead of kept: less memory, a third slower."""

from __future__ import annotations

from typing import Any

from transformers.modeling_layers import GradientCheckpointingLayer


def recompute_layers(model: Any) -> bool:
    """Keep only the inputs of each decoder layer from now on; False if ``model`` has no layers that can do so."""
    layers = [part for part in model.modules() if isinstance(part, GradientCheckpointingLayer)]
    if not layers or not model.supports_gradient_checkpointing:
        return False
    model.gradient_checkpointing_enable(gradient_checkpointing_kwargs={"use_reentrant": False})
    for layer in layers:
        layer.training = True  # or it ignores the above; what is in it stays in evaluation mode, without dropout
    return True
