"""The control plane: list, get and create over HTTP while 1,000 to 100,000 jobs are stored, and what an idle server
costs.

The jobs are put straight into the database of a home of its own; everything measured goes through a real server
process, over a kept connection, one request at a time, from sending it to having read the whole reply. All stored
jobs have ended, but for one that a controller elsewhere seems to be reading: created jobs wait behind it, so that the
server does what it is asked here and nothing else.
"""

from __future__ import annotations

import argparse
import asyncio
import gc
import http.client
import json
import random
import re
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from pathlib import Path
from urllib.parse import quote, urlencode

import psutil

from benchmarks.processes import peak_memory, resident_memory
from benchmarks.report import Figure, main, mebibytes, number, show
from sintonia.database import Database, Transaction, tuning_jobs
from sintonia.database.tuning_jobs import JobRecord
from sintonia.resources.base import JsonObject
from sintonia.resources.names import Parent
from sintonia.resources.tuning import TuningJob, TuningJobState
from sintonia.services.ids import new_id, readable_name

PARENT = Parent("bench", "us-central1")
JOBS = f"/v1/{PARENT}/tuningJobs"
PAGE = 100
_CHUNK = 5000
_FIRST_CREATED = datetime(2026, 1, 1, tzinfo=UTC)
_READY_SECONDS = 60.0

FILTERS = {
    "by state": 'state="JOB_STATE_FAILED"',
    "by display name": 'tuned_model_display_name:"swift-*"',
    "by label": "labels.team=search",
    "that nothing matches": "labels.team=nobody",
}


class Server:
    """``sintonia serve`` on a home, and one connection to it."""

    def __init__(self, home: Path) -> None:
        begin = time.monotonic()
        self._log = (home / "serve.log").open("w+b")
        self._process = subprocess.Popen(
            [sys.executable, "-m", "sintonia", "serve", "--port", "0", "--home", str(home)],
            stdin=subprocess.DEVNULL,
            stdout=self._log,
            stderr=self._log,
        )
        address = self._address(home / "serve.log", begin + _READY_SECONDS)
        self._connection = http.client.HTTPConnection(address, timeout=_READY_SECONDS)
        self.call("GET", "/healthz")
        self.seconds_to_healthy = time.monotonic() - begin

    def call(self, method: str, path: str, body: JsonObject | bytes | None = None) -> tuple[int, bytes]:
        """The status and the whole body."""
        content = json.dumps(body).encode() if isinstance(body, dict) else body
        self._connection.request(method, path, body=content, headers={"content-type": "application/json"})
        response = self._connection.getresponse()
        return response.status, response.read()

    def succeed(self, method: str, path: str, body: JsonObject | bytes | None = None) -> JsonObject:
        status, content = self.call(method, path, body)
        if status != 200:
            log = Path(self._log.name).read_text()[-3000:]
            raise SystemExit(f"{method} {path} answered {status}: {content[:500].decode(errors='replace')}\n{log}")
        answer: JsonObject = json.loads(content)
        return answer

    @property
    def pid(self) -> int:
        return self._process.pid

    def hang_up(self) -> None:
        """The server closes a connection on which nothing is said; the next request opens another."""
        self._connection.close()

    def idle(self, seconds: float) -> tuple[float, float]:
        """Resident MiB, and the share of one core in per cent, while nothing is asked."""
        self._connection.close()  # or the server does, in the middle of it; the next request opens another
        before = self.used()
        time.sleep(seconds)
        return mebibytes(resident_memory(self.pid)), 100 * (self.used() - before) / seconds

    def used(self) -> float:
        """CPU seconds of the server so far."""
        times = psutil.Process(self.pid).cpu_times()
        return float(times.user + times.system)

    def stop(self) -> None:
        self._connection.close()
        self._process.terminate()
        self._process.wait()
        self._log.close()

    def _address(self, log: Path, deadline: float) -> str:
        while time.monotonic() < deadline and self._process.poll() is None:
            if found := re.search(r"http://(127\.0\.0\.1:\d+)", log.read_text()):
                return found[1]
            time.sleep(0.005)
        raise SystemExit(f"the server did not start:\n{log.read_text()[-2000:]}")


