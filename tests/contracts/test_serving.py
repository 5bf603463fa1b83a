"""The control plane's view of serving, against real engine processes with tiny models."""

from __future__ import annotations

import asyncio
import os
import signal
import subprocess
import sys
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import aclosing
from pathlib import Path

import httpx
import psutil
import pytest
import pytest_asyncio

from lively_models import lively_copy, random_adapter
from sintonia.errors import InvalidArgument, NotFound, Unavailable
from sintonia.resources.own import EngineState
from sintonia.serving import CompletionRequest, Deployment, Deployments, EngineClient, Engines, ServedBase

pytestmark = pytest.mark.asyncio(loop_scope="module")

PROMPTS = [[3 + index, 40 + 5 * index % 200, 7, *range(20, 20 + index % 9)] for index in range(14)]


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("serving")


@pytest.fixture(scope="module")
def base(tiny_model_dir: Path, folder: Path) -> ServedBase:
    return ServedBase("tiny", lively_copy(tiny_model_dir, folder / "tiny"), max_context=400)


@pytest.fixture(scope="module")
def targets(base: ServedBase, folder: Path) -> list[Deployment]:
    """The base and two adapters on it."""
    return [
        Deployment(base),
        Deployment(base, "7-1", random_adapter(base.model_dir, folder / "first", seed=1)),
        Deployment(base, "7-2", random_adapter(base.model_dir, folder / "second", seed=2, rank=8)),
    ]


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def engines(folder: Path) -> AsyncIterator[Engines]:
    """Shared, because a start takes seconds; tests that kill an engine leave a working one behind."""
    engines = Engines(log_dir=folder / "logs", threads=1, precision="float32")
    yield engines
    await engines.close()


@pytest.fixture
def deployments(engines: Engines) -> Deployments:
    return Deployments(engines)


def greedy(prompt: list[int], max_tokens: int = 16) -> CompletionRequest:
    return CompletionRequest(prompt=prompt, max_tokens=max_tokens, temperature=0.0)


async def reply(deployments: Deployments, target: Deployment, request: CompletionRequest) -> tuple[int, ...]:
    return tuple([token async for chunk in deployments.complete(target, request) for token in chunk.token_ids])


async def until(condition: Callable[[], Awaitable[bool]]) -> None:
    """Ask the engine again and again; the test's own time limit is the only clock."""
    while not await condition():
        pass


