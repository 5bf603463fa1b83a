"""``sintonia datasets``: what a dataset is worth before anybody tunes on it.

A local file is read right here, without a server; an object at an address by the server that reaches it.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from itertools import islice
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from sintonia.cli.failures import FAILED, CommandFailed
from sintonia.cli.listing import DEFAULT_LIMIT, Limit, PageSize, moment, number, show_list
from sintonia.cli.rows import print_rows
from sintonia.cli.session import Session, remote_command
from sintonia.cli.watch import duration

if TYPE_CHECKING:
    from rich.console import Console

    from sintonia.datasets.chunks import ChunkOutcome
    from sintonia.datasets.examine import Source
    from sintonia.datasets.kept_rows import KeptRow
    from sintonia.resources.datasets import Dataset, DatasetProgress

Json = dict[str, Any]
Advance = Callable[[Json], None]

DATASETS = ("training", "validation")
_SECONDS_BETWEEN_LOOKS = 0.3


def register(app: typer.Typer) -> None:
    group = typer.Typer(help="Datasets, before anything is tuned on them.", no_args_is_help=True)
    remote_command(group, "validate")(validate)
    remote_command(group, "list")(list_validations)
    remote_command(group, "delete")(delete_validation)
    app.add_typer(group, name="datasets")


def validate(
    session: Session,
    dataset: Annotated[
        str, typer.Argument(metavar="FILE|gs://…", help="A file here, or an address that the server reaches.")
    ],
    base_model: Annotated[
        str | None, typer.Option(help="Whose tokens to count and limits to keep. (default: the catalog's first)")
    ] = None,
    validation: Annotated[
        str | None, typer.Option(metavar="FILE|gs://…", help="Validation set that is read as well.")
    ] = None,
    show: Annotated[
        int, typer.Option(min=0, max=100, help="How many rows to show as the model sees them, what it learns marked.")
    ] = 0,
    home: Annotated[
        Path | None,
        typer.Option(help="For files here: home whose sintonia.toml to read. (env: SINTONIA_HOME)", show_default=False),
    ] = None,
) -> None:
    """Read a dataset without tuning: every bad line, tokens, and estimates of steps and time; ends with 1 if it is bad.

    A FILE is read here and needs no server, only the base model's tokenizer.
    """
    remote = "://" in dataset
    if validation is not None and ("://" in validation) != remote:
        raise typer.BadParameter("the dataset and the validation set are both files, or both addresses such as gs://….")
    with _progress(session.err) as advance:
        if remote:
            told = _validate_there(session, dataset, validation, base_model, show, advance)
        else:
            files = Path(dataset), Path(validation) if validation else None
            told = _validate_here(*files, base_model, show, home, advance)
    if told["state"] == "FAILED":
        raise CommandFailed("FAILED_PRECONDITION", str(told.get("error", {}).get("message", "it could not be read")))
    if session.as_json:
        session.print_json(told)
    else:
        _print(session.out, told)
    if not told["valid"]:
        raise typer.Exit(FAILED)


def list_validations(session: Session, page_size: PageSize = None, limit: Limit = DEFAULT_LIMIT) -> None:
    """List what the server has judged of datasets in buckets, newest first."""
    columns = (
        ("VALIDATION", lambda item: number(item["name"])),
        ("DATASET", lambda item: item["datasetUri"]),
        ("BASE MODEL", lambda item: item["baseModel"]),
        ("VERDICT", lambda item: {True: "good", False: "bad"}.get(item.get("valid"), item["state"])),
        ("CREATED", lambda item: moment(item["createTime"])),
    )
    show_list(
        session, "datasetValidations", columns, filter=None, page_size=page_size, limit=limit, prefix="/sintonia/v1"
    )


def delete_validation(
    session: Session, validation: Annotated[str, typer.Argument(help="Its number or full resource name.")]
) -> None:
    """Forget a verdict and its report; the dataset stays."""
    name = session.api.name_of("datasetValidations", validation)
    session.api.delete(f"/sintonia/v1/{name}")
    if session.as_json:
        session.print_json({})


def _validate_there(
    session: Session, dataset: str, validation: str | None, base_model: str | None, show: int, advance: Advance
) -> Json:
    asked = {"datasetUri": dataset, "validationDatasetUri": validation, "baseModel": base_model}
    body = {key: value for key, value in asked.items() if value}
    told = session.api.post(f"/sintonia/v1/{session.api.parent}/datasetValidations", body)
    while told["state"] in ("PENDING", "RUNNING"):
        advance(told.get("progress", {}))
        time.sleep(_SECONDS_BETWEEN_LOOKS)
        told = session.api.get(f"/sintonia/v1/{told['name']}")
    if show:
        told["rows"] = {kind: _rows_there(session, told["name"], kind, show) for kind in DATASETS if kind in told}
    return told


def _rows_there(session: Session, name: str, kind: str, show: int) -> list[Json]:
    rows: list[Json] = []
    start: int | None = 1
    while start is not None and len(rows) < show:
        asked = {"dataset": kind, "start": start, "limit": show - len(rows)}
        page = session.api.get(f"/sintonia/v1/{name}/datasetRows", **asked)
        rows += page.get("rows", [])
        start = page.get("nextNumber")
    return rows


class _FirstRows:
    def __init__(self, most: int) -> None:
        self._most = most
        self.rows: list[KeptRow] = []

    def keep(self, outcome: ChunkOutcome, before: int) -> None:
        import json

        from sintonia.datasets.kept_rows import KeptRow
        from sintonia.resources.content import Conversation

        for row, line, document in islice(outcome.numbered(before), self._most - len(self.rows)):
            self.rows.append(KeptRow(row, line, Conversation.from_wire(json.loads(document))))


def _validate_here(
    dataset: Path, validation: Path | None, base_model: str | None, show: int, home: Path | None, advance: Advance
) -> Json:
    """The verdict as the server's resource tells it, but for its name; and ``rows`` if some are to be shown."""
    import os

    from sintonia.base_models import Catalog
    from sintonia.datasets.chunks import Reader
    from sintonia.datasets.estimate import estimate, has_gpu
    from sintonia.datasets.examine import ProgressTeller, examine, held_to_limits
    from sintonia.datasets.row_views import row_view
    from sintonia.datasets.workers import Workers
    from sintonia.resources.datasets import DatasetValidation
    from sintonia.settings import Settings

    settings = Settings.load(home=home)
    catalog = Catalog.load(cache=settings.cache, entries=settings.base_models, aliases=settings.aliases)
    entry = catalog.find(base_model or next(iter(catalog.entries)))
    reader = Reader(entry.family, catalog.directory(entry), entry.id, catalog.max_example_tokens(entry))
    sources = [_source("training", dataset)]
    if validation is not None:
        sources.append(_source("validation", validation))

    def tell(progress: DatasetProgress) -> None:
        advance(progress.to_wire())

    teller = ProgressTeller(tell, sum(source.size for source in sources))
    firsts = [_FirstRows(show) for _ in sources]
    with Path(os.devnull).open("wb") as report, Workers(reader, processes=settings.dataset_processes) as workers:
        reports = [
            examine(source, workers, progress=teller, report=report, keep=first.keep if show else None)
            for source, first in zip(sources, firsts, strict=True)
        ]
    training = reports[0]
    held_out = held_to_limits(reports[1], training) if len(reports) > 1 else None
    told = DatasetValidation(
        dataset_uri=str(dataset),
        validation_dataset_uri=str(validation) if validation else None,
        base_model=entry.id,
        state="SUCCEEDED",
        valid=not any(told.problem for told in (training, held_out) if told),
        training=training,
        validation=held_out,
        estimates=estimate(
            training,
            held_out,
            facts=catalog.facts(entry),
            tokens_per_second=None,
            cores=settings.training_threads,
            gpu=has_gpu(settings.device),
        ),
    ).to_wire()
    if show:
        family = reader.open()
        views = [[row_view(row, family).to_wire() for row in first.rows] for first in firsts]
        told["rows"] = dict(zip(DATASETS, views, strict=False))
    return told


