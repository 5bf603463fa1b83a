"""The dataset job: from objects in buckets to prepared rows and a result, killed or not."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import pytest

from sintonia.datasets.examine import held_to_limits
from sintonia.datasets.handover import (
    PrepareResult,
    PrepareSpec,
    progress_file,
    read_prepare_progress,
    read_prepare_result,
    report_file,
    result_file,
    write_prepare_spec,
)
from sintonia.datasets.prepare import prepare
from sintonia.model_families import open_family
from sintonia.resources.content import Conversation
from sintonia.resources.datasets import DatasetReport
from sintonia.resources.tuning import SupervisedTuningDataStats
from sintonia.runs.layout import RunDirectory
from sintonia.storage import BucketStore, StorageConfig

ROWS = 10_000


def row(i: int, *, words: int = 3) -> dict[str, Any]:
    question = f"Question {i}" + " word" * words
    return {
        "contents": [{"role": "USER", "parts": {"text": question}}, {"role": "model", "parts": [{"text": f"A {i}"}]}]
    }


class Workplace:
    def __init__(self, path: Path, model_dir: Path) -> None:
        self.store = BucketStore(path / "buckets")
        self.store.create_bucket("data", "p1")
        self.run = RunDirectory(path / "run")
        self.spec = PrepareSpec(
            storage=StorageConfig(buckets_dir=path / "buckets"),
            project="p1",
            training_dataset_uri="gs://data/train.jsonl",
            base_model="tiny",
            family="chat_template",
            model_dir=model_dir,
            max_example_tokens=120,
        )

    def put(self, name: str, rows: Iterable[Any]) -> None:
        with self.store.write_object("data", name) as writer:
            for item in rows:
                writer.write((item if isinstance(item, str) else json.dumps(item)).encode() + b"\n")

    def order(self, **changes: Any) -> None:
        write_prepare_spec(self.run, self.spec.model_copy(update=changes))

    def prepare(self, **changes: Any) -> PrepareResult:
        self.order(**changes)
        result = prepare(self.run)
        assert read_prepare_result(self.run) == result
        return result

    def start(self) -> subprocess.Popen[bytes]:
        return subprocess.Popen([sys.executable, "-m", "sintonia.datasets", str(self.run.path)])

    def report(self) -> list[dict[str, Any]]:
        return [json.loads(line) for line in report_file(self.run).read_bytes().splitlines()]


@pytest.fixture
def place(tmp_path: Path, tiny_model_dir: Path) -> Workplace:
    return Workplace(tmp_path, tiny_model_dir)


def test_good_sets_give_rows_counts_and_statistics(place: Workplace, tiny_model_dir: Path) -> None:
    place.put("train.jsonl", [row(i, words=i) for i in range(20)])
    place.put("valid.jsonl", [row(i) for i in range(100, 105)])
    result = place.prepare(validation_dataset_uri="gs://data/valid.jsonl")
    assert result.ok
    assert result.train is not None
    assert result.validation is not None
    assert (result.train.examples, result.validation.examples) == (20, 5)
    prepared = [Conversation.from_wire(json.loads(line)) for line in place.run.train_file.open()]
    assert [turn.role for turn in prepared[7].contents] == ["user", "model"]
    family = open_family("chat_template", tiny_model_dir)
    examples = [example for conversation in prepared for example in family.render_training(conversation)]
    assert result.train.tokens == sum(map(len, examples))
    assert result.train.trained_tokens == sum(example.trained_count for example in examples)
    assert result.train.longest_example_tokens == max(map(len, examples))
    statistics = result.train.statistics
    assert statistics.total_billable_token_count == result.train.tokens
    assert statistics.user_output_token_distribution is not None
    assert statistics.user_output_token_distribution.sum == result.train.trained_tokens
    assert place.run.validation_file.read_bytes().count(b"\n") == 5
    progress = read_prepare_progress(place.run)
    assert progress is not None
    assert progress.bytes_read == progress.bytes_total
    assert place.report() == []


def test_every_bad_line_of_both_files_is_told(place: Workplace) -> None:
    place.put("train.jsonl", [row(0), "{", "", {"contents": []}, row(1)])
    place.put("valid.jsonl", [{"contents": [{"role": "bot", "parts": [{"text": "x"}]}]}])
    result = place.prepare(validation_dataset_uri="gs://data/valid.jsonl")
    assert (result.ok, result.status) == (False, "INVALID_ARGUMENT")
    assert result.message is not None
    assert result.message.splitlines() == [
        "2 of the 4 rows of the training dataset gs://data/train.jsonl cannot be used.",
        "Line 2 is not valid JSON: Expecting property name enclosed in double quotes (column 2). [invalid_input]",
        'Line 4 "contents" is empty. [invalid_contents_list]',
        "1 of the 1 rows of the validation dataset gs://data/valid.jsonl cannot be used.",
        'Line 1 contents[0] has the role "bot"; known are "user" and "model". [unrecognized_role]',
    ]
    assert [(entry["dataset"], entry["line"], entry["category"]) for entry in place.report()] == [
        ("training", 2, "invalid_input"),
        ("training", 4, "invalid_contents_list"),
        ("validation", 1, "unrecognized_role"),
    ]
    assert not place.run.train_file.exists()


def test_the_message_tells_a_hundred_lines_and_the_report_all(place: Workplace) -> None:
    place.put("train.jsonl", ["{}"] * 250)
    result = place.prepare()
    assert result.message is not None
    assert result.message.count("[missing_contents_list]") == 100
    assert "150 more" in result.message
    assert len(place.report()) == 250


def test_over_long_examples_are_dropped_and_counted(place: Workplace) -> None:
    rows = [row(i) for i in range(20)]
    rows[4] = row(4, words=300)
    place.put("train.jsonl", ["", *rows])
    result = place.prepare()
    assert result.train is not None
    assert (result.train.examples, result.train.dropped) == (19, 1)
    assert result.train.statistics.truncated_example_indices == [5]
    (reason,) = result.train.statistics.dropped_example_reasons
    assert reason.startswith("Example 5 (line 6) has ")
    assert reason.endswith("tokens; at most 120 are taken by base model tiny.")
    assert place.run.train_file.read_bytes().count(b"\n") == 19
    assert [entry["category"] for entry in place.report()] == ["dropped"]


def test_more_than_a_tenth_dropped_is_a_failure(place: Workplace) -> None:
    place.put("train.jsonl", [row(i, words=300 if i < 3 else 1) for i in range(20)])
    result = place.prepare()
    assert result.status == "INVALID_ARGUMENT"
    assert result.message is not None
    assert "3 of the 20 examples" in result.message
    assert "Example 1 (line 1)" in result.message
    place.put("train.jsonl", [row(i, words=300 if i < 2 else 1) for i in range(20)])
    assert place.prepare(max_example_tokens=119).ok


@pytest.mark.parametrize("content", ["", "\n \n"])
def test_an_empty_file_is_a_failure(place: Workplace, content: str) -> None:
    place.put("train.jsonl", [content])
    result = place.prepare()
    assert (result.ok, result.status) == (False, "INVALID_ARGUMENT")
    assert "has no examples" in str(result.message)


def test_rows_the_template_refuses_are_bad_lines(place: Workplace, tmp_path: Path, tiny_model_dir: Path) -> None:
    model_dir = tmp_path / "model"
    model_dir.mkdir()
    for file in tiny_model_dir.glob("*.json"):
        (model_dir / file.name).write_bytes(file.read_bytes())
    (model_dir / "chat_template.jinja").write_text(
        "{% for m in messages %}{{ raise_exception('No more than two turns') if loop.index > 2 }}{{ m.content }}"
        "<|im_end|>{% endfor %}"
    )
    turns = row(0)["contents"]
    place.put("train.jsonl", [row(0), {"contents": [*turns, *turns]}])
    result = place.prepare(model_dir=model_dir)
    assert "Line 2 cannot be put to this base model: " in str(result.message)
    assert "No more than two turns" in str(result.message)


@pytest.mark.parametrize(
    ("uri", "status", "words"),
    [
        (
            "gs://data/none.jsonl",
            "NOT_FOUND",
            "The training dataset gs://data/none.jsonl cannot be read: No such object",
        ),
        ("gs://nobody/x", "NOT_FOUND", "The specified bucket does not exist: nobody"),
        ("/etc/passwd", "INVALID_ARGUMENT", "gs://BUCKET/OBJECT"),
        ("gs://data/../../secret", "NOT_FOUND", "No such object"),
    ],
)
def test_missing_files_are_told(place: Workplace, uri: str, status: str, words: str) -> None:
    result = place.prepare(training_dataset_uri=uri)
    assert (result.ok, result.status) == (False, status)
    assert words in str(result.message)


def test_a_finished_job_is_not_done_again_but_a_new_order_is(place: Workplace) -> None:
    place.put("train.jsonl", [row(0)])
    place.put("valid.jsonl", [row(1)])
    place.prepare(validation_dataset_uri="gs://data/valid.jsonl")
    place.store.delete_object("data", "train.jsonl")
    assert prepare(place.run).ok
    place.put("train.jsonl", [row(0), row(1)])
    place.order()
    assert read_prepare_result(place.run) is None
    again = prepare(place.run)
    assert again.train is not None
    assert again.train.examples == 2
    assert not place.run.validation_file.exists()


def test_killed_in_the_middle_and_run_again_it_ends_the_same(place: Workplace) -> None:
    place.put("train.jsonl", (row(i, words=i % 20) for i in range(ROWS)))
    place.order()

    def rows_written() -> int:
        try:
            return sum(file.stat().st_size for file in place.run.data.glob(".sets/.partial-*/rows.jsonl"))
        except FileNotFoundError:  # what a killed process left was just swept away
            return 0

    for reached in (
        lambda: (place.run.data / "prepare.lock").exists(),
        lambda: progress_file(place.run).exists(),
        lambda: rows_written() > 500_000,
    ):
        process = place.start()
        while not reached():
            assert process.poll() is None
        os.kill(process.pid, signal.SIGKILL)
        assert process.wait() == -signal.SIGKILL
        assert not result_file(place.run).exists()
        assert not place.run.train_file.exists()

    # A second process started while the first still works waits for it and does nothing twice.
    both = [place.start(), place.start()]
    assert [process.wait() for process in both] == [0, 0]
    killed_then_done = read_prepare_result(place.run)
    rows = place.run.train_file.read_bytes()
    assert sorted(path.name for path in place.run.data.iterdir() if path.name.startswith(".")) == []

    undisturbed = Workplace(place.run.path.parent / "other", place.spec.model_dir)
    undisturbed.put("train.jsonl", (row(i, words=i % 20) for i in range(ROWS)))
    result = undisturbed.prepare()
    assert undisturbed.run.train_file.read_bytes() == rows
    assert killed_then_done is not None
    assert killed_then_done.train == result.train


def test_memory_does_not_grow_with_the_file(place: Workplace) -> None:
    """30 MB cost no more memory than one row; 15 MB are left for allocators and caches."""
    place.put("train.jsonl", [row(0)])
    small = _peak_bytes(place)
    place.put("train.jsonl", (json.dumps(row(i)) + " " * 9_900 for i in range(3_000)))
    assert place.store.stat_object("data", "train.jsonl").size > 30_000_000
    assert _peak_bytes(place, max_example_tokens=119) - small < 15_000_000


def _peak_bytes(place: Workplace, **changes: Any) -> int:
    place.order(**changes)
    code = (
        "import resource, sys; from pathlib import Path; from sintonia.datasets.prepare import prepare;"
        "from sintonia.runs.layout import RunDirectory; assert prepare(RunDirectory(Path(sys.argv[1]))).ok;"
        "print(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024)"
    )
    run = subprocess.run([sys.executable, "-c", code, str(place.run.path)], capture_output=True, check=True)
    return int(run.stdout)


@pytest.mark.parametrize(
    ("training", "validation", "limit"),
    [
        (1, 1000, None),
        (1, 1001, 1000),
        (3333, 1000, None),
        (4000, 1200, None),
        (4000, 1201, 1200),
        (16_000, 4800, None),
        (1_000_000, 5000, None),
        (1_000_000, 5001, 5000),
    ],
)
def test_validation_sets_have_limits(training: int, validation: int, limit: int | None) -> None:
    def report(examples: int, problem: str | None = None) -> DatasetReport:
        facts = dict.fromkeys(("dropped", "bad", "tokens", "trained_tokens", "longest_example_tokens"), 0)
        return DatasetReport(uri="gs://b/o", rows=examples, examples=examples, problem=problem,
                             statistics=SupervisedTuningDataStats(), **facts)  # fmt: skip

    told = held_to_limits(report(validation), report(training)).problem
    assert told is None if limit is None else f"has {validation:,} examples; at most {limit:,} are taken" in str(told)
    assert held_to_limits(report(validation, "bad"), report(training)).problem == "bad"
