"""The console's words: one JSON catalogue for each language, and which of them a reader wants."""

from __future__ import annotations

import json
from functools import cache
from importlib import resources

LANGUAGES = {"en": "English", "pt-BR": "Português (Brasil)"}
"""Each calls itself by its own name; the first serves whom no other fits."""


@cache
def catalogue(language: str) -> dict[str, str]:
    """The words of one of ``LANGUAGES``, by key."""
    text = (resources.files(__package__) / "locales" / f"{language}.json").read_text(encoding="utf-8")
    words: dict[str, str] = json.loads(text)
    return words


def chosen(asked: str | None, remembered: str | None, accepted: str) -> str:
    """The language to answer in.

    Args:
        asked: what the URL says, if anything.
        remembered: what the cookie says.
        accepted: the header Accept-Language.
    """
    for tag in (asked, remembered, *_by_preference(accepted)):
        if tag and (found := _known(tag)):
            return found
    return next(iter(LANGUAGES))


def _known(tag: str) -> str | None:
    """A catalogue of the same language; of another region is better than of another language."""
    exact = next((language for language in LANGUAGES if language.lower() == tag.lower()), None)
    same = (language for language in LANGUAGES if language.partition("-")[0] == tag.lower().partition("-")[0])
    return exact or next(same, None)


def _by_preference(header: str) -> list[str]:
    """The tags of an Accept-Language header, the best first (RFC 9110, 12.5.4)."""
    weighed = []
    for item in header.split(",")[:20]:
        tag, _, parameter = item.strip().partition(";")
        try:
            weight = float(parameter.strip().removeprefix("q=") or 1)
        except ValueError:
            continue
        if tag and weight > 0:
            weighed.append((tag.strip(), weight))
    return [tag for tag, _ in sorted(weighed, key=lambda pair: -pair[1])]
