"""The command line put together; every command's own module says what it does."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from sintonia import __version__
from sintonia.cli import (
    certificates,
    datasets,
    demo,
    doctor,
    endpoints,
    generate,
    jobs,
    metrics,
    models,
    objects,
    server,
    tokens,
    tuned,
)
from sintonia.cli.session import (
    CA_HELP,
    DEFAULT_URL,
    JSON_HELP,
    LOCATION_HELP,
    PROJECT_HELP,
    TOKEN_HELP,
    URL_HELP,
    Session,
)

app = typer.Typer(
    help="Sintonia: supervised fine-tuning on your own machines, behind the API people already use.",
    epilog="Exit codes: 0 done; 1 the request or the job failed; 2 wrong usage; 3 no server answers; 130 interrupted.",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
    context_settings={"help_option_names": ["-h", "--help"]},
)

server.register(app)
demo.register(app)
jobs.register(app)
metrics.register(app)
generate.register(app)
objects.register(app)
datasets.register(app)
tuned.register(app)
endpoints.register(app)
models.register(app)
doctor.register(app)
certificates.register(app)
tokens.register(app)


def _version(wanted: bool) -> None:
    if wanted:
        typer.echo(f"sintonia {__version__}")
        raise typer.Exit


def _from_environment(context: typer.Context, parameter: typer.CallbackParam, value: str | None) -> str | None:
    source = context.get_parameter_source(str(parameter.name))
    if value is not None and (source is None or source.name != "ENVIRONMENT"):
        raise typer.BadParameter("all users of this machine see a command line. Use SINTONIA_TOKEN or --token-file.")
    return value


@app.callback()
def _shared_options(
    context: typer.Context,
    url: Annotated[str, typer.Option(help=URL_HELP, envvar="SINTONIA_URL")] = DEFAULT_URL,
    project: Annotated[str, typer.Option(help=PROJECT_HELP, envvar="SINTONIA_PROJECT")] = "local",
    location: Annotated[str, typer.Option(help=LOCATION_HELP)] = "us-central1",
    as_json: Annotated[bool, typer.Option("--json", help=JSON_HELP)] = False,
    ca: Annotated[Path | None, typer.Option(help=CA_HELP, envvar="SINTONIA_CA")] = None,
    token_file: Annotated[Path | None, typer.Option(help=TOKEN_HELP, envvar="SINTONIA_TOKEN_FILE")] = None,
    token: Annotated[str | None, typer.Option(hidden=True, envvar="SINTONIA_TOKEN", callback=_from_environment)] = None,
    version: Annotated[
        bool, typer.Option("--version", help="Print the version and exit.", callback=_version, is_eager=True)
    ] = False,
) -> None:
    context.obj = Session(
        url=url, project=project, location=location, as_json=as_json, ca=ca, token=token, token_file=token_file
    )
