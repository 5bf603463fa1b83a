"""Prepared sets: the same verdict, rows and tokens by any number of processes, made once and found again."""

from __future__ import annotations

import io
import json
import os
import signal
import subprocess
import sys
from collections import Counter
from collections.abc import Iterator
from concurrent.futures.process import BrokenProcessPool
from pathlib import Path
from typing import Any

import psutil
import pytest

from corpus.cases import CASES
from sintonia.datasets import set_work
from sintonia.datasets.chunks import ChunkOutcome, Reader
from sintonia.datasets.examine import ProgressTeller, Source, examine
from sintonia.datasets.handover import PrepareResult, PrepareSpec, read_report, write_prepare_spec
from sintonia.datasets.lines import Line, read_lines
from sintonia.datasets.prepare import prepare
from sintonia.datasets.prepared import PreparedSets
from sintonia.datasets.row_errors import RowError
from sintonia.datasets.rows import parse_row
from sintonia.datasets.statistics import DatasetStatistics
from sintonia.datasets.workers import WORTH_WORKERS, Workers
from sintonia.errors import InvalidArgument
from sintonia.model_families import open_family
from sintonia.resources.datasets import DatasetProgress
from sintonia.runs.layout import RunDirectory
from sintonia.runs.tokens import INDEX_FILE, map_tokens
from sintonia.storage import BucketStore, StorageConfig
from sintonia.training.data import open_rows, read_rows

LIMIT = 120


def chat(i: int, *, words: int = 3) -> dict[str, Any]:
    turns = [{"text": f"Question {i} São\n\n  x" + " word" * words}, {"text": f"A {i} <|im_end|> "}]
    roles = ("user", "model")
    return {"contents": [{"role": role, "parts": [part]} for role, part in zip(roles, turns, strict=True)]}


def nasty() -> bytes:
    """Every line of the corpus that is no binary file, among good rows and a few that are too long."""
    lines = [line for case in CASES for line in case.content.split(b"\n") if b"\0" not in line and line[:1] != b"["]
    lines = [line for line in lines if not line.startswith((b"\x1f\x8b", b"\xff\xfe", b"\xfe\xff")) and line != b"{"]
    good = [json.dumps(chat(i, words=400 if i % 30 == 7 else i % 9)).encode() for i in range(200)]
    mixed = [piece for pair in zip(good, [*lines, *[b""] * len(good)], strict=False) for piece in pair]
    return b"\n".join([*mixed, *lines[len(good) :]])


@pytest.fixture
def reader(tiny_model_dir: Path) -> Reader:
    return Reader("chat_template", tiny_model_dir, "tiny", LIMIT)


class Collected:
    def __init__(self) -> None:
        self.documents = b""
        self.numbers: list[tuple[int, int]] = []
        self.tokens: list[tuple[list[int], list[int], list[int]]] = []

    def __call__(self, outcome: ChunkOutcome, before: int) -> None:
        self.numbers += [(number, line) for number, line, _ in outcome.numbered(before)]
        self.documents += outcome.documents
        lengths = [list(ends) for ends in (outcome.tokens.example_ends, outcome.tokens.row_ends)]
        self.tokens.append((list(outcome.tokens.tokens), *lengths))


def examined(content: bytes, workers: Workers) -> tuple[dict[str, Any], bytes, bytes]:
    source = Source("training", "gs://b/o", len(content), lambda: io.BytesIO(content))
    report, kept, told = io.BytesIO(), Collected(), list[DatasetProgress]()
    found = examine(source, workers, progress=ProgressTeller(told.append, len(content)), report=report, keep=kept)
    assert told[-1].bytes_read == len(content)
    return found.to_wire(), report.getvalue(), kept.documents


