"""What the rest of the house expects of its database, on SQLite and on a real PostgreSQL."""

from __future__ import annotations

import asyncio
import math
import random
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import pytest
from alembic.autogenerate import compare_metadata
from alembic.migration import MigrationContext
from sqlalchemy import text
from sqlalchemy.exc import IntegrityError
from sqlalchemy.ext.asyncio import create_async_engine

from sintonia.database import Database, Transaction, endpoints, metrics, models, operations, tuning_jobs
from sintonia.database.endpoints import EndpointRecord
from sintonia.database.listing import Slice
from sintonia.database.metrics import Series, SeriesSummary
from sintonia.database.models import ModelRecord
from sintonia.database.operations import OperationRecord
from sintonia.database.tables import metadata
from sintonia.database.tuning_jobs import JobRecord, Lease, LeaseLost
from sintonia.errors import FailedPrecondition, Unavailable
from sintonia.resources.names import Parent
from sintonia.resources.serving import Endpoint, Model
from sintonia.resources.tuning import JobState, TuningJob, TuningJobState
from sintonia.services.job_ledger import JobLedger, ended

PARENT = Parent("p", "us-central1")
OTHER = Parent("q", "us-central1")
UNREAD = TuningJobState.TUNING_JOB_STATE_PROCESSING_DATASET
WAITING = TuningJobState.TUNING_JOB_STATE_WAITING_FOR_CAPACITY
TUNING = TuningJobState.TUNING_JOB_STATE_TUNING
POST = TuningJobState.TUNING_JOB_STATE_POST_PROCESSING


def job(
    number: int,
    *,
    parent: Parent = PARENT,
    created: int | None = None,
    state: JobState = JobState.JOB_STATE_PENDING,
    phase: TuningJobState = UNREAD,
) -> JobRecord:
    document = TuningJob(name=parent.tuning_job(number), state=state, labels={"emoji": "🎈 \u0000"})
    return JobRecord(number, parent, number if created is None else created, document, phase, {"step": 1})


async def put(database: Database, *records: JobRecord) -> None:
    async def work(tx: Transaction) -> None:
        for record in records:
            await tuning_jobs.insert(tx, record)

    await database.write(work)


async def claim(database: Database, token: str, *, seconds: float = 60, slots: int = 1) -> int | None:
    return await database.write(lambda tx: tuning_jobs.claim_next(tx, token=token, seconds=seconds, slots=slots))


async def read_job(database: Database, number: int) -> JobRecord:
    record = await database.read(lambda tx: tuning_jobs.get(tx, number))
    assert record is not None
    return record


# Rows


async def test_a_job_comes_back_as_it_was_put(database: Database) -> None:
    record = job(2**62)
    await put(database, record)
    assert await database.read(lambda tx: tuning_jobs.get(tx, record.id, PARENT)) == record
    assert await database.read(lambda tx: tuning_jobs.get(tx, record.id)) == record
    assert await database.read(lambda tx: tuning_jobs.get(tx, record.id, OTHER)) is None
    assert await database.read(lambda tx: tuning_jobs.get(tx, 5)) is None


async def test_an_id_is_given_once(database: Database) -> None:
    await put(database, job(1))
    with pytest.raises(IntegrityError):
        await put(database, job(1))


async def test_an_update_is_read_back(database: Database) -> None:
    await put(database, job(1))
    after = job(1, state=JobState.JOB_STATE_RUNNING)

    async def work(tx: Transaction) -> None:
        assert await tuning_jobs.get(tx, 1, lock=True) is not None
        await tuning_jobs.update(tx, 1, job=after.job, phase=TUNING, progress={"step": 2}, events=(3, 2**40))

    await database.write(work)
    assert await read_job(database, 1) == replace(
        after, phase=TUNING, progress={"step": 2}, event_attempt=3, event_offset=2**40
    )


