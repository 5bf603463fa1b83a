"""What a model family promises."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Protocol

from sintonia.resources.content import Content, Conversation


@dataclass(frozen=True)
class Segment:
    """A run of tokens that is either context only or to be learnt; ``reply`` if it is a model turn of its own."""

    token_ids: tuple[int, ...]
    trained: bool
    reply: bool = False


@dataclass(frozen=True)
class RenderedExample:
    """One sequence to train on."""

    segments: tuple[Segment, ...]

    @property
    def token_ids(self) -> list[int]:
        return [token for segment in self.segments for token in segment.token_ids]

    @property
    def trained_mask(self) -> list[bool]:
        """One flag a token: does the loss count its prediction?"""
        return [segment.trained for segment in self.segments for _ in segment.token_ids]

    @property
    def trained_count(self) -> int:
        return sum(len(segment.token_ids) for segment in self.segments if segment.trained)

    def __len__(self) -> int:
        return sum(len(segment.token_ids) for segment in self.segments)


class TextStream(Protocol):
    """Turns a reply's tokens into text as they come."""

    def push(self, token_id: int) -> str:
        """The text that became certain with this token; often empty, never half a character."""
        ...

    def finish(self) -> str:
        """What was still held back when the reply ended."""
        ...


class ModelFamily(Protocol):
    """The renderer of one kind of model. Instances are immutable and safe to share between threads."""

    @property
    def stop_token_ids(self) -> frozenset[int]:
        """Tokens that end a reply."""
        ...

    @property
    def special_token_ids(self) -> frozenset[int]:
        """Tokens that mark turns, ends and the like, rather than say something."""
        ...

    @property
    def modalities(self) -> frozenset[str]:
        """Kinds of parts it can render, by wire name: ``text``, ``fileData``, …"""
        ...

    def render_training(self, conversation: Conversation) -> list[RenderedExample]:
        """The sequences that teach the model turns of ``conversation``, but for its untrained ones; usually one,
        several when the template renders earlier turns differently once a later one follows.

        Each turn's trained tokens start exactly where ``render_prompt`` of the turns before ends, and include the
        token that ends the turn.

        Raises:
            InvalidArgument: the conversation cannot be rendered; says why.
        """
        ...

    def render_prompt(self, conversation: Conversation, *, most: int | None = None) -> list[int]:
        """Token ids of the conversation up to where the model's next turn begins.

        Raises:
            InvalidArgument: the conversation cannot be rendered; says why. Or it is far longer than ``most`` tokens;
                what is a little longer is rendered.
        """
        ...

    def tokenize(self, turn: Content, *, most: int | None = None) -> list[int]:
        """Token ids of the turn's text alone, without what a template writes around it.

        Raises:
            InvalidArgument: it has parts that the family cannot render, or is far longer than ``most`` tokens.
        """
        ...

    def token_bytes(self, token_id: int) -> bytes:
        """What one token says in UTF-8, perhaps half a character; special tokens say their names."""
        ...

    def stream_text(self) -> TextStream:
        """A fresh decoder for one reply."""
        ...

    def parse_reply(self, text: str) -> Content:
        """The model's turn that ``text`` (a whole reply, without its stop token) says."""
        ...