def _source(dataset: Dataset, path: Path) -> Source:
    from sintonia.datasets.examine import Source

    try:
        with path.open("rb"):
            return Source(dataset, str(path), path.stat().st_size, lambda: path.open("rb"))
    except OSError as error:
        raise CommandFailed("NOT_FOUND", f"{path} cannot be read: {error.strerror}") from None


def _print(out: Console, told: Json) -> None:
    from rich.table import Table

    reports = [(kind, told[kind]) for kind in DATASETS if kind in told]
    table = Table(box=None, pad_edge=False)
    table.add_column("")
    for kind, _ in reports:
        table.add_column(kind.upper(), justify="right")
    for label, key in (
        ("rows", "rows"),
        ("examples", "examples"),
        ("dropped, too long", "dropped"),
        ("bad lines", "bad"),
        ("tokens", "tokens"),
        ("tokens to learn", "trainedTokens"),
        ("longest example", "longestExampleTokens"),
    ):
        table.add_row(label, *(f"{report[key]:,}" for _, report in reports))
    for kind, rows in told.get("rows", {}).items():
        print_rows(out, f"First rows of the {kind} dataset as the model sees them", rows)
        out.print()
    out.print(f"{told['datasetUri']} for {told['baseModel']}", soft_wrap=True)
    out.print(table)
    for _, report in reports:
        for reason in report["statistics"].get("droppedExampleReasons", []):
            out.print(reason, soft_wrap=True)
        if "problem" in report:
            out.print(report["problem"], soft_wrap=True)
    if (estimates := told.get("estimates")) and told["valid"]:
        epochs = estimates["epochs"]
        out.print(
            f"without hyperparameters tuning takes {epochs} epoch{'s' if epochs != 1 else ''} in batches of "
            f"{estimates['batchSize']}: {estimates['totalSteps']:,} steps, {estimates['tokens']:,} tokens, "
            f"{estimates['trainedTokens']:,} of them learnt",
            soft_wrap=True,
        )
        out.print(
            f"about {duration(estimates['seconds'])} at {estimates['tokensPerSecond']:,.0f} tokens/s, "
            f"{estimates['rateBasis']}; about {estimates['memoryBytes'] / 2**30:.1f} GiB of memory",
            soft_wrap=True,
        )
    out.print("The dataset can be used." if told["valid"] else "The dataset cannot be used.")


@contextmanager
def _progress(console: Console) -> Iterator[Advance]:
    """A function that shows how far reading is, on a bar where somebody looks."""
    if not console.is_terminal:
        yield lambda told: None
        return
    from rich.progress import BarColumn, DownloadColumn, Progress, TextColumn, TimeRemainingColumn

    columns = [TextColumn("{task.description}"), BarColumn(), DownloadColumn(), TimeRemainingColumn(),
               TextColumn("{task.fields[rows]}")]  # fmt: skip
    with Progress(*columns, console=console, transient=True) as bar:
        task = bar.add_task("reading", total=None, rows="")

        def advance(told: Json) -> None:
            if told:
                rows = f"{told['rows']:,} rows" + (f", {told['badRows']:,} bad" if told["badRows"] else "")
                bar.update(task, completed=told["bytesRead"], total=told["bytesTotal"], rows=rows)

        yield advance
