"""Activations that are computed anew for the backward pass instead of kept: less memory, more time."""

from __future__ import annotations

from typing import Any

from transformers.modeling_layers import GradientCheckpointingLayer


def recomputable_layers(model: Any) -> list[GradientCheckpointingLayer]:
    """Those of which only the inputs need be kept; none if ``model`` cannot do so."""
    if not model.supports_gradient_checkpointing:
        return []
    return [part for part in model.modules() if isinstance(part, GradientCheckpointingLayer)]


def recompute(model: Any, layers: list[GradientCheckpointingLayer]) -> None:
    """Keep only the inputs of ``layers`` from now on, and all of the others."""
    model.gradient_checkpointing_enable(gradient_checkpointing_kwargs={"use_reentrant": False})
    for layer in recomputable_layers(model):
        # A layer heeds the above in training mode only; what is in it stays in evaluation mode, without dropout.
        layer.training = any(layer is chosen for chosen in layers)
