"""Base models from a Hugging Face directory, frozen, on a device, in the precision that the device computes in."""

from __future__ import annotations

from pathlib import Path
from typing import Literal

import torch
from transformers import AutoModelForCausalLM, PreTrainedModel

Precision = Literal["bfloat16", "float32"]


def choose_device(requested: str = "auto") -> torch.device:
    """``auto`` is the first CUDA device if there is one, else the CPU."""
    if requested == "auto":
        requested = "cuda" if torch.cuda.is_available() else "cpu"
    return torch.device(requested)


def choose_precision(device: torch.device, requested: str = "auto") -> Precision:
    """``auto`` is bfloat16 where the hardware multiplies in it; elsewhere it is emulated and slow, so float32."""
    if requested == "bfloat16":
        return "bfloat16"
    if requested == "float32":
        return "float32"
    if device.type == "cuda":
        return "bfloat16" if torch.cuda.is_bf16_supported() else "float32"
    return "bfloat16" if _cpu_computes_bfloat16() else "float32"


def load_base_model(
    model_dir: Path, *, device: torch.device, precision: Precision, attention: str | None = None
) -> PreTrainedModel:
    """The model in ``model_dir``, in evaluation mode, no parameter requiring a gradient.

    Args:
        model_dir: a local Hugging Face model directory; nothing is fetched and no code from it is run.
        device: where the weights go.
        precision: of the weights.
        attention: a name registered with transformers' attention interface; None is transformers' own choice.

    Raises:
        OSError, ValueError: the directory holds no causal language model that transformers can load.
    """
    model: PreTrainedModel = AutoModelForCausalLM.from_pretrained(
        model_dir,
        dtype=getattr(torch, precision),
        attn_implementation=attention,
        local_files_only=True,
        trust_remote_code=False,
        use_safetensors=True,  # the other format can hold code
    )
    model.to(device)
    model.eval()
    model.requires_grad_(False)
    return model


def _cpu_computes_bfloat16() -> bool:
    flags = set()
    try:
        for line in Path("/proc/cpuinfo").read_text(encoding="utf-8").splitlines():
            if line.startswith(("flags", "Features")):
                flags = set(line.partition(":")[2].split())
                break
    except OSError:
        return False
    return bool(flags & {"avx512_bf16", "amx_bf16", "bf16"})
