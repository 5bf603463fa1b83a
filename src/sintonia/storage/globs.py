"""Patterns of object names: the ``matchGlob`` of Cloud Storage, as regular expressions that cannot run away."""

from __future__ import annotations

import re
from collections.abc import Iterator

from sintonia.errors import InvalidArgument

_MOST_ALTERNATIVES = 100
_MOST_CHARACTERS = 8192
_PART = re.compile(r"\*{2,}|\[[!^]?\]?[^\]]*\]|\\.|.", re.DOTALL)


def compile_glob(glob: str) -> re.Pattern[str]:
    r"""``*`` and ``?`` stop at a slash, ``**`` does not; ``[a-z]``, ``[!a]``, ``{one,two}``; ``\`` takes meanings away.

    Raises InvalidArgument if it cannot be read, or stands for too much.
    """
    try:
        parts = (match.group() for match in _PART.finditer(glob))
        if glob.count("{") > _MOST_ALTERNATIVES:
            raise ValueError(f"it has over {_MOST_ALTERNATIVES} braces")
        # Making a regular expression takes a thousand times as long as sending it, and Python keeps it.
        alternatives = _alternatives(parts, inside=False) if len(glob) <= _MOST_CHARACTERS else None
        if alternatives is None or sum(map(len, alternatives)) > _MOST_CHARACTERS:
            raise ValueError(f"it has over {_MOST_CHARACTERS} characters, those in each choice of its braces counted")
        return re.compile("|".join(map(_pattern, alternatives)), re.DOTALL)
    except (ValueError, re.error) as error:
        raise InvalidArgument(f"Invalid value for matchGlob: '{glob[:200]}': {error}.") from None


def _alternatives(parts: Iterator[str], *, inside: bool) -> list[list[str]]:
    """The pattern once for each choice of its braces."""
    done: list[list[str]] = []
    current: list[list[str]] = [[]]
    for part in parts:
        if part == "{":
            chosen = _alternatives(parts, inside=True)
            current = [[*before, *choice] for before in current for choice in chosen]
        elif inside and part == ",":
            done, current = done + current, [[]]
        elif inside and part == "}":
            return done + current
        else:
            for choice in current:
                choice.append(part)
        if len(done) + len(current) > _MOST_ALTERNATIVES:
            raise ValueError(f"its braces have over {_MOST_ALTERNATIVES} alternatives")
    if inside:
        raise ValueError("a brace is not closed")
    return current


def _pattern(parts: list[str]) -> str:
    """What stands between two stars is taken where it is found first, for good (an atomic group): had it to be tried
    anew for every star before it, a pattern of twenty stars would never end. Only the last stars of each kind, which
    must reach the end, are tried.
    """
    chunks: list[list[str]] = [[""]]  # between ** and **, what is between * and *
    for part in parts:
        if part.startswith("**"):
            chunks.append([""])
        elif part == "*":
            chunks[-1].append("")
        else:
            chunks[-1][-1] += _character(part)
    pattern = ""
    for index, (first, *others) in enumerate(chunks):
        last = index == len(chunks) - 1
        reaching = f"[^/]*{others.pop()}" if last and others else ""
        body = first + "".join(f"(?>[^/]*?{other})" for other in others) + reaching
        if index == 0:
            pattern = body
        else:
            pattern += f".*{body}" if last else f"(?>.*?{body})"
    return pattern


def _character(part: str) -> str:
    if part == "?":
        return "[^/]"
    if len(part) > 2 and part[0] == "[":
        negated = part[1] in "!^"
        members = re.sub(r"([\\\[\]&~|^])", r"\\\1", part[2 if negated else 1 : -1])
        return f"[{'^/' if negated else ''}{members}]"
    return re.escape(part[1] if len(part) == 2 and part[0] == "\\" else part)
