"""From create to the first training computation: a job on the embedded model, over HTTP, and where its seconds go.

The first job warms files and is not counted. Jobs are cancelled as soon as they train. The dataset is one of the small
samples; of all but the first job it is found prepared, which for so small a file makes no difference.
"""

from __future__ import annotations

import argparse
import json
import statistics
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path

from benchmarks.control_plane import Server
from benchmarks.report import Figure, main, number, show, spread
from sintonia.runs.events import Progress, Started, read_events
from sintonia.runs.layout import RunDirectory

JOBS = "/v1/projects/bench/locations/us-central1/tuningJobs"
DATASET = "gs://cloud-samples-data/ai-platform/generative_ai/sft_train_data.jsonl"
STAGES = ("claimed", "dataset read", "trainer started", "trainer loading", "training")
_MOST_SECONDS = 600.0


def parse(arguments: Sequence[str] | None = None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.start", description=__doc__)
    parser.add_argument("--repeats", type=int, help="jobs that count (default: 7; quick: 3)")
    parser.add_argument("--quick", action="store_true", help="fewer jobs")
    options = parser.parse_args(arguments)
    options.repeats = options.repeats or (3 if options.quick else 7)
    return options


def measure(options: argparse.Namespace) -> list[Figure]:
    with tempfile.TemporaryDirectory(prefix="sintonia-bench-") as name:
        server = Server(Path(name))
        try:
            jobs = [_start(server, Path(name)) for _ in range(1 + options.repeats)][1:]
        finally:
            server.stop()
    told = []
    for stage in STAGES:
        until = [moments[stage] for moments in jobs]
        show(f"{stage} after {spread(until)} s")
        told.append(f"{stage} {number(statistics.median(until))}")
    total = statistics.median(moments["training"] for moments in jobs)
    return [Figure("from create to the first training computation", f"{number(total)} s", ", ".join(told[:-1]))]


def _start(server: Server, home: Path) -> dict[str, float]:
    """Seconds from the request until each stage was reached."""
    begin = time.time()
    spec = {"trainingDatasetUri": DATASET}
    job = server.succeed("POST", JOBS, {"baseModel": "gemini-1.0-pro-002", "supervisedTuningSpec": spec})
    server.hang_up()
    run = RunDirectory(home / "runs" / job["name"].rpartition("/")[2])
    while (training := _event(run, Started)) is None:
        if time.time() - begin > _MOST_SECONDS:
            raise SystemExit(f"the job does not train: {json.dumps(server.succeed('GET', '/v1/' + job['name']))}")
        time.sleep(0.02)
    loading = _event(run, Progress)
    moments = {
        "claimed": (run.path / "prepare.json").stat().st_mtime,
        "dataset read": (run.data / "result.json").stat().st_mtime,
        "trainer started": run.spec_file.stat().st_mtime,
        "trainer loading": loading or training,
        "training": training,
    }
    server.succeed("POST", f"/v1/{job['name']}:cancel", {})
    while server.succeed("GET", "/v1/" + job["name"])["state"] != "JOB_STATE_CANCELLED":
        time.sleep(0.1)
    return {stage: moment - begin for stage, moment in moments.items()}


def _event(run: RunDirectory, kind: type[Started] | type[Progress]) -> float | None:
    for file in run.event_files():
        for read in read_events(file):
            if isinstance(read.event, kind):
                return read.event.time
    return None


if __name__ == "__main__":
    main(parse, measure)
