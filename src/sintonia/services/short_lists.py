"""Lists of a few items that no table holds, filtered and paged as those of the database are."""

from __future__ import annotations

import fnmatch
from collections.abc import Awaitable, Callable, Sequence

from pydantic.alias_generators import to_camel

from sintonia.database.listing import Listed, Slice
from sintonia.resources.base import JsonObject
from sintonia.resources.filters import And, Comparison, Expression, Not, Or


def short_list(
    documents: Sequence[JsonObject], *, numbers: Sequence[int] | None = None
) -> Callable[[Slice], Awaitable[list[Listed]]]:
    """Gives slices of the documents, in their order: what a ``Pager`` reads.

    ``numbers`` count down, as lists go from the newest to the oldest, and stay with their documents where others come
    or go between two pages; without them a document's place counts.
    """
    ids = numbers if numbers is not None else range(0, -len(documents), -1)
    rows = [Listed(number, 0, document) for number, document in zip(ids, documents, strict=True)]

    async def read(wanted: Slice) -> list[Listed]:
        ordered = rows[::-1] if wanted.ascending else rows
        if wanted.behind is not None:
            last = wanted.behind[1]
            ordered = [row for row in ordered if (row.id > last if wanted.ascending else row.id < last)]
        if wanted.filter is not None:
            ordered = [row for row in ordered if _fits(wanted.filter, row.document)]
        return ordered[: wanted.size]

    return read


def _fits(expression: Expression, document: JsonObject) -> bool:
    if isinstance(expression, Not):
        return not _fits(expression.term, document)
    if isinstance(expression, And | Or):
        fitting = (_fits(term, document) for term in expression.terms)
        return all(fitting) if isinstance(expression, And) else any(fitting)
    return _compares(expression, document)


def _compares(asked: Comparison, document: JsonObject) -> bool:
    found = document.get(to_camel(asked.path[0]) if "_" in asked.path[0] else asked.path[0])
    if len(asked.path) == 2 and isinstance(found, dict):
        found = found.get(asked.path[1])
    elif len(asked.path) > 1 or isinstance(found, (dict, list)):
        asked.refuse(f"'{'.'.join(asked.path)}' cannot be compared in this list")
    if asked.operator not in ("=", "!=", ":"):
        asked.refuse(f"'{'.'.join(asked.path)}' cannot be compared by '{asked.operator}' in this list, only by = != :")
    text = "" if found is None else str(found).lower() if isinstance(found, bool) else str(found)
    if asked.operator == ":":
        pattern = asked.value if "*" in asked.value else f"*{asked.value}*"
        return found is not None and fnmatch.fnmatchcase(text, "".join("[[]" if c == "[" else c for c in pattern))
    return (text == asked.value) == (asked.operator == "=")