def parse(arguments: Sequence[str] | None = None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.control_plane", description=__doc__)
    parser.add_argument("--jobs", type=int, default=100_000, help="jobs stored in the end (default: 100000)")
    parser.add_argument("--requests", type=int, help="requests of each kind (default: 200; quick: 40)")
    parser.add_argument("--idle", type=float, default=10.0, help="seconds to watch an idle server (default: 10)")
    parser.add_argument("--quick", action="store_true", help="fewer requests")
    options = parser.parse_args(arguments)
    options.requests = options.requests or (40 if options.quick else 200)
    return options


def measure(options: argparse.Namespace) -> list[Figure]:
    sizes = [size for size in (1_000, 10_000, 100_000) if size < options.jobs] + [options.jobs]
    figures: list[Figure] = []
    with tempfile.TemporaryDirectory(prefix="sintonia-bench-") as name:
        home = Path(name)
        stored = 0
        for size in sizes:
            begin = time.monotonic()
            asyncio.run(_store(home, stored, size))
            show(f"{size:,} jobs stored ({size - stored:,} more in {time.monotonic() - begin:.1f} s)")
            stored = size
            gc.collect()
            server = Server(home)
            try:
                figures += _ask(server, size, options, everything=size == sizes[-1])
            finally:
                server.stop()
        show(f"database: {mebibytes((home / 'sintonia.db').stat().st_size):.0f} MiB")
    return figures


def _ask(server: Server, size: int, options: argparse.Namespace, *, everything: bool) -> list[Figure]:
    requests: int = options.requests
    at = f"{size:,} jobs"
    figures = []
    if everything:
        memory, share = server.idle(options.idle)
        figures.append(Figure("server ready to answer /healthz, from its start", f"{server.seconds_to_healthy:.2f} s"))
        figures.append(Figure("idle server", f"{memory:.0f} MiB resident, {share:.1f} % of a core"))
    page = f"{JOBS}?pageSize={PAGE}"
    figures.append(_timed(server, f"list a page of {PAGE}, {at}", [page] * requests))
    if not everything:
        return figures
    deep = _deep_page(server, size)
    figures.append(_timed(server, f"list a page of {PAGE} from the middle, {at}", [deep] * requests))
    for what, text in FILTERS.items():
        address = f"{page}&filter={quote(text)}"
        if _filters(server, address):
            figures.append(_timed(server, f"list {what}, {at}", [address] * max(requests // 4, 10)))
        else:
            show(f"list {what}: this server has no such filter")
    names = [job["name"] for job in server.succeed("GET", deep)["tuningJobs"]]
    figures.append(_timed(server, f"get, {at}", [f"/v1/{names[i % len(names)]}" for i in range(requests)]))
    bodies = [_request(i) for i in range(requests)]
    figures.append(_timed(server, f"create, {at}", [JOBS] * requests, bodies))
    figures.append(_timed(server, f"list a page of {PAGE} after that, {at}", [page] * requests))
    figures.append(Figure("server's peak memory in all this", f"{mebibytes(peak_memory(server.pid)):.0f} MiB"))
    return figures


def _timed(server: Server, what: str, paths: Sequence[str], bodies: Sequence[JsonObject] = ()) -> Figure:
    """Milliseconds of each request, and what the server computed for it, which depends less on what else is running.

    A few requests before them are not counted, unless they change something.
    """
    if not bodies:
        for path in paths[:5]:
            server.succeed("GET", path)
    times = []
    used = server.used()
    for number_, path in enumerate(paths):
        body = json.dumps(bodies[number_]).encode() if bodies else None
        begin = time.perf_counter()
        status, content = server.call("POST" if bodies else "GET", path, body)
        times.append(1000 * (time.perf_counter() - begin))
        if status != 200:
            raise SystemExit(f"{what}: {path} answered {status}: {content[:500].decode(errors='replace')}")
    p95 = statistics.quantiles(times, n=20)[-1]
    computed = 1000 * (server.used() - used) / len(times)
    told = f"{number(statistics.median(times))} ms (p95 {number(p95)}, CPU {number(computed)})"
    show(f"{what}: {told}")
    return Figure(what, told)


def _deep_page(server: Server, size: int) -> str:
    """The address of a page in the middle of the list, found by its tokens as a client finds it."""
    token = ""
    for _ in range(size // 2 // 1000):
        token = server.succeed("GET", f"{JOBS}?{urlencode({'pageSize': 1000, 'pageToken': token})}")["nextPageToken"]
    return f"{JOBS}?{urlencode({'pageSize': PAGE, 'pageToken': token})}"


def _filters(server: Server, address: str) -> bool:
    """Does the server honour this filter? One that ignores it would be measured for what it does not do."""
    status, content = server.call("GET", address)
    if status != 200:
        return False
    plain = server.succeed("GET", f"{JOBS}?pageSize={PAGE}")
    return bool(json.loads(content).get("tuningJobs") != plain["tuningJobs"])


async def _store(home: Path, stored: int, size: int) -> None:
    """Bring the database from ``stored`` jobs to ``size``."""
    database = Database(f"sqlite+aiosqlite:///{home / 'sintonia.db'}")
    await database.open()
    if not stored:
        await _store_held_job(database)
    for start in range(stored, size, _CHUNK):
        records = [_record(index) for index in range(start, min(start + _CHUNK, size))]

        async def work(tx: Transaction, records: Sequence[JobRecord] = records) -> None:
            for record in records:
                await tuning_jobs.insert(tx, record)

        await database.write(work)
    await database.close()


async def _store_held_job(database: Database) -> None:
    """A job whose dataset another controller reads for the next hour."""
    created = _FIRST_CREATED - timedelta(days=1)
    document = _document(random.Random(0), 10**17, created) | {"state": "JOB_STATE_PENDING"}
    record = JobRecord(
        id=10**17,
        parent=Parent("elsewhere", PARENT.location),
        created=_micros(created),
        job=TuningJob.from_wire(document),
        phase=TuningJobState.TUNING_JOB_STATE_PROCESSING_DATASET,
    )

    async def work(tx: Transaction) -> None:
        await tuning_jobs.insert(tx, record)
        await tuning_jobs.claim_next(tx, token="benchmark", seconds=3600, slots=1)

    await database.write(work)


def _record(index: int) -> JobRecord:
    draw = random.Random(index)
    job_id = new_id()
    created = _FIRST_CREATED + timedelta(seconds=60 * index)
    return JobRecord(
        id=job_id,
        parent=PARENT,
        created=_micros(created),
        job=TuningJob.from_wire(_document(draw, job_id, created)),
        phase=TuningJobState.TUNING_JOB_STATE_POST_PROCESSING,
        progress={"totalSteps": 200, "epochs": 4, "step": 200, "epoch": 4, "loss": 0.31, "tokensPerSecond": 301.2},
    )


def _document(draw: random.Random, job_id: int, created: datetime) -> JsonObject:
    """A job as it is after its end: nine in ten succeeded, with statistics and four checkpoints."""
    state = draw.choices(("SUCCEEDED", "FAILED", "CANCELLED"), (90, 7, 3))[0]
    job: JsonObject = {
        "name": PARENT.tuning_job(job_id),
        "tunedModelDisplayName": readable_name(),
        "baseModel": "gemini-1.0-pro-002",
        "supervisedTuningSpec": {
            "trainingDatasetUri": f"gs://bench-data/train-{job_id % 97}.jsonl",
            "validationDatasetUri": f"gs://bench-data/validation-{job_id % 97}.jsonl",
            "hyperParameters": {
                "epochCount": "4",
                "learningRateMultiplier": 1.0,
                "adapterSize": "ADAPTER_SIZE_SIXTEEN",
                "batchSize": "8",
            },
        },
        "labels": {"team": draw.choice(("search", "support", "sales")), "run": str(job_id % 1000)},
        "state": f"JOB_STATE_{state}",
        "createTime": created.isoformat(),
        "startTime": (created + timedelta(seconds=4)).isoformat(),
        "updateTime": (created + timedelta(seconds=300)).isoformat(),
        "endTime": (created + timedelta(seconds=300)).isoformat(),
    }
    if state == "FAILED":
        job["error"] = {"code": 3, "message": "3 of the 400 rows of the training dataset cannot be used.\n" * 4}
    if state == "SUCCEEDED":
        job["tuningDataStats"] = {"supervisedTuningDataStats": _statistics(draw)}
        job["tunedModel"] = {
            "model": PARENT.model(new_id(), 1),
            "endpoint": PARENT.endpoint(new_id()),
            "checkpoints": [
                {"checkpointId": str(i), "epoch": str(i), "step": str(50 * i), "endpoint": PARENT.endpoint(new_id())}
                for i in range(1, 5)
            ],
        }
    return job


def _statistics(draw: random.Random) -> JsonObject:
    def distribution() -> JsonObject:
        mean = draw.uniform(20, 200)
        return {
            "sum": str(int(mean * 400)),
            "billableSum": str(int(mean * 400)),
            "min": 4.0,
            "max": 4 * mean,
            "mean": mean,
            "median": 0.9 * mean,
            "p5": 0.2 * mean,
            "p95": 2.5 * mean,
            "buckets": [
                {"count": float(draw.randint(0, 90)), "left": i * 0.4 * mean, "right": (i + 1) * 0.4 * mean}
                for i in range(10)
            ],
        }

    example = {"role": "user", "parts": [{"text": "Where is my kettle? Order H6338 should have been here. " * 3}]}
    return {
        "tuningDatasetExampleCount": "400",
        "totalTuningCharacterCount": "81234",
        "totalBillableTokenCount": "70656",
        "tuningStepCount": "200",
        "userInputTokenDistribution": distribution(),
        "userOutputTokenDistribution": distribution(),
        "userMessagePerExampleDistribution": distribution(),
        "userDatasetExamples": [example] * 3,
    }


def _request(index: int) -> JsonObject:
    uri = "gs://cloud-samples-data/ai-platform/generative_ai/sft_train_data.jsonl"
    return {
        "baseModel": "gemini-1.0-pro-002",
        "supervisedTuningSpec": {"trainingDatasetUri": uri, "hyperParameters": {"epochCount": 2}},
        "tunedModelDisplayName": f"bench-{index}",
        "labels": {"team": "search"},
    }


def _micros(moment: datetime) -> int:
    return int(moment.timestamp() * 1e6)


if __name__ == "__main__":
    main(parse, measure)
