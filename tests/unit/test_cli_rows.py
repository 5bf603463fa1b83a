"""Rows in a terminal: what is learnt is marked, and nothing in them is obeyed."""

from __future__ import annotations

import io
from typing import Any

from rich.console import Console

from sintonia.cli.rows import print_rows


def span(text: str, *, trained: bool = False, special: bool = False) -> dict[str, Any]:
    return {"text": text, "tokens": 1, "kind": "special" if special else "text", "trained": trained, "reply": trained}


ROW = {
    "number": 1_200,
    "line": 1_201,
    "tokens": 9,
    "trainedTokens": 2,
    "unseenTurns": 1,
    "sequences": [
        {"spans": [span("<s>", special=True), span("say \x1b[31m\u202e[bold]x\n"), span("👩‍👧 y", trained=True),
                   span("</s>", trained=True, special=True), span("\n")]},
        {"spans": [span("a" * 5_000), span("z", trained=True)]},
    ],
}  # fmt: skip


def printed(**options: Any) -> str:
    out = io.StringIO()
    console = Console(file=out, highlight=False, markup=False, emoji=False, width=200, **options)
    print_rows(console, "Rows", [ROW])
    return out.getvalue()


def test_without_colour_brackets_mark_what_is_learnt() -> None:
    head, *text = printed().strip().split("\n\n")
    assert head == "Rows; what is learnt is in ⟦ ⟧"
    assert text == [
        "row 1,200 (line 1,201): 9 tokens, 2 learnt; the model never sees the last turn\n"
        "<s>say \\u001b[31m\\u202e[bold]x\n⟦👩‍👧 y</s>⟧\n"
        f"{'a' * 1_000} [… 3,000 characters …] {'a' * 1_000}⟦z⟧"
    ]


def test_in_colour_there_are_no_brackets() -> None:
    text = printed(force_terminal=True, color_system="standard")
    assert "⟦" not in text
    assert "\x1b[1;32m👩‍👧 y" in text
    assert "\x1b[31m" not in text
