"""One run in several processes of this machine: how many, which one this is, and starting them by torchrun.

It knows no data and no model, and loads torch only where there is more than one process to start.
"""

from __future__ import annotations

import json
import sys
from dataclasses import dataclass
from pathlib import Path
from shutil import rmtree

from sintonia.runs.events import EventWriter, Failed
from sintonia.runs.layout import RunDirectory, write_atomically
from sintonia.runs.spec import TrainingSpec

_SECONDS_TO_END = 15
"""For processes to save and end when they are asked to, or when another has failed."""


class PeerLost(Exception):
    """Another process of the run ended or did not answer. This one cannot go on; the reason is the other's to tell."""


@dataclass(frozen=True)
class Place:
    """Which process of how many this is; ``meeting`` is a directory of theirs, new at every start."""

    rank: int = 0
    count: int = 1
    meeting: Path | None = None

    @property
    def is_first(self) -> bool:
        """Whether this is the one that tells, exports and saves."""
        return self.rank == 0


def process_count(spec: TrainingSpec) -> int:
    """What the spec says, else one for each GPU, else one."""
    if spec.processes is not None:
        return spec.processes
    # A look that costs nothing: machines with fewer than two devices are spared the seconds that torch takes to load.
    if spec.device == "cpu" or len(list(Path("/dev").glob("nvidia[0-9]*"))) < 2:
        return 1
    import torch

    return max(1, torch.cuda.device_count())


def run_together(directory: RunDirectory, count: int) -> bool:
    """Run ``count`` trainers on ``directory`` until all have ended; whether they ended well.

    Signals to stop are handed on to them. When one fails the others are ended; what it said of that is told here if the
    first one, which tells all else, could not.
    """
    from torch.distributed.elastic.multiprocessing import DefaultLogsSpecs, SignalException
    from torch.distributed.elastic.multiprocessing.errors import ChildFailedError
    from torch.distributed.launcher.api import LaunchConfig, elastic_launch

    meeting = directory.path / "meeting"
    rmtree(meeting, ignore_errors=True)
    meeting.mkdir()
    config = LaunchConfig(
        min_nodes=1,
        max_nodes=1,
        nproc_per_node=count,
        run_id="run",
        # Files, not ports: nobody else on the network or the machine can join.
        rdzv_backend="c10d",
        rdzv_endpoint=str(meeting / "rendezvous"),
        rdzv_configs={"store_type": "file"},
        local_addr="127.0.0.1",
        max_restarts=0,
        logs_specs=DefaultLogsSpecs(log_dir=str(meeting)),
        shutdown_timeout=_SECONDS_TO_END,
    )
    command = ["-m", "sintonia.training", str(directory.path), "--rank", "${local_rank}"]
    try:
        elastic_launch(config, sys.executable)(*command, "--count", str(count), "--meeting", str(meeting))
    except SignalException:
        return True
    except ChildFailedError:
        _tell_failure(directory, meeting)
        return False
    finally:
        rmtree(meeting, ignore_errors=True)
    return True


def leave_word(place: Place, status: str, message: str) -> None:
    """Keep why this process failed for ``run_together`` to tell; the first one tells it itself."""
    if place.meeting is not None and not place.is_first:
        write_atomically(place.meeting / f"failure-{place.rank}.json", json.dumps([status, message]).encode())


def _tell_failure(directory: RunDirectory, meeting: Path) -> None:
    for file in sorted(meeting.glob("failure-*.json")):
        status, message = json.loads(file.read_bytes())
        *_, newest = directory.event_files()
        EventWriter(newest).write(Failed(status=status, message=message))
        return
