"""A base model's files are data: what could run is not loaded."""

from __future__ import annotations

import shutil
from pathlib import Path

import jinja2
import pytest
import torch

from sintonia.model_families.templates import _compile
from sintonia.modeling.load import load_base_model


def test_weights_in_the_format_that_can_hold_code_are_not_loaded(tiny_model_dir: Path, tmp_path: Path) -> None:
    folder = tmp_path / "model"
    shutil.copytree(tiny_model_dir, folder)
    model = load_base_model(folder, device=torch.device("cpu"), precision="float32")
    torch.save(model.state_dict(), folder / "pytorch_model.bin")
    (folder / "model.safetensors").unlink()
    with pytest.raises(OSError, match=r"model\.safetensors"):
        load_base_model(folder, device=torch.device("cpu"), precision="float32")


@pytest.mark.parametrize(
    "template",
    [
        "{{ ''.__class__.__mro__[1].__subclasses__() }}",
        "{{ cycler.__init__.__globals__.os.system('true') }}",
        "{{ messages.append.__self__.__class__.__base__ }}",
        "{% set _ = messages.append(1) %}",
    ],
)
def test_templates_reach_nothing_of_python(template: str) -> None:
    with pytest.raises(jinja2.exceptions.SecurityError):
        _compile(template).render(messages=[])
