"""Low-rank adapters (Hu et al. 2021) on all linear layers of a base model, and their files in PEFT format."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import torch
from peft import LoraConfig, get_peft_model, get_peft_model_state_dict, set_peft_model_state_dict
from peft.tuners import lora
from safetensors import SafetensorError
from safetensors.torch import load_file, save_file
from torch import Tensor
from transformers import PreTrainedModel

from sintonia.errors import FailedPrecondition
from sintonia.modeling.native import adapter as native

WEIGHTS_FILE = "adapter_model.safetensors"
CONFIG_FILE = "adapter_config.json"


def add_adapter(model: PreTrainedModel, *, rank: int, alpha: float, seed: int) -> Any:
    """A ``peft.PeftModel`` around ``model``: a fresh adapter in float32, the only part that needs gradients.

    Its output is scaled by alpha / rank and is zero at first. Equal seeds give equal adapters.

    Raises:
        FailedPrecondition: the model has no linear layer that PEFT can adapt.
    """
    torch.manual_seed(seed)
    config = LoraConfig(
        r=rank,
        lora_alpha=int(alpha) if alpha == int(alpha) else alpha,
        lora_dropout=0.0,
        target_modules="all-linear",
        task_type="CAUSAL_LM",
    )
    try:
        adapted = get_peft_model(model, config)
    except ValueError as error:
        raise FailedPrecondition(f"No adapter can be put on this base model: {error}") from error
    trainable = trainable_parameters(adapted)
    if not trainable:
        raise FailedPrecondition("This base model has no linear layers to put an adapter on.")
    for parameter in trainable.values():
        parameter.data = parameter.data.float()
    for module in adapted.modules():
        if hasattr(module, "cast_input_dtype_enabled"):
            # Autocast picks the precision; PEFT's own cast would widen every activation to the adapter's float32.
            module.cast_input_dtype_enabled = False
        if type(module) is lora.Linear:
            module.__class__ = _Linear
    adapted.eval()
    return adapted


class _Linear(lora.Linear):
    """PEFT's layer, in kernels of our own; else scaled where the adapter is narrow, and added in place.

    On a CPU the latter two are bound by memory, and a step of training takes 3 to 5 % longer PEFT's way. The output is
    then the same to the bit where the scale is a power of two, as it is by default.
    """

    def forward(self, x: Tensor, *args: Any, **kwargs: Any) -> Tensor:
        if args or kwargs or self.disable_adapters or self.merged or self.active_adapters != ["default"]:
            return super().forward(x, *args, **kwargs)
        base, scale = self.base_layer, self.scaling["default"]
        a_RC, b_NR = self.lora_A["default"].weight, self.lora_B["default"].weight
        plain = type(base).forward is torch.nn.Linear.forward and not torch.compiler.is_compiling()
        if plain and native.serves(x, base.weight, a_RC, b_NR):
            return native.adapted_linear(x, base.weight, base.bias, a_RC, b_NR, scale)
        narrow: Tensor = self.lora_A["default"](x) * scale
        output: Tensor = base(x)
        return output.add_(self.lora_B["default"](narrow))


def trainable_parameters(model: torch.nn.Module) -> dict[str, torch.nn.Parameter]:
    """By name, in the model's own order."""
    return {name: parameter for name, parameter in model.named_parameters() if parameter.requires_grad}


def adapter_tensors(adapted: Any) -> dict[str, Tensor]:
    """The adapter's weights by PEFT's names, on the CPU."""
    tensors = get_peft_model_state_dict(adapted, save_embedding_layers=False)
    return {name: tensor.detach().cpu().contiguous() for name, tensor in tensors.items()}


def write_adapter(directory: Path, adapted: Any, *, base_model: str) -> None:
    """Write the adapter in PEFT format into an existing directory; equal adapters give equal bytes.

    Args:
        base_model: what the adapter's configuration names as its base.
    """
    # Not PeftModel.save_pretrained: it asks a hub about the base model, and leaves the order of sets to chance.
    save_file(adapter_tensors(adapted), directory / WEIGHTS_FILE, metadata={"format": "pt"})
    config = adapted.peft_config["default"].to_dict()
    config |= {"base_model_name_or_path": base_model, "inference_mode": True, "revision": None}
    text = json.dumps(config, indent=2, sort_keys=True, default=_sorted_list)
    (directory / CONFIG_FILE).write_text(text + "\n", encoding="utf-8")


def load_adapter(adapted: Any, directory: Path, *, base_model: str) -> None:
    """Give ``adapted`` the weights that ``write_adapter`` left in ``directory``.

    Raises:
        FailedPrecondition: they are not whole, or those of an adapter on another base or of another shape or scale.
    """
    config = adapted.peft_config["default"]
    try:
        written = json.loads((directory / CONFIG_FILE).read_text(encoding="utf-8"))
        tensors = load_file(directory / WEIGHTS_FILE)
    except (OSError, ValueError, SafetensorError) as error:
        raise FailedPrecondition(f"its adapter cannot be read: {error}") from error
    if written.get("base_model_name_or_path") != base_model:
        raise FailedPrecondition(
            f"its adapter is on {written.get('base_model_name_or_path')}, and not on {base_model}."
        )
    found, expected = (written.get("r"), written.get("lora_alpha")), (config.r, config.lora_alpha)
    if found != expected:
        raise FailedPrecondition(f"its adapter has rank and alpha {found}, and not {expected}.")
    shapes = {name: tensor.shape for name, tensor in adapter_tensors(adapted).items()}
    if shapes != {name: tensor.shape for name, tensor in tensors.items()}:
        raise FailedPrecondition(f"its adapter does not fit the layers of {base_model}.")
    set_peft_model_state_dict(adapted, tensors)


def _sorted_list(value: Any) -> Any:
    return sorted(value) if isinstance(value, (set, frozenset)) else str(value)
