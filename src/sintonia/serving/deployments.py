"""A base model with or without an adapter, ready to answer: engines started and adapters loaded when needed."""

from __future__ import annotations

from collections.abc import AsyncGenerator
from contextlib import aclosing, suppress
from dataclasses import dataclass, replace
from pathlib import Path

from sintonia.errors import InvalidArgument, NotFound, Unavailable
from sintonia.resources.own import EngineState
from sintonia.serving.client import CompletionChunk, CompletionRequest
from sintonia.serving.launcher import Engines, ServedBase

__all__ = ["Deployment", "Deployments", "ServedBase"]

_RESTARTS = 1
_LOADS = 3  # More than one: other adapters may push it out again before it is used.


@dataclass(frozen=True)
class Deployment:
    """What an endpoint answers with. ``adapter_name`` must be another one for other weights."""

    base: ServedBase
    adapter_name: str | None = None
    adapter_path: Path | None = None


class Deployments:
    """Completions of any deployment. Safe for any number of concurrent requests on one event loop."""

    def __init__(self, engines: Engines) -> None:
        self._engines = engines

    async def complete(self, target: Deployment, request: CompletionRequest) -> AsyncGenerator[CompletionChunk, None]:
        """The replies of ``target`` as they are generated; ``request.model`` is ignored. Closing the iterator stops it.

        An engine that dies before the first token is replaced and asked once more.

        Raises:
            InvalidArgument: the adapter cannot be loaded, or the engine refuses the request; says why.
            NotFound: the adapter was deleted.
            Unavailable: the engine cannot be started, or died amid the reply.
            Internal: the engine failed on this request.
        """
        request = replace(request, model=target.adapter_name or target.base.name)
        loads, restarts = _LOADS, _RESTARTS
        while True:
            begun = False
            client = await self._engines.engine(target.base)
            try:
                async with aclosing(client.complete(request)) as chunks:
                    async for chunk in chunks:
                        begun = True
                        yield chunk
                return
            except Unavailable:
                if begun or not restarts:
                    raise
                restarts -= 1
            except NotFound:
                if target.adapter_name is None or target.adapter_path is None or not loads:
                    raise
                loads -= 1
                try:
                    await client.load_adapter(target.adapter_name, target.adapter_path)
                except Unavailable:
                    pass  # The next turn finds the engine dead and replaces it.
                except InvalidArgument:
                    if target.adapter_path.exists():
                        raise
                    raise NotFound("The tuned model that is asked was deleted meanwhile.") from None

    def engine_state(self, base_name: str) -> EngineState | None:
        """None where nothing of ``base_name`` is loaded."""
        if self._engines.starting(base_name):
            return EngineState.STARTING
        return EngineState.RUNNING if self._engines.running(base_name) else None

    async def unload(self, target: Deployment) -> None:
        """Free the adapter's memory; no error if it is not loaded. Replies under way finish undisturbed."""
        client = self._engines.running(target.base.name)
        if client is None or target.adapter_name is None:
            return
        with suppress(NotFound, Unavailable):
            await client.unload_adapter(target.adapter_name)
