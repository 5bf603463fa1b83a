"""Changes of models with several versions, on both databases: what belongs to all of them, and what to one."""

from __future__ import annotations

import asyncio
from dataclasses import replace
from pathlib import Path

import pytest
import sqlalchemy as sa
from alembic import command
from alembic.config import Config
from sqlalchemy.ext.asyncio import create_async_engine

from contracts.test_model_versions import PARENT, begin, finish, succeed
from sintonia.base_models import Catalog
from sintonia.database import Database, Transaction, endpoints, models, operations, tuning_jobs
from sintonia.database.connection import MIGRATIONS
from sintonia.database.listing import Slice
from sintonia.errors import Aborted, FailedPrecondition, NotFound
from sintonia.resources.base import JsonObject
from sintonia.resources.serving import Endpoint, Model, UndeployModelRequest
from sintonia.runs.layout import RunDirectory
from sintonia.services.endpoint_changes import EndpointChanges
from sintonia.services.endpoints import Endpoints
from sintonia.services.generation import Generation
from sintonia.services.model_changes import ModelChanges
from sintonia.services.models import Models
from sintonia.services.paging import ListRequest, Pager
from sintonia.serving.deployments import Deployments
from sintonia.serving.launcher import Engines


class House:
    """The services over one database, and a model with two versions."""

    def __init__(self, database: Database, folder: Path) -> None:
        self.database, self.folder = database, folder
        pager = Pager(b"secret")
        self.models, self.endpoints = Models(database, pager), Endpoints(database, pager)
        generation = Generation(
            catalog=Catalog.load(cache=folder),
            endpoints=self.endpoints,
            models=self.models,
            deployments=Deployments(Engines(log_dir=folder, threads=1)),
            runs_dir=folder,
            default_max_output_tokens=1,
        )
        self.changes = ModelChanges(database, generation, folder)
        self.endpoint_changes = EndpointChanges(database, generation)
        self.id = ""

    async def build(self) -> House:
        _, first = await finish(self.database, 1)
        await finish(self.database, 2, of=PARENT.model(first.id))
        self.id = str(first.id)
        for number in (1, 2):
            (RunDirectory(self.folder / str(number)).checkpoint("1")).mkdir(parents=True)
        return self

    async def version(self, number: int) -> Model:
        return await self.models.get(PARENT, f"{self.id}@{number}")

    async def job(self, number: int) -> JsonObject:
        record = await self.database.read(lambda tx: tuning_jobs.get(tx, number))
        assert record is not None
        assert record.job.tuned_model is not None
        return record.job.tuned_model.to_wire()

    async def undeploy(self, job_id: int) -> None:
        for row in await self.database.read(lambda tx: endpoints.of_job(tx, job_id)):
            body = UndeployModelRequest(deployed_model_id=row.endpoint.deployed_models[0].id)
            await self.endpoint_changes.undeploy(PARENT, str(row.id), body, api="v1")


@pytest.fixture
async def house(database: Database, tmp_path: Path) -> House:
    return await House(database, tmp_path).build()


async def listed(house: House) -> list[object]:
    found, _ = await house.models.list(PARENT, ListRequest())
    return [item.get("versionId") for item in found]


async def test_what_belongs_to_the_model_and_what_to_a_version(house: House) -> None:
    body = Model(name="n", display_name="new", description="all", labels={"a": "b"}, version_description="one")
    await house.changes.update(PARENT, f"{house.id}@2", body, "")
    first, second = await house.version(1), await house.version(2)
    assert (first.display_name, first.description) == (second.display_name, second.description) == ("new", "all")
    assert (first.version_description, second.version_description) == (None, "one")
    assert (first.labels.get("a"), first.labels["job"]) == (None, "1")
    assert (second.labels["a"], second.labels.get("job")) == ("b", None)
    await house.changes.update(PARENT, house.id, Model(name="n", labels={"c": "d"}), "")
    assert [(await house.version(number)).labels["c"] for number in (1, 2)] == ["d", "d"]
    assert [(await house.version(number)).labels["tune-type"] for number in (1, 2)] == ["sft", "sft"]


async def test_the_default_checkpoint_is_a_versions(house: House) -> None:
    await house.changes.update(PARENT, f"{house.id}@2", Model(name="n", default_checkpoint_id="1"), "")
    assert (await house.version(1)).default_checkpoint_id == "2"
    told = await house.job(2)
    assert told["endpoint"] == told["checkpoints"][0]["endpoint"]
    await house.changes.update(PARENT, house.id, Model(name="n", default_checkpoint_id="1"), "")
    told = await house.job(1)
    assert told["endpoint"] == told["checkpoints"][0]["endpoint"]


async def test_an_alias_is_one_versions(house: House) -> None:
    await house.changes.merge_aliases(PARENT, f"{house.id}@1", ["golden"])
    await house.changes.merge_aliases(PARENT, f"{house.id}@2", ["golden", "default"])
    assert (await house.version(1)).version_aliases == []
    assert (await house.version(2)).version_aliases == ["default", "golden"]
    assert (await house.models.get(PARENT, house.id)).version_id == "2"
    assert (await house.models.get(PARENT, f"{house.id}@golden")).version_id == "2"
    assert await listed(house) == ["2"]
    both = await house.changes.merge_aliases(PARENT, f"{house.id}@2", ["golden", "-golden"])
    assert both.version_aliases == ["default", "golden"]  # they cancel each other out


