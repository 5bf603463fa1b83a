"""Packed batches give what each example alone gives, and architectures that cannot be packed are told apart."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
import training_runs as runs
import transformers

from sintonia.modeling import attention, loss, varlen
from sintonia.modeling.attention import PACKED_ATTENTION
from sintonia.modeling.load import load_base_model
from sintonia.modeling.lora import add_adapter, trainable_parameters
from sintonia.runs.events import Started
from sintonia.training.data import Example
from sintonia.training.forward import PackedForward, PlainForward, choose_forward

CPU = torch.device("cpu")


def examples(lengths: list[int], *, vocabulary: int = 300, seed: int = 0) -> list[Example]:
    """Random tokens, about half of them targets."""
    chance = np.random.default_rng(seed)
    made = []
    for length in lengths:
        trained = chance.random(length) < 0.5
        trained[-1] = True
        made.append(Example(chance.integers(0, vocabulary, length, dtype=np.int32), trained))
    return made


def adapted_model(model_dir: Path, precision: Any = "float32") -> Any:
    """With an adapter that does something: fresh ones add zero."""
    model = load_base_model(model_dir, device=CPU, precision=precision)
    adapted = add_adapter(model, rank=4, alpha=8, seed=0)
    torch.manual_seed(1)
    for name, parameter in trainable_parameters(adapted).items():
        if "lora_B" in name:
            torch.nn.init.normal_(parameter, std=0.1)
    return adapted


def losses_and_gradients(forward: Any, adapted: Any, batch: list[Example]) -> tuple[Any, dict[str, torch.Tensor]]:
    adapted.zero_grad()
    losses = forward(batch)
    losses.loss_T.mean().backward()
    return losses, {name: parameter.grad.clone() for name, parameter in trainable_parameters(adapted).items()}


@pytest.mark.parametrize("long_sequence", [1024, 20], ids=["own-kernel", "torch-kernel-above-20"])
@pytest.mark.parametrize("model", ["tiny_model_dir", "tiny_other_model_dir"])
def test_packed_equals_one_by_one(
    model: str, long_sequence: int, request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(attention, "LONG_SEQUENCE", long_sequence)
    monkeypatch.setattr(loss, "CHUNK_LOGITS", 384 * 7)  # several chunks
    adapted = adapted_model(request.getfixturevalue(model))
    base = adapted.get_base_model()
    batch = examples([5, 40, 2, 23, 64])
    expected, expected_gradients = losses_and_gradients(
        PlainForward(base, device=CPU, precision="float32"), adapted, batch
    )
    base.set_attn_implementation(PACKED_ATTENTION)
    found, gradients = losses_and_gradients(PackedForward(base, device=CPU, precision="float32"), adapted, batch)
    torch.testing.assert_close(found.loss_T, expected.loss_T, atol=2e-5, rtol=1e-5)
    assert torch.equal(found.correct_T, expected.correct_T)
    for name, gradient in expected_gradients.items():
        torch.testing.assert_close(gradients[name], gradient, atol=2e-6, rtol=2e-4)


def test_examples_do_not_see_each_other(tiny_model_dir: Path) -> None:
    base = load_base_model(tiny_model_dir, device=CPU, precision="float32")
    base.set_attn_implementation(PACKED_ATTENTION)
    forward = PackedForward(base, device=CPU, precision="float32")
    first, second, third = examples([30, 12, 25])
    other = examples([30], seed=9)[0]
    count = second.target_count
    with torch.no_grad():
        alone = forward([second]).loss_T
        between = forward([first, second, third]).loss_T[first.target_count :][:count]
        elsewhere = forward([other, second]).loss_T[other.target_count :][:count]
    torch.testing.assert_close(between, alone, atol=1e-6, rtol=1e-6)
    torch.testing.assert_close(elsewhere, alone, atol=1e-6, rtol=1e-6)


@pytest.mark.parametrize("softcap", [None, 5.0])
@pytest.mark.parametrize("window", [None, 4])
def test_attention_gradients_are_those_of_its_definition(window: int | None, softcap: float | None) -> None:
    torch.manual_seed(0)
    shapes = [(1, 4, 9, 8), (1, 2, 9, 8), (1, 2, 9, 8)]
    tensors = [torch.randn(shape, dtype=torch.float64, requires_grad=True) for shape in shapes]

    def definition(query: torch.Tensor, key: torch.Tensor, value: torch.Tensor) -> torch.Tensor:
        key, value = key.repeat_interleave(2, 1), value.repeat_interleave(2, 1)
        scores = query @ key.transpose(2, 3) * 0.3
        if softcap is not None:
            scores = softcap * torch.tanh(scores / softcap)
        distance = torch.arange(9)[:, None] - torch.arange(9)
        hidden = (distance < 0) | (distance >= (window or 9))
        return scores.masked_fill(hidden, float("-inf")).softmax(-1) @ value

    direction = torch.randn(1, 4, 9, 8, dtype=torch.float64)
    expected = definition(*tensors)
    expected_gradients = torch.autograd.grad((expected * direction).sum(), tensors)
    found = attention._Attention.apply(*tensors, 0.3, window, softcap)
    gradients = torch.autograd.grad((found * direction).sum(), tensors)
    # Softmax is in float32 on purpose.
    torch.testing.assert_close(found, expected, atol=1e-6, rtol=1e-5)
    for gradient, wanted in zip(gradients, expected_gradients, strict=True):
        torch.testing.assert_close(gradient, wanted, atol=1e-5, rtol=1e-4)


def varlen_by_definition(
    query: torch.Tensor,
    key: torch.Tensor,
    value: torch.Tensor,
    bounds: torch.Tensor,
    bounds_of_keys: torch.Tensor,
    longest: int,
    longest_of_keys: int,
    *,
    scale: float,
    window_size: tuple[int, int],
    enable_gqa: bool,
) -> torch.Tensor:
    """``torch.nn.attention.varlen.varlen_attn`` as its documentation has it, which has a kernel for GPUs only."""
    assert bounds.dtype == torch.int32
    assert torch.equal(bounds, bounds_of_keys)
    assert longest == longest_of_keys == int(bounds.diff().max())
    assert enable_gqa == (query.shape[1] != key.shape[1])
    before, behind = window_size
    assert behind == 0, "causal"
    groups = query.shape[1] // key.shape[1]
    parts = []
    for start, end in zip(bounds[:-1].tolist(), bounds[1:].tolist(), strict=True):
        q = query[start:end].transpose(0, 1)
        k, v = (tensor[start:end].transpose(0, 1).repeat_interleave(groups, 0) for tensor in (key, value))
        distance = torch.arange(end - start)[:, None] - torch.arange(end - start)
        hidden = (distance < 0) | ((distance > before) if before >= 0 else torch.tensor(False))
        parts.append(
            ((q @ k.transpose(1, 2) * scale).masked_fill(hidden, float("-inf")).softmax(-1) @ v).transpose(0, 1)
        )
    return torch.cat(parts)


@pytest.mark.parametrize("window", [None, 4])
def test_a_gpus_kernel_is_asked_for_the_same_attention(window: int | None, monkeypatch: pytest.MonkeyPatch) -> None:
    torch.manual_seed(0)
    tensors = [torch.randn((1, heads, 17, 8), requires_grad=True) for heads in (4, 2, 2)]
    direction = torch.randn(1, 17, 4, 8)

    def attend() -> tuple[torch.Tensor, ...]:
        layout = attention.PackedLayout((5, 9, 3))
        output, _ = attention.packed_attention(
            torch.nn.Module(), *tensors, None, packed_layout=layout, sliding_window=window, scaling=0.3
        )
        assert layout.windows == [window]
        return output, *torch.autograd.grad((output * direction).sum(), tensors)

    expected = attend()
    monkeypatch.setattr(varlen, "serves", lambda query: True)
    monkeypatch.setattr(varlen, "varlen_attn", varlen_by_definition)
    for found, wanted in zip(attend(), expected, strict=True):
        torch.testing.assert_close(found, wanted, atol=1e-5, rtol=1e-4)


SMALL: dict[str, Any] = {
    "vocab_size": 320,
    "hidden_size": 32,
    "intermediate_size": 48,
    "num_hidden_layers": 2,
    "num_attention_heads": 4,
    "num_key_value_heads": 2,
    "head_dim": 8,
    "max_position_embeddings": 256,
    "pad_token_id": 0,
    "bos_token_id": 1,
    "eos_token_id": 2,
}

ARCHITECTURES: dict[str, tuple[str, dict[str, Any], bool]] = {
    "qwen2": ("Qwen2", SMALL, True),
    "qwen3": ("Qwen3", SMALL, True),
    "mistral, sliding window": ("Mistral", SMALL | {"sliding_window": 8}, True),
    "gemma3, sliding window": ("Gemma3Text", SMALL | {"sliding_window": 8, "query_pre_attn_scalar": 8}, True),
    "granite, scaled logits": ("Granite", SMALL | {"logits_scaling": 3.0, "attention_multiplier": 0.2}, True),
    "cohere2, scaled logits": ("Cohere2", SMALL | {"logit_scale": 0.3, "sliding_window": 8}, True),
    "phi3": ("Phi3", SMALL, True),
    "olmo2": ("Olmo2", SMALL, True),
    "qwen3 moe": ("Qwen3Moe", SMALL | {"num_experts": 4, "num_experts_per_tok": 2, "moe_intermediate_size": 16}, True),
    "gpt-oss, attention sinks": ("GptOss", SMALL | {"num_local_experts": 2, "num_experts_per_tok": 1}, False),
    "bloom, position biases": ("Bloom", {"vocab_size": 320, "hidden_size": 32, "n_layer": 2, "n_head": 4}, False),
    "lfm2, convolutions": ("Lfm2", SMALL | {"layer_types": ["conv", "full_attention"]}, False),
    "mamba, a running state": (
        "Mamba",
        {"vocab_size": 320, "hidden_size": 32, "num_hidden_layers": 2, "state_size": 4},
        False,
    ),
}


@pytest.mark.parametrize("name", ARCHITECTURES)
def test_packing_is_chosen_where_it_is_right(name: str) -> None:
    kind, settings, packs = ARCHITECTURES[name]
    config = getattr(transformers, f"{kind}Config")(**settings)
    torch.manual_seed(0)
    model = getattr(transformers, f"{kind.removesuffix('Text')}ForCausalLM")(config).eval().requires_grad_(False)
    # Random weights are so small that a model hardly minds its context: make leaks and mistakes weigh.
    for module in model.modules():
        if isinstance(module, torch.nn.Linear):
            module.weight *= 8
    batch = examples([30, 45])
    plain = PlainForward(model, device=CPU, precision="float32")
    with torch.no_grad():
        expected = plain(batch).loss_T
        forward, why = choose_forward(model, batch, longest=45, device=CPU, precision="float32")
        assert forward.packing is packs, why
        torch.testing.assert_close(forward(batch).loss_T, expected, atol=1e-3, rtol=1e-3)


def test_a_model_that_cannot_be_packed_is_trained_all_the_same(tmp_path: Path, tiny_model_dir: Path) -> None:
    """Attention sinks are refused; the run goes on one by one and learns."""
    config = transformers.GptOssConfig(
        **SMALL | {"vocab_size": 384, "num_local_experts": 2, "num_experts_per_tok": 1, "max_position_embeddings": 512}
    )
    torch.manual_seed(0)
    model_dir = tmp_path / "sinks"
    transformers.GptOssForCausalLM(config).save_pretrained(model_dir)
    for file in ("tokenizer.json", "tokenizer_config.json", "chat_template.jinja"):
        (model_dir / file).write_bytes((tiny_model_dir / file).read_bytes())
    directory = runs.prepare(tmp_path / "run", model_dir, epochs=4)
    runs.train_here(directory)
    started = next(event for event in runs.events(directory) if isinstance(event, Started))
    assert not started.packing
    curve = runs.series(directory, "/eval_total_loss")
    assert curve[16] < curve[0] - 0.05
