"""From examples to the losses of their target tokens: packed where that is proven to equal the model, else one by one.

Both ways compute the same numbers. Neither pads, so no token is ever computed in vain.
"""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import AbstractContextManager
from typing import Any, Protocol

import numpy as np
import torch
from torch import Tensor

from sintonia.modeling.attention import PACKED_ATTENTION, PackedLayout, check_windows
from sintonia.modeling.compilation import Kernels
from sintonia.modeling.load import Precision
from sintonia.modeling.loss import TokenLosses, chunked_token_losses, token_losses
from sintonia.modeling.output_head import SplitModel
from sintonia.training.data import Example

CHECKED_TOKENS = 128
ATTENTION_TOLERANCE: dict[Precision, float] = {"float32": 1e-3, "bfloat16": 0.25}
LEAK_TOLERANCE: dict[Precision, float] = {"float32": 1e-3, "bfloat16": 0.05}
"""Mean difference of a token's loss, in nats, that rounding alone may make: between our attention and the model's
(0.065 was measured on a real model in bfloat16, where logits have steps of 0.06 to 0.12), and between an example alone
and packed behind another (0 was measured; a real leak made 2.0)."""


class Forward(Protocol):
    """Computes the losses of every target token of ``examples``, in order; gradients flow if they are enabled."""

    packing: bool

    def __call__(self, examples: Sequence[Example]) -> TokenLosses: ...


class PlainForward:
    """Each example alone through the model's own forward: right for every model, and slower."""

    packing = False

    def __init__(self, model: Any, *, device: torch.device, precision: Precision) -> None:
        self._model = model
        self._device = device
        self._precision: Precision = precision

    def __call__(self, examples: Sequence[Example]) -> TokenLosses:
        parts = []
        with _autocast(self._device, self._precision):
            for example in examples:
                ids = _tensor(example.token_ids, self._device)
                at = _tensor(np.flatnonzero(example.trained[1:]), self._device)
                logits = self._model(input_ids=ids[None, :-1], use_cache=False).logits[0]
                parts.append(token_losses(logits[at], ids[1:][at]))
        return TokenLosses(torch.cat([part.loss_T for part in parts]), torch.cat([part.correct_T for part in parts]))


class PackedForward:
    """All examples end to end as one sequence, each with positions from 0 and attention to itself only.

    Only the hidden states that predict a target go through the output head. The model must have been switched to
    ``PACKED_ATTENTION``.
    """

    packing = True

    def __init__(self, model: Any, *, device: torch.device, precision: Precision) -> None:
        self._halves = SplitModel(model)
        self._vocabulary: int = model.get_output_embeddings().weight.shape[0]
        self._device = device
        self.precision: Precision = precision
        self.windows: list[int | None] = []

    def __call__(self, examples: Sequence[Example]) -> TokenLosses:
        inputs = [example.token_ids[:-1] for example in examples]
        targets = np.concatenate([example.token_ids[1:] for example in examples])
        at = np.flatnonzero(np.concatenate([example.trained[1:] for example in examples]))
        positions = np.concatenate([np.arange(len(ids)) for ids in inputs])
        layout = PackedLayout(tuple(len(ids) for ids in inputs))
        with _autocast(self._device, self.precision):
            # Compiled layers have one code, that of training; another for evaluation would take as long to make.
            with torch.set_grad_enabled(Kernels.compiled or torch.is_grad_enabled()):
                hidden = self._halves.hidden_states(
                    input_ids=_tensor(np.concatenate(inputs), self._device)[None],
                    position_ids=_tensor(positions, self._device)[None],
                    packed_layout=layout,
                ).squeeze(0)
            if not torch.is_grad_enabled():
                hidden = hidden.detach()
            losses = chunked_token_losses(
                hidden[_tensor(at, self._device)],
                _tensor(targets[at], self._device),
                self._halves.logits,
                vocabulary=self._vocabulary,
            )
        self.windows = layout.windows
        return losses


def choose_forward(
    model: Any, examples: Sequence[Example], *, longest: int, device: torch.device, precision: Precision
) -> tuple[Forward, str]:
    """Packed if the model can be driven so and gives what its own forward gives, else plain; and why.

    Args:
        model: the ...ForCausalLM itself, adapters inside; its attention is switched if packing is chosen.
        examples: a few to compare on.
        longest: tokens of the longest example of the run.
    """
    plain = PlainForward(model, device=device, precision=precision)
    own_attention = model.config._attn_implementation
    samples = [short(example) for example in examples]
    try:
        model.set_attn_implementation(PACKED_ATTENTION)
        packed = PackedForward(model, device=device, precision=precision)
        with torch.no_grad():
            together = packed(samples).loss_T
            alone = torch.cat([packed([sample]).loss_T for sample in samples])
            model.set_attn_implementation(own_attention)
            expected = plain(samples).loss_T
            model.set_attn_implementation(PACKED_ATTENTION)
        check_windows(model.config.get_text_config(), packed.windows, longest=longest)
        check_close("a packed example", together, "the same alone", alone, LEAK_TOLERANCE[precision])
        check_close("our attention", alone, "the model's own", expected, ATTENTION_TOLERANCE[precision])
    except Exception as error:  # whatever goes wrong inside an unknown architecture: it has its own way
        model.set_attn_implementation(own_attention)
        return plain, f"one by one, as {type(model).__name__} cannot be packed: {error}"
    return packed, "packed"


def check_close(what: str, found_T: Tensor, other: str, expected_T: Tensor, tolerance: float) -> None:
    difference = float((found_T - expected_T).abs().mean())
    if not difference <= tolerance:
        raise ValueError(f"losses of {what} and of {other} differ by {difference:.2g} nats")


def short(example: Example) -> Example:
    ids = example.token_ids[:CHECKED_TOKENS]
    return Example(ids, np.ones(len(ids), dtype=np.bool_))


def _autocast(device: torch.device, precision: Precision) -> AbstractContextManager[Any]:
    return torch.autocast(device.type, dtype=torch.bfloat16, enabled=precision == "bfloat16")


def _tensor(values: np.ndarray[Any, Any], device: torch.device) -> Tensor:
    return torch.from_numpy(values.astype(np.int64)).to(device)
