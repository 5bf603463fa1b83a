"""Generated chats: the same rows everywhere, of a known length in tokens, with turns of the model to learn."""

from __future__ import annotations

import random
from collections.abc import Iterator
from pathlib import Path

from sintonia.base_models import embedded
from sintonia.model_families import ModelFamily
from sintonia.resources.base import JsonObject
from sintonia.resources.content import Conversation
from sintonia.settings import Settings

SHORTEST, LONGEST = 60, 400

_WORDS = """
the of and to in that for it with as was on be at by this have from or had not are but what were all when we there can
an your which their said if do will each about how up out them then she many some so these would other into has more her
two like him see time could no make than first been its who now people my made over did down only way find use may water
long little very after words called just where most know order invoice kettle refund address delivery warranty garden
river mountain letter morning window bread silver question answer number table story season market bridge captain
""".split()  # noqa: SIM905 - one word a line helps nobody


def model_dir() -> Path:
    """The embedded base model. Raises FailedPrecondition if ``make setup`` has not prepared it."""
    return embedded.directory(Settings.load().cache)


def chats(count: int, *, seed: int = 0, longer: int = 1) -> Iterator[JsonObject]:
    """Rows of one exchange in the documented form, about 20 to 260 words long, or up to ``longer`` times that."""
    draw = random.Random(seed)
    for _ in range(count):
        question, answer = _words(draw, 10, 100 * longer), _words(draw, 10, 160 * longer)
        yield {
            "contents": [
                {"role": "user", "parts": [{"text": question}]},
                {"role": "model", "parts": [{"text": answer}]},
            ]
        }


def chats_of_length(count: int, family: ModelFamily, *, seed: int = 0, longest: int = LONGEST) -> Iterator[JsonObject]:
    """``count`` rows of 60 to ``longest`` tokens as ``family`` renders them."""
    found = 0
    for number in range(100 * count):
        row = next(chats(1, seed=seed + number, longer=-(-longest // LONGEST)))
        [example] = family.render_training(Conversation.from_wire(row))
        if SHORTEST <= len(example) <= longest:
            yield row
            found += 1
            if found == count:
                return


def _words(draw: random.Random, fewest: int, most: int) -> str:
    return " ".join(draw.choice(_WORDS) for _ in range(draw.randint(fewest, most)))
