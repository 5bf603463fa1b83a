"""Tokens of texts put together from those of their words, which are remembered: many times as fast as the tokenizer.

Only for tokenizers of which it is certain that nothing changes. Byte-level BPE cuts a text by a pattern and makes
tokens of each piece by itself, so a text may be cut beforehand wherever the pattern cuts anyway. All patterns below cut

* between a character that is no white space and a space behind it: nothing they match goes on from one to the other;
* behind a single newline between two characters that are no white space: it ends what matches it, whatever that is.

None looks behind itself, and what looks ahead, ``\\s+(?!\\S)``, gives the same at the end of such a piece as before the
next one. Special tokens are cut out before that, wherever they are.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Sequence
from itertools import chain
from typing import Any

from tokenizers import Tokenizer

_REST = r" ?[^\s\p{L}\p{N}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+"
_PATTERNS = {
    rf"(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{{L}}\p{{N}}]?\p{{L}}+|\p{{N}}{{1,3}}|{_REST}",  # Llama 3
    rf"(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{{L}}\p{{N}}]?\p{{L}}+|\p{{N}}|{_REST}",  # Qwen 2, 2.5 and 3
}
"""Beside that of GPT-2, which byte-level pre-tokenizers have built in."""

_MARK = "\ufdd0"  # no character of any text
_NEWLINE = re.compile(r"\n(?=\S)")
_MOST_PIECES = 2**16
_LONGEST_PIECE = 40
_LONGEST_TEXT = 2**16

# A piece that is looked up in vain costs more than it does within its text; found ones must pay for it, or texts go to
# the tokenizer as they are.
_CREDIT = 50_000
_COST = 10

_Ids = Sequence[int]


class Words:
    """Encodes as ``tokenizer`` does. Safe to share between threads."""

    def __init__(self, tokenizer: Tokenizer) -> None:
        """Raises ValueError if it is not certain that the tokenizer may be used so."""
        _check(tokenizer)
        self._tokenizer = tokenizer
        added = {token.content: (number,) for number, token in tokenizer.get_added_tokens_decoder().items()}
        self._added: dict[str, _Ids] = dict(added)
        names = sorted(map(re.escape, added), key=len, reverse=True)
        self._special = re.compile(f"({'|'.join(names)})") if names else re.compile(r"((?!))")
        # Pieces that may be followed by a space, and those that may not.
        self._closed: dict[str, _Ids] = {}
        self._open: dict[str, _Ids] = {}
        self._credit = _CREDIT

    def encode(self, text: str) -> list[int]:
        if self._credit < 0 or len(text) > _LONGEST_TEXT or _MARK in text:
            self._credit += 1
            return encode_whole(self._tokenizer, text)
        found: list[_Ids] = []
        for position, part in enumerate(self._special.split(text)):
            if position % 2:
                found.append(self._added[part])
            elif part:
                for line in _lines(part):
                    found += self._line(line)
        return list(chain.from_iterable(found))

    def _line(self, text: str) -> list[_Ids]:
        pieces = text.replace(" ", _MARK + " ").split(_MARK)
        if not pieces[0]:
            del pieces[0]
        found = list(map(self._closed.get, pieces))
        if found[-1] is None:
            found[-1] = self._open.get(pieces[-1])
        if None in found:
            return self._learn(list(_joined(pieces)))
        self._credit = min(self._credit + len(found), _CREDIT)
        return found  # type: ignore[return-value]

    def _learn(self, pieces: list[str]) -> list[_Ids]:
        found = {piece: self._closed.get(piece) or self._open.get(piece) for piece in pieces}
        missing = [piece for piece, ids in found.items() if ids is None]
        self._credit += len(pieces) - _COST * len(missing)
        encoded = self._tokenizer.encode_batch_fast(missing, add_special_tokens=False) if missing else []
        for piece, encoding in zip(missing, encoded, strict=True):
            ids = found[piece] = tuple(encoding.ids)
            if len(piece) <= _LONGEST_PIECE:
                pieces_known = self._open if piece[-1].isspace() else self._closed
                if len(pieces_known) >= _MOST_PIECES:
                    pieces_known.clear()
                pieces_known[piece] = ids
        return [found[piece] or () for piece in pieces]


def encode_whole(tokenizer: Tokenizer, text: str) -> list[int]:
    # As a batch, which leaves other threads their turn, as ``encode`` does not.
    return list(tokenizer.encode_batch_fast([text], add_special_tokens=False)[0].ids)


def _lines(text: str) -> Iterator[str]:
    """``text`` cut behind its single newlines."""
    start = 0
    if "\n" in text:
        for newline in _NEWLINE.finditer(text):
            if newline.start() > start and not text[newline.start() - 1].isspace():
                yield text[start : newline.end()]
                start = newline.end()
    yield text[start:]


def _joined(pieces: list[str]) -> Iterator[str]:
    """Pieces that begin with a space, put together where the one before does not end with another character."""
    piece = pieces[0]
    for following in pieces[1:]:
        if piece[-1].isspace():
            piece += following
        else:
            yield piece
            piece = following
    yield piece


def _check(tokenizer: Tokenizer) -> None:
    if tokenizer.normalizer is not None:
        raise ValueError("it normalises texts")
    if type(tokenizer.model).__name__ != "BPE" or tokenizer.model.dropout is not None:
        raise ValueError("it is not plain BPE")
    if not _cuts_words(json.loads(tokenizer.pre_tokenizer.__getstate__()) if tokenizer.pre_tokenizer else {}):
        raise ValueError("it cuts texts in a way of its own")
    added = tokenizer.get_added_tokens_decoder().values()
    if any(token.lstrip or token.rstrip or token.single_word for token in added):
        raise ValueError("its special tokens depend on what is beside them")
    if len({token.normalized for token in added}) > 1:
        raise ValueError("it looks for special tokens twice")


def _cuts_words(pre_tokenizer: dict[str, Any]) -> bool:
    match pre_tokenizer:
        case {"type": "ByteLevel", "add_prefix_space": False, "use_regex": True}:
            return True
        case {"type": "Sequence", "pretokenizers": [
            {"type": "Split", "pattern": {"Regex": pattern}, "behavior": "Isolated", "invert": False},
            {"type": "ByteLevel", "add_prefix_space": False, "use_regex": False},
        ]}:  # fmt: skip
            return pattern in _PATTERNS
    return False
