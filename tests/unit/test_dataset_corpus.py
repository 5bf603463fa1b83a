"""The corpus of dataset files: every one gets the verdict it must get, line by line."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from transformers import AutoTokenizer

from corpus.cases import CASES, Case
from sintonia.datasets.handover import PrepareSpec, read_report, write_prepare_spec
from sintonia.datasets.prepare import prepare
from sintonia.runs.layout import RunDirectory
from sintonia.storage import BucketStore, StorageConfig
from tool_templates import TOOLS


@pytest.fixture(scope="module")
def models(tiny_model_dir: Path, tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    tools = tmp_path_factory.mktemp("models") / "tools"
    tokenizer = AutoTokenizer.from_pretrained(tiny_model_dir)
    tokenizer.chat_template = TOOLS
    tokenizer.save_pretrained(tools)
    (tools / "config.json").write_bytes((tiny_model_dir / "config.json").read_bytes())
    return {"text": tiny_model_dir, "tools": tools}


def test_the_corpus_is_large_and_its_names_are_its_own() -> None:
    assert len({case.name for case in CASES}) == len(CASES) >= 100
    assert min(sum(case.good for case in CASES), sum(not case.good for case in CASES)) >= 50


@pytest.mark.parametrize("case", CASES, ids=lambda case: case.name)
def test_verdict(case: Case, models: dict[str, Path], tmp_path: Path) -> None:
    store = BucketStore(tmp_path / "buckets")
    store.create_bucket("data", "p1")
    for name, content in (("train.jsonl", case.content), ("valid.jsonl", case.validation)):
        with store.write_object("data", name) as writer:
            writer.write(content)
    run = RunDirectory(tmp_path / "run")
    write_prepare_spec(
        run,
        PrepareSpec(
            storage=StorageConfig(buckets_dir=tmp_path / "buckets"),
            project="p1",
            training_dataset_uri="gs://data/train.jsonl",
            validation_dataset_uri="gs://data/valid.jsonl" if case.validation else None,
            base_model="tiny",
            family="chat_template",
            model_dir=models[case.model],
            max_example_tokens=120 if case.model == "text" else 500,
        ),
    )
    result = prepare(run)

    assert result.ok == case.good, result.message
    assert case.says in (result.message or "")
    told = result.train
    assert told is not None
    report = [line for line in read_report(run, limit=1000).lines if line.dataset == "training"]
    assert tuple((bad.line, bad.category) for bad in report if bad.category != "dropped") == case.bad
    assert [bad.line for bad in told.bad_lines] == [line for line, _ in case.bad[:100]]
    for line, category in case.bad[:100]:
        assert f"Line {line} " in str(result.message)
        assert f"[{category}]" in str(result.message)
    assert (told.examples, told.dropped, told.bad) == (case.examples, case.dropped, len(case.bad))
    assert told.rows == case.examples + case.dropped + len(case.bad)
    assert told.statistics.tuning_dataset_example_count == case.examples
    assert told.statistics.total_truncated_example_count == case.dropped
    assert told.trained_tokens >= case.examples
    if case.good:
        prepared = [json.loads(line) for line in run.train_file.read_bytes().splitlines()]
        assert len(prepared) == case.examples
    else:
        assert not (run.validation_file if case.validation else run.train_file).exists()
