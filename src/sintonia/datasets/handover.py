"""What the controller hands to the dataset process and what it gets back: files in the run directory.

``prepare.json`` in; ``data/result.json`` out, written last, with the prepared rows beside it (see ``kept_rows``);
meanwhile ``data/progress.json``. Every bad or dropped line is told in ``data/report.jsonl``.
"""

from __future__ import annotations

import hashlib
from itertools import islice
from pathlib import Path

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from sintonia.errors import ApiError, InvalidArgument
from sintonia.resources.datasets import BadLine, Dataset, DatasetProgress, DatasetReport, ReportPage
from sintonia.runs.layout import RunDirectory, write_atomically
from sintonia.storage import StorageConfig


class PrepareSpec(BaseModel):
    """A dataset job. ``base_model`` is for messages only."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    storage: StorageConfig = Field(description="where objects are; credentials are in the environment")
    project: str = Field(description="who asks for them")
    training_dataset_uri: str
    validation_dataset_uri: str | None = None
    base_model: str
    family: str
    model_dir: Path
    max_example_tokens: int = Field(gt=0, description="longer examples are dropped")
    keep_rows: bool = Field(default=True, description="false: only the verdict is wanted, and a few rows to look at")
    processes: int = Field(default=1, gt=0, description="how many may read a large file together")
    prepared_dir: Path | None = Field(default=None, description="where prepared sets are kept; None: nowhere")
    prepared_bytes: int = Field(default=0, ge=0, description="what they may take there")


class PrepareResult(BaseModel):
    """How it ended: ``ok``, or with a canonical status name and a message for the user.

    The reports are there as soon as the files could be read, good or bad.
    """

    ok: bool
    spec_digest: str
    status: str | None = None
    message: str | None = None
    train: DatasetReport | None = None
    validation: DatasetReport | None = None
    versions: dict[Dataset, str] = Field(default_factory=dict, description="of the objects that were read")

    def error(self) -> ApiError:
        """What a result that is not ``ok`` says."""
        kinds = {kind.status: kind for kind in ApiError.__subclasses__()}
        return kinds.get(self.status or "", InvalidArgument)(self.message or "The dataset was refused.")


def spec_file(run: RunDirectory) -> Path:
    return run.path / "prepare.json"


def result_file(run: RunDirectory) -> Path:
    return run.data / "result.json"


def report_file(run: RunDirectory) -> Path:
    """One JSON object a line, a BadLine; category ``dropped`` is no error."""
    return run.data / "report.jsonl"


def progress_file(run: RunDirectory) -> Path:
    return run.data / "progress.json"


def write_prepare_spec(run: RunDirectory, spec: PrepareSpec) -> None:
    """Order a dataset job; ``python -m sintonia.datasets RUN_DIR`` then does it."""
    write_atomically(spec_file(run), spec.model_dump_json(indent=2).encode() + b"\n")


def read_prepare_spec(run: RunDirectory) -> PrepareSpec:
    """Raises FileNotFoundError if there is none, pydantic.ValidationError if it is none."""
    return PrepareSpec.model_validate_json(spec_file(run).read_bytes())


def read_prepare_result(run: RunDirectory) -> PrepareResult | None:
    """The result of the job ordered last, or None while there is none."""
    try:
        result = PrepareResult.model_validate_json(result_file(run).read_bytes())
        return result if result.spec_digest == spec_digest(run) else None
    except FileNotFoundError:
        return None


def read_prepare_progress(run: RunDirectory) -> DatasetProgress | None:
    """The last word on progress, or None before the first."""
    try:
        return DatasetProgress.model_validate_json(progress_file(run).read_bytes())
    except (FileNotFoundError, ValidationError):
        return None


def read_report(run: RunDirectory, *, offset: int = 0, limit: int = 100) -> ReportPage:
    """A page of the report; an empty one while there is none.

    Raises:
        InvalidArgument: no line begins at ``offset``.
    """
    try:
        with report_file(run).open("rb") as stream:
            stream.seek(max(offset - 1, 0))
            if offset > 0 and stream.read(1) != b"\n":
                raise InvalidArgument(f"No line of the report begins at the offset {offset}; go on from nextOffset.")
            lines = [BadLine.model_validate_json(line) for line in islice(stream, limit)]
            end = stream.tell()
            return ReportPage(lines=lines, next_offset=end if stream.read(1) else None)
    except FileNotFoundError:
        return ReportPage()


def spec_digest(run: RunDirectory) -> str:
    return hashlib.sha256(spec_file(run).read_bytes()).hexdigest()
