"""Kernels of our own compute what torch computes, and a machine that cannot make them trains without."""

from __future__ import annotations

import math
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import torch
import training_runs as runs
import transformers

from sintonia.modeling import attention
from sintonia.modeling.native import library
from sintonia.modeling.native.attention import attend, serves


@pytest.fixture(scope="module")
def code(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("code")


@pytest.fixture
def kernels(code: Path) -> Iterator[None]:
    """In this process; gone afterwards, as other tests are about torch's way."""
    library.prepare(code)
    if reason := library.why_not():
        pytest.skip(f"this machine makes no kernels: {reason}")
    yield
    forget()


def forget() -> None:
    library._State.library = library._State.compiling = library._State.target = None
    library._State.reason = "no folder for compiled code"


def tensors(tokens: int, heads: int, key_heads: int, width: int, *, seed: int = 0) -> list[torch.Tensor]:
    """Query, key, value, and a gradient of the output; as models hand them over, that is as views."""
    chance = torch.Generator().manual_seed(seed)
    made = [torch.randn(1, tokens, count, width, generator=chance) for count in (heads, key_heads, key_heads, heads)]
    *inputs, direction = (tensor.bfloat16() for tensor in made)
    return [*(tensor.transpose(1, 2).requires_grad_() for tensor in inputs), direction]


def definition(
    query: torch.Tensor, key: torch.Tensor, value: torch.Tensor, lengths: tuple[int, ...], window: int | None
) -> torch.Tensor:
    groups = query.shape[1] // key.shape[1]
    key, value = key.repeat_interleave(groups, 1), value.repeat_interleave(groups, 1)
    sequence = torch.repeat_interleave(torch.arange(len(lengths)), torch.tensor(lengths))
    position = torch.arange(sum(lengths))
    distance = position[:, None] - position
    hidden = (distance < 0) | (sequence[:, None] != sequence)
    if window is not None:
        hidden |= distance >= window
    scores = query @ key.transpose(2, 3) / math.sqrt(query.shape[-1])
    return (scores.masked_fill(hidden, float("-inf")).softmax(-1) @ value).transpose(1, 2)


def with_gradients(output: torch.Tensor, inputs: list[torch.Tensor], direction: torch.Tensor) -> list[torch.Tensor]:
    return [output, *torch.autograd.grad(output, inputs, direction.to(output.dtype))]


def distance(found: torch.Tensor, expected: torch.Tensor) -> float:
    return float((found.detach().double() - expected.detach()).norm() / expected.detach().norm())


@pytest.mark.usefixtures("kernels")
@pytest.mark.parametrize(
    ("lengths", "window", "heads", "key_heads", "width"),
    [
        ((1, 2, 7, 8, 9, 31, 32, 33, 63, 64, 65, 130), None, 9, 3, 64),
        ((200, 40, 3), None, 4, 4, 32),
        ((70, 150, 33), 17, 6, 2, 64),
        ((300, 5), 64, 4, 2, 128),
        ((90, 41), 2, 4, 2, 96),
        ((50, 77, 64), None, 8, 1, 256),
    ],
)
def test_attention_is_that_of_its_definition(
    lengths: tuple[int, ...], window: int | None, heads: int, key_heads: int, width: int
) -> None:
    *inputs, direction = tensors(sum(lengths), heads, key_heads, width)
    assert serves(*inputs, len(lengths))
    found = with_gradients(attend(*inputs, lengths=lengths, scale=width**-0.5, window=window), inputs, direction)
    exact = [tensor.detach().double().requires_grad_() for tensor in inputs]
    expected = with_gradients(definition(*exact, lengths, window), exact, direction)
    # bfloat16 keeps eight bits: one rounding is 0.0017 of a value on the average, and a gradient has several.
    for tensor, wanted in zip(found, expected, strict=True):
        assert distance(tensor, wanted) < 0.004
        assert float((tensor.double() - wanted).abs().max()) < 0.02 * float(wanted.abs().max())


@pytest.mark.usefixtures("kernels")
def test_attention_sees_nothing_of_other_sequences_and_gives_each_thread_count_the_same() -> None:
    *inputs, direction = tensors(150, 4, 2, 64)
    lengths, scale = (50, 61, 39), 0.125
    together = with_gradients(attend(*inputs, lengths=lengths, scale=scale, window=None), inputs, direction)
    alone = [tensor[:, :, 50:111].detach().requires_grad_() for tensor in inputs]
    expected = with_gradients(attend(*alone, lengths=(61,), scale=scale, window=None), alone, direction[:, 50:111])
    for found, wanted in zip(together, expected, strict=True):
        part = found[:, 50:111] if found.shape[1] == 150 else found[:, :, 50:111]
        assert torch.equal(part, wanted)
    threads = torch.get_num_threads()
    try:
        torch.set_num_threads(1 if threads > 1 else 2)
        again = with_gradients(attend(*inputs, lengths=lengths, scale=scale, window=None), inputs, direction)
    finally:
        torch.set_num_threads(threads)
    assert all(map(torch.equal, together, again))


@pytest.mark.usefixtures("kernels")
def test_attention_of_a_packed_batch_takes_the_kernel_where_it_serves(monkeypatch: pytest.MonkeyPatch) -> None:
    taken: list[Any] = []
    monkeypatch.setattr(attention.native, "attend", lambda *_, **given: taken.append(given["window"]) or torch.empty(0))

    def ask(dtype: torch.dtype, width: int, **more: Any) -> None:
        query, key, value, _ = (tensor.to(dtype) for tensor in tensors(6, 4, 2, width))
        layout = attention.PackedLayout((2, 4))
        attention.packed_attention(torch.nn.Module(), query, key, value, None, packed_layout=layout, **more)

    ask(torch.bfloat16, 64, sliding_window=3)
    ask(torch.bfloat16, 64)
    assert taken == [3, None]
    ask(torch.float32, 64)
    ask(torch.bfloat16, 48)
    ask(torch.bfloat16, 64, softcap=20.0)
    assert taken == [3, None]


@pytest.fixture(scope="module")
def model_dir(tiny_model_dir: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The tiny model's tokenizer and files around a model whose heads are as wide as kernels want them."""
    folder = tmp_path_factory.mktemp("model")
    for file in tiny_model_dir.iterdir():
        if file.is_file():
            (folder / file.name).write_bytes(file.read_bytes())
    config = transformers.AutoConfig.from_pretrained(tiny_model_dir)
    config.update({"hidden_size": 128, "intermediate_size": 192, "num_attention_heads": 2, "head_dim": 64,
                   "num_key_value_heads": 1})  # fmt: skip
    torch.manual_seed(0)
    transformers.AutoModelForCausalLM.from_config(config).bfloat16().save_pretrained(folder)
    return folder


def test_a_run_with_kernels_tells_what_one_without_tells(tmp_path: Path, model_dir: Path, code: Path) -> None:
    with_kernels = runs.prepare(tmp_path / "with", model_dir, precision="bfloat16", code_cache=code)
    without = runs.prepare(tmp_path / "without", model_dir, precision="bfloat16")
    for directory in (with_kernels, without):
        assert runs.start_trainer(directory).wait() == 0, directory.trainer_log.read_text()
    log = with_kernels.trainer_log.read_text()
    if "native kernels are not used" in log:
        pytest.skip(log)
    assert "native kernels are used" in log
    assert "native kernels" not in without.trainer_log.read_text()
    told, expected = runs.metrics(with_kernels), runs.metrics(without)
    assert told.keys() == expected.keys()
    assert told != expected  # they did run: they round in other places
    losses = [key for key in expected if "loss" in key[0]]
    assert max(abs(told[key] - expected[key]) for key in losses) < 0.02


def test_a_machine_without_a_compiler_says_so_and_does_without(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    assert library.why_not() == "no folder for compiled code"
    monkeypatch.setattr(torch.backends.cpu, "get_cpu_capability", lambda: "AVX512")
    monkeypatch.setattr(library.platform, "machine", lambda: "x86_64")
    try:
        monkeypatch.setenv("PATH", str(tmp_path))
        library.prepare(tmp_path / "code")
        assert library.why_not() == "g++ is not installed"
        compiler = tmp_path / "g++"
        compiler.write_text("#!/bin/sh\necho 'simd.h: no such thing' >&2\nexit 1\n")
        compiler.chmod(0o755)
        library.prepare(tmp_path / "code")
        assert library.library() is None
        assert library.why_not() == "g++ failed: simd.h: no such thing"
        compiler.write_text('#!/bin/sh\nfor last; do :; done\necho "no library" > "$last"\n')
        library.prepare(tmp_path / "code")
        assert "invalid ELF header" in (library.why_not() or "") or "too short" in (library.why_not() or "")
        monkeypatch.setattr(torch.backends.cpu, "get_cpu_capability", lambda: "AVX2")
        forget()
        library.prepare(tmp_path / "code")
        assert library.why_not() == "this CPU has no AVX-512 BF16"
        *inputs, _ = tensors(6, 4, 2, 64)
        assert not serves(*inputs, 2)
    finally:
        forget()
    assert not list((tmp_path / "code").iterdir())
