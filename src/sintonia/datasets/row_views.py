"""A row as the model sees it: the very tokens that training gets, as text, with what it learns of them marked."""

from __future__ import annotations

from collections.abc import Iterator
from itertools import groupby

from sintonia.datasets.kept_rows import KeptRow
from sintonia.model_families import ModelFamily, RenderedExample
from sintonia.resources.datasets import DatasetRow, RowSequence, RowSpan


def row_view(row: KeptRow, family: ModelFamily) -> DatasetRow:
    """Raises InvalidArgument if the model cannot be given the row, which then is not trained on either."""
    conversation = row.conversation
    examples = family.render_training(conversation)
    learnt = [i for i, turn in enumerate(conversation.contents)
              if turn.role == "model" and i not in conversation.untrained]  # fmt: skip
    return DatasetRow(
        number=row.number,
        line=row.line,
        tokens=sum(map(len, examples)),
        trained_tokens=sum(example.trained_count for example in examples),
        unseen_turns=len(conversation.contents) - 1 - learnt[-1],
        sequences=[RowSequence(spans=list(_spans(example, family))) for example in examples],
    )


def _spans(example: RenderedExample, family: ModelFamily) -> Iterator[RowSpan]:
    """Each special token alone, and what is between them as far as it is alike."""
    for segment in example.segments:
        for special, run in groupby(segment.token_ids, family.special_token_ids.__contains__):
            ids = list(run)
            for part in [[token] for token in ids] if special else [ids]:
                yield RowSpan(
                    text=b"".join(map(family.token_bytes, part)).decode(errors="replace"),
                    tokens=len(part),
                    kind="special" if special else "text",
                    trained=segment.trained,
                    reply=segment.reply,
                )