def test_chunks_by_any_number_of_processes_give_what_one_row_after_the_other_does(
    reader: Reader, monkeypatch: pytest.MonkeyPatch
) -> None:
    content = nasty()
    # The plain way: one row after the other, one statistics of all.
    family, statistics = reader.open(), DatasetStatistics()
    bad: list[tuple[int, int, str, str]] = []
    documents = b""
    for number, line in enumerate(read_lines(io.BytesIO(content)), 1):
        row: Any = parse_row(line.content, family.modalities) if isinstance(line.content, str) else line.content
        try:
            examples = [] if isinstance(row, RowError) else family.render_training(row)
        except InvalidArgument as error:
            row = RowError("not_renderable", f"cannot be put to this base model: {error.message}")
        if isinstance(row, RowError):
            bad.append((line.number, number, row.category, row.reason))
        elif max(map(len, examples)) > LIMIT:
            reason = f"has {max(map(len, examples)):,} tokens; at most {LIMIT} are taken by base model tiny"
            statistics.drop(number, f"Example {number} (line {line.number}) {reason}.")
            bad.append((line.number, number, "dropped", reason))
        else:
            trained = sum(example.trained_count for example in examples)
            statistics.add(row, input_tokens=sum(map(len, examples)) - trained, output_tokens=trained)
            documents += json.dumps(row.to_wire(), ensure_ascii=False, separators=(",", ":")).encode() + b"\n"
    assert statistics.examples > 150
    assert statistics.dropped >= 6
    assert len(bad) > 80

    with Workers(reader, processes=1) as workers:
        at_once = examined(content, workers)
    monkeypatch.setattr("sintonia.datasets.chunks.CHUNK_LINES", 7)
    with Workers(reader, processes=1) as workers:
        in_pieces = examined(content, workers)
    monkeypatch.setattr("sintonia.datasets.workers.WORTH_WORKERS", 0)
    with Workers(reader, processes=2) as workers:
        by_two = examined(content, workers)
        assert len(psutil.Process().children()) >= 2
        assert examined(content, workers) == by_two
    assert at_once == in_pieces == by_two

    told, lines, rows = at_once
    report = [json.loads(line) for line in lines.splitlines()]
    assert [(x["line"], x["example"], x["category"], x["reason"]) for x in report] == bad
    assert told["categories"] == dict(Counter(category for _, _, category, _ in bad).most_common())
    assert rows == documents
    assert told["statistics"] == statistics.result().to_wire()
    assert (told["tokens"], told["trainedTokens"]) == (statistics.tokens, statistics.trained_tokens)
    assert told["badLines"] == [line for line in report if line["category"] != "dropped"][:100]


def _lines() -> Iterator[list[Line]]:
    row = json.dumps(chat(1))
    while True:
        yield [Line(1, row)] * 50


def test_a_worker_that_dies_ends_the_work(reader: Reader) -> None:
    with Workers(reader, processes=2) as workers:
        outcomes = workers.examine(_lines(), size=WORTH_WORKERS, keep=True)
        assert next(outcomes).statistics.examples == 50
        victim = next(child for child in psutil.Process().children() if "spawn_main" in " ".join(child.cmdline()))
        victim.kill()
        with pytest.raises(BrokenProcessPool):
            for _ in outcomes:
                pass


class Home:
    """A bucket, kept sets, and runs that are prepared from them."""

    def __init__(self, path: Path, model_dir: Path) -> None:
        self.path, self.model_dir = path, model_dir
        self.store = BucketStore(path / "buckets")
        self.store.create_bucket("data", "p1")
        self.kept = path / "prepared"

    def put(self, name: str, content: bytes) -> None:
        with self.store.write_object("data", name) as writer:
            writer.write(content)

    def order(self, name: str, **changes: Any) -> RunDirectory:
        run = RunDirectory(self.path / name)
        spec = PrepareSpec(
            storage=StorageConfig(buckets_dir=self.path / "buckets"),
            project="p1",
            training_dataset_uri="gs://data/train.jsonl",
            base_model="tiny",
            family="chat_template",
            model_dir=self.model_dir,
            max_example_tokens=LIMIT,
            prepared_dir=self.kept,
            prepared_bytes=10**9,
        )
        write_prepare_spec(run, spec.model_copy(update=changes))
        return run

    def prepare(self, name: str, **changes: Any) -> tuple[RunDirectory, PrepareResult]:
        run = self.order(name, **changes)
        return run, prepare(run)

    def sets(self) -> list[Path]:
        return [path for path in self.kept.iterdir() if path.name != "locks"]


