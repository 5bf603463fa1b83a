"""An adapter merged into its base model is the same model: what others serve without adapters is what was trained."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch
import training_runs as runs
from peft import PeftModel
from transformers import AutoModelForCausalLM

from sintonia.model_families import open_family
from sintonia.training.data import read_rows


@pytest.mark.parametrize("name", ["tiny_model_dir", "tiny_other_model_dir"])
def test_merged_equals_adapter(name: str, tmp_path: Path, request: pytest.FixtureRequest) -> None:
    model_dir: Path = request.getfixturevalue(name)
    directory = runs.prepare(tmp_path / "run", model_dir, learning_rate=2e-2)
    runs.train_here(directory)
    adapted = PeftModel.from_pretrained(
        AutoModelForCausalLM.from_pretrained(model_dir, dtype=torch.float32), directory.checkpoint("2")
    )
    merged = adapted.merge_and_unload().eval()
    adapted = PeftModel.from_pretrained(
        AutoModelForCausalLM.from_pretrained(model_dir, dtype=torch.float32), directory.checkpoint("2")
    ).eval()
    base = AutoModelForCausalLM.from_pretrained(model_dir, dtype=torch.float32).eval()
    rows = read_rows(directory.validation_file, open_family("chat_template", model_dir))
    loss, count = 0.0, 0
    with torch.no_grad():
        for example in rows.examples():
            ids = torch.tensor(example.token_ids.tolist())[None]
            found, expected = merged(input_ids=ids).logits, adapted(input_ids=ids).logits
            torch.testing.assert_close(found, expected, atol=1e-4, rtol=1e-4)
            assert (found - base(input_ids=ids).logits).abs().max() > 0.05, "the adapter does nothing here"
            trained = torch.tensor(example.trained[1:].tolist())
            logs = found[0, :-1].log_softmax(-1)[trained]
            loss -= float(logs.gather(1, ids[0, 1:][trained][:, None]).sum())
            count += int(trained.sum())
    # And the figure that the run told of it is this model's.
    assert runs.series(directory, "/eval_total_loss")[8] == pytest.approx(loss / count, abs=2e-5)


def test_the_merged_model_is_one_of_its_own(tmp_path: Path, tiny_model_dir: Path) -> None:
    """Written out and read back, it needs neither base nor adapter."""
    directory = runs.prepare(tmp_path / "run", tiny_model_dir, epochs=1)
    runs.train_here(directory)
    base = AutoModelForCausalLM.from_pretrained(tiny_model_dir, dtype=torch.float32)
    merged = PeftModel.from_pretrained(base, directory.checkpoint("1")).merge_and_unload()
    merged.save_pretrained(tmp_path / "merged")
    again = AutoModelForCausalLM.from_pretrained(tmp_path / "merged", dtype=torch.float32)
    ids = torch.arange(40)[None]
    with torch.no_grad():
        assert torch.equal(again(input_ids=ids).logits, merged(input_ids=ids).logits)
