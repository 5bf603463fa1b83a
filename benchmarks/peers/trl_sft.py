"""TRL's SFTTrainer on tokens that are ready: run by ``benchmarks/training.py`` in the peers' environment.

At its defaults but for what makes the work the same (batch, rate, no warm-up, order of rows, one epoch) and for
telling every step's loss; with ``best``, with the flags that are fastest.
"""

from __future__ import annotations

import json
import sys
import time
from pathlib import Path
from typing import Any

import torch
from datasets import Dataset
from peft import LoraConfig
from peft.tuners.lora import LoraLayer
from transformers import TrainerCallback
from trl import SFTConfig, SFTTrainer

settings = json.loads(sys.argv[1])

BEST: dict[str, Any] = {
    "model_init_kwargs": {"dtype": "bfloat16"},
    "gradient_checkpointing": False,
    # On a GPU it wants a flash attention that is built for the card, which nobody can take for granted.
    "padding_free": settings["cpu"],
}


class Told(TrainerCallback):
    """When steps ended, and what was logged of them."""

    def __init__(self) -> None:
        self.ends: list[float] = []
        self.losses: list[float] = []
        self.gradient_norms: list[float] = []

    def on_step_end(self, *_: Any, **__: Any) -> None:
        self.ends.append(time.monotonic())

    def on_log(self, *_: Any, logs: dict[str, float], **__: Any) -> None:
        if "grad_norm" in logs:
            self.losses.append(float(logs["loss"]))
            self.gradient_norms.append(float(logs["grad_norm"]))


rows = [json.loads(line) for line in Path(settings["data"]).read_text().splitlines()]
told = Told()
trainer = SFTTrainer(
    model=settings["model_dir"],
    args=SFTConfig(
        output_dir=settings["output"],
        use_cpu=settings["cpu"],
        per_device_train_batch_size=settings["batch"],
        num_train_epochs=1,
        learning_rate=settings["rate"],
        warmup_steps=0,
        max_length=None if settings["best"] else settings["longest"],  # no row is cut; padding_free asks for None
        train_sampling_strategy="sequential",
        logging_steps=1,
        save_strategy="no",
        report_to="none",
        disable_tqdm=True,
        seed=settings["seed"],
        **(BEST if settings["best"] else {}),
    ),
    train_dataset=Dataset.from_list(rows),
    peft_config=LoraConfig(
        r=settings["rank"],
        lora_alpha=settings["alpha"],
        lora_dropout=0.0,
        target_modules="all-linear",
        task_type="CAUSAL_LM",
    ),
    callbacks=[told],
)
# The adapter that our trainer starts from: the same draws in the same order.
torch.manual_seed(settings["seed"])
layers = [module for module in trainer.model.modules() if isinstance(module, LoraLayer)]
for layer in layers:
    layer.reset_lora_parameters("default", True)
trainer.train()

moved = min(float(layer.lora_B["default"].weight.detach().abs().max()) for layer in layers)
result = {"losses": told.losses, "ends": told.ends, "gradient_norms": told.gradient_norms, "moved": moved}
Path(settings["result"]).write_text(json.dumps(result))
