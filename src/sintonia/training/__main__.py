"""``python -m sintonia.training RUN_DIR``: one attempt at the run in that directory.

Exit status: 0 when the run finished or stopped on request, 1 when it failed, 2 on wrong usage, 75 (EX_TEMPFAIL) when
another trainer holds the directory.
"""

from __future__ import annotations

import argparse
import contextlib
import fcntl
import gc
import json
import os
import sys
import traceback
from pathlib import Path
from typing import TextIO

import psutil

if __name__ == "__main__":
    # Loading code makes objects by the million that stay; looking for garbage among them takes a fifth of its time.
    gc.disable()

from sintonia.runs.layout import RunDirectory
from sintonia.training.failures import describe_failure
from sintonia.training.processes import PeerLost, Place, leave_word, process_count, run_together
from sintonia.training.reporting import Reporter
from sintonia.training.stopping import Stopping, StopRequest
from sintonia.training.watchdog import Watchdog

EXIT_LOCKED = 75


def main(arguments: list[str]) -> int:
    options = _parse(arguments)
    directory = RunDirectory(options.directory.resolve())
    if options.meeting is not None:
        return _attempt(directory, Place(options.rank, options.count, options.meeting))
    count = _process_count(directory)
    if count == 1:
        return _attempt(directory, Place())
    lock = _lock(directory)
    if lock is None:
        return EXIT_LOCKED
    lock.close()  # the first of the processes will hold it: it may outlive this one
    return 0 if run_together(directory, count) else 1


def _attempt(directory: RunDirectory, place: Place) -> int:
    stop = StopRequest()
    stop.listen()
    with contextlib.ExitStack() as stack:
        if place.is_first:
            lock = _lock(directory)
            if lock is None:
                return EXIT_LOCKED
            stack.enter_context(lock)
        reporter = Reporter(directory, step=_saved_step(directory), silent=not place.is_first)
        try:
            _run(directory, place, reporter, stop)
        except Stopping:
            return 0
        except PeerLost as error:
            print(error, flush=True)
            return 1
        except BaseException as error:
            traceback.print_exc()
            reason = describe_failure(error)
            reporter.failed(*reason)
            leave_word(place, *reason)
            return 1
        return 0


def _run(directory: RunDirectory, place: Place, reporter: Reporter, stop: StopRequest) -> None:
    spec = directory.read_spec()
    # Only now, as this takes seconds in which the user already sees the run loading.
    import torch
    from transformers.utils import logging as transformers_logging

    torch.set_num_threads(max(1, spec.threads // place.count))
    torch.set_num_interop_threads(1)
    transformers_logging.disable_progress_bar()
    from sintonia.training.ranks import Ranks
    from sintonia.training.run import Run

    gc.freeze()
    gc.enable()

    def hangs(doing: str) -> None:
        message = (
            f"The trainer stood still for {spec.hang_seconds:.0f} s (process {place.rank + 1} of {place.count}: "
            f"{doing}) and was ended. What it was doing is in the job's log; start a new job, with a higher "
            "'training_hang_seconds' if the machine is that slow."
        )
        reporter.failed("DEADLINE_EXCEEDED", message)
        leave_word(place, "DEADLINE_EXCEEDED", message)

    ranks = Ranks(place, device=spec.device, timeout=2 * spec.hang_seconds)  # the watchdog knows more of it
    watchdog = Watchdog(spec.hang_seconds, hangs)
    try:
        Run(directory, spec, reporter, stop, ranks, watchdog)()
    except Stopping:
        reporter.stopped(_saved_step(directory))
        raise
    finally:
        watchdog.close()
        ranks.close()


def _parse(arguments: list[str]) -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m sintonia.training", description=__doc__)
    parser.add_argument("directory", metavar="RUN_DIR", type=Path, help="an existing run directory")
    for name, kind in (("rank", int), ("count", int), ("meeting", Path)):
        parser.add_argument(f"--{name}", type=kind, help=argparse.SUPPRESS)  # for processes that others start
    options = parser.parse_args(arguments)
    if not options.directory.is_dir():
        parser.error(f"{options.directory} is no directory")
    return options


def _process_count(directory: RunDirectory) -> int:
    try:
        return process_count(directory.read_spec())
    except (OSError, ValueError):
        return 1  # which will tell


def _lock(directory: RunDirectory) -> TextIO | None:
    """The directory's lock, held until the file is closed; None if another process holds it.

    The file says who holds it, so that an executor finds the process even if the one that started it was killed.
    """
    stream = directory.lock_file.open("a")
    try:
        fcntl.flock(stream, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        stream.close()
        print(f"another trainer is at work in {directory.path}; nothing was done", flush=True)
        return None
    stream.truncate(0)
    stream.write(json.dumps({"pid": os.getpid(), "started": psutil.Process().create_time()}))
    stream.flush()
    return stream


def _saved_step(directory: RunDirectory) -> int:
    """The step of the newest resume checkpoint, by its name."""
    return max((int(path.name.removeprefix("step-")) for path in directory.resume.glob("step-????????")), default=0)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
