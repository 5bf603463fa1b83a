"""Where things lie in a run directory, and how its files are written so that a crash leaves them whole."""

from __future__ import annotations

import os
import tempfile
from dataclasses import dataclass
from pathlib import Path

from sintonia.runs.spec import TrainingSpec


@dataclass(frozen=True)
class RunDirectory:
    """One job's run directory."""

    path: Path

    @property
    def spec_file(self) -> Path:
        return self.path / "spec.json"

    @property
    def data(self) -> Path:
        """What dataset processing leaves: prepared rows, statistics, the report on bad lines."""
        return self.path / "data"

    @property
    def train_file(self) -> Path:
        """Prepared training rows: one Conversation a line, valid, none over-long."""
        return self.data / "train.jsonl"

    @property
    def validation_file(self) -> Path:
        """Prepared validation rows; missing when the job has no validation set."""
        return self.data / "validation.jsonl"

    @property
    def train_tokens(self) -> Path:
        """The training rows as tokens (``runs.tokens``); missing in runs that were prepared without."""
        return self.data / "train.tokens"

    @property
    def validation_tokens(self) -> Path:
        return self.data / "validation.tokens"

    @property
    def events(self) -> Path:
        """``attempt-0001.jsonl`` and on: one append-only file for each start of the trainer."""
        return self.path / "events"

    @property
    def initial_adapter(self) -> Path:
        """The adapter that the run begins with, in PEFT format; missing when it begins with a fresh one."""
        return self.path / "initial_adapter"

    @property
    def checkpoints(self) -> Path:
        """Exported checkpoints, ``1`` to ``N``: adapters in PEFT format, complete as soon as they are visible."""
        return self.path / "checkpoints"

    @property
    def resume(self) -> Path:
        """The trainer's own full-state checkpoints, ``step-00000012`` and on."""
        return self.path / "resume"

    @property
    def tensorboard(self) -> Path:
        return self.path / "tensorboard"

    @property
    def logs(self) -> Path:
        return self.path / "logs"

    @property
    def trainer_log(self) -> Path:
        return self.logs / "trainer.log"

    @property
    def dataset_log(self) -> Path:
        return self.logs / "dataset.log"

    @property
    def lock_file(self) -> Path:
        """Held (flock) by the one live trainer of this directory."""
        return self.path / "trainer.lock"

    def event_files(self) -> list[Path]:
        """All attempts, oldest first."""
        return sorted(self.events.glob("attempt-*.jsonl"))

    def checkpoint(self, checkpoint_id: str) -> Path:
        return self.checkpoints / checkpoint_id

    def read_spec(self) -> TrainingSpec:
        """Raises pydantic.ValidationError if the file is not a TrainingSpec, FileNotFoundError if it is missing."""
        return TrainingSpec.model_validate_json(self.spec_file.read_bytes())

    def write_spec(self, spec: TrainingSpec) -> None:
        self.path.mkdir(parents=True, exist_ok=True)
        write_atomically(self.spec_file, spec.model_dump_json(indent=2).encode() + b"\n")


def write_atomically(path: Path, content: bytes) -> None:
    """Put ``content`` at ``path`` so that readers and crashes see the old file or the new one, never a part."""
    path.parent.mkdir(parents=True, exist_ok=True)
    descriptor, name = tempfile.mkstemp(dir=path.parent, prefix=f".{path.name}-")
    try:
        with os.fdopen(descriptor, "wb") as stream:
            stream.write(content)
            stream.flush()
            os.fsync(stream.fileno())
        os.replace(name, path)
    except BaseException:
        Path(name).unlink(missing_ok=True)
        raise
    sync_directory(path.parent)


def sync_directory(path: Path) -> None:
    """Make renames inside ``path`` survive a power cut."""
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
