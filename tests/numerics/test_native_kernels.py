"""Kernels of our own compute what torch computes, and a machine that cannot make them trains without."""

from __future__ import annotations

import math
import os
import signal
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import torch
import training_runs as runs
import transformers

from sintonia.modeling import attention
from sintonia.modeling.lora import add_adapter, trainable_parameters
from sintonia.modeling.native import adapter, layers, library
from sintonia.modeling.native import loss as native_loss
from sintonia.modeling.native.attention import attend, serves
from sintonia.runs.events import Metrics, Stopped
from sintonia.runs.layout import RunDirectory
from sintonia.training.compiled import is_wanted


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
    assert serves(*inputs, lengths, window)
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
    ask(torch.bfloat16, 64, sliding_window=2**40)
    assert taken.pop() == 2**40  # as good as none
    ask(torch.bfloat16, 64, softcap=20.0)
    assert taken == [3, None]


@pytest.mark.usefixtures("kernels")
@pytest.mark.parametrize(
    ("tokens", "width", "wide", "rank"),
    [(1, 32, 32, 1), (37, 64, 96, 4), (200, 576, 192, 16), (129, 96, 320, 32), (150, 96, 64, 64), (16, 1536, 576, 8)],
)
def test_an_adapted_layer_is_its_definition(tokens: int, width: int, wide: int, rank: int) -> None:
    chance = torch.Generator().manual_seed(0)

    def random(*shape: int) -> torch.Tensor:
        return torch.randn(*shape, generator=chance) / math.sqrt(shape[-1])

    x = random(1, tokens, width).bfloat16().requires_grad_()
    weight, bias, direction = random(wide, width).bfloat16(), random(wide).bfloat16(), random(1, tokens, wide)
    a, b = random(rank, width).requires_grad_(), random(wide, rank).requires_grad_()
    assert adapter.serves(x, weight, a, b)
    found = with_gradients(adapter.adapted_linear(x, weight, bias, a, b, 1.7), [x, a, b], direction)
    exact = [tensor.detach().double().requires_grad_() for tensor in (x, a, b)]
    output = exact[0] @ weight.double().T + bias.double() + 1.7 * exact[0] @ exact[1].T @ exact[2].T
    expected = with_gradients(output, exact, direction)
    for tensor, wanted in zip(found, expected, strict=True):
        assert distance(tensor, wanted) < 0.005
    assert found[2].dtype is found[3].dtype is torch.float32


@pytest.mark.usefixtures("kernels")
def test_a_window_wider_than_all_is_none_and_wrong_lengths_go_torchs_way() -> None:
    query, key, value, _ = tensors(40, 4, 2, 64)
    outputs = [attend(query, key, value, lengths=(40,), scale=0.1, window=window) for window in (None, 40, 2**32 + 1)]
    assert torch.equal(outputs[0], outputs[1])
    assert torch.equal(outputs[0], outputs[2])
    assert serves(query, key, value, (20, 20), None)
    assert not serves(query, key, value, (20, 21), None)
    assert not serves(query, key, value, (20, 20), 0)
    assert not serves(query[:, :3], key, value, (20, 20), None)
    assert not serves(query, key, value[:, :1], (20, 20), None)


@pytest.mark.usefixtures("kernels")
def test_layers_that_are_linear_in_another_way_keep_it() -> None:
    """GPT-2's have their weights the other way round."""
    config = transformers.GPT2Config(vocab_size=320, n_embd=64, n_layer=1, n_head=2, bos_token_id=1, eos_token_id=2)

    def computed() -> torch.Tensor:
        torch.manual_seed(0)
        model = transformers.GPT2LMHeadModel(config).bfloat16().eval().requires_grad_(False)
        return logits_and_gradients(add_adapter(model, rank=4, alpha=8, seed=0), precision=torch.bfloat16)

    found = computed()
    forget()
    assert torch.equal(found, computed())


@pytest.mark.usefixtures("kernels")
def test_what_the_adapter_kernels_do_not_know_goes_torchs_way() -> None:
    x, weight = torch.ones(4, 64).bfloat16(), torch.ones(96, 64).bfloat16()
    a, b = torch.ones(4, 64), torch.ones(96, 4)
    assert adapter.serves(x, weight, a, b)
    assert not adapter.serves(x.float(), weight, a, b)
    assert not adapter.serves(x, weight, a.bfloat16(), b)
    assert not adapter.serves(x, torch.ones(90, 64).bfloat16(), a, b)
    assert not adapter.serves(x, weight.clone().requires_grad_(), a, b)


