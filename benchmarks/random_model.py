"""Writes a base model of a real shape with random weights: speed does not depend on what they are.

``python -m benchmarks.random_model SHAPE FOLDER TOKENIZER``, where TOKENIZER is the folder of a model whose tokenizer
and chat template it gets.
"""

from __future__ import annotations

import shutil
import sys
from pathlib import Path
from typing import Any

SHAPES: dict[str, dict[str, Any]] = {
    "llama-3-8b": {
        "model_type": "llama",
        "hidden_size": 4096,
        "intermediate_size": 14336,
        "num_hidden_layers": 32,
        "num_attention_heads": 32,
        "num_key_value_heads": 8,
        "vocab_size": 128256,
    },
    "qwen-2.5-7b": {
        "model_type": "qwen2",
        "hidden_size": 3584,
        "intermediate_size": 18944,
        "num_hidden_layers": 28,
        "num_attention_heads": 28,
        "num_key_value_heads": 4,
        "vocab_size": 152064,
    },
    "llama-3.2-1b": {
        "model_type": "llama",
        "hidden_size": 2048,
        "intermediate_size": 8192,
        "num_hidden_layers": 16,
        "num_attention_heads": 32,
        "num_key_value_heads": 8,
        "vocab_size": 128256,
    },
    "toy": {
        "model_type": "llama",
        "hidden_size": 64,
        "intermediate_size": 128,
        "num_hidden_layers": 2,
        "num_attention_heads": 4,
        "num_key_value_heads": 2,
        "vocab_size": 50_000,
    },
}
"""As the configurations of the published models have them, embeddings and head apart."""


def main(shape: str, folder: Path, tokenizer: Path) -> None:
    # Only here: the process that measures knows the shapes and does without torch.
    import torch
    from transformers import AutoConfig, AutoModelForCausalLM, GenerationConfig

    folder.mkdir(parents=True)
    for pattern in ("*token*", "vocab*", "merges*", "*.jinja"):
        for file in tokenizer.glob(pattern):
            shutil.copy(file, folder)
    sizes = dict(SHAPES[shape])
    config = AutoConfig.for_model(
        sizes.pop("model_type"),
        **sizes,
        max_position_embeddings=8192,
        tie_word_embeddings=False,
    )
    torch.manual_seed(0)
    with torch.device("cuda" if torch.cuda.is_available() else "cpu"):
        model = AutoModelForCausalLM.from_config(config, dtype=torch.bfloat16)
    model.generation_config = GenerationConfig()
    model.save_pretrained(folder)


if __name__ == "__main__":
    main(sys.argv[1], *map(Path, sys.argv[2:4]))
