"""``tuningDataStats``: counted in one pass over the examples, in memory that does not grow with them.

A distribution is kept as a count of each value, and values are token or turn counts, of which there are few; so
percentiles are exact.
"""

from __future__ import annotations

import math
from collections import Counter
from itertools import chain

from sintonia.resources.content import Content, Conversation, Part
from sintonia.resources.tuning import DatasetBucket, DatasetDistribution, SupervisedTuningDataStats

BUCKETS = 10
SAMPLE_EXAMPLES = 3
SAMPLE_TURNS = 20
SAMPLE_CHARACTERS = 2_000
MAX_DROPPED_TOLD = 100


class DatasetStatistics:
    """Collects what ``SupervisedTuningDataStats`` tells of a dataset.

    Kept examples count in all totals and distributions, dropped ones only as dropped. Billable are all tokens of the
    kept examples, once (the service bills them for each epoch).
    """

    def __init__(self) -> None:
        self.examples = 0
        self.dropped = 0
        self.input_tokens: Counter[int] = Counter()
        self.output_tokens: Counter[int] = Counter()
        self.messages: Counter[int] = Counter()
        self._characters = 0
        self._samples: list[list[Content]] = []
        self._dropped_indices: list[int] = []
        self.dropped_reasons: list[str] = []

    def add(self, conversation: Conversation, *, input_tokens: int, output_tokens: int) -> None:
        """An example to learn from: ``output_tokens`` are the trained ones, ``input_tokens`` all others."""
        self.examples += 1
        self.input_tokens[input_tokens] += 1
        self.output_tokens[output_tokens] += 1
        self.messages[len(conversation.contents)] += 1
        system = [conversation.system_instruction] if conversation.system_instruction else []
        self._characters += sum(len(turn.text) for turn in [*system, *conversation.contents])
        if self.examples <= SAMPLE_EXAMPLES:
            self._samples.append([_shortened(turn) for turn in conversation.contents[:SAMPLE_TURNS]])

    def drop(self, index: int, reason: str) -> None:
        """An example that is left out; ``index`` counts examples from 1. The first hundred are told one by one."""
        self.dropped += 1
        if self.dropped <= MAX_DROPPED_TOLD:
            self._dropped_indices.append(index)
            self.dropped_reasons.append(reason)

    def merge(self, later: DatasetStatistics) -> None:
        """Count in the examples of ``later``, which come behind these; what it dropped is not taken."""
        self.examples += later.examples
        self.input_tokens.update(later.input_tokens)
        self.output_tokens.update(later.output_tokens)
        self.messages.update(later.messages)
        self._characters += later._characters
        self._samples = (self._samples + later._samples)[:SAMPLE_EXAMPLES]

    @property
    def tokens(self) -> int:
        return _sum(self.input_tokens) + _sum(self.output_tokens)

    @property
    def trained_tokens(self) -> int:
        return _sum(self.output_tokens)

    def result(self) -> SupervisedTuningDataStats:
        """The statistics; ``tuning_step_count`` is left to who knows the hyperparameters."""
        return SupervisedTuningDataStats(
            tuning_dataset_example_count=self.examples,
            total_tuning_character_count=self._characters,
            total_billable_token_count=self.tokens,
            user_input_token_distribution=distribution(self.input_tokens, billable=True),
            user_output_token_distribution=distribution(self.output_tokens, billable=True),
            user_message_per_example_distribution=distribution(self.messages),
            user_dataset_examples=list(chain.from_iterable(self._samples))[:SAMPLE_TURNS],
            total_truncated_example_count=self.dropped,
            truncated_example_indices=self._dropped_indices,
            dropped_example_reasons=self.dropped_reasons,
        )


def distribution(counts: Counter[int], *, billable: bool = False) -> DatasetDistribution | None:
    """The distribution of values that occurred ``counts`` times; None if there were none.

    Percentiles are nearest-rank: the smallest value with at least that share of all values at or below it. Buckets
    are equally wide, half-open but for the last, and cover everything from the smallest to the largest value.
    """
    if not counts:
        return None
    total = counts.total()
    values = sorted(counts)
    return DatasetDistribution(
        sum=_sum(counts),
        billable_sum=_sum(counts) if billable else None,
        min=values[0],
        max=values[-1],
        mean=_sum(counts) / total,
        median=_percentile(counts, values, 50),
        p5=_percentile(counts, values, 5),
        p95=_percentile(counts, values, 95),
        buckets=_buckets(counts, values),
    )


def _sum(counts: Counter[int]) -> int:
    return sum(value * count for value, count in counts.items())


def _percentile(counts: Counter[int], values: list[int], percent: int) -> int:
    rank = -(-counts.total() * percent // 100)  # rounded up, without floats
    for value in values:
        rank -= counts[value]
        if rank <= 0:
            return value
    raise AssertionError("a rank is at most the number of values")


def _buckets(counts: Counter[int], values: list[int]) -> list[DatasetBucket]:
    low, high = values[0], values[-1]
    width = max(1, math.ceil((high - low + 1) / BUCKETS))
    heights = Counter({(value - low) // width: 0 for value in range(low, high + 1, width)})
    for value in values:
        heights[(value - low) // width] += counts[value]
    return [
        DatasetBucket(count=count, left=low + i * width, right=min(low + (i + 1) * width, high + 1))
        for i, count in sorted(heights.items())
    ]


def _shortened(turn: Content) -> Content:
    """The turn with its text as one part, cut; function calls are told whole or not at all."""
    parts = [Part(text=_cut(turn.text))] if turn.text else []
    for part in turn.parts:
        if part.text is None:
            whole = part.model_dump_json(by_alias=True)
            parts.append(part if len(whole) <= SAMPLE_CHARACTERS else Part(text=_cut(whole)))
    return Content(role=turn.role, parts=parts)


def _cut(text: str) -> str:
    return text if len(text) <= SAMPLE_CHARACTERS else text[:SAMPLE_CHARACTERS] + "…"
