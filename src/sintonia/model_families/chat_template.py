"""The default family: any text model with a tokenizer.json and a chat template in the Hugging Face way.

Templates are Jinja programs from model publishers: untrusted text, run in a sandbox with the settings that the
templates are written for (source: Hugging Face "Templates for chat models"). What people write is data: text that
reads like a special token (``<|im_end|>``) becomes ordinary tokens, so nobody forges a turn.
"""

from __future__ import annotations

import contextlib
import json
import re
from dataclasses import dataclass, replace
from functools import cached_property
from pathlib import Path
from typing import Any

from tokenizers import Tokenizer
from tokenizers.decoders import DecodeStream

from sintonia.errors import FailedPrecondition, InvalidArgument
from sintonia.model_families.base import RenderedExample, Segment
from sintonia.model_families.messages import Chat, Message, chat_of
from sintonia.model_families.templates import ChatTemplates
from sintonia.model_families.token_bytes import TokenBytes
from sintonia.model_families.words import Words, encode_whole
from sintonia.resources.base import JsonObject
from sintonia.resources.content import Content, Conversation, Part
from sintonia.resources.functions import FunctionCall, FunctionDeclaration, FunctionResponse

# A noncharacter of Unicode; around a number it stands for a special token's text inside what people wrote.
_MARK = "\ufdd0"
_SLICE = 30_000
_MARKED = re.compile(f"{_MARK}([0-9]+){_MARK}")


@dataclass(frozen=True)
class _RenderedTurn:
    """A model turn: the text up to it, the text including it, and whether it is learnt."""

    prompt: str
    whole: str
    learnt: bool


