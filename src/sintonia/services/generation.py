"""generateContent, countTokens and computeTokens: render, complete, decode."""

from __future__ import annotations

import asyncio
from collections import defaultdict
from collections.abc import AsyncGenerator
from contextlib import aclosing, suppress
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from secrets import token_urlsafe

from sintonia.base_models import BaseModelEntry, Catalog
from sintonia.errors import FailedPrecondition, Internal, InvalidArgument, NotFound
from sintonia.model_families import ModelFamily, shared_family
from sintonia.resources.content import Content, Conversation
from sintonia.resources.generation import (
    Candidate,
    ComputeTokensRequest,
    ComputeTokensResponse,
    CountTokensRequest,
    CountTokensResponse,
    GenerateContentRequest,
    GenerateContentResponse,
    Modality,
    ModalityTokenCount,
    TokensInfo,
    UsageMetadata,
)
from sintonia.resources.names import Parent
from sintonia.resources.own import EngineState
from sintonia.runs.layout import RunDirectory
from sintonia.services.endpoints import Endpoints
from sintonia.services.generation_replies import Reply
from sintonia.services.generation_requests import Sampling, conversation_of, sampling_of, turns_of
from sintonia.services.models import Models
from sintonia.serving.client import CompletionRequest
from sintonia.serving.deployments import Deployment, Deployments, ServedBase

# Texts may be counted that no model reads, up to twice so many tokens: they take some hundred megabytes meanwhile.
_COUNTED = 500_000


@dataclass(frozen=True)
class Target:
    """What answers: a base model, or a checkpoint's adapter on it."""

    entry: BaseModelEntry
    family: ModelFamily
    deployment: Deployment
    context_length: int