@pytest.mark.usefixtures("kernels")
def test_losses_of_rows_are_those_of_their_definition() -> None:
    chance = torch.Generator().manual_seed(0)
    scores = (torch.randn(70, 320, generator=chance) * 4).bfloat16()
    scores[2:5] = 1.0  # ties: the first of the likeliest counts
    targets = torch.randint(0, 320, (70,), generator=chance)
    targets[2:5] = torch.tensor([0, 1, 319])
    targets[40:] = scores[40:].argmax(-1)
    exact = scores.double().requires_grad_()
    expected = torch.nn.functional.cross_entropy(exact, targets, reduction="none")
    (slopes,) = torch.autograd.grad(expected.sum(), exact)
    loss_C, correct_C, slope_CV = native_loss.row_losses(scores, targets, with_slopes=True)
    torch.testing.assert_close(loss_C.double(), expected.detach(), atol=2e-5, rtol=1e-5)
    assert torch.equal(correct_C, scores.max(-1).indices == targets)
    assert correct_C[2:5].tolist() == [True, False, False]
    assert slope_CV is not None
    assert distance(slope_CV, slopes) < 0.003
    assert native_loss.row_losses(scores, targets, with_slopes=False)[2] is None
    for wrong in (-1, 320):
        with pytest.raises(IndexError, match="of 320 tokens"):
            native_loss.row_losses(scores, targets.clone().index_fill_(0, torch.tensor([5]), wrong), with_slopes=False)
    huge = torch.full((1, 320), 3e38).bfloat16()
    loss_C, *_ = native_loss.row_losses(huge, targets[:1], with_slopes=True)
    assert float(loss_C) == pytest.approx(math.log(320))
    signed = torch.full((1, 320), -1.0).bfloat16()
    signed[0, 3], signed[0, 7] = -0.0, 0.0
    assert not native_loss.row_losses(signed, torch.tensor([7]), with_slopes=False)[1]
    scores[1, 7] = float("nan")
    loss_C, *_ = native_loss.row_losses(scores, targets, with_slopes=True)
    assert loss_C.isnan().nonzero().flatten().tolist() == [1]


SMALL: dict[str, Any] = {
    "vocab_size": 320,
    "hidden_size": 64,
    "intermediate_size": 96,
    "num_hidden_layers": 2,
    "num_attention_heads": 2,
    "num_key_value_heads": 1,
    "head_dim": 32,
    "pad_token_id": 0,
    "bos_token_id": 1,
    "eos_token_id": 2,
}
IDS = torch.arange(40)[None] * 7 % 320


def logits_and_gradients(model: Any, *, precision: torch.dtype) -> torch.Tensor:
    """As one vector."""
    with torch.autocast("cpu", dtype=torch.bfloat16, enabled=precision is torch.bfloat16):
        output = model(input_ids=IDS).logits
    gradients = torch.autograd.grad(output.double().logsumexp(-1).sum(), list(trainable_parameters(model).values()))
    return torch.cat([output.detach().flatten(), *(gradient.flatten() for gradient in gradients)]).double()


def adapted_model(name: str, precision: torch.dtype) -> Any:
    """A small random model with an adapter that does something."""
    torch.manual_seed(0)
    model = getattr(transformers, f"{name}ForCausalLM")(getattr(transformers, f"{name}Config")(**SMALL))
    for part_name, parameter in model.named_parameters():
        if "norm" in part_name:
            torch.nn.init.uniform_(parameter.data, 0.5, 1.5)
    adapted = add_adapter(model.to(precision).eval().requires_grad_(False), rank=4, alpha=8, seed=0)
    for parameter_name, parameter in trainable_parameters(adapted).items():
        if "lora_B" in parameter_name:
            torch.nn.init.normal_(parameter.data, std=0.1)
    return adapted.double() if precision is torch.float64 else adapted


