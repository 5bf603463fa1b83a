"""``sintonia demo``: a real job from rows to answers, on a server of its own, over the public REST API only."""

from __future__ import annotations

import io
import json
import os
import shutil
import signal
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from sintonia.cli.failures import CommandFailed, ServerUnreachable
from sintonia.cli.session import JSON_HELP, Session, guarded

if TYPE_CHECKING:
    from rich.console import Console

    from sintonia.cli.exam import Exam
    from sintonia.cli.rest import RestClient

Json = dict[str, Any]

BASE_MODEL = "smollm2-135m-instruct"
_SEED = 1
_VALIDATION_ROWS = 20
_BUCKET = "demo"


def register(app: typer.Typer) -> None:
    app.command("demo")(guarded(demo))


def demo(
    context: typer.Context,
    as_json: Annotated[bool, typer.Option("--json", help=JSON_HELP)] = False,
    keep: Annotated[bool, typer.Option("--keep", help="Leave the server and its home, to go on asking.")] = False,
    rows: Annotated[int, typer.Option(min=1, help="Tickets to train on.")] = 200,
    epochs: Annotated[int, typer.Option(min=1, help="Passes over them.")] = 2,
    held_out: Annotated[int, typer.Option(min=1, help="Tickets the models are examined on.")] = 40,
    home: Annotated[
        Path | None, typer.Option(help="Home of the server. (default: a temporary folder)", show_default=False)
    ] = None,
) -> None:
    """Tune the embedded model on customer tickets and show what it answers before and after."""
    as_json = as_json or (context.obj or Session()).as_json
    console = Session(as_json=as_json).out
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(128 + signal.SIGTERM))  # so that our server is stopped too
    started = time.monotonic()
    with _home(home, keep=keep) as folder, _server(folder, keep=keep, console=console) as (server, api):
        report: Json = {"baseModel": BASE_MODEL, "home": str(folder), "rows": rows, "epochs": epochs}
        job, exam = _tune(api, console, report, rows=rows, epochs=epochs, held_out=held_out)
        report["seconds"] = round(time.monotonic() - started, 1)
        if keep:
            report |= {"url": api.url, "pid": server.pid}
        if exam is not None:
            _show(console, api, report, exam, kept_home=home, keep=keep)
        if as_json:
            Session().print_json(report)
        if exam is None:
            raise _failure(api, job)


def _tune(
    api: RestClient, console: Console, report: Json, *, rows: int, epochs: int, held_out: int
) -> tuple[Json, Exam | None]:
    """The whole way; fills ``report``. No exam comes back if the job did not succeed."""
    from sintonia.cli.exam import Exam
    from sintonia.cli.jobs import job_document
    from sintonia.cli.watch import duration, watch_job
    from sintonia.datasets.tickets import tickets

    train = tickets(_SEED, rows, split="train")
    unseen = tickets(_SEED, held_out + _VALIDATION_ROWS, split="held_out")
    exam = Exam(unseen[:held_out])
    _create_bucket(api)
    train_uri = _upload_rows(api, "train.jsonl", train)
    validation_uri = _upload_rows(api, "validation.jsonl", unseen[held_out:])
    _step(console, "dataset", f"{rows} tickets to train on at {train_uri}; {held_out} held out")

    _step(console, "base model", f"{BASE_MODEL} answers the held-out tickets")
    began = time.monotonic()
    # Before the job: two torch processes on a few cores would slow each other down.
    exam.take("base", api, f"{api.parent}/publishers/google/models/{BASE_MODEL}", console)
    report["baseAccuracy"] = exam.accuracy("base")
    _result(console, f"{exam.score_line('base')} right, {duration(time.monotonic() - began)}")

    began = time.monotonic()
    body = job_document(
        base_model=BASE_MODEL, train=train_uri, validation=validation_uri, epochs=epochs, display_name="demo tickets"
    )
    name = api.post(f"/v1/{api.parent}/tuningJobs", body)["name"]
    report["job"] = name
    _step(console, "tuning", name)
    with _cancelled_on_interrupt(api, name):
        job = watch_job(api, name, console)
    report["state"] = job["state"]
    _add_metrics(api, report)
    if job["state"] != "JOB_STATE_SUCCEEDED":
        return job, None
    report["tuningSeconds"] = round(time.monotonic() - began, 1)
    _result(console, f"succeeded: {report['steps']} steps, {duration(report['tuningSeconds'])}")

    report["endpoint"] = job["tunedModel"]["endpoint"]
    _step(console, "tuned model", report["endpoint"])
    began = time.monotonic()
    exam.take("tuned", api, report["endpoint"], console)
    report["tunedAccuracy"] = exam.accuracy("tuned")
    _result(console, f"{exam.score_line('tuned')} right, {duration(time.monotonic() - began)}")
    return job, exam


