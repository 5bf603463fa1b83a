"""Rows that were kept, found by the numbers that they had in their file."""

from __future__ import annotations

from pathlib import Path

from sintonia.datasets.chunks import row_document
from sintonia.datasets.kept_rows import (
    HEAD_ROWS,
    RowFiles,
    RowWriter,
    copy_first,
    first_rows,
    read_kept_rows,
    whole_rows,
)
from sintonia.resources.content import Content, Conversation, Part
from sintonia.runs.layout import RunDirectory


def conversation(text: str) -> Conversation:
    turns = [Content(role=role, parts=[Part(text=text)]) for role in ("user", "model")]
    return Conversation(contents=turns)


def write(files: RowFiles, rows: dict[int, str]) -> None:
    files.rows.parent.mkdir(parents=True, exist_ok=True)
    with files.rows.open("wb") as stream, files.index.open("wb") as index:
        writer = RowWriter(stream, index)
        for number, text in rows.items():
            writer.add(row_document(conversation(text)), number=number, line=2 * number)


def numbers(run: RunDirectory, start: int, limit: int = 3) -> tuple[list[int], int | None, int | None]:
    page = read_kept_rows(run, "training", start=start, limit=limit)
    return [row.number for row in page.rows], page.before, page.after


def test_rows_have_the_numbers_and_lines_of_their_file(tmp_path: Path) -> None:
    run = RunDirectory(tmp_path)
    write(whole_rows(run, "training"), {n: f"row {n} é" for n in (1, 2, 3, 5, 6, 9, 10)})
    assert numbers(run, 1) == ([1, 2, 3], None, 5)
    assert numbers(run, 5) == ([5, 6, 9], 1, 10)
    assert numbers(run, 4) == ([5, 6, 9], 1, 10)
    assert numbers(run, 10) == ([10], 5, None)
    assert numbers(run, 2, 1) == ([2], 1, 3)
    assert numbers(run, 11) == ([], 6, None)
    assert numbers(run, 2**70) == ([], 6, None)
    page = read_kept_rows(run, "training", start=9, limit=1)
    assert (page.kept, page.last) == (7, 10)
    assert (page.rows[0].line, page.rows[0].conversation) == (18, conversation("row 9 é"))


def test_long_rows_make_short_pages(tmp_path: Path) -> None:
    run = RunDirectory(tmp_path)
    write(whole_rows(run, "training"), {n: "x" * (150_000 if n in (3, 4) else 20_000) for n in range(1, 7)})
    assert numbers(run, 1, 100) == ([1, 2], None, 3)
    assert numbers(run, 3, 100) == ([3], 1, 4)
    assert numbers(run, 4, 100) == ([4], 1, 5)
    assert numbers(run, 5, 100) == ([5, 6], 1, None)


def test_a_head_is_cut_to_what_was_written_whole(tmp_path: Path) -> None:
    run = RunDirectory(tmp_path)
    rows = {n: f"row {n}" for n in range(1, HEAD_ROWS + 20)}
    head = first_rows(run, "validation")
    write(whole_rows(run, "training"), rows)
    copy_first(whole_rows(run, "training"), head)
    page = read_kept_rows(run, "validation", start=HEAD_ROWS, limit=5)
    assert (page.kept, page.last, page.after, [row.number for row in page.rows]) == (
        HEAD_ROWS,
        HEAD_ROWS,
        None,
        [HEAD_ROWS],
    )
    assert head.rows.read_bytes().count(b"\n") == HEAD_ROWS
    write(whole_rows(run, "training"), {1: "one"})
    copy_first(whole_rows(run, "training"), head)
    assert read_kept_rows(run, "validation", start=1, limit=5).kept == 1


def test_the_whole_counts_before_a_head_and_nothing_is_no_error(tmp_path: Path) -> None:
    run = RunDirectory(tmp_path)
    assert read_kept_rows(run, "training", start=1, limit=5).rows == []
    write(first_rows(run, "training"), {1: "head"})
    assert read_kept_rows(run, "training", start=1, limit=5).rows[0].conversation == conversation("head")
    write(whole_rows(run, "training"), {1: "whole"})
    assert read_kept_rows(run, "training", start=1, limit=5).rows[0].conversation == conversation("whole")
    write(whole_rows(run, "training"), {})
    assert read_kept_rows(run, "training", start=1, limit=5).kept == 0
