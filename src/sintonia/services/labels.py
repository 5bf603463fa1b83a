"""What labels and display names may be, on every resource that has them (source: the API's reference on both)."""

from __future__ import annotations

import unicodedata
from collections.abc import Mapping

from sintonia.errors import FieldViolation, InvalidArgument

_MOST = 64
_LONGEST = 64
_LONGEST_NAME = 128


EARLY_STOPPING_LABEL = "sintonia-early-stopping"
"""Of a tuning job: after how many evaluations in a row without a lower validation loss it is to end. A label, as the
API's own resources gain no fields: so every client can say it."""

_MOST_EVALUATIONS = 1000


def check_display_name(name: str, field: str) -> None:
    """Raises InvalidArgument that names ``field``, the name's proto path in the request."""
    short = field.rpartition(".")[2]
    if len(name) > _LONGEST_NAME:
        raise _invalid(field, f"{short} has {len(name)} characters; at most {_LONGEST_NAME} are allowed.")
    if any(unicodedata.category(letter) == "Cc" for letter in name):
        raise _invalid(field, f"{short} holds a control character.")


def check_labels(labels: Mapping[str, str], field: str) -> None:
    """Raises InvalidArgument that names ``field``, the labels' proto path in the request."""
    if len(labels) > _MOST:
        raise _invalid(field, f"There are {len(labels)} labels; at most {_MOST} are allowed.")
    for key, value in labels.items():
        if not key:
            raise _invalid(field, "A label has an empty key.")
        for what, text in (("key", key), ("value", value)):
            if len(text) > _LONGEST or not all(map(_fits, text)):
                raise _invalid(
                    field,
                    f"The label {what} '{text[:100]}' is not valid: at most {_LONGEST} characters, and only lowercase "
                    "letters, digits, underscores and dashes; letters of any script are allowed.",
                )


def early_stopping(labels: Mapping[str, str]) -> int | None:
    """What ``EARLY_STOPPING_LABEL`` says; None if it is not there. Raises InvalidArgument if it is no such number."""
    said = labels.get(EARLY_STOPPING_LABEL)
    if said is None:
        return None
    if not (said.isascii() and said.isdecimal() and 1 <= int(said) <= _MOST_EVALUATIONS):
        raise _invalid(
            "tuning_job.labels",
            f"The label '{EARLY_STOPPING_LABEL}' is '{said}', but says after how many evaluations without a lower "
            f"validation loss the job ends: a number from 1 to {_MOST_EVALUATIONS}.",
        )
    return int(said)


def _fits(letter: str) -> bool:
    # Ll, Lo: letters that are not capitals; M: their marks; N: digits.
    category = unicodedata.category(letter)
    return letter in "_-" or category in ("Ll", "Lo") or category[0] in "MN"


def _invalid(field: str, message: str) -> InvalidArgument:
    return InvalidArgument(message, violations=[FieldViolation(field, message)])