def _create_bucket(api: RestClient) -> None:
    try:
        api.post("/storage/v1/b", {"name": _BUCKET}, project=api.project)
    except CommandFailed as failure:
        if failure.status != "ALREADY_EXISTS":  # a home that an earlier demo was given
            raise


def _upload_rows(api: RestClient, name: str, rows: list[Json]) -> str:
    from sintonia.cli.transfers import upload

    content = "".join(json.dumps(row, ensure_ascii=False) + "\n" for row in rows).encode()
    upload(api, _BUCKET, name, io.BytesIO(content), size=len(content))
    return f"gs://{_BUCKET}/{name}"


def _add_metrics(api: RestClient, report: Json) -> None:
    series = api.get(f"/sintonia/v1/{report['job']}/metrics").get("series", {})
    loss = series.get("/train_total_loss", {"steps": [], "values": []})
    evaluated = series.get("/eval_total_loss", {"steps": [], "values": []})
    report["steps"] = int(loss["steps"][-1]) if loss["steps"] else 0
    report["finalLoss"] = loss["values"][-1] if loss["values"] else None
    report["lossCurve"] = [list(point) for point in zip(loss["steps"], loss["values"], strict=True)]
    report["evalLossCurve"] = [list(point) for point in zip(evaluated["steps"], evaluated["values"], strict=True)]


def _show(console: Console, api: RestClient, report: Json, exam: Exam, *, kept_home: Path | None, keep: bool) -> None:
    from sintonia.cli.plot import plot
    from sintonia.cli.watch import duration

    console.print()
    console.print(exam.table())
    console.print()
    console.print("loss while tuning (line: training; ●: validation rows it does not learn from)", style="bold")
    points = [(float(step), float(value)) for step, value in report["lossCurve"]]
    marks = [(float(step), float(value)) for step, value in report["evalLossCurve"]]
    console.print(plot(points, marks=marks, width=min(60, max(20, console.width - 12))), soft_wrap=True)
    console.print()
    console.print(
        f"held-out accuracy {exam.score_line('base')} before, {exam.score_line('tuned')} after; "
        f"{duration(report['seconds'])} in all",
        style="bold green" if report["tunedAccuracy"] > report["baseAccuracy"] else "bold red",
    )
    console.print()
    if keep:
        console.print(f"The server goes on at {api.url} (stop it with: kill {report['pid']}). Ask the tuned model:\n")
    elif kept_home:
        console.print(f"Go on with: sintonia serve --home {kept_home} (port 8080), then ask the tuned model:\n")
    else:
        console.print("The server and its data are removed now; `make demo KEEP=1` leaves them. Then you ask it so:\n")
    url = "http://127.0.0.1:8080" if kept_home and not keep else api.url
    console.print(exam.curl_line(url, report["endpoint"]), soft_wrap=True)


def _failure(api: RestClient, job: Json) -> CommandFailed:
    """The job's error with the end of its log, which may be about to be removed."""
    from sintonia.cli.jobs import failure_of

    log = ""
    with suppress(CommandFailed, ServerUnreachable):
        log = str(api.get(f"/sintonia/v1/{job['name']}/log").get("text", ""))
    failure = failure_of(job)
    return CommandFailed(failure.status, "\n".join([failure.message, *log.splitlines()[-15:]]))


@contextmanager
def _home(given: Path | None, *, keep: bool) -> Iterator[Path]:
    if given is not None:
        given.mkdir(parents=True, exist_ok=True)
        yield given.absolute()
        return
    folder = Path(tempfile.mkdtemp(prefix="sintonia-demo-"))
    finished = False
    try:
        yield folder
        finished = True
    finally:
        if not (keep and finished):
            shutil.rmtree(folder, ignore_errors=True)


@contextmanager
def _server(home: Path, *, keep: bool, console: Console) -> Iterator[tuple[Any, RestClient]]:
    from sintonia.base_models import prepare_embedded
    from sintonia.cli.local_server import LocalServer
    from sintonia.cli.rest import RestClient
    from sintonia.settings import Settings

    prepare_embedded(Settings.load(home=home).cache, progress=lambda text: _step(console, "set-up", text))
    server = LocalServer(home)
    api = RestClient(server.url)
    finished = False
    try:
        server.wait_until_ready(api)
        cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count()
        _step(console, "server", f"{server.url} on {cores} CPU cores, home {home}")
        yield server, api
        finished = True
    finally:
        if not (keep and finished):
            if not finished:
                console.print("stopping the server")
            server.stop()
        api.close()


@contextmanager
def _cancelled_on_interrupt(api: RestClient, job: str) -> Iterator[None]:
    try:
        yield
    except (KeyboardInterrupt, SystemExit):
        with suppress(CommandFailed, ServerUnreachable):
            api.post(f"/v1/{job}:cancel")
        raise


def _step(console: Console, name: str, text: str) -> None:
    from rich.text import Text

    console.print(Text.assemble((f"{name:<12}", "bold cyan"), text))


def _result(console: Console, text: str) -> None:
    console.print(f"{'':12}{text}")