@pytest.fixture
def home(tmp_path: Path, tiny_model_dir: Path) -> Home:
    return Home(tmp_path, tiny_model_dir)


def rows(count: int) -> bytes:
    return b"".join(json.dumps(chat(i, words=300 if i == 3 else 2)).encode() + b"\n" for i in range(count))


def files(run: RunDirectory) -> dict[str, bytes]:
    return {
        str(path.relative_to(run.data)): path.read_bytes()
        for folder in (run.data, run.train_tokens, run.validation_tokens)
        for path in sorted(folder.glob("*"))
        if path.is_file() and path.name not in ("result.json", "progress.json", "report.jsonl")
    }


@pytest.fixture
def nothing_is_read(monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*_: object, **__: object) -> None:
        raise AssertionError("it was read again")

    monkeypatch.setattr(set_work, "examine", refuse)


def test_the_same_bytes_are_found_prepared_wherever_they_lie(home: Home, request: pytest.FixtureRequest) -> None:
    home.put("train.jsonl", rows(30))
    home.put("valid.jsonl", rows(12))
    validation = {"validation_dataset_uri": "gs://data/valid.jsonl"}
    # A verdict alone is kept as well: who validates first, tunes then.
    verdict, told = home.prepare("verdict", keep_rows=False, **validation)
    assert told.ok
    assert not verdict.train_file.exists()
    assert not verdict.train_tokens.exists()
    alone, made = home.prepare("alone", prepared_dir=None, prepared_bytes=0, **validation)
    assert not list(alone.data.glob(".*"))

    request.getfixturevalue("nothing_is_read")
    run, found = home.prepare("again", **validation)
    assert found.model_dump(exclude={"spec_digest"}) == made.model_dump(exclude={"spec_digest"})
    assert read_report(run) == read_report(alone)
    assert files(run) == files(alone)
    assert len(files(run)) == 4 + 10 + 1
    home.put("copy.jsonl", rows(30))
    other, moved = home.prepare("moved", training_dataset_uri="gs://data/copy.jsonl")
    assert moved.train is not None
    assert moved.train.uri == "gs://data/copy.jsonl"
    assert [line.uri for line in read_report(other).lines] == ["gs://data/copy.jsonl"]
    assert other.train_file.read_bytes() == run.train_file.read_bytes()


def test_whatever_decides_a_set_makes_another(home: Home, tmp_path: Path, nothing_is_read: None) -> None:
    home.put("train.jsonl", rows(30))
    model = tmp_path / "model"
    model.mkdir()
    for file in home.model_dir.glob("*.json*"):
        (model / file.name).write_bytes(file.read_bytes())
    template = json.loads((model / "tokenizer_config.json").read_text()).get("chat_template")
    if template is None:
        template = (home.model_dir / "chat_template.jinja").read_text()
    (model / "chat_template.jinja").write_text(template + "{# otherwise #}")
    for changes in ({}, {"project": "p2"}, {"max_example_tokens": 119}, {"base_model": "x"}, {"model_dir": model}):
        with pytest.raises(AssertionError, match="read again"):
            home.prepare("run", **changes)
    assert home.sets() == []


@pytest.mark.parametrize(
    "name", ["rows.jsonl", "rows.index", "dropped.jsonl", "tokens", "row_ends", INDEX_FILE, "set.json"]
)
@pytest.mark.parametrize("damage", ["cut", "gone"])
def test_a_damaged_set_is_made_again(home: Home, name: str, damage: str) -> None:
    home.put("train.jsonl", rows(30))
    run, first = home.prepare("first")
    before = files(run)
    (kept,) = home.sets()
    whole = (kept / name).read_bytes()
    (kept / name).unlink()
    if damage == "cut":
        (kept / name).write_bytes(whole[:-1] + bytes([whole[-1] ^ 1]))
    second, again = home.prepare("second")
    assert again.train == first.train
    assert files(second) == files(run) == before
    assert (kept / name).read_bytes() == whole


