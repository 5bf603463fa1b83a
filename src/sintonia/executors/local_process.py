"""Trainers as processes of this machine, which outlive the server and are found again after its restart."""

from __future__ import annotations

import contextlib
import json
import signal
import subprocess
import sys
import time
from pathlib import Path

import psutil

from sintonia.runs.layout import RunDirectory, write_atomically
from sintonia.settings import training_environment

# Processes that share a run talk to each other over loopback, whatever the machine's name resolves to.
_LOOPBACK = next(
    (name for name, addresses in psutil.net_if_addrs().items() if any(a.address == "127.0.0.1" for a in addresses)),
    "lo",
)
_GROUP_ENVIRONMENT = {"GLOO_SOCKET_IFNAME": _LOOPBACK, "NCCL_SOCKET_IFNAME": _LOOPBACK}

# Serving answers people who wait; training does not mind.
_NICENESS = 5


class LocalProcessExecutor:
    """Runs ``python -m sintonia.training`` for run directories, at most one process for each, which may start others.

    A process is known by its pid and start time, which the executor notes in ``process.json`` and the trainer in the
    lock file that it holds; so any later executor on this machine can tell, stop or leave it, even if the first one
    was killed between starting it and noting so.
    """

    def __init__(self) -> None:
        self._children: dict[Path, subprocess.Popen[bytes]] = {}

    def start(self, run: RunDirectory, *, threads: int) -> None:
        """Start a trainer; no error and no second one if it runs already."""
        if self.is_running(run):
            return
        run.logs.mkdir(parents=True, exist_ok=True)
        with run.trainer_log.open("ab") as log:
            child = subprocess.Popen(
                [sys.executable, "-m", "sintonia.training", str(run.path)],
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=subprocess.STDOUT,
                start_new_session=True,  # signals to the server's terminal are not for the trainer
                env=training_environment(threads) | _GROUP_ENVIRONMENT,
                cwd=run.path,
            )
        self._children[run.path] = child
        with contextlib.suppress(psutil.Error):
            process = psutil.Process(child.pid)
            identity = {"pid": child.pid, "started": process.create_time()}
            write_atomically(_identity_file(run), json.dumps(identity).encode())
            process.nice(_NICENESS)

    def is_running(self, run: RunDirectory) -> bool:
        """Whether a process works on ``run``, whoever started it."""
        self._reap()
        return self._process(run) is not None

    def stop(self, run: RunDirectory, *, grace: float) -> None:
        """End the process: ask, wait up to ``grace`` seconds, then kill. No error if none runs."""
        self.ask_to_stop(run)
        deadline = time.monotonic() + grace
        while self.is_running(run) and time.monotonic() < deadline:
            time.sleep(0.05)
        process = self._process(run)
        if process is not None:
            with contextlib.suppress(psutil.Error):
                group = [process, *process.children(recursive=True)]
                for member in group:
                    with contextlib.suppress(psutil.NoSuchProcess):
                        member.kill()
                psutil.wait_procs(group, timeout=5)
        self._reap()

    def ask_to_stop(self, run: RunDirectory) -> None:
        """Ask the process to save its state and end; returns at once."""
        process = self._process(run)
        if process is not None:
            with contextlib.suppress(psutil.Error):
                process.send_signal(signal.SIGTERM)

    def _reap(self) -> None:
        """Let the system forget children that have ended."""
        for path, child in list(self._children.items()):  # other threads may start and reap meanwhile
            if child.poll() is not None:
                self._children.pop(path, None)

    def _process(self, run: RunDirectory) -> psutil.Process | None:
        """The live process of ``run``: a pid alone may belong to somebody else by now."""
        for file in (_identity_file(run), run.lock_file):
            try:
                identity = json.loads(file.read_bytes())
                process = psutil.Process(int(identity["pid"]))
                if abs(process.create_time() - float(identity["started"])) > 1.0:
                    continue
                if process.status() != psutil.STATUS_ZOMBIE:
                    return process
            except (OSError, ValueError, KeyError, TypeError, psutil.Error):
                continue
        return None


def _identity_file(run: RunDirectory) -> Path:
    return run.path / "process.json"
