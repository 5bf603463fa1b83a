"""Serving: tokens/s of our engine and of transformers' ``generate``, greedy, for one stream and for eight.

Ours is the engine process that the server starts, asked over its socket by the client that the server uses; what HTTP
and JSON cost is in its figures. The peer runs in one process of its own with nothing around it. Prompts have equal
lengths, so that ``generate`` has nothing to pad. The adapter (rank 16 on all linear layers) is random: its speed is
that of any other. The replies must begin alike; further on, rounding in bfloat16 may part them.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import os
import statistics
import sys
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path

from benchmarks.chats import chats, model_dir
from benchmarks.processes import PEERS, run
from benchmarks.report import Figure, compared, main, show, spread
from sintonia.model_families import open_family
from sintonia.resources.content import Conversation
from sintonia.serving.client import CompletionRequest, EngineClient
from sintonia.serving.launcher import Engines, ServedBase

PROMPT_TOKENS = 52
STREAMS = 8
SAME_TOKENS = 4
SAME_SHARE = 0.75
"""So many of the streams must begin with so many equal tokens."""
ADAPTER = "random"
RANK, ALPHA = 16, 32

Case = tuple[str, int]
"""``base`` or ``LoRA``, and how many streams."""

CASES: tuple[Case, ...] = (("base", 1), ("base", STREAMS), ("LoRA", 1), ("LoRA", STREAMS))


def parse(arguments: Sequence[str] | None = None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.serving", description=__doc__)
    parser.add_argument("--tokens", type=int, help="new tokens of each reply (default: 128; quick: 32)")
    parser.add_argument("--repeats", type=int, help="runs of each (default: 3; quick: 1)")
    parser.add_argument("--quick", action="store_true", help="shorter replies, one run of each")
    parser.add_argument("--model-dir", type=Path, help="another base model (default: the embedded one)")
    options = parser.parse_args(arguments)
    options.tokens = options.tokens or (32 if options.quick else 128)
    options.repeats = options.repeats or (1 if options.quick else 3)
    return options


def measure(options: argparse.Namespace) -> list[Figure]:
    base = options.model_dir or model_dir()
    prompts = _prompts(base)
    ours: dict[Case, list[float]] = {case: [] for case in CASES}
    theirs: dict[Case, list[float]] = {case: [] for case in CASES}
    with tempfile.TemporaryDirectory(prefix="sintonia-bench-") as name:
        folder = Path(name)
        adapter = folder / "adapter"
        peer: list[str | Path] = [sys.executable, PEERS / "hf_generate.py"]
        run([*peer, json.dumps({"make_adapter": str(adapter), "model_dir": str(base), "rank": RANK, "alpha": ALPHA})])
        for _ in range(options.repeats):
            replies = asyncio.run(_run_ours(folder, base, adapter, prompts, options.tokens, ours))
            result = folder / "peer.json"
            settings = {
                "model_dir": str(base),
                "adapter": str(adapter),
                "prompts": prompts,
                "tokens": options.tokens,
                "cases": CASES,
                "result": str(result),
            }
            run([*peer, json.dumps(settings)])
            for case, told in zip(CASES, json.loads(result.read_text()), strict=True):
                theirs[case].append(told["tokens_per_second"])
                _check_parity(case, replies[case], told["replies"])
    figures = []
    for case in CASES:
        kind, streams = case
        what = f"serving, {kind}, {streams} stream{'s' if streams > 1 else ''}"
        show(f"{what}: ours {spread(ours[case])}, transformers {spread(theirs[case])} tokens/s")
        medians = statistics.median(ours[case]), statistics.median(theirs[case])
        figures.append(compared(what, *medians, "tokens/s", "transformers generate"))
    return figures


def _prompts(base: Path) -> list[list[int]]:
    """As many as there are streams, all of one length."""
    family = open_family("chat_template", base)
    prompts = []
    for row in chats(20_000, seed=7):
        conversation = Conversation.from_wire({"contents": row["contents"][:1]})
        ids = family.render_prompt(conversation)
        if len(ids) == PROMPT_TOKENS:
            prompts.append(ids)
        if len(prompts) == STREAMS:
            return prompts
    raise AssertionError("too few chats have a prompt of the wanted length")


async def _run_ours(
    folder: Path, base: Path, adapter: Path, prompts: list[list[int]], tokens: int, speeds: dict[Case, list[float]]
) -> dict[Case, list[list[int]]]:
    """The replies of each case; speeds are added to ``speeds``."""
    logs = folder / "logs"
    logs.mkdir(exist_ok=True)
    engines = Engines(log_dir=logs, threads=len(os.sched_getaffinity(0)))
    replies: dict[Case, list[list[int]]] = {}
    try:
        client = await engines.engine(ServedBase(base.name, base))
        await client.load_adapter(ADAPTER, adapter)
        for case in CASES:
            kind, streams = case
            model = ADAPTER if kind == "LoRA" else base.name
            await asyncio.gather(*(_reply(client, model, prompt, 8) for prompt in prompts[:streams]))  # warm-up
            begin = time.perf_counter()
            replies[case] = await asyncio.gather(
                *(_reply(client, model, prompt, tokens) for prompt in prompts[:streams])
            )
            speeds[case].append(streams * tokens / (time.perf_counter() - begin))
    finally:
        await engines.close()
    return replies


async def _reply(client: EngineClient, model: str, prompt: list[int], tokens: int) -> list[int]:
    request = CompletionRequest(prompt=prompt, model=model, max_tokens=tokens, temperature=0.0)
    found = [token async for chunk in client.complete(request) for token in chunk.token_ids]
    if len(found) != tokens:
        raise SystemExit(f"the engine gave {len(found)} tokens instead of {tokens}")
    return found


def _check_parity(case: Case, ours: list[list[int]], theirs: list[list[int]]) -> None:
    pairs = list(zip(ours, theirs, strict=True))
    same = [next((i for i, (a, b) in enumerate(zip(*pair, strict=True)) if a != b), len(pair[0])) for pair in pairs]
    show(f"{case[0]}, {case[1]} streams: first tokens that are the same: {same}")
    if sum(count >= SAME_TOKENS for count in same) < SAME_SHARE * len(same):
        raise SystemExit(f"{case}: our replies and transformers' are not those of the same model: {pairs}")


if __name__ == "__main__":
    main(parse, measure)
