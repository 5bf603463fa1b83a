"""Child processes and what they cost; the environment in which the peers live."""

from __future__ import annotations

import hashlib
import os
import resource
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import psutil

from benchmarks.report import show

ROOT = Path(__file__).parent.parent
PEER_HOME = ROOT / ".cache" / "bench"
PEERS = ROOT / "benchmarks" / "peers"
_REQUIREMENTS = ROOT / "benchmarks" / "requirements.txt"
_CONSTRAINTS = ROOT / "constraints.txt"
_LOOK_SECONDS = 0.02
_ENVIRONMENT = {"HF_HUB_OFFLINE": "1", "TOKENIZERS_PARALLELISM": "false", "CUDA_VISIBLE_DEVICES": "0"}


@dataclass(frozen=True)
class Ended:
    """A process that ended well: seconds on the clock, highest resident memory in bytes, what it printed.

    The memory is the system's own record of the process; if it had children meanwhile, what all of them together were
    seen to have, each shared page counted once, where that is more.
    ``others`` is the share of all cores that other processes used meanwhile: above a few per cent, times say little.
    ``card`` is the most memory that was in use on the GPU, in bytes, whoever used it; 0 without one.
    """

    seconds: float
    peak: int
    output: str
    others: float
    card: int


def run(command: Sequence[str | Path], *, environment: Mapping[str, str] | None = None) -> Ended:
    """Run to the end.

    Raises:
        SystemExit: it failed; shows the end of its output.
    """
    with tempfile.TemporaryFile() as log:
        begin, busy_before, used_before = time.monotonic(), _busy_seconds(), _used_by_children()
        process = subprocess.Popen(
            list(map(str, command)),
            stdin=subprocess.DEVNULL,
            stdout=log,
            stderr=subprocess.STDOUT,
            cwd=ROOT,
            env={**_ENVIRONMENT, **os.environ, **(environment or {})},
        )
        peak = looks = card = 0
        while process.poll() is None:
            peak = max(peak, peak_memory(process.pid), family_memory(process.pid) if looks % 10 == 0 else 0)
            card = max(card, card_memory() if looks % 10 == 0 else 0)
            looks += 1
            time.sleep(_LOOK_SECONDS)
        seconds = time.monotonic() - begin
        others = _busy_seconds() - busy_before - (_used_by_children() - used_before)
        log.seek(0)
        output = log.read().decode(errors="replace")
    if process.returncode != 0:
        raise SystemExit(f"{' '.join(map(str, command))}\nended with {process.returncode}:\n{output[-4000:]}")
    return Ended(seconds, peak, output, others=max(0.0, others) / seconds / (os.cpu_count() or 1), card=card)


def peak_memory(pid: int) -> int:
    """The highest resident memory that a live process had, in bytes; 0 if it is gone."""
    return _memory(pid, "VmHWM")


def family_memory(pid: int) -> int:
    """What a live process and its children have together, in bytes; 0 if it has none."""
    try:
        children = psutil.Process(pid).children(recursive=True)
        processes = [psutil.Process(pid), *children] if children else []
        return sum(process.memory_full_info().pss for process in processes)
    except psutil.Error:  # one ended meanwhile
        return 0


def resident_memory(pid: int) -> int:
    """The resident memory that a live process has, in bytes; 0 if it is gone."""
    return _memory(pid, "VmRSS")


def has_gpu() -> bool:
    return shutil.which("nvidia-smi") is not None


def card_memory() -> int:
    """Bytes in use on the first GPU; 0 if there is none."""
    if not has_gpu():
        return 0
    asked = ["nvidia-smi", "--id=0", "--query-gpu=memory.used", "--format=csv,noheader,nounits"]
    done = subprocess.run(asked, capture_output=True, text=True, check=False)
    return int(done.stdout) * 2**20 if done.returncode == 0 else 0


def _busy_seconds() -> float:
    """CPU seconds that the whole machine has used since it was started; waiting for disks is no use."""
    times = psutil.cpu_times()
    return float(sum(times) - times.idle - getattr(times, "iowait", 0.0))


def _used_by_children() -> float:
    """CPU seconds of all children that have ended, and of theirs."""
    usage = resource.getrusage(resource.RUSAGE_CHILDREN)
    return usage.ru_utime + usage.ru_stime


def _memory(pid: int, field: str) -> int:
    try:
        status = Path(f"/proc/{pid}/status").read_text(encoding="utf-8")
    except OSError:
        return 0
    return next((int(line.split()[1]) * 1024 for line in status.splitlines() if line.startswith(field)), 0)


def peer_python() -> Path:
    """Python of the peers' environment, which is made first if it is missing or its requirements changed.

    Never the product's environment: the peers want packages that Sintonia does without.
    """
    python = PEER_HOME / "bin" / "python"
    stamp = PEER_HOME / ".installed"
    wanted = hashlib.sha256(_REQUIREMENTS.read_bytes() + _CONSTRAINTS.read_bytes()).hexdigest()
    if stamp.is_file() and stamp.read_text() == wanted:
        return python
    show(f"installing the peers into {PEER_HOME.relative_to(ROOT)} (about 1.5 GB, a few minutes the first time)")
    if not python.exists():
        run([sys.executable, "-m", "venv", PEER_HOME])
    torch = next(line for line in _CONSTRAINTS.read_text().splitlines() if line.startswith("torch=="))
    pip: list[str | Path] = [
        python,
        "-m",
        "pip",
        "install",
        "--quiet",
        "--disable-pip-version-check",
        "-c",
        _CONSTRAINTS,
    ]
    run([*pip, torch])
    run([*pip, "-r", _REQUIREMENTS])
    stamp.write_text(wanted)
    return python
