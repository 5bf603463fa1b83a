"""``sintonia serve`` and ``sintonia setup``: the two commands that run the product instead of talking to it."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from sintonia.cli.session import guarded


def register(app: typer.Typer) -> None:
    app.command("serve")(guarded(serve))
    app.command("setup")(guarded(setup))


def serve(
    host: Annotated[
        str | None,
        typer.Option(help="Address to listen on; others need --sign-in. (default: 127.0.0.1)", show_default=False),
    ] = None,
    port: Annotated[
        int | None, typer.Option(min=0, max=65535, help="(env: SINTONIA_PORT, default: 8080)", show_default=False)
    ] = None,
    home: Annotated[
        Path | None,
        typer.Option(help="Folder of everything the server keeps. (env: SINTONIA_HOME)", show_default=False),
    ] = None,
    config: Annotated[
        Path | None, typer.Option(help="TOML file of settings. (default: HOME/sintonia.toml)", show_default=False)
    ] = None,
    sign_in: Annotated[
        bool | None,
        typer.Option("--sign-in", help="Ask everybody for an API token. (env: SINTONIA_SIGN_IN)", show_default=False),
    ] = None,
    tls_certificate: Annotated[
        Path | None,
        typer.Option(help="PEM file: speak https. (env: SINTONIA_TLS_CERTIFICATE)", show_default=False),
    ] = None,
    tls_key: Annotated[
        Path | None, typer.Option(help="PEM file of its key. (env: SINTONIA_TLS_KEY)", show_default=False)
    ] = None,
    grpc_port: Annotated[
        int | None,
        typer.Option(min=0, max=65535, help="Answer gRPC too. (env: SINTONIA_GRPC_PORT)", show_default=False),
    ] = None,
    grpc_plaintext: Annotated[
        bool, typer.Option("--grpc-plaintext", help="gRPC without TLS, for clients that can do without.")
    ] = False,
) -> None:
    """Run the server until SIGTERM or Ctrl+C; jobs go on when it is started again on the same home."""
    from sintonia.app import serve as run
    from sintonia.settings import Settings

    run(
        Settings.load(
            home=home,
            host=host,
            port=port,
            config=config,
            sign_in=sign_in,
            tls_certificate=tls_certificate,
            tls_key=tls_key,
            grpc_port=grpc_port,
            grpc_security="plaintext" if grpc_plaintext else None,
        )
    )


def setup() -> None:
    """Bring the embedded base model into the cache that all homes share; quick when it is there."""
    from sintonia.base_models import prepare_embedded
    from sintonia.settings import Settings

    directory = prepare_embedded(Settings.load().cache, progress=lambda text: typer.echo(text, err=True))
    typer.echo(f"the embedded base model is ready in {directory}")