def test_sets_that_were_not_asked_for_go_and_runs_keep_theirs(home: Home) -> None:
    for i in range(3):
        home.put("train.jsonl", rows(30 + i))
        run, _ = home.prepare(f"run{i}")
        (newest,) = {path for path in home.sets() if (path / "rows.jsonl").samefile(run.train_file)}
        os.utime(newest / "set.json", (i, i))
    (home.kept / f".partial-{'ab' * 32}").mkdir()
    size = sum(file.stat().st_size for file in newest.iterdir())
    oldest = {path.name for path in home.sets() if (path / "set.json").exists() and path != newest}
    with PreparedSets(home.kept, most_bytes=0).claim(next(iter(oldest))):
        PreparedSets(home.kept, most_bytes=size + 10).sweep()
        assert {path.name for path in home.sets()} == {newest.name, next(iter(oldest))}
    PreparedSets(home.kept, most_bytes=size + 10).sweep()
    assert home.sets() == [newest]
    for i in range(3):
        run = RunDirectory(home.path / f"run{i}")
        assert len(run.train_file.read_bytes().splitlines()) == 29 + i
        map_tokens(run.train_tokens)


def test_jobs_at_once_on_the_same_data_make_one_set(home: Home) -> None:
    home.put("train.jsonl", rows(2_000))
    runs = [home.order(f"run{i}") for i in range(2)]
    command = [sys.executable, "-m", "sintonia.datasets"]
    processes = [subprocess.Popen([*command, str(run.path)]) for run in runs]
    assert [process.wait() for process in processes] == [0, 0]
    (kept,) = home.sets()
    assert all(run.train_file.samefile(kept / "rows.jsonl") for run in runs)


def test_workers_end_with_the_process_that_was_killed(home: Home) -> None:
    home.put("train.jsonl", b"".join(rows(1_000) for _ in range(-(-WORTH_WORKERS // len(rows(1_000))) * 4)))
    run = home.order("run", processes=2)
    process = psutil.Popen([sys.executable, "-m", "sintonia.datasets", str(run.path)])
    while len(process.children()) < 3:  # the workers, and the one that looks after their locks
        assert process.poll() is None
    children = process.children(recursive=True)
    process.send_signal(signal.SIGKILL)
    process.wait()
    _, alive = psutil.wait_procs(children, timeout=120)
    assert alive == []


def test_the_trainer_takes_the_files_or_renders_the_same(home: Home, capsys: pytest.CaptureFixture[str]) -> None:
    home.put("train.jsonl", rows(30))
    run, _ = home.prepare("run")
    family = open_family("chat_template", home.model_dir)

    def no_family() -> Any:
        raise AssertionError("it was rendered")

    mapped = open_rows(run.train_tokens, run.train_file, no_family)
    rendered = read_rows(run.train_file, family)
    assert mapped.digest == rendered.digest
    assert (len(mapped), mapped.token_count, mapped.longest) == (29, rendered.token_count, rendered.longest)
    for i in range(29):
        for one, other in zip(mapped.row(i), rendered.row(i), strict=True):
            assert one.token_ids.tolist() == other.token_ids.tolist()
            assert one.trained.tolist() == other.trained.tolist()

    whole = (run.train_tokens / "tokens").read_bytes()
    (run.train_tokens / "tokens").unlink()
    assert open_rows(run.train_tokens, run.train_file, lambda: family).digest == mapped.digest
    (run.train_tokens / "tokens").write_bytes(whole[:-1] + b"\1")
    assert open_rows(run.train_tokens, run.train_file, lambda: family).digest == mapped.digest
    assert "train.tokens cannot be used" in capsys.readouterr().out
