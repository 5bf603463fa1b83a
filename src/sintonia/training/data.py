"""Prepared rows as tokens, the order in which an epoch visits them, and how a step is cut into micro-batches."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from sintonia.errors import FailedPrecondition
from sintonia.model_families import ModelFamily
from sintonia.resources.content import Conversation
from sintonia.runs.tokens import TokenColumns, digest_of, map_tokens


@dataclass(frozen=True)
class Example:
    """One sequence; ``trained[i]`` says whether the loss counts the prediction of ``token_ids[i]``."""

    token_ids: npt.NDArray[np.int32]
    trained: npt.NDArray[np.bool_]

    def __len__(self) -> int:
        return len(self.token_ids)

    @property
    def target_count(self) -> int:
        """A sequence's first token is predicted by nothing, so it never is a target."""
        return int(self.trained[1:].sum())


class TokenisedRows:
    """Rows of one or more examples each, in four flat columns (``runs.tokens``), which may be files on disk."""

    def __init__(self, columns: Mapping[str, Any], digest: str) -> None:
        """
        Args:
            digest: the same for the same tokens in the same rows, and for those only.
        """
        self._tokens = np.frombuffer(columns["tokens"], dtype=np.int32)
        self._trained = np.frombuffer(columns["trained"], dtype=np.bool_)
        self._example_ends = np.frombuffer(columns["example_ends"], dtype=np.int64)
        self._row_ends = np.frombuffer(columns["row_ends"], dtype=np.int64)
        self.digest = digest

    @classmethod
    def of(cls, columns: TokenColumns) -> TokenisedRows:
        return cls(vars(columns), digest_of(columns))

    def __len__(self) -> int:
        return len(self._row_ends) - 1

    @property
    def token_count(self) -> int:
        return len(self._tokens)

    @property
    def longest(self) -> int:
        """Tokens of the longest example; 0 if there is none."""
        return int(np.diff(self._example_ends).max(initial=0))

    def row(self, index: int) -> list[Example]:
        return [self._example(i) for i in range(self._row_ends[index], self._row_ends[index + 1])]

    def examples(self) -> Iterator[Example]:
        """All of them, in file order."""
        return (self._example(i) for i in range(len(self._example_ends) - 1))

    def _example(self, index: int) -> Example:
        start, end = self._example_ends[index], self._example_ends[index + 1]
        return Example(self._tokens[start:end], self._trained[start:end])


def open_rows(
    tokens: Path, rows: Path, family: Callable[[], ModelFamily], *, on_row: Callable[[], None] = lambda: None
) -> TokenisedRows:
    """Prepared rows: the files in ``tokens`` that dataset processing left, or ``rows`` rendered if there are none.

    Args:
        on_row: called after each row that is rendered, to tell progress or to stop by raising.

    Raises:
        FailedPrecondition: a file is missing, or a line is not what dataset processing would have written.
        InvalidArgument: the family cannot render a row.
    """
    try:
        return TokenisedRows(*map_tokens(tokens))
    except FileNotFoundError:
        pass
    except (OSError, ValueError) as error:
        print(f"{tokens.name} cannot be used, its rows are rendered again: {error}", flush=True)
    return read_rows(rows, family(), on_row=on_row)


def read_rows(path: Path, family: ModelFamily, *, on_row: Callable[[], None] = lambda: None) -> TokenisedRows:
    """``open_rows`` without token files: renders a file of prepared conversations."""
    columns = TokenColumns()
    try:
        stream = path.open(encoding="utf-8")
    except FileNotFoundError:
        raise FailedPrecondition(f"'{path.name}' is missing: the dataset was not processed.") from None
    with stream:
        for number, line in enumerate(stream, 1):
            try:
                conversation = Conversation.from_wire(json.loads(line))
            except ValueError as error:
                raise FailedPrecondition(f"'{path.name}' line {number} is not JSON: {error}") from None
            if not columns.append(example.segments for example in family.render_training(conversation)):
                print(f"{path.name} line {number} has no token to learn and is left out", flush=True)
            on_row()
    return TokenisedRows.of(columns)


def epoch_order(seed: int, epoch: int, rows: int) -> npt.NDArray[np.int64]:
    """The row numbers 0 to rows - 1 in the order in which ``epoch`` (from 0) visits them."""
    return np.random.default_rng([seed, epoch]).permutation(rows)


def micro_batches(examples: Iterable[Example], budget: int) -> Iterator[list[Example]]:
    """Cut ``examples``, in order, into runs of at most ``budget`` tokens; a longer example is alone in its run."""
    batch: list[Example] = []
    tokens = 0
    for example in examples:
        if batch and tokens + len(example) > budget:
            yield batch
            batch, tokens = [], 0
        batch.append(example)
        tokens += len(example)
    if batch:
        yield batch


def shares(examples: Sequence[Example], count: int) -> list[list[Example]]:
    """``examples`` dealt to ``count`` processes, of about equally many tokens each, and in order within each.

    The longest first, each to whoever has least: no share is over 4/3 of the best possible (Graham 1969).
    """
    dealt: list[list[int]] = [[] for _ in range(count)]
    tokens = [0] * count
    for index in sorted(range(len(examples)), key=lambda index: -len(examples[index])):
        least = tokens.index(min(tokens))
        dealt[least].append(index)
        tokens[least] += len(examples[index])
    return [[examples[index] for index in sorted(indices)] for indices in dealt]
