"""Tokens put together from words are those that the tokenizer gives, whatever the text."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from tokenizers import AddedToken, Regex, Tokenizer, normalizers
from tokenizers.pre_tokenizers import ByteLevel, Metaspace, Sequence, Split

from sintonia.model_families.words import _PATTERNS, Words, encode_whole

_PIECES = [
    *"ab1 9,.!'\n\r\t’é日ßI🎉\u00a0\x1c\x85\u2028\u3000\u0301\x0b\ufdd0",
    "'s", "'LL", "<|im_end|>", "<|im_start|>user\n", "  ", "\n\n", " \n", "\r\n", "word ", "x\n", "12345", " ok",
    "\n    if ",
]  # fmt: skip
texts = st.lists(st.sampled_from(_PIECES) | st.characters(exclude_categories=["Cs"]), max_size=14).map("".join)


def _with_pattern(tokenizer: Tokenizer, pattern: str) -> Tokenizer:
    copy = Tokenizer.from_str(tokenizer.to_str())
    split = Split(Regex(pattern), "isolated")
    copy.pre_tokenizer = Sequence([split, ByteLevel(add_prefix_space=False, use_regex=False)])
    return copy


@pytest.fixture(scope="module")
def tokenizers(tiny_model_dir: Path) -> list[Tokenizer]:
    plain = Tokenizer.from_file(str(tiny_model_dir / "tokenizer.json"))
    return [plain, *(_with_pattern(plain, pattern) for pattern in sorted(_PATTERNS))]


@pytest.mark.parametrize("which", range(1 + len(_PATTERNS)))
def test_any_text_has_the_tokens_of_the_tokenizer(tokenizers: list[Tokenizer], which: int) -> None:
    tokenizer = tokenizers[which]
    words = Words(tokenizer)  # it goes on remembering from text to text

    @settings(max_examples=400, deadline=None)
    @given(texts)
    def same(text: str) -> None:
        words._credit = 1_000
        assert words.encode(text) == encode_whole(tokenizer, text)
        assert words.encode(f"so {text} it") == encode_whole(tokenizer, f"so {text} it")

    same()


def test_words_that_never_come_again_are_left_to_the_tokenizer_and_little_is_remembered(
    tokenizers: list[Tokenizer], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("sintonia.model_families.words._MOST_PIECES", 50)
    monkeypatch.setattr("sintonia.model_families.words._CREDIT", 1_000)
    words = Words(tokenizers[0])
    for i in range(40):
        text = " ".join(f"w{i}x{j}" for j in range(20))
        assert words.encode(text) == encode_whole(tokenizers[0], text)
    assert words._credit < 20
    assert len(words._closed) <= 50


def _normalising(tokenizer: Tokenizer) -> None:
    tokenizer.normalizer = normalizers.NFC()


def _with_metaspace(tokenizer: Tokenizer) -> None:
    tokenizer.pre_tokenizer = Metaspace()


def _with_no_pre_tokenizer(tokenizer: Tokenizer) -> None:
    tokenizer.pre_tokenizer = None


def _with_prefix_space(tokenizer: Tokenizer) -> None:
    tokenizer.pre_tokenizer = ByteLevel(add_prefix_space=True)


def _with_greedy_token(tokenizer: Tokenizer) -> None:
    tokenizer.add_special_tokens([AddedToken("<mask>", lstrip=True, normalized=False)])


def _with_dropout(tokenizer: Tokenizer) -> None:
    tokenizer.model.dropout = 0.1


@pytest.mark.parametrize(
    "change",
    [_normalising, _with_metaspace, _with_no_pre_tokenizer, _with_prefix_space, _with_greedy_token, _with_dropout],
)
def test_other_tokenizers_are_left_alone(tokenizers: list[Tokenizer], change: Callable[[Tokenizer], None]) -> None:
    copy = Tokenizer.from_str(tokenizers[0].to_str())
    change(copy)
    with pytest.raises(ValueError, match=r"^its? "):
        Words(copy)
    with pytest.raises(ValueError, match="a way of its own"):
        Words(_with_pattern(tokenizers[0], r"\w+|\s+"))
