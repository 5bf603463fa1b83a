"""``sintonia buckets``, ``cp``, ``ls`` and ``rm``: objects at gs:// addresses, over Google's storage routes."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from sintonia.cli.failures import CommandFailed
from sintonia.cli.session import Session, remote_command

if TYPE_CHECKING:
    from rich.console import Console

Json = dict[str, Any]

_WORTH_A_BAR = 4 << 20


def register(app: typer.Typer) -> None:
    group = typer.Typer(help="Buckets, where datasets lie.", no_args_is_help=True)
    remote_command(group, "create")(create_bucket)
    remote_command(group, "list")(list_buckets)
    remote_command(group, "delete")(delete_bucket)
    app.add_typer(group, name="buckets")
    remote_command(app, "cp")(copy)
    remote_command(app, "ls")(list_objects)
    remote_command(app, "rm")(remove)


def create_bucket(session: Session, name: Annotated[str, typer.Argument(help="NAME or gs://NAME.")]) -> None:
    """Create a bucket."""
    bucket = session.api.post(
        "/storage/v1/b", {"name": name.removeprefix("gs://").rstrip("/")}, project=session.project
    )
    session.tell(bucket, f"created gs://{bucket['name']}/")


def delete_bucket(session: Session, name: Annotated[str, typer.Argument(help="NAME or gs://NAME, empty.")]) -> None:
    """Delete an empty bucket."""
    bucket = name.removeprefix("gs://").rstrip("/")
    session.tell(session.api.delete(session.api.path_of_bucket(bucket)), f"deleted gs://{bucket}/")


def list_buckets(session: Session) -> None:
    """List the project's buckets."""
    buckets = list(session.api.pages("/storage/v1/b", "items", project=session.project))
    if session.as_json:
        session.print_json({"items": buckets})
        return
    for bucket in buckets:
        session.out.print(f"gs://{bucket['name']}/")


def list_objects(
    session: Session,
    where: Annotated[str | None, typer.Argument(metavar="[gs://BUCKET[/PREFIX]]", show_default=False)] = None,
    recursive: Annotated[bool, typer.Option("--recursive", "-r", help="Objects in folders too.")] = False,
) -> None:
    """List buckets, or the objects under a prefix."""
    if where is None:
        list_buckets(session)
        return
    bucket, prefix = parse_uri(where)
    params: Json = {"prefix": prefix, **({} if recursive else {"delimiter": "/"})}
    objects: list[Json] = []
    folders: list[str] = []
    while True:
        page = session.api.get(f"{session.api.path_of_bucket(bucket)}/o", **params)
        objects += page.get("items", [])
        folders += page.get("prefixes", [])
        if not page.get("nextPageToken"):
            break
        params["pageToken"] = page["nextPageToken"]
    if session.as_json:
        session.print_json({"items": objects, "prefixes": folders})
        return
    for folder in folders:
        session.out.print(f"{'':>12}  {'':20}  gs://{bucket}/{folder}")
    for item in objects:
        moment = str(item.get("updated", ""))[:19].replace("T", " ")
        session.out.print(f"{int(item.get('size', 0)):>12}  {moment:20}  gs://{bucket}/{item['name']}", soft_wrap=True)


def copy(
    session: Session,
    source: Annotated[str, typer.Argument(help="A file here, or gs://BUCKET/OBJECT.")],
    destination: Annotated[str, typer.Argument(help="gs://BUCKET/[OBJECT], or a file or folder here.")],
) -> None:
    """Copy a file to a bucket, or an object to a file here."""
    if source.startswith("gs://") == destination.startswith("gs://"):
        raise typer.BadParameter("exactly one of SOURCE and DESTINATION is a gs:// address.")
    if destination.startswith("gs://"):
        stored = upload_file(session, Path(source), destination)
        if session.as_json:
            session.print_json(stored)
        else:
            session.out.print(f"gs://{stored['bucket']}/{stored['name']}  ({stored['size']} bytes)")
        return
    path = _download_file(session, source, Path(destination))
    if session.as_json:
        session.print_json({"file": str(path), "size": str(path.stat().st_size)})
    else:
        session.out.print(f"{path}  ({path.stat().st_size} bytes)")


