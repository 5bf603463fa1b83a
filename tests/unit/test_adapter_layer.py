"""The layer that trains an adapter computes what PEFT's own computes."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from peft.tuners import lora
from torch import Tensor
from transformers import Qwen2Config, Qwen2ForCausalLM

from sintonia.modeling.lora import add_adapter, trainable_parameters

IDS = torch.tensor([[1, 5, 3, 9, 2, 7]])


def adapted(alpha: float) -> Any:
    """Qwen2's layers have biases; the adapter is no longer the zero that it begins as."""
    torch.manual_seed(0)
    config = Qwen2Config(
        vocab_size=64,
        hidden_size=32,
        intermediate_size=48,
        num_hidden_layers=2,
        num_attention_heads=4,
        num_key_value_heads=2,
    )
    model = Qwen2ForCausalLM(config)
    model.requires_grad_(False)
    found = add_adapter(model, rank=4, alpha=alpha, seed=0)
    for name, parameter in trainable_parameters(found).items():
        if "lora_B" in name:
            torch.nn.init.normal_(parameter.data, std=0.1)
    return found


def outputs_and_gradients(model: Any) -> tuple[Tensor, Tensor]:
    logits: Tensor = model(input_ids=IDS).logits
    gradients = torch.autograd.grad(logits.logsumexp(-1).sum(), list(trainable_parameters(model).values()))
    return logits.detach(), torch.cat([gradient.flatten() for gradient in gradients])


@pytest.mark.parametrize("alpha", [8, 6.5])
def test_it_is_pefts_layer(alpha: float) -> None:
    model = adapted(alpha)
    ours = [module for module in model.modules() if isinstance(module, lora.Linear)]
    assert ours
    assert all(type(module) is not lora.Linear for module in ours)
    logits, gradients = outputs_and_gradients(model)
    with model.disable_adapter(), torch.no_grad():
        bare = model(input_ids=IDS).logits
    for module in ours:
        module.__class__ = lora.Linear
    expected, expected_gradients = outputs_and_gradients(model)
    with model.disable_adapter(), torch.no_grad():
        assert torch.equal(bare, model(input_ids=IDS).logits)
    assert (logits - bare).abs().max() > 0.01  # the adapter says something
    torch.testing.assert_close(logits, expected, rtol=0, atol=0 if alpha == 8 else 1e-5)
    torch.testing.assert_close(gradients, expected_gradients, rtol=1e-4, atol=1e-5)