async def test_a_version_is_deleted(house: House) -> None:
    with pytest.raises(FailedPrecondition, match="default version"):
        await house.changes.delete_version(PARENT, f"{house.id}@1", api="v1")
    with pytest.raises(FailedPrecondition, match="is deployed"):
        await house.changes.delete_version(PARENT, f"{house.id}@2", api="v1")
    await house.undeploy(2)
    await house.changes.delete_version(PARENT, f"{house.id}@2", api="v1")
    with pytest.raises(NotFound):
        await house.version(2)
    assert "model" not in await house.job(2)
    assert (await house.job(1))["model"] == f"{PARENT.model(int(house.id))}@1"
    assert [RunDirectory(house.folder / str(number)).checkpoints.exists() for number in (1, 2)] == [True, False]


async def test_a_number_once_given_never_means_another_version(house: House) -> None:
    await house.undeploy(2)
    await house.changes.delete_version(PARENT, f"{house.id}@2", api="v1")
    await succeed(house.database, await begin(house.database, 3, of=PARENT.model(int(house.id))))
    assert (await house.job(3))["model"] == f"{PARENT.model(int(house.id))}@3"
    with pytest.raises(NotFound):
        await house.version(2)


async def test_numbers_given_before_they_were_remembered(url: str) -> None:
    database = Database(url)
    engine = create_async_engine(url)
    config = Config()
    config.set_main_option("script_location", str(MIGRATIONS))

    def go(connection: sa.Connection) -> None:
        config.attributes["connection"] = connection
        command.upgrade(config, "0004")
        for number in (1, 3):
            common = {"id": number, "project": "p", "location": "l", "created": 0, "document": {}}
            job = common | {"state": "", "phase": "", "progress": {}}
            version = common | {"id": 7, "version": number, "job_id": number}
            for table, values in (("tuning_jobs", job), ("models", version)):
                types = dict.fromkeys(("document", "progress"), sa.JSON)
                columns = (sa.column(name, types.get(name)) for name in values)
                connection.execute(sa.insert(sa.table(table, *columns)).values(values))

    async with engine.begin() as connection:
        await connection.run_sync(go)
    await engine.dispose()
    await database.open()
    assert await database.read(lambda tx: models.next_version(tx, 7)) == 4
    assert await database.read(lambda tx: models.next_version(tx, 8)) == 1
    await database.close()


async def test_a_model_is_deleted_with_its_versions(house: House) -> None:
    await house.undeploy(1)
    with pytest.raises(FailedPrecondition, match="2 versions, which would all be deleted"):
        await house.changes.delete(PARENT, f"{house.id}@2", api="v1")
    with pytest.raises(FailedPrecondition, match="is deployed"):
        await house.changes.delete(PARENT, house.id, api="v1")
    await house.undeploy(2)
    operation = await house.changes.delete(PARENT, house.id, api="v1")
    for number in (1, 2):
        with pytest.raises(NotFound):
            await house.version(number)
        assert set(await house.job(number)) == {"checkpoints"}
    rows = await house.database.read(lambda tx: operations.page(tx, PARENT, ("models", int(house.id)), Slice(9)))
    assert [row.document for row in rows] == [operation.to_wire()]


async def test_many_change_one_model_at_once(house: House) -> None:
    """Versions are added, endpoints emptied and the model changed: nothing is lost, and nobody waits for ever."""
    leases = [await begin(house.database, number, of=PARENT.model(int(house.id))) for number in (3, 4, 5)]
    await asyncio.gather(
        *(succeed(house.database, lease) for lease in leases),
        *(house.undeploy(number) for number in (1, 2)),
        *(house.changes.update(PARENT, house.id, Model(name="n", description=str(i)), "") for i in range(3)),
        *(house.changes.merge_aliases(PARENT, f"{house.id}@{i}", [f"alias-{i}0", "default"]) for i in (1, 2)),
    )
    found, _ = await house.models.versions(PARENT, house.id, ListRequest())
    assert [item["versionId"] for item in found] == ["5", "4", "3", "2", "1"]
    assert [len(item.get("deployedModels", [])) for item in found] == [2, 2, 2, 0, 0]
    aliases = [alias for item in found for alias in item.get("versionAliases", [])]
    assert sorted(aliases) == ["alias-10", "alias-20", "default"]


# On SQLite there is no meanwhile: it lets one writer in at a time.
@pytest.mark.parametrize("url", ["postgresql"], indirect=True)
async def test_an_endpoint_that_another_writer_empties_meanwhile(house: House) -> None:
    before, *_ = await house.database.read(lambda tx: endpoints.of_job(tx, 1))

    async def emptied(tx: Transaction) -> asyncio.Task[None]:
        await tuning_jobs.get(tx, 1, lock=True)
        other = asyncio.create_task(house.undeploy(1))
        while not await tx.scalar(sa.text("SELECT count(*) FROM pg_locks WHERE NOT granted")):
            assert not other.done()
        await endpoints.replace(tx, replace(before, job_id=None))
        return other

    with pytest.raises(Aborted) as refused:
        await (await house.database.write(emptied))
    assert (
        refused.value.message
        == f"Endpoint {before.endpoint.name} was changed by somebody else at the same time; try again."
    )


async def test_an_endpoint_of_ones_own_serves_any_version(house: House) -> None:
    made = await house.endpoint_changes.create(PARENT, Endpoint(name="n", display_name="e"), endpoint_id="5", api="v1")
    assert made.response is not None
    assert made.response["name"] == PARENT.endpoint(5)
    assert (await house.endpoints.get(PARENT, "5")).deployed_models == []
    with pytest.raises(NotFound):
        await house.endpoint_changes.delete(PARENT, "6", force=True, api="v1")
    await house.endpoint_changes.delete(PARENT, "5", force=False, api="v1")
