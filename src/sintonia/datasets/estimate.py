"""What tuning on a dataset will take, before anybody waits for it: steps, tokens, time, memory."""

from __future__ import annotations

from pathlib import Path

from sintonia.base_models.catalog import ModelFacts
from sintonia.datasets.recommend import (
    recommended_batch_size,
    recommended_epochs,
    recommended_learning_rate,
    total_steps,
)
from sintonia.resources.datasets import DatasetReport, Estimates
from sintonia.runs.spec import MICRO_BATCH_TOKENS

CPU_CORE_FLOPS = 1.8e11
"""Per second and core, sustained in LoRA training: 0.8 to 3.1 were seen with 135 million parameters on two cores."""

GPU_FLOPS = 3e13
"""Per second, sustained: a cautious guess for one GPU of these years."""

RUNTIME_BYTES = 700 * 2**20
"""What a trainer takes besides its model and what passes through that: its code, logits of the output head."""

_FLOPS_PER_PARAMETER_AND_TOKEN = 4.0  # forward, and backward through a frozen base (two each)
_EVALUATION_COST = 0.5  # of a token, against training on it
_MOST_EVALUATIONS = 10
_GPU_DRIVERS = ("/dev/nvidiactl", "/dev/kfd")


def estimate(
    training: DatasetReport,
    validation: DatasetReport | None,
    *,
    facts: ModelFacts,
    tokens_per_second: float | None,
    cores: int,
    gpu: bool,
) -> Estimates | None:
    """For tuning without given hyperparameters; None if nothing can be learnt from the dataset.

    Args:
        tokens_per_second: speed of the last job on this base model; None if there was none.
        cores: CPU cores a trainer may use; matters where there is no GPU.
    """
    if training.problem or not training.examples:
        return None
    epochs = recommended_epochs(training.examples)
    batch_size = recommended_batch_size(training.examples)
    basis = "measured in the last job on this base model"
    if tokens_per_second is None:
        flops = GPU_FLOPS if gpu else CPU_CORE_FLOPS * cores
        tokens_per_second = flops / (_FLOPS_PER_PARAMETER_AND_TOKEN * max(facts.parameters, 1))
        machine = "a GPU" if gpu else f"{cores} CPU cores"
        basis = f"assumed for {facts.parameters / 1e6:,.0f} million parameters on {machine}"
    evaluated = validation.tokens * (min(epochs, _MOST_EVALUATIONS) + 1) * _EVALUATION_COST if validation else 0
    return Estimates(
        epochs=epochs,
        batch_size=batch_size,
        learning_rate=recommended_learning_rate(facts.hidden_size),
        total_steps=total_steps(training.examples, batch_size=batch_size, epochs=epochs),
        tokens=training.tokens * epochs,
        trained_tokens=training.trained_tokens * epochs,
        tokens_per_second=tokens_per_second,
        rate_basis=basis,
        seconds=(training.tokens * epochs + evaluated) / tokens_per_second,
        memory_bytes=_memory(training, validation, facts=facts, batch_size=batch_size, gpu=gpu),
    )


def activation_bytes(facts: ModelFacts, *, tokens: int, longest: int) -> float:
    """About what a model keeps of ``tokens`` tokens for its backward pass, in bfloat16, nothing computed twice.

    Of each token and layer about eight vectors of the model's width and four of its feed-forward part, and of each
    head its attention to at most ``longest`` tokens.
    """
    a_token = 8 * facts.hidden_size + 4 * facts.inner_size + facts.heads * longest
    return 2.0 * facts.layers * tokens * a_token


def _memory(
    training: DatasetReport, validation: DatasetReport | None, *, facts: ModelFacts, batch_size: int, gpu: bool
) -> int:
    """Bytes that a trainer takes at most, roughly: of the machine's memory, or of the GPU's."""
    reports = [training, validation] if validation else [training]
    longest = max(report.longest_example_tokens for report in reports)
    batch = batch_size * training.tokens // training.examples
    tokens = max(longest, min(MICRO_BATCH_TOKENS["cuda" if gpu else "cpu"], batch))
    return int(2 * facts.parameters + activation_bytes(facts, tokens=tokens, longest=longest) + RUNTIME_BYTES)


def has_gpu(device: str) -> bool:
    """Will a trainer with this ``device`` setting find a GPU? Looks for drivers; the trainer itself asks torch."""
    return device == "cuda" or (device == "auto" and any(Path(path).exists() for path in _GPU_DRIVERS))
