"""``python -m sintonia.training RUN_DIR``: one attempt at the run in that directory.

Exit status: 0 when the run finished or stopped on request, 1 when it failed, 2 on wrong usage, 75 (EX_TEMPFAIL) when
another trainer holds the directory.
"""

from __future__ import annotations

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
from sintonia.training.reporting import Reporter
from sintonia.training.stopping import Stopping, StopRequest

EXIT_LOCKED = 75


def main(arguments: list[str]) -> int:
    if len(arguments) != 1 or not Path(arguments[0]).is_dir():
        print("usage: python -m sintonia.training RUN_DIR (an existing run directory)", file=sys.stderr)
        return 2
    stop = StopRequest()
    stop.listen()
    directory = RunDirectory(Path(arguments[0]).resolve())
    lock = _lock(directory)
    if lock is None:
        print(f"another trainer is at work in {directory.path}; nothing was done", flush=True)
        return EXIT_LOCKED
    with lock:
        reporter = Reporter(directory, step=_saved_step(directory))
        try:
            _run(directory, reporter, stop)
        except Stopping:
            return 0
        except BaseException as error:
            traceback.print_exc()
            reporter.failed(*describe_failure(error))
            return 1
        return 0


def _run(directory: RunDirectory, reporter: Reporter, stop: StopRequest) -> None:
    spec = directory.read_spec()
    # Only now, as this takes seconds in which the user already sees the run loading.
    import torch
    from transformers.utils import logging as transformers_logging

    torch.set_num_threads(spec.threads)
    torch.set_num_interop_threads(1)
    transformers_logging.disable_progress_bar()
    from sintonia.training.run import Run

    gc.freeze()
    gc.enable()
    try:
        run = Run(directory, spec, reporter, stop)
    except Stopping:
        reporter.stopped(_saved_step(directory))
        raise
    run()


def _lock(directory: RunDirectory) -> TextIO | None:
    """The directory's lock, held until the file is closed; None if another process holds it.

    The file says who holds it, so that an executor finds the process even if the one that started it was killed.
    """
    stream = directory.lock_file.open("a")
    try:
        fcntl.flock(stream, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        stream.close()
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
