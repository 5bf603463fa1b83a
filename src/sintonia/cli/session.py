"""What every command shares: the options that say which server and which namespace, output, and exit codes."""

from __future__ import annotations

import functools
import inspect
import json
import sys
from collections.abc import Callable
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from sintonia.cli.failures import FAILED, INTERRUPTED, UNREACHABLE, CommandFailed, ServerUnreachable
from sintonia.errors import ApiError

if TYPE_CHECKING:
    from rich.console import Console

    from sintonia.cli.rest import RestClient

DEFAULT_URL = "http://127.0.0.1:8080"

URL_HELP = "Address of the server."
TOKEN_HELP = "File with the API token to sign in with; or put the token itself into SINTONIA_TOKEN."
CA_HELP = "PEM file of an authority to trust besides the usual ones, for https."
PROJECT_HELP = "Project: any valid id is an empty namespace."
LOCATION_HELP = "Location, such as us-central1."
JSON_HELP = "Print one JSON document on stdout and nothing else."


@dataclass(frozen=True)
class Session:
    """One command's run."""

    url: str = DEFAULT_URL
    project: str = "local"
    location: str = "us-central1"
    as_json: bool = False
    ca: Path | None = None
    token: str | None = field(default=None, repr=False)
    token_file: Path | None = None

    @cached_property
    def api(self) -> RestClient:
        from sintonia.cli.rest import RestClient

        place = {"project": self.project, "location": self.location}
        return RestClient(self.url, **place, ca=self.ca, token=self.access_token)

    @property
    def access_token(self) -> str | None:
        """What to sign in with. Raises CommandFailed if the file with it cannot be read."""
        return _read_token(self.token_file) if self.token_file else self.token

    @cached_property
    def out(self) -> Console:
        """For people: stdout, or stderr where stdout belongs to the JSON document."""
        return self.err if self.as_json else _console(stderr=False)

    @cached_property
    def err(self) -> Console:
        return _console(stderr=True)

    def print_json(self, document: object) -> None:
        sys.stdout.write(json.dumps(document, ensure_ascii=False, indent=2) + "\n")

    def tell(self, document: object, line: str) -> None:
        """What was done: the server's answer as JSON, or a line for people."""
        if self.as_json:
            self.print_json(document)
        else:
            self.out.print(line)


def _read_token(file: Path) -> str:
    try:
        return file.expanduser().read_text(encoding="utf-8").strip()
    except (OSError, UnicodeDecodeError) as error:
        raise CommandFailed("INVALID_ARGUMENT", f"token file '{file}' cannot be read: {error}") from None


def _console(*, stderr: bool) -> Console:
    from rich.console import Console

    plain: dict[str, Any] = {"stderr": stderr, "highlight": False, "markup": False, "emoji": False}
    console = Console(**plain)
    # What goes to a file or a pipe is not cut at 80 columns.
    return console if console.is_terminal else Console(**plain, width=200)


def guarded(function: Callable[..., None]) -> Callable[..., None]:
    """``function`` with its failures told in one line on stderr and turned into exit codes."""

    @functools.wraps(function)
    def run(*args: Any, **kwargs: Any) -> None:
        try:
            function(*args, **kwargs)
        except (CommandFailed, ApiError) as failure:
            typer.echo(f"error: {failure.status}: {failure.message}", err=True)
            raise typer.Exit(FAILED) from None
        except ServerUnreachable as failure:
            typer.echo(f"error: {failure}", err=True)
            raise typer.Exit(UNREACHABLE) from None
        except KeyboardInterrupt:
            raise typer.Exit(INTERRUPTED) from None
        except BrokenPipeError:
            sys.stderr.close()  # the reader (`| head`) went away: nothing to tell, and nobody to tell it to
            raise typer.Exit(FAILED) from None

    return run


def remote_command(app: typer.Typer, name: str) -> Callable[[Callable[..., None]], Callable[..., None]]:
    """Register a function whose first argument is a Session as a command of ``app``.

    The command takes the shared options besides its own; what is given here wins over what is given before the
    command's name, and that over the environment.
    """

    def register(function: Callable[..., None]) -> Callable[..., None]:
        @guarded
        @functools.wraps(function)
        def run(
            context: typer.Context,
            url: str | None,
            project: str | None,
            location: str | None,
            as_json: bool,
            ca: Path | None,
            token_file: Path | None,
            **arguments: Any,
        ) -> None:
            shared: Session = context.obj or Session()
            session = Session(
                url=url or shared.url,
                project=project or shared.project,
                location=location or shared.location,
                as_json=as_json or shared.as_json,
                ca=ca or shared.ca,
                token=shared.token,
                token_file=token_file or shared.token_file,
            )
            function(session, **arguments)

        own = inspect.signature(function, eval_str=True).parameters.values()
        _set_parameters(run, [*_CONTEXT, *list(own)[1:], *_SHARED])
        app.command(name)(run)
        return function

    return register


def _set_parameters(function: Callable[..., None], parameters: list[inspect.Parameter]) -> None:
    keyword_only = [parameter.replace(kind=inspect.Parameter.KEYWORD_ONLY) for parameter in parameters]
    function.__signature__ = inspect.Signature(keyword_only)  # type: ignore[attr-defined]
    function.__annotations__ = {parameter.name: parameter.annotation for parameter in keyword_only}


def _parameter(name: str, annotation: Any, default: Any = inspect.Parameter.empty) -> inspect.Parameter:
    return inspect.Parameter(name, inspect.Parameter.KEYWORD_ONLY, annotation=annotation, default=default)


_PANEL = "Server and output"
_CONTEXT = [_parameter("context", typer.Context)]
_SHARED = [
    _parameter(
        "url", Annotated[str | None, typer.Option(help=f"{URL_HELP} (env: SINTONIA_URL)", rich_help_panel=_PANEL)], None
    ),
    _parameter(
        "project",
        Annotated[str | None, typer.Option(help="Project. (env: SINTONIA_PROJECT)", rich_help_panel=_PANEL)],
        None,
    ),
    _parameter("location", Annotated[str | None, typer.Option(help=LOCATION_HELP, rich_help_panel=_PANEL)], None),
    _parameter("as_json", Annotated[bool, typer.Option("--json", help=JSON_HELP, rich_help_panel=_PANEL)], False),
    _parameter(
        "ca", Annotated[Path | None, typer.Option(help=f"{CA_HELP} (env: SINTONIA_CA)", rich_help_panel=_PANEL)], None
    ),
    _parameter(
        "token_file",
        Annotated[Path | None, typer.Option(help=f"{TOKEN_HELP} (env: SINTONIA_TOKEN_FILE)", rich_help_panel=_PANEL)],
        None,
    ),
]