class Generation:
    """Answers requests by the models that serve them."""

    def __init__(
        self,
        *,
        catalog: Catalog,
        endpoints: Endpoints,
        models: Models,
        deployments: Deployments,
        runs_dir: Path,
        default_max_output_tokens: int,
    ) -> None:
        self._catalog = catalog
        self._endpoints = endpoints
        self._models = models
        self._deployments = deployments
        self._runs_dir = runs_dir
        self._default_max_output_tokens = default_max_output_tokens
        self._families: dict[str, ModelFamily] = {}
        self._trained_on: dict[int, str] = {}

    async def base_model(self, name: str) -> Target:
        """Raises NotFound, or FailedPrecondition if the model is not on this machine."""
        return await self._target(self._catalog.find(name))

    async def endpoint(self, parent: Parent | None, endpoint: str) -> Target:
        """Raises NotFound, or FailedPrecondition if nothing is deployed there."""
        record = await self._endpoints.find(parent, endpoint)
        if record.job_id is None or record.checkpoint_id is None:
            raise FailedPrecondition(
                f"Endpoint {record.endpoint.name} doesn't have traffic_split. "
                "No model is deployed there; deploy one with :deployModel."
            )
        return await self.checkpoint(record.base_model, record.job_id, record.checkpoint_id)

    async def tuned_model(self, parent: Parent | None, model: str) -> Target:
        """The default checkpoint of a version, deployed or not. Raises NotFound."""
        record = await self._models.find(parent, model)
        return await self.checkpoint(record.base_model, record.job_id, record.model.default_checkpoint_id or "")

    async def checkpoint(self, base_model: str, job_id: int, checkpoint_id: str) -> Target:
        """A job's exported checkpoint on its base model."""
        adapter = RunDirectory(self._runs_dir / str(job_id)).checkpoint(checkpoint_id)
        return await self._target(self._base_of(job_id, base_model), _adapter_name(job_id, checkpoint_id), adapter)

    def engine_state(self, base_model: str) -> EngineState | None:
        """Whether the base model of this id answers at once, or is being loaded; None: it is loaded when asked."""
        return self._deployments.engine_state(base_model)

    async def release(self, base_model: str, job_id: int, checkpoint_id: str) -> None:
        """Free the memory that a checkpoint has in an engine; whoever asks it again waits until it is loaded again."""
        with suppress(NotFound):  # the base model may have left the catalog
            base = ServedBase(name=self._base_of(job_id, base_model).id, model_dir=Path())
            await self._deployments.unload(Deployment(base, _adapter_name(job_id, checkpoint_id)))

    def _base_of(self, job_id: int, base_model: str) -> BaseModelEntry:
        """What a job was trained on; the alias that it named may mean another model by now. Raises NotFound."""
        if job_id not in self._trained_on:
            with suppress(FileNotFoundError):
                self._trained_on[job_id] = RunDirectory(self._runs_dir / str(job_id)).read_spec().base_model
        return self._catalog.find(self._trained_on.get(job_id, base_model))

    async def generate(self, target: Target, request: GenerateContentRequest) -> GenerateContentResponse:
        """The whole reply. Raises InvalidArgument, FailedPrecondition, Unavailable."""
        texts: defaultdict[int | None, str] = defaultdict(str)
        ended: list[Candidate] = []
        last: GenerateContentResponse | None = None
        async with aclosing(self.stream(target, request)) as chunks:
            async for last in chunks:
                for candidate in last.candidates:
                    texts[candidate.index] += candidate.content.text
                    if candidate.finish_reason is not None:
                        ended.append(candidate)
        assert last is not None, "a stream has at least its final chunk"
        candidates = [
            candidate.model_copy(update={"content": target.family.parse_reply(texts[candidate.index])})
            for candidate in sorted(ended, key=lambda candidate: candidate.index or 0)
        ]
        return last.model_copy(update={"candidates": candidates})

    async def stream(
        self, target: Target, request: GenerateContentRequest
    ) -> AsyncGenerator[GenerateContentResponse, None]:
        """The replies in pieces of one candidate each, with a text part.

        A candidate's last piece has its finish reason and log probabilities, the last piece of all has the usage.
        Closing the generator stops the engine's work on it.

        Raises:
            InvalidArgument, FailedPrecondition, Unavailable: before the first piece, or Unavailable in mid-stream.
        """
        sampling = sampling_of(
            request, context_length=target.context_length, default_max_tokens=self._default_max_output_tokens
        )
        prompt = await _prompt(target, conversation_of(request), target.context_length - 1)
        room = target.context_length - len(prompt)
        if room < 1:
            raise InvalidArgument(
                f"Unable to submit request because the input token count is {len(prompt)} but model only supports up "
                f"to {target.context_length - 1}. Reduce the input token count and try again."
            )
        head = GenerateContentResponse(
            model_version=target.entry.id, response_id=token_urlsafe(16), create_time=datetime.now(UTC)
        )
        replies = [Reply(index, target.family, sampling) for index in range(sampling.candidate_count)]
        open_replies = len(replies)
        last: Candidate | None = None
        completion = self._deployments.complete(target.deployment, _completion(target, prompt, sampling, room))
        async with aclosing(completion) as engine_chunks:
            async for chunk in engine_chunks:
                reply = replies[chunk.index]
                if reply.finish_reason is not None:
                    continue  # The engine knows no stop sequences and goes on until no candidate needs it.
                candidate = reply.push(chunk)
                open_replies -= reply.finish_reason is not None
                if not open_replies:
                    last = candidate
                    if any(reply.stopped_early for reply in replies):
                        break
                elif candidate is not None:
                    yield head.model_copy(update={"candidates": [candidate]})
        if last is None:
            raise Internal("The inference engine ended a reply without saying so.")
        usage = _usage(len(prompt), sum(reply.tokens for reply in replies))
        yield head.model_copy(update={"candidates": [last], "usage_metadata": usage})

    async def count_tokens(self, target: Target, request: CountTokensRequest) -> CountTokensResponse:
        """Tokens of the prompt as it would be given to the model."""
        inner = request.generate_content_request
        if not request.contents and inner is not None:
            request = CountTokensRequest(contents=inner.contents, system_instruction=inner.system_instruction)
        conversation = conversation_of(request)
        tokens = len(await _prompt(target, conversation, _most_counted(target)))
        turns = [*conversation.contents, conversation.system_instruction or Content()]
        return CountTokensResponse(
            total_tokens=tokens,
            total_billable_characters=sum(len("".join(turn.text.split())) for turn in turns),
            prompt_tokens_details=[ModalityTokenCount(modality=Modality.TEXT, token_count=tokens)],
        )

    async def compute_tokens(self, target: Target, request: ComputeTokensRequest) -> ComputeTokensResponse:
        """The tokens of each turn's text, without what the model's template writes around it."""
        family = target.family

        def told(turn: Content) -> TokensInfo:
            tokens = family.tokenize(turn, most=_most_counted(target))
            return TokensInfo(tokens=[family.token_bytes(token) for token in tokens], token_ids=tokens, role=turn.role)

        turns = turns_of(request)
        return ComputeTokensResponse(tokens_info=await asyncio.to_thread(lambda: [told(turn) for turn in turns]))

    async def try_once(self, target: Target, conversation: Conversation) -> None:
        """Make the target say a few words to a prompt.

        Raises:
            ApiError: it cannot answer.
        """
        prompt = await _prompt(target, conversation, target.context_length - 1)
        room = target.context_length - len(prompt)
        sampling = Sampling(temperature=0.0, top_p=1.0, top_k=0, max_output_tokens=8)
        async with aclosing(
            self._deployments.complete(target.deployment, _completion(target, prompt, sampling, room))
        ) as chunks:
            async for _ in chunks:
                pass

    async def _target(self, entry: BaseModelEntry, adapter: str | None = None, path: Path | None = None) -> Target:
        model_dir = self._catalog.directory(entry)
        context_length = self._catalog.facts(entry).context_length
        family = self._families.get(entry.id)
        if family is None:
            family = await asyncio.to_thread(shared_family, entry.family, model_dir)
            self._families[entry.id] = family
        base = ServedBase(name=entry.id, model_dir=model_dir, max_context=context_length)
        return Target(entry, family, Deployment(base, adapter, path), context_length)


async def _prompt(target: Target, conversation: Conversation, most: int) -> list[int]:
    """In a thread: a long prompt takes seconds, in which others want to be answered."""
    return await asyncio.to_thread(target.family.render_prompt, conversation, most=most)


def _most_counted(target: Target) -> int:
    """Tokens of a text that is only counted."""
    return max(target.context_length, _COUNTED)


def _adapter_name(job_id: int, checkpoint_id: str) -> str:
    return f"{job_id}-{checkpoint_id}"


def _completion(target: Target, prompt: list[int], sampling: Sampling, room: int) -> CompletionRequest:
    return CompletionRequest(
        prompt=prompt,
        max_tokens=min(sampling.max_output_tokens, room),
        temperature=sampling.temperature,
        top_p=sampling.top_p,
        top_k=sampling.top_k,
        presence_penalty=sampling.presence_penalty,
        frequency_penalty=sampling.frequency_penalty,
        n=sampling.candidate_count,
        top_logprobs=sampling.logprobs or 0,
        seed=sampling.seed,
        stop_token_ids=target.family.stop_token_ids,
    )


def _usage(prompt: int, produced: int) -> UsageMetadata:
    def details(count: int) -> list[ModalityTokenCount]:
        return [ModalityTokenCount(modality=Modality.TEXT, token_count=count)]

    return UsageMetadata(
        prompt_token_count=prompt,
        candidates_token_count=produced,
        total_token_count=prompt + produced,
        prompt_tokens_details=details(prompt),
        candidates_tokens_details=details(produced),
    )
