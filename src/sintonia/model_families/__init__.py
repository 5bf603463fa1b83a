"""One renderer for training and serving: a family turns conversations into tokens and replies back into content.

Families need a tokenizer's files only. They know neither torch nor datasets, so the control plane, the dataset
processor and the trainer all use the very same code.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import lru_cache
from pathlib import Path

from sintonia.errors import FailedPrecondition
from sintonia.model_families.base import ModelFamily, RenderedExample, Segment, TextStream
from sintonia.model_families.chat_template import ChatTemplateFamily

FAMILIES: dict[str, Callable[[Path], ModelFamily]] = {
    "chat_template": ChatTemplateFamily,
}


def open_family(name: str, model_dir: Path) -> ModelFamily:
    """The family ``name`` on the tokenizer in ``model_dir``.

    Raises:
        FailedPrecondition: the family does not exist, or the directory lacks what it needs.
    """
    if name not in FAMILIES:
        raise FailedPrecondition(f"Model family '{name}' does not exist; there are: {', '.join(FAMILIES)}.")
    return FAMILIES[name](model_dir)


@lru_cache(maxsize=16)
def shared_family(name: str, model_dir: Path) -> ModelFamily:
    """``open_family``, opened once for all of a server that ask: a large tokenizer takes a second and 100 MB."""
    return open_family(name, model_dir)


def read_files(model_dir: Path) -> dict[str, bytes]:
    """All files of ``model_dir`` that a family may read, by name: tokenizer, templates, configuration."""
    found = [path for pattern in ("*.json", "*.jinja", "*/*.jinja") for path in model_dir.glob(pattern)]
    return {str(path.relative_to(model_dir)): path.read_bytes() for path in sorted(found) if path.is_file()}


__all__ = [
    "FAMILIES",
    "ModelFamily",
    "RenderedExample",
    "Segment",
    "TextStream",
    "open_family",
    "read_files",
    "shared_family",
]
