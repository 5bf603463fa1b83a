"""What a job on a tuned model is made of: version and checkpoint as they are meant, base model, adapter size."""

from __future__ import annotations

from pathlib import Path

import pytest
from test_model_versions import PARENT, finish

from rows import shouting_rows
from sintonia.base_models import Catalog
from sintonia.database import Database
from sintonia.errors import FailedPrecondition, InvalidArgument, NotFound
from sintonia.resources.hyper_parameters import AdapterSize
from sintonia.resources.tuning import PreTunedModel, TuningJob
from sintonia.runs.layout import RunDirectory
from sintonia.runs.spec import TrainingSpec
from sintonia.services import tuning_requests
from sintonia.services.pre_tuned import PreTunedModels
from sintonia.storage import BucketStore, Storage, StorageConfig

TRAIN = "gs://rows/train.jsonl"


@pytest.fixture
def runs(tmp_path: Path) -> Path:
    """Runs of the jobs 1 and 2 on ``tiny``, of rank 4 and 8, with two checkpoints each."""
    for job_id, rank in ((1, 4), (2, 8)):
        run = RunDirectory(tmp_path / "runs" / str(job_id))
        run.write_spec(
            TrainingSpec(
                base_model="tiny",
                model_dir=tmp_path,
                family="chat_template",
                threads=1,
                max_example_tokens=64,
                adapter_rank=rank,
                adapter_alpha=32,
                epochs=2,
                batch_size=4,
                learning_rate=1e-3,
            )
        )
        for checkpoint_id in ("1", "2"):
            run.checkpoint(checkpoint_id).mkdir(parents=True)
    return tmp_path / "runs"


@pytest.fixture
def storage(tmp_path: Path) -> Storage:
    store = BucketStore(tmp_path / "buckets", None)
    store.create_bucket("rows", project="p")
    with store.write_object("rows", "train.jsonl") as writer:
        writer.write(str(shouting_rows(1)).encode())
    return Storage(StorageConfig(buckets_dir=tmp_path / "buckets"))


def catalog(tiny: Path, alias: str) -> Catalog:
    """Two base models in one folder, of which ``alias`` means one."""
    entries = [{"id": name, "source": str(tiny)} for name in ("tiny", "other")]
    return Catalog.load(cache=tiny, entries=entries, aliases={"alias": alias})


async def test_what_is_meant(database: Database, runs: Path) -> None:
    _, first = await finish(database, 1)
    name = PARENT.model(first.id)
    await finish(database, 2, of=name)
    models = PreTunedModels(database, runs)
    for said, checkpoint_id, meant in (
        (name, None, ("@1", "2", 4)),
        (f"{name}@default", "1", ("@1", "1", 4)),
        (f"{name}@2", "", ("@2", "2", 8)),
    ):
        asked = PreTunedModel(tuned_model_name=said, checkpoint_id=checkpoint_id)
        found = await models.find(PARENT, asked)
        version, checkpoint, rank = meant
        assert found.resource.tuned_model_name == name + version
        assert found.resource.checkpoint_id == found.checkpoint_id == checkpoint
        assert found.spec.adapter_rank == rank
        assert found.adapter == RunDirectory(runs / str(found.version.job_id)).checkpoint(checkpoint)
    for said, kind in (
        ("", InvalidArgument),
        ("tiny", InvalidArgument),
        (f"{name}/versions/1", InvalidArgument),
        (name.replace("projects/p/", "projects/q/"), InvalidArgument),
        (name.replace("us-central1", "europe-west4"), InvalidArgument),
        (f"{name}@3", NotFound),
        (PARENT.model(5), NotFound),
    ):
        with pytest.raises(kind):
            await models.find(PARENT, PreTunedModel(tuned_model_name=said))


async def test_the_job_that_is_made(database: Database, runs: Path, storage: Storage, tiny_model_dir: Path) -> None:
    _, first = await finish(database, 1)
    name = PARENT.model(first.id)

    async def accept(alias: str = "tiny", size: str | None = None) -> TuningJob:
        spec = {"trainingDatasetUri": TRAIN, "hyperParameters": {"adapterSize": size}}
        asked = {"preTunedModel": {"tunedModelName": name}, "supervisedTuningSpec": spec}
        return await tuning_requests.accept(
            TuningJob.from_wire(asked),
            parent=PARENT,
            job_id=9,
            catalog=catalog(tiny_model_dir, alias),
            storage=storage,
            pre_tuned_models=PreTunedModels(database, runs),
        )

    for size in (None, "ADAPTER_SIZE_UNSPECIFIED", "ADAPTER_SIZE_FOUR"):
        job = await accept(size=size)
        assert job.base_model is None
        assert job.base_model_name == "alias"
        assert job.tuned_model_display_name == "mine"
        assert job.supervised_tuning_spec is not None
        assert job.supervised_tuning_spec.hyper_parameters is not None
        assert job.supervised_tuning_spec.hyper_parameters.adapter_size is AdapterSize.ADAPTER_SIZE_FOUR
    with pytest.raises(InvalidArgument, match=f"adapter_size 8 differs from 4, that of {name}@1"):
        await accept(size="ADAPTER_SIZE_EIGHT")
    # The alias that the model was tuned by means another base model now.
    with pytest.raises(FailedPrecondition, match=f"{name}@1 was tuned from tiny, and alias now means other;"):
        await accept(alias="other")
