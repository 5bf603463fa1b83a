"""A causal language model in two halves: the decoder up to the last hidden states, and the way from there to logits.

Architectures differ in that second half (soft-capped or scaled logits, biases, …), so it is not rebuilt here: the
model's own ``forward`` runs, with given hidden states in place of its decoder.
"""

from __future__ import annotations

from typing import Any

from torch import Tensor, nn
from transformers.modeling_outputs import MoeModelOutputWithPast


class SplitModel:
    """The two halves of ``model``, a transformers ...ForCausalLM (with or without adapters in its layers).

    Raises:
        ValueError: the model has no separate decoder.
    """

    def __init__(self, model: Any) -> None:
        self._model = model
        self._name: str = model.base_model_prefix
        decoder = model._modules.get(self._name)
        if decoder is None:
            raise ValueError(f"{type(model).__name__} has no part named '{self._name}'")
        self._decoder: nn.Module = decoder

    def hidden_states(self, **inputs: Any) -> Tensor:
        """Last hidden states, shape (batch, tokens, width)."""
        hidden: Tensor = self._decoder(**inputs, use_cache=False).last_hidden_state
        return hidden

    def logits(self, hidden_TD: Tensor) -> Tensor:
        """Logits of shape (T, vocabulary) for hidden states of shape (T, width)."""
        # Straight into _modules: torch's __setattr__ would cost more than the swap itself.
        self._model._modules[self._name] = _Given(hidden_TD[None])
        try:
            logits: Tensor = self._model(inputs_embeds=hidden_TD[None], use_cache=False).logits
        finally:
            self._model._modules[self._name] = self._decoder
        return logits.squeeze(0)  # [0] would copy as many gradients in the backward pass


class _Given(nn.Module):
    def __init__(self, hidden: Tensor) -> None:
        super().__init__()
        self._hidden = hidden

    def forward(self, *_: Any, **__: Any) -> MoeModelOutputWithPast:
        return MoeModelOutputWithPast(last_hidden_state=self._hidden)
