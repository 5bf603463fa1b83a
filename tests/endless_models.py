"""A tiny model whose greedy replies do not end by themselves, in a context longer than any test waits for."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

CONTEXT = 1 << 15


def endless_copy(tiny_model_dir: Path, path: Path) -> Path:
    """The tiny llama as it is, with room for more."""
    shutil.copytree(tiny_model_dir, path)
    config = path / "config.json"
    config.write_text(json.dumps(json.loads(config.read_text()) | {"max_position_embeddings": CONTEXT}))
    return path