class ChatTemplateFamily:
    """Renders by the model's own chat template; see ``base.ModelFamily`` for what each method promises.

    Args:
        model_dir: directory with tokenizer.json, tokenizer_config.json and, if it is not inside the latter, the
            template in chat_template.jinja.

    Raises:
        FailedPrecondition: a file is missing, or there is no template.
    """

    def __init__(self, model_dir: Path) -> None:
        tokenizer_file = model_dir / "tokenizer.json"
        if not tokenizer_file.is_file():
            raise FailedPrecondition(f"The base model in '{model_dir}' has no tokenizer.json.")
        self._tokenizer: Tokenizer = Tokenizer.from_file(str(tokenizer_file))
        self._tokenizer.no_truncation()
        self._tokenizer.no_padding()
        config = _read_json(model_dir / "tokenizer_config.json")
        self._special_tokens = {
            name: _token_text(config[name])
            for name in ("bos_token", "eos_token", "pad_token", "unk_token")
            if config.get(name) is not None
        }
        self._token_bytes = TokenBytes(self._tokenizer)
        special = {i: token for i, token in self._tokenizer.get_added_tokens_decoder().items() if token.special}
        self.special_token_ids = frozenset(special)
        self._shielded = [token.content for token in special.values() if len(token.content) > 1] + [_MARK]
        self._shield_pattern = re.compile("|".join(map(re.escape, sorted(self._shielded, key=len, reverse=True))))
        self._templates = ChatTemplates(model_dir, config)
        self.stop_token_ids = self._find_stop_tokens(model_dir)

    def render_training(self, conversation: Conversation) -> list[RenderedExample]:
        chat = self._chat(conversation)
        # What follows the last turn to learn teaches nothing.
        end = max(chat.learnt, default=-1)
        turns = [i for i, message in enumerate(chat.messages[: end + 1]) if message["role"] == "assistant"]
        prompts = [self._render(chat, upto=i, generation=True) for i in turns]
        wholes = [self._render(chat, upto=i + 1) for i in turns]
        for i, prompt, whole in zip(turns, prompts, wholes, strict=True):
            if not whole.startswith(prompt):
                raise InvalidArgument(
                    "The base model's chat template renders a prompt that its own rendering of the answer does not "
                    f"start with (turn {i + 1}); it cannot be trained as it will be asked."
                )
            _check_complete(chat.messages[i], whole[len(prompt) :])
        chained = all(
            later.startswith(self._trained_text(prompt, whole)[0])
            for prompt, whole, later in zip(prompts, wholes, prompts[1:], strict=False)
        )
        rendered = [
            _RenderedTurn(prompt, whole, i in chat.learnt)
            for i, prompt, whole in zip(turns, prompts, wholes, strict=True)
        ]
        return [self._example(rendered)] if chained else [self._example([turn]) for turn in rendered if turn.learnt]

    def render_prompt(self, conversation: Conversation, *, most: int | None = None) -> list[int]:
        text = self._render(self._chat(conversation), generation=True)
        self._refuse_endless(text, most)
        return self._encode(text)

    @cached_property
    def modalities(self) -> frozenset[str]:
        return frozenset({"text", "functionCall", "functionResponse"} if self._template_knows_tools() else {"text"})

    def _template_knows_tools(self) -> bool:
        """Does a probe's every piece, the declaration, the call and the result, show in what the template renders?"""
        probe = Conversation(
            tools=[FunctionDeclaration(name="probe_declared")],
            contents=[
                Content(role="user", parts=[Part(text="probe")]),
                Content(
                    role="model",
                    parts=[Part(function_call=FunctionCall(name="probe_called", args={"a": "probe_sent"}))],
                ),
                Content(
                    role="user",
                    parts=[Part(function_response=FunctionResponse(name="f", response={"a": "probe_result"}))],
                ),
            ],
        )
        try:
            text = self._render(chat_of(probe, self._shield), generation=True)
        except InvalidArgument:
            return False
        return all(piece in text for piece in ("probe_declared", "probe_called", "probe_sent", "probe_result"))

    def tokenize(self, turn: Content, *, most: int | None = None) -> list[int]:
        self._chat(Conversation(contents=[turn]))  # refuses what is no text
        self._refuse_endless(turn.text, most)
        return self._encode(self._shield(turn.text))

    def token_bytes(self, token_id: int) -> bytes:
        return self._token_bytes.of(token_id)

    def stream_text(self) -> _TokenText:
        return _TokenText(self._tokenizer)

    def parse_reply(self, text: str) -> Content:
        return Content(role="model", parts=[Part(text=text)])

    def _example(self, turns: list[_RenderedTurn]) -> RenderedExample:
        """Segments of turns, each continuing the one before."""
        segments: list[Segment] = []
        done = ""
        for turn in turns:
            ending, closed = self._trained_text(turn.prompt, turn.whole)
            context, reply = turn.prompt[len(done) :], ending[len(turn.prompt) :]
            closing = next((stop for stop in self._stop_texts if done.endswith(stop)), "")
            segments.append(Segment(tuple(self._encode_behind(closing, context)), trained=False))
            answer = self._encode_behind(context, reply)
            if not closed:
                answer.append(self._end_of_turn)
            segments.append(Segment(tuple(answer), trained=turn.learnt, reply=True))
            done = ending
        return RenderedExample(tuple(segment for segment in segments if segment.token_ids))

    def _trained_text(self, prompt: str, whole: str) -> tuple[str, bool]:
        """``whole`` cut behind the text that ends the turn, and whether such a text was found.

        What a template writes behind the end of a turn (a newline, mostly) is never generated, so never trained.
        """
        ends = [position + len(stop) for stop in self._stop_texts if (position := whole.rfind(stop, len(prompt))) >= 0]
        return (whole[: max(ends)], True) if ends else (whole, False)

    @cached_property
    def _stop_texts(self) -> list[str]:
        texts = (self._tokenizer.id_to_token(token) for token in self.stop_token_ids)
        return [text for text in texts if text]

    @cached_property
    def _end_of_turn(self) -> int:
        """What ends a reply whose template writes no end."""
        eos = self._tokenizer.token_to_id(self._special_tokens.get("eos_token", ""))
        return eos if eos is not None else min(self.stop_token_ids)

    def _encode(self, text: str) -> list[int]:
        """Ids of a rendered text; every second piece is the number of a text that must not become special."""
        ids: list[int] = []
        for position, piece in enumerate(_MARKED.split(text)):
            if position % 2:
                shielded = self._shielded[int(piece)]
                ids += self._encode_plain(shielded[:1]) + self._encode(self._shield(shielded[1:]))
            elif piece:
                ids += self._encode_plain(piece)
        return ids

    def _encode_behind(self, before: str, text: str) -> list[int]:
        """Ids of ``text`` as they are behind ``before``, where they do not change what is before."""
        if before and self._marks_beginnings:
            first = self._encode(before)
            both = self._encode(before + text)
            if both[: len(first)] == first:
                return both[len(first) :]
        return self._encode(text)

    @cached_property
    def _marks_beginnings(self) -> bool:
        """Does the tokenizer begin a text otherwise than it goes on, as SentencePiece does with its leading space?"""
        first, both = self._encode_plain("\n"), self._encode_plain("\na")
        return both != first + self._encode_plain("a")

    def _encode_plain(self, text: str) -> list[int]:
        return self._words.encode(text) if self._words else encode_whole(self._tokenizer, text)

    @cached_property
    def _words(self) -> Words | None:
        try:
            return Words(self._tokenizer)
        except ValueError:
            return None

    def _refuse_endless(self, text: str, most: int | None) -> None:
        """A text far beyond what a model reads is not made into tokens at once: a megabyte takes 140 MB meanwhile.

        Slices are counted until it is certain; where one is cut some tokens more may come about, never twice as many.
        """
        if most is None or len(text) <= _SLICE:
            return
        found = 0
        for start in range(0, len(text), _SLICE):
            found += len(self._encode_plain(text[start : start + _SLICE]))
            if found > 2 * most:
                raise InvalidArgument(
                    f"Unable to submit request because the input token count is more than {2 * most} but model only "
                    f"supports up to {most}. Reduce the input token count and try again."
                )

    def _shield(self, text: str) -> str:
        """``text`` with numbers in place of what the tokenizer would take for special tokens."""
        return self._shield_pattern.sub(lambda found: f"{_MARK}{self._shielded.index(found[0])}{_MARK}", text)

    def _chat(self, conversation: Conversation) -> Chat:
        system = [conversation.system_instruction] if conversation.system_instruction else []
        kinds = {part.kind() for turn in [*system, *conversation.contents] for part in turn.parts} - {"text", None}
        if conversation.tools:
            kinds.add("functionCall")
        if kinds and (unsupported := kinds - self.modalities):
            raise InvalidArgument(
                f"Parts of kind {', '.join(sorted(str(kind) for kind in unsupported))} are not supported by this "
                f"base model, which takes {'text and function calls' if len(self.modalities) > 1 else 'text only'}."
            )
        chat = chat_of(conversation, self._shield)
        merged = None if self._keeps_system else _merge_system(chat.messages)
        return chat if merged is None else replace(chat, messages=merged, learnt=frozenset(i - 1 for i in chat.learnt))

    @cached_property
    def _keeps_system(self) -> bool:
        """Do system words stay where they are once there is an answer? Some templates show them in prompts only."""
        system, *rest = ({"role": role, "content": f"probe {role}"} for role in ("system", "user", "assistant"))

        def answer_follows_prompt(*messages: Message) -> bool:
            prompt = self._run_template([*messages[:-1]], None, generation=True)
            return self._run_template([*messages], None, generation=False).startswith(prompt)

        try:
            return answer_follows_prompt(system, *rest) or not answer_follows_prompt(*rest)
        except Exception:  # it knows no system turn, which is seen to where it is rendered
            return True

    def _render(self, chat: Chat, *, upto: int | None = None, generation: bool = False) -> str:
        """The text of the first ``upto`` messages."""
        messages = chat.messages[:upto]
        try:
            return self._run_template(messages, chat.tools, generation=generation)
        except Exception as error:  # a template is a program: anything may go wrong in it
            merged = _merge_system(messages)
            if merged is not None:
                # Some templates know no system turn: its words then open the first user turn.
                with contextlib.suppress(Exception):
                    return self._run_template(merged, chat.tools, generation=generation)
            raise InvalidArgument(f"The base model's chat template refuses this conversation: {error}") from None

    def _run_template(self, messages: list[Message], tools: list[JsonObject] | None, *, generation: bool) -> str:
        return self._templates.render(
            messages,
            tools,
            add_generation_prompt=generation,
            # Models that can think before they answer are asked and taught to answer at once.
            enable_thinking=False,
            **self._special_tokens,
        )

    def _find_stop_tokens(self, model_dir: Path) -> frozenset[int]:
        ids: set[int] = set()
        for name in ("generation_config.json", "config.json"):
            declared = _read_json(model_dir / name).get("eos_token_id")
            ids.update(declared if isinstance(declared, list) else [] if declared is None else [declared])
        eos = self._special_tokens.get("eos_token")
        if eos is not None and (token := self._tokenizer.token_to_id(eos)) is not None:
            ids.add(token)
        if not ids:
            raise FailedPrecondition(f"The base model in '{model_dir}' names no end-of-text token.")
        return frozenset(ids)


