"""The trainer's own checkpoints: all that a later attempt needs to go on exactly where this one was."""

from __future__ import annotations

import json
import shutil
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from hashlib import sha256
from pathlib import Path

import torch
from safetensors.torch import load_file, save_file
from torch import Tensor

from sintonia.errors import FailedPrecondition
from sintonia.runs.durable import new_directory
from sintonia.runs.spec import TrainingSpec

_TENSORS_FILE = "state.safetensors"
_POSITION_FILE = "position.json"
_KEPT = 2

_WITHOUT_EFFECT = {"processes", "hang_seconds", "compile", "code_cache"}
"""Fields of a spec that change a result by rounding at most."""


@dataclass(frozen=True)
class Position:
    """Where a run stands.

    Data order, schedule and plan all follow from ``step`` (completed optimizer steps), the spec and the data;
    ``fingerprint`` stands for these two. ``settled`` is false while what is due after that step (evaluation, export)
    may not be done yet. ``best_loss`` is the lowest validation loss so far, ``waited`` counts the evaluations since.
    ``budget`` is how many tokens went through the model at a time.
    """

    step: int
    settled: bool
    fingerprint: str
    best_loss: float | None = None
    waited: int = 0
    budget: int | None = None


def fingerprint_of(spec: TrainingSpec, *data: str) -> str:
    """Stands for what decides a run's result: the spec and digests of the data."""
    told = spec.model_dump(mode="json", exclude_none=True, exclude=_WITHOUT_EFFECT)
    return sha256(json.dumps([told, *data], sort_keys=True).encode()).hexdigest()


class ResumeCheckpoints:
    """The directory ``resume/``: ``step-00000012`` and on, the two newest kept."""

    def __init__(self, directory: Path) -> None:
        self._directory = directory

    def save(self, position: Position, tensors: dict[str, Tensor]) -> None:
        """Durable and complete when this returns; a crash on the way leaves the checkpoints of before."""
        with new_directory(self._directory / f"step-{position.step:08d}") as directory:
            save_file(tensors, directory / _TENSORS_FILE)
            record = asdict(position) | {"sha256": _digest(directory / _TENSORS_FILE)}
            (directory / _POSITION_FILE).write_text(json.dumps(record) + "\n", encoding="utf-8")
        for old in self._newest_first()[_KEPT:]:
            shutil.rmtree(old, ignore_errors=True)

    def load(self, fingerprint: str) -> tuple[Position, dict[str, Tensor]] | None:
        """The newest checkpoint that is whole; None if there is none. Damaged newer ones are removed.

        Raises:
            FailedPrecondition: it was written under another spec or other data.
        """
        for directory in self._newest_first():
            try:
                record = json.loads((directory / _POSITION_FILE).read_text(encoding="utf-8"))
                if record.pop("sha256") != _digest(directory / _TENSORS_FILE):
                    raise ValueError("its checksum does not match")
                position = Position(**record)
                tensors = load_file(directory / _TENSORS_FILE)
            except (OSError, ValueError, KeyError, TypeError, AttributeError) as error:
                print(f"resume checkpoint {directory.name} is damaged and ignored: {error}", flush=True)
                shutil.rmtree(directory, ignore_errors=True)
                continue
            if position.fingerprint != fingerprint:
                raise FailedPrecondition(
                    f"spec.json or the data changed after step {position.step} was saved; a changed run cannot be "
                    "resumed. Start a new job."
                )
            return position, tensors
        return None

    def _newest_first(self) -> list[Path]:
        return sorted(self._directory.glob("step-????????"), reverse=True)


def state_tensors(parameters: Mapping[str, torch.nn.Parameter], optimizer: torch.optim.Optimizer) -> dict[str, Tensor]:
    """What a checkpoint holds: adapter, optimizer and random state, on the CPU."""
    tensors: dict[str, Tensor] = {}
    for name, parameter in parameters.items():
        tensors[f"adapter/{name}"] = parameter.detach().cpu().contiguous()
        for key, value in optimizer.state.get(parameter, {}).items():
            tensors[f"optimizer/{key}/{name}"] = value.cpu().contiguous()
    # Nothing draws random numbers during training today; a resumed run stays exact if something ever does.
    tensors["random/cpu"] = torch.get_rng_state()
    return tensors


def load_state(
    tensors: dict[str, Tensor], parameters: Mapping[str, torch.nn.Parameter], optimizer: torch.optim.Optimizer
) -> None:
    """Put back what ``state_tensors`` took."""
    state: dict[int, dict[str, Tensor]] = {}
    for number, (name, parameter) in enumerate(parameters.items()):
        parameter.data.copy_(tensors[f"adapter/{name}"])
        keys = ("step", "exp_avg", "exp_avg_sq")
        if f"optimizer/step/{name}" in tensors:  # it has none before the first step
            state[number] = {key: tensors[f"optimizer/{key}/{name}"] for key in keys}
    optimizer.load_state_dict({"state": state, "param_groups": optimizer.state_dict()["param_groups"]})
    torch.set_rng_state(tensors["random/cpu"])


def _digest(path: Path) -> str:
    with path.open("rb") as stream:
        state = sha256()
        while block := stream.read(1 << 20):
            state.update(block)
    return state.hexdigest()
