"""Engine processes: at most one for each base model, started when first needed; knows nothing of adapters.

An engine listens on a socket in a directory that only this user may enter, and lives no longer than this process:
it ends when the pipe to its standard input does.
"""

from __future__ import annotations

import asyncio
import contextlib
import itertools
import logging
import os
import re
import shutil
import signal
import subprocess
import sys
import tempfile
from asyncio.subprocess import Process
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from sintonia.errors import Unavailable
from sintonia.serving.client import EngineClient
from sintonia.settings import compute_environment

log = logging.getLogger(__name__)

_LONGEST_SOCKET_PATH = 100  # The kernel takes 108 bytes.
_STOPPING = "The server is stopping."
_LOOK_EVERY = 0.1  # Seconds between looks whether a starting engine is ready.
_TERMINATION_PATIENCE = 2.0  # Seconds from SIGTERM to SIGKILL.


@dataclass(frozen=True)
class ServedBase:
    """A base model as an engine needs it: a Hugging Face directory and the longest context to allow."""

    name: str
    model_dir: Path
    max_context: int | None = None


@dataclass(eq=False)
class _Engine:
    base: ServedBase
    process: Process
    client: EngineClient
    log_path: Path

    @property
    def alive(self) -> bool:
        return self.process.returncode is None


class Engines:
    """Running engines by base model, the most recently used last. For one event loop."""

    def __init__(
        self,
        *,
        log_dir: Path,
        threads: int,
        max_engines: int = 2,
        device: str = "auto",
        precision: str = "auto",
        max_batch: int = 32,
        start_timeout: float = 1800.0,
    ) -> None:
        """
        Args:
            log_dir: where each engine's output goes, one file a base model.
            threads: CPU threads of each engine.
            max_engines: engines alive at once; a further base model waits until one is idle and takes its place.
            device: as torch spells it, or ``auto``.
            precision: ``bfloat16``, ``float32`` or ``auto``.
            max_batch: sequences that an engine decodes together.
            start_timeout: seconds after which a start that still runs is given up; slow disks need many.
        """
        self._log_dir = log_dir
        self._threads = threads
        self._max_engines = max_engines
        self._options = ["--device", device, "--precision", precision, "--max-batch", str(max_batch)]
        self._start_timeout = start_timeout
        self._engines: dict[str, _Engine] = {}
        self._starting: dict[str, asyncio.Task[EngineClient]] = {}
        self._room = asyncio.Lock()
        self._socket_dir: Path | None = None
        self._numbers = itertools.count()
        self._closed = False

    async def engine(self, base: ServedBase) -> EngineClient:
        """A client of the engine that serves ``base``, started first if need be; concurrent callers share one start.

        Use it at once: an engine that has no request under way may be stopped to make room for another.

        Raises:
            Unavailable: the engine could not be started; says why.
        """
        while True:
            if self._closed:
                raise Unavailable(_STOPPING)
            running = self._engines.get(base.name)
            if running is None:
                break
            if running.base == base and running.alive and not running.client.broken:
                self._engines[base.name] = self._engines.pop(base.name)
                return running.client
            await self._replace(running, base)
        task = self._starting.get(base.name)
        if task is None:
            task = asyncio.create_task(self._start(base))
            self._starting[base.name] = task
            task.add_done_callback(lambda _: self._starting.pop(base.name, None))
        try:
            return await asyncio.shield(task)  # A caller that leaves must not stop the start for the others.
        except asyncio.CancelledError:
            if task.cancelled():
                raise Unavailable(_STOPPING) from None
            raise

    def running(self, base_name: str) -> EngineClient | None:
        """The client of a live engine, None if there is none."""
        engine = self._engines.get(base_name)
        return engine.client if engine is not None and engine.alive else None

    def starting(self, base_name: str) -> bool:
        """Whether an engine is being started, or waits until another one is idle to take its place."""
        return base_name in self._starting

    async def close(self) -> None:
        """Stop all engines, in a few seconds; no error if there are none."""
        self._closed = True
        starting = list(self._starting.values())
        for task in starting:
            task.cancel()
        await asyncio.gather(*starting, return_exceptions=True)
        engines, self._engines = list(self._engines.values()), {}
        await asyncio.gather(*(_stop(engine) for engine in engines))
        if self._socket_dir is not None:
            shutil.rmtree(self._socket_dir, ignore_errors=True)

    async def _replace(self, running: _Engine, base: ServedBase) -> None:
        """Stop an engine that is dead, that lost a connection or that serves other files than wanted now."""
        if running.client.broken and running.alive and running.base == base and await running.client.health():
            running.client.broken = False  # One connection broke, the engine is well.
            return
        if self._engines.get(base.name) is running:
            del self._engines[base.name]
            log.warning("The engine of %s is gone or outdated and is replaced", base.name)
            await _stop(running)

    async def _start(self, base: ServedBase) -> EngineClient:
        async with self._room:  # One start at a time: two models loading at once only slow each other.
            await self._make_room()
            engine = await self._launch(base)
            try:
                await self._wait_until_ready(engine)
            except BaseException:
                await _stop(engine)
                raise
            self._engines[base.name] = engine
            return engine.client

    async def _make_room(self) -> None:
        for name in [name for name, engine in self._engines.items() if not engine.alive]:
            await _stop(self._engines.pop(name))
        while len(self._engines) >= self._max_engines:
            idle = next((name for name, engine in self._engines.items() if engine.client.idle.is_set()), None)
            if idle is not None:
                await _stop(self._engines.pop(idle))
                continue
            waits = [asyncio.create_task(engine.client.idle.wait()) for engine in self._engines.values()]
            try:
                await asyncio.wait(waits, return_when=asyncio.FIRST_COMPLETED)
            finally:
                for wait in waits:
                    wait.cancel()

    async def _launch(self, base: ServedBase) -> _Engine:
        socket_path = self._sockets() / f"{next(self._numbers)}.sock"
        self._log_dir.mkdir(parents=True, exist_ok=True)
        log_path = self._log_dir / f"engine-{re.sub(r'[^A-Za-z0-9._-]', '-', base.name)}.log"
        command = [sys.executable, "-P", "-m", "sintonia.inference", "--model-dir", str(base.model_dir)]
        command += ["--model-name", base.name, "--uds", str(socket_path), "--threads", str(self._threads)]
        command += self._options
        if base.max_context is not None:
            command += ["--max-context", str(base.max_context)]
        with log_path.open("wb") as log_file:
            process = await asyncio.create_subprocess_exec(
                *command,
                stdin=subprocess.PIPE,
                stdout=log_file,
                stderr=subprocess.STDOUT,
                env=_environment(self._threads),
                start_new_session=True,  # Ctrl-C is for the server, which then stops its engines in order.
            )
        log.info("Starting the engine of %s, process %d, log %s", base.name, process.pid, log_path)
        return _Engine(base, process, EngineClient(socket_path), log_path)

    async def _wait_until_ready(self, engine: _Engine) -> None:
        clock = asyncio.get_running_loop().time
        give_up = clock() + self._start_timeout
        while await engine.client.health() is None:
            if not engine.alive:
                raise Unavailable(
                    f"The inference engine of {engine.base.name!r} did not start. "
                    f"The end of its log {engine.log_path}:\n{_tail(engine.log_path)}"
                )
            if clock() > give_up:
                raise Unavailable(
                    f"The inference engine of {engine.base.name!r} was not ready after {self._start_timeout:.0f} s. "
                    f"Its log is {engine.log_path}."
                )
            with contextlib.suppress(TimeoutError):
                await asyncio.wait_for(engine.process.wait(), _LOOK_EVERY)

    def _sockets(self) -> Path:
        if self._socket_dir is None:
            directory = Path(tempfile.mkdtemp(prefix="sintonia-"))
            if len(os.fsencode(directory)) > _LONGEST_SOCKET_PATH - 16:
                directory.rmdir()
                directory = Path(tempfile.mkdtemp(prefix="sintonia-", dir="/tmp"))
            self._socket_dir = directory
        return self._socket_dir


async def _stop(engine: _Engine) -> None:
    """Terminate, then kill; no error if already ended."""
    for number in (signal.SIGTERM, signal.SIGKILL):
        if not engine.alive:
            break
        with contextlib.suppress(ProcessLookupError):
            # Not Process.terminate: it would collect the exit status of a process just killed before asyncio can.
            os.kill(engine.process.pid, number)
        try:
            await asyncio.wait_for(engine.process.wait(), _TERMINATION_PATIENCE)
            break
        except TimeoutError:
            log.warning("The engine of %s, process %d, does not stop", engine.base.name, engine.process.pid)
    await engine.client.close()
    engine.client.socket_path.unlink(missing_ok=True)


def _environment(threads: int) -> dict[str, str]:
    """The surroundings of an engine: no network, no secrets."""
    return compute_environment(threads) | {"HF_HUB_OFFLINE": "1", "PYTHONUNBUFFERED": "1"}


def _tail(path: Path, lines: int = 15) -> str:
    try:
        text = path.read_text(encoding="utf-8", errors="replace")
    except OSError as error:
        return f"(cannot be read: {error})"
    ends: Sequence[str] = text.strip().splitlines()[-lines:]
    return "\n".join(ends) or "(empty)"
