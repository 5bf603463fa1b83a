"""Sintonia's own resources, under a prefix of their own: what the documented API has no words for."""

from __future__ import annotations

from typing import Annotated

from fastapi import APIRouter, Query, Response

from sintonia.api.bodies import json_response
from sintonia.api.openapi import speaks
from sintonia.api.routing import ApiRoute
from sintonia.base_models import Catalog
from sintonia.resources.names import Parent
from sintonia.resources.own import CatalogEntry, CatalogPage, JobLog, Metrics, Progress, ProgressOfJobs, TrainingSetup
from sintonia.services.generation import Generation
from sintonia.services.tuning_jobs import LOG_LIMIT, TuningJobs

_MOST_JOBS = 100
_JOB = "/projects/{project}/locations/{location}/tuningJobs/{job}"


def routes(jobs: TuningJobs, catalog: Catalog, generation: Generation) -> APIRouter:
    router = APIRouter(prefix="/sintonia/v1", tags=["Sintonia's own"], route_class=ApiRoute)

    @router.get(_JOB + "/progress", openapi_extra=speaks(Progress))
    async def progress(project: str, location: str, job: str) -> Response:
        """Where the job is: state, queue position, step of steps, loss, tokens per second, seconds left."""
        return json_response(await jobs.progress(Parent.of(project, location), job))

    @router.get("/projects/{project}/locations/{location}/progress", openapi_extra=speaks(ProgressOfJobs))
    async def progress_of(
        project: str, location: str, job: Annotated[list[str], Query(max_length=_MOST_JOBS)]
    ) -> Response:
        """Where several jobs are, each named by ``job=ID``; those that do not exist are left out."""
        return json_response({"progress": await jobs.progress_of(Parent.of(project, location), job)})

    @router.get(_JOB + "/metrics", openapi_extra=speaks(Metrics))
    async def metrics(project: str, location: str, job: str, after: int | None = None) -> Response:
        """The metric series as columns: all of it, long ones decimated; or each point behind the step ``after``."""
        return json_response({"series": await jobs.metrics(Parent.of(project, location), job, after=after)})

    @router.get(_JOB + "/setup", openapi_extra=speaks(TrainingSetup))
    async def setup(project: str, location: str, job: str) -> Response:
        """What the job's trainer works with: hyperparameters as they are used, the real base model, the device."""
        return json_response(await jobs.setup(Parent.of(project, location), job))

    @router.get(_JOB + "/log", openapi_extra=speaks(JobLog))
    async def log(
        project: str,
        location: str,
        job: str,
        offset: Annotated[int, Query(ge=0)] = 0,
        limit: Annotated[int, Query(ge=16, le=LOG_LIMIT)] = LOG_LIMIT,
    ) -> Response:
        """Up to ``limit`` bytes of the log from ``offset`` on; ask again from ``nextOffset``."""
        part = await jobs.log(Parent.of(project, location), job, offset=offset, limit=limit)
        return json_response({"text": part.text, "nextOffset": part.next_offset})

    @router.get("/baseModels", openapi_extra=speaks(CatalogPage))
    async def base_models() -> Response:
        """The catalog, and whether each model is on this machine and in its memory."""
        entries = [
            CatalogEntry(
                id=entry.id,
                display_name=entry.display_name or entry.id,
                aliases=catalog.aliases_of(entry.id),
                source=entry.source,
                license=entry.license,
                provenance=entry.provenance,
                modalities=list(entry.modalities),
                context_length=catalog.facts(entry).context_length if catalog.is_prepared(entry) else None,
                adapter_sizes=entry.adapter_sizes,
                default_adapter_size=entry.default_adapter_size,
                stage=entry.stage,
                prepared=catalog.is_prepared(entry),
                engine_state=generation.engine_state(entry.id),
            )
            for entry in catalog.entries.values()
        ]
        return json_response(CatalogPage(base_models=entries))

    return router
