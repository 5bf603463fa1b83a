"""``sintonia doctor``: what this machine has and lacks, and what to do about it."""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

import typer

from sintonia.cli.failures import FAILED, CommandFailed, ServerUnreachable
from sintonia.cli.session import Session, remote_command

if TYPE_CHECKING:
    from sintonia.settings import Settings

Verdict = Literal["ok", "missing", "note"]

_GIB = 1 << 30
_ENOUGH_MEMORY = 4 * _GIB
_ENOUGH_DISK = 2 * _GIB

# In a process of its own: this one stays free of torch, and a broken torch cannot take it down.
_TORCH_REPORT = """
import json
import torch, transformers, peft
from sintonia.modeling.load import choose_device, choose_precision
device = choose_device()
cuda = torch.cuda.is_available()
print(json.dumps({
    "torch": torch.__version__, "transformers": transformers.__version__, "peft": peft.__version__,
    "cuda": torch.version.cuda, "device": device.type, "precision": choose_precision(device),
    "cpuPrecision": choose_precision(torch.device("cpu")),
    "gpu": torch.cuda.get_device_name(0) if cuda else None,
    "gpuMemory": torch.cuda.get_device_properties(0).total_memory if cuda else None,
}))
"""


@dataclass(frozen=True)
class Check:
    """One finding; ``note`` is something that may be better but need not."""

    name: str
    verdict: Verdict
    found: str
    advice: str = ""


def register(app: typer.Typer) -> None:
    remote_command(app, "doctor")(doctor)


def doctor(session: Session) -> None:
    """Tell what this machine has and lacks; fails only if something that is needed is missing."""
    with session.err.status("looking around"):
        checks = list(examine(session))
    missing = [check for check in checks if check.verdict == "missing"]
    if session.as_json:
        session.print_json({"ok": not missing, "checks": [asdict(check) for check in checks]})
    else:
        _print(session, checks)
    if missing:
        raise typer.Exit(FAILED)


def examine(session: Session) -> Iterator[Check]:
    from sintonia.settings import Settings

    settings = Settings.load()
    yield _python()
    yield from _hardware()
    yield from _torch()
    yield _compiler()
    yield _embedded_model(settings)
    yield _disk(settings)
    yield from _places(settings)
    yield _server(session)


def _python() -> Check:
    version = ".".join(map(str, sys.version_info[:3]))
    # pip refuses older ones, but a checkout can be run without pip.
    return Check("Python", "ok" if sys.version_info >= (3, 11) else "missing", version, "Python 3.11 or newer")


def _hardware() -> Iterator[Check]:
    import psutil

    cores = len(psutil.Process().cpu_affinity()) if hasattr(psutil.Process, "cpu_affinity") else psutil.cpu_count() or 1
    yield Check(
        "CPU cores", "ok" if cores >= 2 else "note", str(cores), "one core trains and serves slowly" * (cores < 2)
    )
    memory = psutil.virtual_memory()
    found = f"{memory.total / _GIB:.1f} GiB, {memory.available / _GIB:.1f} GiB free"
    yield Check(
        "memory",
        "ok" if memory.available >= _ENOUGH_MEMORY else "note",
        found,
        "" if memory.available >= _ENOUGH_MEMORY else "tuning the embedded model is comfortable with 4 GiB free",
    )


def _torch() -> Iterator[Check]:
    command = [sys.executable, "-c", _TORCH_REPORT]
    try:
        done = subprocess.run(command, capture_output=True, text=True, timeout=120, check=False)
        report: dict[str, Any] = json.loads(done.stdout.splitlines()[-1]) if done.returncode == 0 else {}
        problem = (done.stderr.strip().splitlines() or ["it said nothing"])[-1]
    except (subprocess.TimeoutExpired, ValueError, IndexError) as error:
        report, problem = {}, str(error)
    if not report:
        yield Check(
            "PyTorch, Transformers, PEFT", "missing", problem, "`make setup`, or `pip install 'sintonia[torch]'`"
        )
        return
    build = f"CUDA {report['cuda']}" if report["cuda"] else "CPU build"
    yield Check("PyTorch", "ok", f"{report['torch']} ({build})")
    yield Check("Transformers, PEFT", "ok", f"{report['transformers']}, {report['peft']}")
    if report["gpu"]:
        yield Check("GPU", "ok", f"{report['gpu']}, {report['gpuMemory'] / _GIB:.0f} GiB, {report['precision']}")
    elif shutil.which("nvidia-smi"):
        yield Check("GPU", "note", "there, but PyTorch does not see it", "install a CUDA build of PyTorch")
    else:
        yield Check("GPU", "note", "none", "not needed: the CPU trains and serves small models")
    in_bfloat16 = report["cpuPrecision"] == "bfloat16"
    yield Check(
        "bfloat16 in the CPU",
        "ok" if in_bfloat16 else "note",
        "yes" if in_bfloat16 else "no",
        "" if in_bfloat16 else "the CPU computes in float32: slower, and twice the memory for weights",
    )


def _compiler() -> Check:
    found = shutil.which("g++")
    return Check("C++ compiler", "ok" if found else "note", found or "no g++",
                 "" if found else "`apt install g++` makes training on a CPU faster")  # fmt: skip


def _embedded_model(settings: Settings) -> Check:
    from sintonia.base_models import Catalog

    catalog = Catalog.load(cache=settings.cache, entries=settings.base_models, aliases=settings.aliases)
    entry = catalog.find("smollm2-135m-instruct")
    if catalog.is_prepared(entry):
        return Check("embedded base model", "ok", str(catalog.directory(entry)))
    return Check("embedded base model", "missing", "not prepared", "`sintonia setup`")


def _disk(settings: Settings) -> Check:
    folder = next(path for path in (settings.home, *settings.home.parents) if path.is_dir())
    free = shutil.disk_usage(Path(folder)).free
    enough = free >= _ENOUGH_DISK
    return Check(
        "disk", "ok" if enough else "missing", f"{free / _GIB:.0f} GiB free for {settings.home}",
        "" if enough else "free 2 GiB there, or choose another SINTONIA_HOME",
    )  # fmt: skip


def _places(settings: Settings) -> Iterator[Check]:
    """With the credentials of this shell, which need not be those of the server."""
    from sintonia.app import storage_config
    from sintonia.errors import ApiError
    from sintonia.storage import Storage

    try:
        places = list(Storage(storage_config(settings)).look_around()) if settings.storage else []
    except ApiError as error:
        yield Check("storage", "missing", error.message, "see docs/how-to/use-your-own-storage.md")
        return
    for place, problem in places:
        found = f"{place.uri}: {problem or ('can be read' if place.read_only else 'can be read and written')}"
        yield Check("storage", "missing" if problem else "ok", found, "see docs/how-to/use-your-own-storage.md")


def _server(session: Session) -> Check:
    try:
        health = session.api.get("/healthz")
    except ServerUnreachable:
        return Check("server", "note", f"none at {session.url}", "`sintonia serve` starts one")
    except CommandFailed as failure:
        return Check("server", "note", str(failure), "another program has that port? `--url` names another address")
    return Check("server", "ok", f"{session.url}, version {health.get('version', '?')}")


def _print(session: Session, checks: list[Check]) -> None:
    from rich.table import Table
    from rich.text import Text

    signs = {"ok": Text("✓", "green"), "missing": Text("✗", "bold red"), "note": Text("!", "yellow")}
    table = Table.grid(padding=(0, 2))
    for check in checks:
        advice = "" if check.verdict == "ok" else check.advice
        table.add_row(signs[check.verdict], Text(check.name, "bold"), check.found, Text(advice, "dim"))
    session.out.print(table)
