"""Rows of a dataset in a terminal: as the model sees them, what it learns in colour, or in ⟦ ⟧ where there is none."""

from __future__ import annotations

import unicodedata
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from rich.console import Console
    from rich.text import Text

Json = dict[str, Any]

_LEARNT, _SPECIAL = "bold green", "dim cyan"
# What is longer is shown by its ends.
_LONGEST = 2_000
# Joiners, which emoji and several scripts are written with.
_HARMLESS = frozenset("\n\t\u200c\u200d")


def print_rows(out: Console, title: str, rows: list[Json]) -> None:
    """``rows`` as the wire tells a DatasetRow."""
    from rich.text import Text

    coloured = out.color_system is not None
    out.print()
    if coloured:
        out.print(title, Text("what is learnt", _LEARNT), Text("special tokens", _SPECIAL), sep=" · ")
    else:
        out.print(f"{title}; what is learnt is in ⟦ ⟧")
    for row in rows:
        out.print()
        head = (
            f"row {row['number']:,} (line {row['line']:,}): {row['tokens']:,} tokens, {row['trainedTokens']:,} learnt"
        )
        if unseen := row.get("unseenTurns"):
            head += f"; the model never sees the last {'turn' if unseen == 1 else f'{unseen} turns'}"
        out.print(Text(head, "bold" if coloured else ""), soft_wrap=True)
        for sequence in row["sequences"]:
            out.print(_sequence(sequence["spans"], coloured), soft_wrap=True)


def _sequence(spans: list[Json], coloured: bool) -> Text:
    from rich.text import Text

    shown, learning = Text(), False
    for span in spans:
        if not coloured and span["trained"] != learning:
            shown.append("⟦" if span["trained"] else "⟧")
        learning = span["trained"]
        style = (_LEARNT if learning else "") if span["kind"] == "text" else _SPECIAL + (" bold" if learning else "")
        shown.append(_visible(_ends(span["text"])), style if coloured else "")
    if learning and not coloured:
        shown.append("⟧")
    shown.rstrip()
    return shown


def _ends(text: str) -> str:
    if len(text) <= _LONGEST:
        return text
    half = _LONGEST // 2
    return f"{text[:half]} [… {len(text) - 2 * half:,} characters …] {text[-half:]}"


def _visible(text: str) -> str:
    """``text`` without what a terminal would obey, or what changes the direction of all that follows."""
    return "".join(
        f"\\u{ord(letter):04x}" if unicodedata.category(letter) in ("Cc", "Cf") and letter not in _HARMLESS else letter
        for letter in text
    )