class _TokenText:
    def __init__(self, tokenizer: Tokenizer) -> None:
        self._tokenizer = tokenizer
        self._stream = DecodeStream(skip_special_tokens=True)
        self._ids: list[int] = []
        self._emitted = 0

    def push(self, token_id: int) -> str:
        self._ids.append(token_id)
        piece: str | None = self._stream.step(self._tokenizer, token_id)
        self._emitted += len(piece or "")
        return piece or ""

    def finish(self) -> str:
        whole: str = self._tokenizer.decode(self._ids, skip_special_tokens=True)
        rest, self._emitted = whole[self._emitted :], len(whole)
        return rest


def _check_complete(message: Message, said: str) -> None:
    """Raises InvalidArgument if a template leaves out a part of a turn that calls functions, as some do."""
    calls = [call["function"]["name"] for call in message.get("tool_calls", ())]
    if any(said.count(name) < calls.count(name) for name in calls):
        raise InvalidArgument("The base model's chat template leaves out function calls of a turn that has several.")
    if calls and message["content"].strip() not in said:
        raise InvalidArgument("The base model's chat template leaves out the text of a turn that also calls functions.")


def _merge_system(messages: list[Message]) -> list[Message] | None:
    if len(messages) < 2 or messages[0]["role"] != "system" or messages[1]["role"] != "user":
        return None
    first = {"role": "user", "content": messages[0]["content"] + "\n\n" + messages[1]["content"]}
    return [first, *messages[2:]]


def _read_json(path: Path) -> dict[str, Any]:
    return json.loads(path.read_text(encoding="utf-8")) if path.is_file() else {}


def _token_text(token: str | dict[str, Any]) -> str:
    return token if isinstance(token, str) else str(token["content"])