async def test_pages_are_newest_first_and_complete_while_rows_are_added(database: Database) -> None:
    # Equal times: the id decides.
    await put(database, *(job(number, created=number // 3) for number in range(1, 31)), job(99, parent=OTHER))
    seen: list[int] = []
    behind = None
    while rows := await database.read(lambda tx: tuning_jobs.page(tx, PARENT, Slice(4, behind))):  # noqa: B023
        seen += [row.id for row in rows]
        behind = (rows[-1].created, rows[-1].id)
        await put(database, job(1000 + len(seen), created=100))
    assert seen == sorted(range(1, 31), reverse=True)
    newest = await database.read(lambda tx: tuning_jobs.page(tx, PARENT, Slice(2)))
    assert [row.id for row in newest] == [1030, 1028]


async def test_metrics_are_replaced_and_ordered(database: Database) -> None:
    await put(database, job(1), job(2))

    async def work(tx: Transaction) -> None:
        await metrics.put(tx, 1, {("/b", 10): 1.0, ("/b", 2): 2.0, ("/a", 0): 0.1})
        await metrics.put(tx, 1, {("/b", 2): 3.5, ("/b", 3): 1e-300}, {2: 2_500_000, 3: 2_500_001})
        await metrics.put(tx, 2, {("/b", 2): 9.0})
        await metrics.put(tx, 2, {})

    await database.write(work)
    whole = await database.read(lambda tx: metrics.overview(tx, 1, points=9))
    times = [2_500_000, 2_500_001, None]
    assert whole == {"/a": Series([0], [0.1], [None]), "/b": Series([2, 3, 10], [3.5, 1e-300, 1.0], times)}
    behind = await database.read(lambda tx: metrics.behind(tx, 1, 2))
    assert behind == {"/b": Series([3, 10], [1e-300, 1.0], times[1:])}
    summaries = [SeriesSummary("/a", 0, None, None), SeriesSummary("/b", 10, 2_500_000, 2_500_001)]
    assert await database.read(lambda tx: metrics.summaries(tx, 1)) == summaries
    assert await database.read(lambda tx: metrics.overview(tx, 3, points=9)) == {}


async def test_what_is_no_finite_number_is_not_stored(database: Database) -> None:
    await put(database, job(1))
    values = {("/a", 1): math.nan, ("/a", 2): math.inf, ("/a", 3): -math.inf, ("/a", 4): 1.5}
    await database.write(lambda tx: metrics.put(tx, 1, values))
    await database.write(lambda tx: metrics.put(tx, 1, {("/b", 1): math.nan}))
    assert await database.read(lambda tx: metrics.overview(tx, 1, points=9)) == {"/a": Series([4], [1.5], [None])}


async def test_a_long_series_is_thinned_to_its_ends_and_peaks(database: Database) -> None:
    rng = random.Random(3)
    steps = range(7, 7 + 3 * 1000, 3)
    long = {("/long", step): rng.gauss(0, 1) for step in steps} | {("/long", 1507): 99.0, ("/long", 2002): -99.0}
    short = {("/short", step): float(step) for step in range(100)}
    await put(database, job(1), job(2))

    async def work(tx: Transaction) -> None:
        await metrics.put(tx, 1, long | short)
        await metrics.put(tx, 2, {("/long", 1): 5.0})

    await database.write(work)
    found = await database.read(lambda tx: metrics.overview(tx, 1, points=100))
    assert found["/short"] == Series(list(range(100)), [float(step) for step in range(100)], [None] * 100)
    thin = found["/long"]
    assert thin.total == 1000
    assert 50 <= len(thin.steps) <= 100
    assert (thin.steps[0], thin.steps[-1]) == (7, 3004)
    assert thin.steps == sorted(set(thin.steps))
    assert all(long["/long", step] == value for step, value in zip(thin.steps, thin.values, strict=True))
    assert {99.0, -99.0} <= set(thin.values)
    delta = await database.read(lambda tx: metrics.behind(tx, 1, 7))
    assert (len(delta["/long"].steps), delta["/long"].total) == (999, None)


async def test_metrics_need_their_job(database: Database) -> None:
    with pytest.raises(IntegrityError):
        await database.write(lambda tx: metrics.put(tx, 404, {("/a", 0): 1.0}))


def endpoint(number: int, *, job_id: int = 1, checkpoint: str = "1", created: int = 0) -> EndpointRecord:
    document = Endpoint(name=PARENT.endpoint(number), display_name="d")
    return EndpointRecord(number, PARENT, created, job_id, checkpoint, "base", document)


async def test_endpoints(database: Database) -> None:
    await put(database, job(1), job(2))
    rows = [endpoint(5, created=1), endpoint(4, checkpoint="2", created=2), endpoint(6, job_id=2, created=3)]

    async def work(tx: Transaction) -> None:
        for row in rows:
            await endpoints.insert(tx, row)

    await database.write(work)
    assert await database.read(lambda tx: endpoints.get(tx, 4, PARENT)) == rows[1]
    assert await database.read(lambda tx: endpoints.get(tx, 4, None)) == rows[1]
    assert await database.read(lambda tx: endpoints.get(tx, 4, OTHER)) is None
    assert await database.read(lambda tx: endpoints.of_job(tx, 1)) == rows[:2]
    listed = await database.read(lambda tx: endpoints.page(tx, PARENT, Slice(9)))
    assert [row.document for row in listed] == [row.endpoint.to_wire() for row in rows[::-1]]
    changed = rows[1].endpoint.model_copy(update={"display_name": "new"})
    after = replace(rows[1], endpoint=changed)
    await database.write(lambda tx: endpoints.replace(tx, after))
    assert await database.read(lambda tx: endpoints.get(tx, 4, None)) == after


async def test_an_endpoint_may_be_empty_and_go(database: Database) -> None:
    await put(database, job(1))
    await database.write(lambda tx: endpoints.insert(tx, endpoint(5)))
    await database.write(lambda tx: endpoints.insert(tx, endpoint(6)))  # of the same checkpoint
    empty = replace(endpoint(5), job_id=None, checkpoint_id=None, base_model="")

    async def work(tx: Transaction) -> None:
        assert await endpoints.get(tx, 5, PARENT, lock=True) == endpoint(5)
        await endpoints.replace(tx, empty)
        await endpoints.delete(tx, 6)
        await endpoints.delete(tx, 7)

    await database.write(work)
    assert await database.read(lambda tx: endpoints.get(tx, 5, None)) == empty
    assert await database.read(lambda tx: endpoints.get(tx, 6, None)) is None
    assert await database.read(lambda tx: endpoints.of_job(tx, 1)) == []


def version(number: int, *, model_id: int = 7, default: bool = False) -> ModelRecord:
    document = Model(name=PARENT.model(model_id), version_id=str(number))
    return ModelRecord(model_id, number, PARENT, 1, number, "base", document, default)


async def test_versions_of_a_model(database: Database) -> None:
    await put(database, job(1), job(2), job(3))
    rows = [version(1, default=True), version(2)]

    async def insert(*records: ModelRecord) -> None:
        for record in records:
            await database.write(lambda tx: models.insert(tx, record))  # noqa: B023

    async def listed() -> list[str]:
        return [row.document["versionId"] for row in await database.read(lambda tx: models.page(tx, PARENT, Slice(9)))]

    await insert(*rows)
    assert await database.write(lambda tx: models.versions(tx, 7, PARENT, lock=True)) == rows
    assert await database.read(lambda tx: models.versions(tx, 7)) == rows
    assert await database.read(lambda tx: models.versions(tx, 7, OTHER)) == []
    assert await database.read(lambda tx: models.of_job(tx, 2)) == rows[1]
    assert await database.read(lambda tx: models.of_job(tx, 3)) is None
    assert await listed() == ["1"]
    changed = [replace(rows[0], is_default=False), replace(rows[1], is_default=True)]
    for record in changed:
        await database.write(lambda tx: models.replace(tx, record))  # noqa: B023
    assert await database.read(lambda tx: models.versions(tx, 7)) == changed
    assert await listed() == ["2"]
    with pytest.raises(IntegrityError):  # a job leaves one version
        await insert(version(2, model_id=8))
    await database.write(lambda tx: models.delete(tx, 7, 1))
    assert await database.read(lambda tx: models.versions(tx, 7)) == changed[1:]
    await insert(version(3))
    await database.write(lambda tx: models.delete(tx, 7))
    assert await database.read(lambda tx: models.versions(tx, 7)) == []


def operation(number: int, *, created: int = 0, subject: tuple[str, int] = ("models", 7)) -> OperationRecord:
    return OperationRecord(number, PARENT, created, subject, {"name": f"operations/{number}", "done": True})


async def test_operations_are_found_by_what_they_were_done_to_and_forgotten_when_old(database: Database) -> None:
    month = 30 * 24 * 3600 * 10**6

    async def put_operation(record: OperationRecord) -> None:
        await database.write(lambda tx: operations.insert(tx, record))

    async def listed(subject: tuple[str, int] | None) -> list[int]:
        rows = await database.read(lambda tx: operations.page(tx, PARENT, subject, Slice(9)))
        return [row.id for row in rows]

    for record in (operation(1), operation(2, created=1, subject=("endpoints", 7)), operation(3, created=month)):
        await put_operation(record)
    assert await listed(None) == [3, 2, 1]
    assert await listed(("models", 7)) == [3, 1]
    assert await listed(("models", 8)) == []
    assert await database.read(lambda tx: operations.get(tx, 1, PARENT, None)) == operation(1).document
    assert await database.read(lambda tx: operations.get(tx, 1, PARENT, ("models", 7))) == operation(1).document
    assert await database.read(lambda tx: operations.get(tx, 1, PARENT, ("endpoints", 7))) is None
    assert await database.read(lambda tx: operations.get(tx, 1, OTHER, None)) is None
    assert not await database.write(lambda tx: operations.delete(tx, 3, PARENT, ("models", 8)))
    assert await database.write(lambda tx: operations.delete(tx, 3, PARENT, ("models", 7)))
    assert not await database.write(lambda tx: operations.delete(tx, 3, PARENT, ("models", 7)))
    await put_operation(operation(4, created=month + 2))
    assert await listed(None) == [4]


# Claiming and leases


async def test_claims_in_order_of_need(database: Database) -> None:
    await put(
        database,
        job(1),
        job(2, phase=WAITING),
        job(3, phase=TUNING, state=JobState.JOB_STATE_RUNNING),
        job(4, phase=WAITING, state=JobState.JOB_STATE_CANCELLING),
        job(5, phase=POST, state=JobState.JOB_STATE_RUNNING),
        job(6, phase=WAITING),
        job(7),
        job(8, phase=TUNING, state=JobState.JOB_STATE_SUCCEEDED),
        job(9, state=JobState.JOB_STATE_FAILED),
    )
    # Left in the middle and to be cancelled first (oldest first), then slots, then one unread dataset.
    assert [await claim(database, f"t{i}", slots=3) for i in range(6)] == [3, 4, 5, 2, 1, None]
    assert (await read_job(database, 2)).phase is TUNING
    assert (await read_job(database, 2)).state is JobState.JOB_STATE_PENDING


async def test_slots_are_freed_by_final_states_and_taken_in_order(database: Database) -> None:
    await put(database, job(3, phase=WAITING), job(1, phase=WAITING), job(2, phase=WAITING))
    ledger = JobLedger(database, 60.0)
    order = []
    for number in range(3):
        claimed = await ledger.claim(f"t{number}", slots=1)
        assert claimed is not None
        assert await ledger.claim("other", slots=1) is None
        lease, record = claimed
        order.append(record.id)
        await ledger.change(
            lease, lambda r: replace(r, job=r.job.model_copy(update={"state": JobState.JOB_STATE_RUNNING}))
        )
        await ledger.end(lease, JobState.JOB_STATE_FAILED)
        await ledger.release(lease)
    assert order == [1, 2, 3]


async def test_one_dataset_is_read_at_a_time(database: Database) -> None:
    await put(database, job(1), job(2))
    assert await claim(database, "a") == 1
    assert await claim(database, "b") is None
    await database.write(lambda tx: tuning_jobs.release(tx, Lease(1, "a")))
    assert await claim(database, "b") == 1


@pytest.mark.parametrize("slots", [1, 3])
async def test_many_claimers_never_share_a_job_nor_exceed_the_slots(url: str, slots: int) -> None:
    databases = [Database(url) for _ in range(3)]
    await databases[0].open()
    try:
        await put(databases[0], *(job(number, phase=WAITING) for number in range(1, 9)), job(9), job(10))
        taken = await asyncio.gather(
            *(claim(databases[i % 3], f"t{i}", slots=slots) for i in range(24)),
        )
        got = sorted(number for number in taken if number is not None)
        assert got == [*range(1, slots + 1), 9]
        phases = [(await read_job(databases[0], number)).phase for number in range(1, 9)]
        assert phases.count(TUNING) == slots
    finally:
        for database in databases:
            await database.close()


async def test_a_lease_that_ran_out_goes_to_the_next(database: Database) -> None:
    await put(database, job(1, phase=WAITING))
    assert await claim(database, "old", seconds=-1) == 1
    assert await claim(database, "new") == 1
    assert await claim(database, "late") is None


async def test_an_expired_lease_that_nobody_took_can_be_renewed(database: Database) -> None:
    await put(database, job(1))
    assert await claim(database, "mine", seconds=-1) == 1
    await database.write(lambda tx: tuning_jobs.renew(tx, Lease(1, "mine"), seconds=60))
    assert await claim(database, "other") is None


async def test_whoever_lost_the_lease_writes_nothing(database: Database) -> None:
    await put(database, job(1, phase=TUNING, state=JobState.JOB_STATE_RUNNING))
    ledger = JobLedger(database, 60.0)
    assert await claim(database, "old", seconds=-1) == 1
    claimed = await ledger.claim("new", slots=1)
    assert claimed is not None
    before = await read_job(database, 1)
    old = Lease(1, "old")
    for attempt in (
        ledger.renew(old),
        ledger.read(old),
        ledger.change(old, lambda record: ended(record, JobState.JOB_STATE_FAILED)),
        ledger.take_in(old, 1, []),
        ledger.succeed(old, base_model="b"),
        ledger.end(old, JobState.JOB_STATE_FAILED),
    ):
        with pytest.raises(LeaseLost):
            await attempt
    await ledger.release(old)  # no error, and it frees nothing
    assert await read_job(database, 1) == before
    assert await claim(database, "third") is None
    await ledger.renew(claimed[0])


async def test_queue_position(database: Database) -> None:
    records = [job(1, phase=WAITING), job(2), job(3, state=JobState.JOB_STATE_RUNNING, phase=TUNING), job(4)]
    await put(database, *records)
    positions = [await database.read(lambda tx: tuning_jobs.queue_position(tx, records[i])) for i in (0, 1, 3)]  # noqa: B023
    assert positions == [1, 2, 3]


# Transactions


async def test_an_error_rolls_everything_back(database: Database) -> None:
    async def work(tx: Transaction) -> None:
        await tuning_jobs.insert(tx, job(1))
        raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        await database.write(work)
    assert await database.read(lambda tx: tuning_jobs.get(tx, 1)) is None
    await put(database, job(1))  # and nothing is left locked


async def test_a_write_outlives_its_cancelled_caller(database: Database) -> None:
    begun, go_on = asyncio.Event(), asyncio.Event()
    done = asyncio.Event()

    async def work(tx: Transaction) -> None:
        await tuning_jobs.insert(tx, job(1))
        begun.set()
        await go_on.wait()
        await tuning_jobs.insert(tx, job(2))
        done.set()

    caller = asyncio.create_task(database.write(work))
    await begun.wait()
    caller.cancel()
    with pytest.raises(asyncio.CancelledError):
        await caller
    go_on.set()
    await done.wait()
    with pytest.raises(IntegrityError):  # waits for the commit, and finds the row
        await put(database, job(2))
    assert (await read_job(database, 1)).id == 1


async def test_many_writers_take_turns(database: Database) -> None:
    await put(database, job(1))

    async def add_one(tx: Transaction) -> None:
        record = await tuning_jobs.get(tx, 1, lock=True)
        assert record is not None
        progress = {"step": record.progress["step"] + 1}
        await tuning_jobs.update(tx, 1, job=record.job, phase=record.phase, progress=progress)

    await asyncio.gather(*(database.write(add_one) for _ in range(40)))
    assert (await read_job(database, 1)).progress == {"step": 41}


async def test_a_read_sees_one_moment(database: Database) -> None:
    await put(database, job(1))

    async def work(tx: Transaction) -> tuple[int, int]:
        first = len(await tuning_jobs.page(tx, PARENT, Slice(9)))
        await put(database, job(2))
        return first, len(await tuning_jobs.page(tx, PARENT, Slice(9)))

    assert await database.read(work) == (1, 1)


# The schema


async def test_the_migrations_make_what_the_tables_say(database: Database) -> None:
    engine = create_async_engine(database.url)
    async with engine.connect() as connection:
        difference = await connection.run_sync(
            lambda sync: compare_metadata(MigrationContext.configure(sync, opts={"compare_type": True}), metadata)
        )
    await engine.dispose()
    assert difference == []


async def test_opening_twice_keeps_the_rows(database: Database) -> None:
    await put(database, job(1))
    again = Database(database.url)
    await again.open()
    await again.open()
    assert (await read_job(again, 1)).id == 1
    await again.close()


def test_processes_that_open_at_once(url: str) -> None:
    program = (
        "import asyncio, sys\n"
        "from sintonia.database import Database\n"
        "async def main():\n"
        "    database = Database(sys.argv[1])\n"
        "    print('ready', flush=True)\n"
        "    sys.stdin.readline()\n"
        "    await database.open()\n"
        "    await database.open()\n"
        "    await database.close()\n"
        "asyncio.run(main())\n"
    )
    command = [sys.executable, "-c", program, url]
    pipe = subprocess.PIPE
    processes = [subprocess.Popen(command, stdin=pipe, stdout=pipe, stderr=pipe, text=True) for _ in range(3)]
    for process in processes:
        assert process.stdout is not None
        assert process.stdout.readline() == "ready\n"
    for process in processes:
        assert process.stdin is not None
        process.stdin.write("go\n")
        process.stdin.flush()
    errors = [process.communicate()[1] for process in processes]
    assert [process.returncode for process in processes] == [0, 0, 0], [text[-2000:] for text in errors]


def test_new_files_that_many_open_at_once(tmp_path: Path) -> None:
    program = (
        "import asyncio, sys\n"
        "from sintonia.database import Database\n"
        "async def open_and_close(url):\n"
        "    database = Database(url)\n"
        "    await database.open()\n"
        "    await database.close()\n"
        "for url in map(str.strip, sys.stdin):\n"
        "    asyncio.run(open_and_close(url))\n"
        "    print('opened', flush=True)\n"
    )
    pipe = subprocess.PIPE
    command = [sys.executable, "-c", program]
    processes = [subprocess.Popen(command, stdin=pipe, stdout=pipe, text=True) for _ in range(3)]
    for number in range(20):
        for process in processes:
            assert process.stdin is not None
            process.stdin.write(f"sqlite:///{tmp_path / str(number)}\n")
            process.stdin.flush()
        for process in processes:
            assert process.stdout is not None
            assert process.stdout.readline() == "opened\n"
    for process in processes:
        process.communicate()
    assert [process.returncode for process in processes] == [0, 0, 0]


@pytest.mark.parametrize("content", ["not a database, but a text " * 100, None])
async def test_a_file_that_cannot_be_opened_is_told(tmp_path: Path, content: str | None) -> None:
    path = tmp_path / "db"
    if content is None:
        path.mkdir()
    else:
        path.write_text(content)
    with pytest.raises(Unavailable, match="cannot be opened"):
        await Database(f"sqlite:///{path}").open()


def _modes(folder: Path) -> dict[str, int]:
    return {file.name: file.stat().st_mode & 0o777 for file in folder.iterdir()}


async def test_a_new_file_is_its_owners_alone(tmp_path: Path) -> None:
    database = Database(f"sqlite:///{tmp_path / 'db'}")
    await database.open()
    await database.write(lambda tx: tx.execute(text("CREATE TABLE x (y)")))
    modes = _modes(tmp_path)
    await database.close()
    assert modes.keys() >= {"db", "db-wal"}
    assert set(modes.values()) == {0o600}


@pytest.mark.parametrize("url", ["mysql://localhost/db", "nonsense"])
def test_other_databases_are_refused_in_words(url: str) -> None:
    with pytest.raises(FailedPrecondition, match="sqlite and postgresql"):
        Database(url)


def test_a_refusal_does_not_tell_the_password() -> None:
    with pytest.raises(FailedPrecondition) as caught:
        Database("mysql://u:secret@localhost/db")
    assert "secret" not in caught.value.message


async def test_a_url_without_a_driver_gets_the_right_one(tmp_path: Path) -> None:
    database = Database(f"sqlite:///{tmp_path / 'db'}")
    await database.open()
    await put(database, job(1))
    await database.close()
