"""What is told of dataset files: reports, estimates, and the validation of a dataset as a resource of our own."""

from __future__ import annotations

from typing import Literal, get_args

from pydantic import Field

from sintonia.resources.base import Resource, Timestamp
from sintonia.resources.tuning import Status, SupervisedTuningDataStats

Dataset = Literal["training", "validation"]
DATASETS: tuple[Dataset, ...] = get_args(Dataset)


class BadLine(Resource):
    """A line that is no example, or (category ``dropped``) one that is left out. Lines and examples count from 1.

    ``excerpt`` is how the line begins, where it could be read.
    """

    dataset: Dataset
    uri: str
    line: int
    example: int
    category: str
    reason: str
    excerpt: str | None = None


class ReportPage(Resource):
    """Lines of a report, and the offset in bytes where the next page begins, absent at the end."""

    lines: list[BadLine] = Field(default_factory=list)
    next_offset: int | None = None


class DatasetReport(Resource):
    """What one file gave. Tokens are of one pass over its kept examples; trained ones are those the loss counts.

    ``problem`` says why nothing can be learnt from the file; without it the file is usable. ``bad_lines`` are the
    first hundred; ``categories`` tells how many bad or dropped lines there are of each.
    """

    uri: str
    rows: int
    examples: int
    dropped: int
    bad: int
    tokens: int
    trained_tokens: int
    longest_example_tokens: int
    problem: str | None = None
    bad_lines: list[BadLine] = Field(default_factory=list)
    categories: dict[str, int] = Field(default_factory=dict)
    statistics: SupervisedTuningDataStats


FileState = Literal["UNCHANGED", "CHANGED", "DELETED"]


class JobDataset(Resource):
    """What a job's files gave; nothing of a file that was not read to its end.

    The job keeps what it needs of them, so they may change or go: ``trainingFile`` and ``validationFile`` tell what
    became of them, and nothing where their storage does not say.
    """

    training: DatasetReport | None = None
    validation: DatasetReport | None = None
    training_file: FileState | None = None
    validation_file: FileState | None = None


class RowSpan(Resource):
    """A stretch of tokens that are alike, as text.

    ``kind`` is ``special`` for a single token that marks turns, ends and the like, and ``text`` else. ``reply``: it is
    a turn of the model's; one that is not ``trained`` has the weight 0.
    """

    text: str
    tokens: int
    kind: Literal["text", "special"]
    trained: bool
    reply: bool


class RowSequence(Resource):
    """What the model is given at once."""

    spans: list[RowSpan] = Field(default_factory=list)


class DatasetRow(Resource):
    """A row as the model sees it: one sequence, or one for each turn that it learns if its template wants that.

    ``number`` counts all rows of the file from 1, ``line`` its lines. ``unseenTurns`` are at the row's end, behind the
    last that is learnt.
    """

    number: int
    line: int
    tokens: int
    trained_tokens: int
    unseen_turns: int = 0
    sequences: list[RowSequence] = Field(default_factory=list)


class RowPage(Resource):
    """Rows, and the numbers with which the pages before and after them begin, where there are any.

    ``kept`` is how many rows there are to look at, ``lastNumber`` the number of the last of them: all of a job's usable
    dataset but what was dropped, the first hundred good ones of one that cannot be used or that was only validated.
    """

    rows: list[DatasetRow] = Field(default_factory=list)
    kept: int = 0
    last_number: int | None = None
    previous_number: int | None = None
    next_number: int | None = None


class Estimates(Resource):
    """What tuning on a dataset would be if no hyperparameters were given. Tokens are of all epochs."""

    epochs: int
    batch_size: int
    learning_rate: float
    total_steps: int
    tokens: int
    trained_tokens: int
    tokens_per_second: float
    rate_basis: str
    seconds: float
    memory_bytes: int


class DatasetProgress(Resource):
    """How far reading is; bytes are of both files together, rows of the file at hand."""

    dataset: Dataset
    bytes_read: int
    bytes_total: int
    rows: int
    bad_rows: int


ValidationState = Literal["PENDING", "RUNNING", "SUCCEEDED", "FAILED"]


class DatasetValidation(Resource):
    """SUCCEEDED: the files were read and ``valid`` tells the verdict. FAILED: they could not be, ``error`` says why."""

    name: str | None = None
    dataset_uri: str | None = None
    validation_dataset_uri: str | None = None
    base_model: str | None = None
    state: ValidationState | None = None
    create_time: Timestamp | None = None
    start_time: Timestamp | None = None
    end_time: Timestamp | None = None
    progress: DatasetProgress | None = None
    error: Status | None = None
    valid: bool | None = None
    training: DatasetReport | None = None
    validation: DatasetReport | None = None
    estimates: Estimates | None = None