@pytest.mark.usefixtures("kernels")
@pytest.mark.parametrize(
    ("name", "known"),
    [
        ("Llama", {"_RMSNorm", "_Gated", "_Rotation"}),
        ("Qwen3", {"_RMSNorm", "_Gated", "_Rotation"}),
        ("Mistral", {"_RMSNorm", "_Gated", "_Rotation"}),
        ("Gemma2", {"_Rotation"}),
        ("Phi3", {"_RMSNorm"}),
    ],
)
def test_native_layers_compute_what_the_models_own_compute(
    name: str, known: set[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    expected = logits_and_gradients(adapted_model(name, torch.float64), precision=torch.float64)
    model = adapted_model(name, torch.bfloat16)
    plain = logits_and_gradients(model, precision=torch.bfloat16)

    taken: set[str] = set()
    for operation in (layers._RMSNorm, layers._Gated, layers._Rotation):

        def counted(*given: Any, apply: Any = operation.apply, name: str = operation.__name__) -> Any:
            taken.add(name)
            return apply(*given)

        monkeypatch.setattr(operation, "apply", counted)
    module = sys.modules[type(model.get_base_model()).__module__]
    monkeypatch.setattr(module, "apply_rotary_pos_emb", module.apply_rotary_pos_emb)  # what is put there goes again
    layers.use_native_layers(model)
    found = logits_and_gradients(model, precision=torch.bfloat16)
    assert taken == known
    assert distance(found, expected) < 1.1 * distance(plain, expected) < 0.1


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


def test_a_run_with_kernels_goes_on_bit_for_bit(tmp_path: Path, model_dir: Path, code: Path) -> None:
    def run(name: str) -> RunDirectory:
        return runs.prepare(tmp_path / name, model_dir, precision="bfloat16", code_cache=code, threads=2, epochs=12)

    whole, stopped = run("whole"), run("stopped")
    assert runs.start_trainer(whole).wait() == 0, whole.trainer_log.read_text()
    process = runs.start_trainer(stopped)
    assert runs.wait_for_event(
        process, stopped, lambda event: isinstance(event, Metrics) and event.step == 3, attempt=1
    )
    process.send_signal(signal.SIGTERM)
    assert process.wait() == 0, stopped.trainer_log.read_text()
    assert isinstance(runs.events(stopped)[-1], Stopped)
    assert runs.start_trainer(stopped).wait() == 0, stopped.trainer_log.read_text()
    assert runs.metrics(stopped) == runs.metrics(whole)
    assert runs.checkpoint_bytes(stopped) == runs.checkpoint_bytes(whole)


@pytest.mark.usefixtures("kernels")
def test_where_kernels_are_nothing_is_compiled_for_the_model(tmp_path: Path, tiny_model_dir: Path) -> None:
    spec = runs.prepare(tmp_path / "run", tiny_model_dir, compile="auto").read_spec()
    model = torch.nn.Linear(10_000, 10_000, device="meta")
    assert not is_wanted(spec, model, tokens=5_000_000)
    forget()
    assert is_wanted(spec, model, tokens=5_000_000)


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
        monkeypatch.setattr(torch.backends.cpu, "get_cpu_capability", lambda: "AVX512")
        (tmp_path / "file").touch()
        library.prepare(tmp_path / "file" / "code")
        assert "Not a directory" in (library.why_not() or "")
        *inputs, _ = tensors(6, 4, 2, 64)
        assert not serves(*inputs, (2, 4), None)
    finally:
        forget()
    assert not list((tmp_path / "code").iterdir())


def test_what_was_left_unfinished_is_removed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(torch.backends.cpu, "get_cpu_capability", lambda: "AVX512")
    monkeypatch.setattr(library.platform, "machine", lambda: "x86_64")
    compiler = tmp_path / "g++"
    compiler.write_text("#!/bin/sh\nexec sleep 60\n")
    compiler.chmod(0o755)
    monkeypatch.setenv("PATH", f"{tmp_path}:{os.environ['PATH']}")
    folder = tmp_path / "code"
    folder.mkdir()
    old, young = folder / "kernels-old.part", folder / "kernels-young.part"
    for file in (old, young):
        file.touch()
    os.utime(old, (1, 1))
    try:
        library.prepare(folder)
        assert not old.exists()
        assert len(list(folder.iterdir())) == 2  # of another process, and ours
        compiling = library._State.compiling
        assert compiling is not None
        compiling.close()  # as at the end of a process that never asked for the kernels
        assert list(folder.iterdir()) == [young]
    finally:
        forget()