async def test_forty_requests_over_base_and_adapters_are_not_mixed_up(
    deployments: Deployments, engines: Engines, targets: list[Deployment]
) -> None:
    """All at once on a cold engine: one start, adapters loaded while others decode, tokens as one at a time."""
    asked = [(targets[index % 3], PROMPTS[index // 3], 8 + index % 11) for index in range(40)]
    together = await asyncio.gather(*(reply(deployments, t, greedy(prompt, tokens)) for t, prompt, tokens in asked))
    alone = [await reply(deployments, t, greedy(prompt, tokens)) for t, prompt, tokens in asked]
    assert together == alone
    assert [len(tokens) for tokens in together] == [tokens for _, _, tokens in asked]
    assert len({tokens[:8] for tokens in together}) == 40
    client = await engines.engine(targets[0].base)
    assert await client.models() == ["tiny", "7-1", "7-2"]


async def test_chunks_say_how_the_reply_ended(deployments: Deployments, targets: list[Deployment]) -> None:
    chunks = [chunk async for chunk in deployments.complete(targets[1], greedy(PROMPTS[0], 6))]
    assert [chunk.finish_reason for chunk in chunks] == [None] * 5 + ["length"]
    assert all(len(chunk.token_ids) == len(chunk.logprobs) == 1 and chunk.logprobs[0] <= 0 for chunk in chunks)
    stop = chunks[3].token_ids[0]
    request = CompletionRequest(prompt=PROMPTS[0], max_tokens=6, temperature=0.0, stop_token_ids=[stop])
    stopped = [chunk async for chunk in deployments.complete(targets[1], request)]
    assert stopped[-1].finish_reason == "stop"
    assert stopped[-1].token_ids == (stop,)


async def test_seeded_sampling_repeats(deployments: Deployments, targets: list[Deployment]) -> None:
    def sampled(seed: int) -> CompletionRequest:
        return CompletionRequest(prompt=PROMPTS[0], max_tokens=16, top_p=0.95, top_k=40, seed=seed)

    replies = await asyncio.gather(*(reply(deployments, targets[2], sampled(seed)) for seed in (1, 1, -5, 2**40)))
    assert replies[0] == replies[1]
    assert len(set(replies)) == 3


async def test_several_replies_to_one_prompt(deployments: Deployments, targets: list[Deployment]) -> None:
    """Each as its own seed gives it alone; token by token in turn, with the likeliest tokens where asked."""

    def sampled(seed: int, n: int = 1) -> CompletionRequest:
        return CompletionRequest(prompt=PROMPTS[0], max_tokens=8, seed=seed, n=n, presence_penalty=1.5, top_logprobs=3)

    replies: list[list[int]] = [[], [], []]
    async for chunk in deployments.complete(targets[1], sampled(5, n=3)):
        replies[chunk.index].extend(chunk.token_ids)
        (place,) = chunk.top_logprobs
        assert len(place) == 3
        assert list(place.values()) == sorted(place.values(), reverse=True)
        assert place.get(chunk.token_ids[0], chunk.logprobs[0]) == chunk.logprobs[0]
    assert [tuple(tokens) for tokens in replies] == [
        await reply(deployments, targets[1], sampled(seed)) for seed in (5, 6, 7)
    ]
    assert len({tuple(tokens) for tokens in replies}) == 3


async def test_a_client_that_leaves_stops_its_generation(
    deployments: Deployments, engines: Engines, targets: list[Deployment]
) -> None:
    client = await engines.engine(targets[0].base)
    async with aclosing(deployments.complete(targets[0], greedy(PROMPTS[0], 390))) as chunks:
        await anext(chunks)
        assert await client.health() == {"status": "ok", "running": 1, "waiting": 0}

    async def quiet() -> bool:
        health = await client.health()
        return health is not None and health["running"] == health["waiting"] == 0

    await until(quiet)
    assert client.idle.is_set()


async def test_a_killed_engine_is_replaced(
    deployments: Deployments, engines: Engines, targets: list[Deployment]
) -> None:
    """kill -9 between requests is not noticed by users; amid a reply it is Unavailable at once, then all is well."""
    base = targets[0].base
    before = await reply(deployments, targets[1], greedy(PROMPTS[0]))
    process_of(await engines.engine(base)).kill()
    assert await reply(deployments, targets[1], greedy(PROMPTS[0])) == before

    client = await engines.engine(base)
    expected = await asyncio.gather(*(reply(deployments, targets[2], greedy(prompt)) for prompt in PROMPTS))
    async with aclosing(deployments.complete(targets[0], greedy(PROMPTS[0], 390))) as chunks:
        await anext(chunks)
        process_of(client).kill()
        with pytest.raises(Unavailable):
            [chunk async for chunk in chunks]
    again = await asyncio.gather(*(reply(deployments, targets[2], greedy(prompt)) for prompt in PROMPTS))
    assert again == expected
    assert await engines.engine(base) is not client


async def test_refusals_are_told(deployments: Deployments, engines: Engines, targets: list[Deployment]) -> None:
    base = targets[0].base
    with pytest.raises(InvalidArgument, match="400 tokens"):
        await reply(deployments, targets[0], greedy([5] * 400))
    assert len(await reply(deployments, targets[0], greedy([5] * 395, 100))) == 5
    with pytest.raises(InvalidArgument, match="empty"):
        await reply(deployments, targets[0], greedy([]))
    with pytest.raises(InvalidArgument, match="vocabulary"):
        await reply(deployments, targets[0], greedy([10**6]))
    with pytest.raises(InvalidArgument, match="top_p"):
        await reply(deployments, targets[0], CompletionRequest(prompt=[5], top_p=1.5))
    with pytest.raises(NotFound, match="stranger"):
        await reply(deployments, Deployment(base, "stranger"), greedy([5]))
    client = await engines.engine(base)
    with pytest.raises(NotFound, match="stranger"):
        await client.unload_adapter("stranger")


async def test_broken_adapters_are_told_and_harm_nobody(
    deployments: Deployments, targets: list[Deployment], tmp_path: Path
) -> None:
    base = targets[0].base
    expected = await reply(deployments, targets[0], greedy(PROMPTS[0]))
    with pytest.raises(NotFound, match="deleted meanwhile"):
        await reply(deployments, Deployment(base, "gone", tmp_path / "gone"), greedy([5]))
    (tmp_path / "empty").mkdir()
    with pytest.raises(InvalidArgument, match=r"adapter_config\.json is missing"):
        await reply(deployments, Deployment(base, "empty", tmp_path / "empty"), greedy([5]))
    corrupt = random_adapter(base.model_dir, tmp_path / "corrupt", seed=1)
    weights = corrupt / "adapter_model.safetensors"
    weights.write_bytes(weights.read_bytes()[:1000])
    with pytest.raises(InvalidArgument, match="cannot be read"):
        await reply(deployments, Deployment(base, "corrupt", corrupt), greedy([5]))
    assert await reply(deployments, targets[0], greedy(PROMPTS[0])) == expected


async def test_unloaded_adapters_come_back_by_themselves(
    deployments: Deployments, engines: Engines, targets: list[Deployment]
) -> None:
    client = await engines.engine(targets[1].base)
    expected = await reply(deployments, targets[1], greedy(PROMPTS[0]))
    assert "7-1" in await client.models()
    await deployments.unload(targets[1])
    await deployments.unload(targets[1])
    assert "7-1" not in await client.models()
    assert await reply(deployments, targets[1], greedy(PROMPTS[0])) == expected


async def test_a_failed_start_says_why(deployments: Deployments, tmp_path: Path) -> None:
    target = Deployment(ServedBase("nothing", tmp_path))
    with pytest.raises(Unavailable, match=r"did not start.*config\.json|did not start(.|\n)*Error"):
        await reply(deployments, target, greedy([5]))


async def test_the_dialects_errors(base: ServedBase, engines: Engines) -> None:
    client = await engines.engine(base)
    transport = httpx.AsyncHTTPTransport(uds=str(client.socket_path))
    async with httpx.AsyncClient(transport=transport, base_url="http://engine") as http:
        for path, content, status in [
            ("/v1/completions", b"{", 400),
            ("/v1/completions", b"[]", 400),
            ("/v1/completions", b'{"model": "tiny", "prompt": [5]}', 400),
            ("/v1/completions", b'{"model": "tiny", "prompt": "text", "stream": true}', 400),
            ("/v1/completions", b'{"model": "other", "prompt": [5], "stream": true}', 404),
            ("/v1/load_lora_adapter", b'{"lora_name": "tiny", "lora_path": "/"}', 400),
            ("/v1/nothing", b"{}", 404),
        ]:
            response = await http.post(path, content=content)
            assert response.status_code == status, content
            error = response.json()["error"]
            assert error["code"] == status
            assert error["message"]
            assert error["type"]


async def test_the_least_recently_used_idle_engine_makes_room(
    tiny_other_model_dir: Path, base: ServedBase, tmp_path: Path
) -> None:
    """With room for one engine, another base model waits for the reply under way and then takes the place."""
    engines = Engines(log_dir=tmp_path, threads=1, max_engines=1)
    deployments = Deployments(engines)
    other = Deployment(ServedBase("other/model", tiny_other_model_dir))
    try:
        async with aclosing(deployments.complete(Deployment(base), greedy(PROMPTS[0], 300))) as chunks:
            await anext(chunks)
            waiting = asyncio.create_task(reply(deployments, other, greedy([5, 6])))

            async def asked() -> bool:
                await asyncio.sleep(0)
                return deployments.engine_state(other.base.name) is not None

            await until(asked)
            assert deployments.engine_state(other.base.name) == EngineState.STARTING
            produced = [await anext(chunks)]
            assert deployments.engine_state(base.name) == EngineState.RUNNING
            produced += [chunk async for chunk in chunks]
        assert len(produced) == 299
        assert len(await waiting) == 16
        assert deployments.engine_state(base.name) is None
        assert deployments.engine_state(other.base.name) == EngineState.RUNNING
        process = process_of(await engines.engine(other.base))
    finally:
        await engines.close()
    assert not process.is_running()


async def test_close_ends_engines_that_are_busy_or_starting(base: ServedBase, tmp_path: Path) -> None:
    engines = Engines(log_dir=tmp_path, threads=1)
    before = psutil.Process().children()
    busy = Deployments(engines).complete(Deployment(base), greedy(PROMPTS[0], 390))
    await anext(busy)
    starting = asyncio.create_task(engines.engine(ServedBase("second", base.model_dir)))

    async def two_more() -> bool:
        await asyncio.sleep(0)
        return len(psutil.Process().children()) == len(before) + 2

    await until(two_more)
    await engines.close()
    assert set(psutil.Process().children()) <= set(before)
    with pytest.raises(Unavailable, match="stopping"):
        await starting
    with pytest.raises(Unavailable):
        [chunk async for chunk in busy]
    with pytest.raises(Unavailable, match="stopping"):
        await engines.engine(base)


async def test_an_engine_ends_with_its_parent(base: ServedBase, tmp_path: Path) -> None:
    """The parent is killed outright; the engine's standard input ends and so does it."""
    program = (
        "import asyncio, sys\n"
        "from pathlib import Path\n"
        "from sintonia.serving import Engines, ServedBase\n"
        "async def main():\n"
        "    engines = Engines(log_dir=Path(sys.argv[1]), threads=1)\n"
        "    await engines.engine(ServedBase('tiny', Path(sys.argv[2])))\n"
        "    print('ready', flush=True)\n"
        "    await asyncio.Event().wait()\n"
        "asyncio.run(main())\n"
    )
    command = [sys.executable, "-c", program, str(tmp_path), str(base.model_dir)]
    parent = await asyncio.create_subprocess_exec(*command, stdout=subprocess.PIPE)
    assert parent.stdout is not None
    assert await parent.stdout.readline() == b"ready\n"
    (engine,) = psutil.Process(parent.pid).children()
    parent.kill()
    await parent.wait()

    async def ended() -> bool:
        await asyncio.sleep(0)
        try:
            return engine.status() == psutil.STATUS_ZOMBIE  # Where nobody collects orphans.
        except psutil.NoSuchProcess:
            return True

    await until(ended)


async def test_an_engine_ends_on_sigterm_and_hides_its_socket(base: ServedBase, engines: Engines) -> None:
    client = await engines.engine(base)
    assert os.stat(client.socket_path.parent).st_mode & 0o777 == 0o700
    process = process_of(client)
    process.send_signal(signal.SIGTERM)

    async def ended() -> bool:
        await asyncio.sleep(0)
        return engines.running(base.name) is None

    await until(ended)
    assert not process.is_running()
    assert await client.health() is None


def process_of(client: EngineClient) -> psutil.Process:
    (process,) = [child for child in psutil.Process().children() if str(client.socket_path) in child.cmdline()]
    return process