def remove(
    session: Session,
    where: Annotated[str, typer.Argument(metavar="gs://BUCKET/OBJECT", show_default=False)],
    recursive: Annotated[bool, typer.Option("--recursive", "-r", help="All objects under this folder.")] = False,
) -> None:
    """Delete an object, or those of a folder."""
    bucket, name = parse_uri(where)
    if not name and not recursive:
        raise typer.BadParameter(f"{where} names no object; -r means all of the bucket.", param_hint="WHERE")
    names = [name]
    if recursive:
        folder = name if name.endswith("/") or not name else f"{name}/"
        items = session.api.pages(f"{session.api.path_of_bucket(bucket)}/o", "items", prefix=folder)
        names = [item["name"] for item in items]
    for name in names:
        session.api.delete_object(bucket, name)
    if recursive:
        session.tell({"deleted": names}, f"deleted {len(names)} objects of gs://{bucket}/{folder}")
    else:
        session.tell({"deleted": names}, f"deleted gs://{bucket}/{name}")


def upload_file(session: Session, path: Path, destination: str) -> Json:
    """Put the file ``path`` at ``gs://BUCKET/OBJECT``, or under its own name at ``gs://BUCKET/`` or a folder."""
    from sintonia.cli.transfers import upload
    from sintonia.cli.unfinished import Unfinished
    from sintonia.settings import default_cache

    bucket, name = parse_uri(destination)
    if not name or name.endswith("/"):
        name += path.name
    try:
        size, changed = path.stat().st_size, path.stat().st_mtime_ns
        begun = Unfinished(default_cache() / "uploads", session.api.url, bucket, name, path.resolve(), size, changed)
        with path.open("rb") as stream, _bar(session.err, f"uploading {path.name}", size) as count:
            return upload(
                session.api, bucket, name, stream, size=size, begun=begun, count=count, tell=session.err.print
            )
    except OSError as error:
        raise CommandFailed("INVALID_ARGUMENT", f"cannot read {path}: {error.strerror}") from None


def _download_file(session: Session, source: str, destination: Path) -> Path:
    from sintonia.cli.transfers import download

    bucket, name = parse_uri(source)
    if not name or name.endswith("/"):
        raise typer.BadParameter(f"{source} names no object.", param_hint="SOURCE")
    path = destination / name.rpartition("/")[2] if destination.is_dir() else destination
    size = int(session.api.get_object(bucket, name).get("size", 0))
    part = path.with_name(path.name + ".part")
    try:
        with part.open("wb") as stream, _bar(session.err, f"downloading {path.name}", size) as count:
            download(session.api, bucket, name, stream, count=count, tell=session.err.print)
        os.replace(part, path)
    except OSError as error:
        raise CommandFailed("INVALID_ARGUMENT", f"cannot write {path}: {error.strerror}") from None
    finally:
        part.unlink(missing_ok=True)
    return path


def parse_uri(uri: str) -> tuple[str, str]:
    """Bucket and object name (or prefix, or nothing) of a gs:// address.

    Raises typer.BadParameter if it is none.
    """
    bucket, _, name = uri.removeprefix("gs://").partition("/")
    if not uri.startswith("gs://") or not bucket:
        raise typer.BadParameter(f"{uri!r} is not a gs://BUCKET/OBJECT address.")
    return bucket, name


@contextmanager
def _bar(console: Console, label: str, size: int) -> Iterator[Any]:
    """A function that counts bytes, on a bar where the work is long and somebody looks."""
    if not console.is_terminal or size < _WORTH_A_BAR:
        yield lambda count: None
        return
    from rich.progress import BarColumn, DownloadColumn, Progress, TextColumn, TimeRemainingColumn, TransferSpeedColumn

    columns = [TextColumn("{task.description}"), BarColumn(), DownloadColumn(), TransferSpeedColumn(),
               TimeRemainingColumn()]  # fmt: skip
    with Progress(*columns, console=console, transient=True) as progress:
        task = progress.add_task(label, total=size)
        yield lambda count: progress.advance(task, count)
