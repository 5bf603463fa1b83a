"""Datasets under our own prefix: their validation as a resource, the report on every bad line, rows to look at."""

from __future__ import annotations

from typing import Annotated

from fastapi import APIRouter, Query, Request, Response

from sintonia.api.bodies import json_response, read_resource
from sintonia.api.listing import list_request, page_response
from sintonia.api.openapi import speaks
from sintonia.api.request_ids import REQUEST_ID, request_id
from sintonia.api.routing import ApiRoute
from sintonia.resources.datasets import Dataset, DatasetValidation, JobDataset, ReportPage, RowPage
from sintonia.resources.names import Parent
from sintonia.services.dataset_validations import DatasetValidations
from sintonia.services.dataset_views import DatasetViews
from sintonia.services.tuning_jobs import TuningJobs

_PARENT = "/projects/{project}/locations/{location}"

_Offset = Annotated[int, Query(ge=0)]
_Limit = Annotated[int, Query(ge=1, le=1000)]
_Start = Annotated[int, Query(ge=1, description="number of the first row")]
_Rows = Annotated[int, Query(ge=1, le=100, description="rows at most; fewer are answered where they are long")]


def routes(jobs: TuningJobs, validations: DatasetValidations, views: DatasetViews) -> APIRouter:
    router = APIRouter(prefix="/sintonia/v1", tags=["Sintonia's own"], route_class=ApiRoute)

    @router.get(_PARENT + "/tuningJobs/{job}/datasetReport", openapi_extra=speaks(ReportPage))
    async def job_report(project: str, location: str, job: str, offset: _Offset = 0, limit: _Limit = 100) -> Response:
        """Every bad or dropped line of the job's datasets; ask again from ``nextOffset`` while there is one."""
        return json_response(await jobs.dataset_report(Parent.of(project, location), job, offset=offset, limit=limit))

    @router.get(_PARENT + "/tuningJobs/{job}/dataset", openapi_extra=speaks(JobDataset))
    async def job_dataset(project: str, location: str, job: str) -> Response:
        """The reports on the job's files, once they were read, and whether the files have changed since."""
        return json_response(await views.of_job(Parent.of(project, location), job))

    @router.get(_PARENT + "/tuningJobs/{job}/datasetRows", openapi_extra=speaks(RowPage))
    async def job_rows(
        project: str, location: str, job: str, dataset: Dataset = "training", start: _Start = 1, limit: _Rows = 10
    ) -> Response:
        """Rows of the job's datasets as the model sees them, with what it learns marked; go on from ``nextNumber``."""
        parent = Parent.of(project, location)
        return json_response(await views.job_rows(parent, job, dataset, start=start, limit=limit))

    @router.post(
        _PARENT + "/datasetValidations",
        openapi_extra=speaks(DatasetValidation, takes=DatasetValidation, query=REQUEST_ID),
    )
    async def create(project: str, location: str, request: Request) -> Response:
        """Read and judge a dataset without tuning: ``datasetUri``, ``validationDatasetUri``, ``baseModel``."""
        parent = Parent.of(project, location)
        body = await read_resource(request, DatasetValidation, root="dataset_validation")
        return json_response(await validations.create(parent, body, request_id=request_id(request)))

    @router.get(_PARENT + "/datasetValidations", openapi_extra=speaks(DatasetValidation, lists="datasetValidations"))
    async def list_validations(project: str, location: str, request: Request) -> Response:
        """A page of dataset validations, newest first."""
        parent = Parent.of(project, location)
        return page_response("datasetValidations", await validations.page(parent, list_request(request)))

    @router.get(_PARENT + "/datasetValidations/{validation}", openapi_extra=speaks(DatasetValidation))
    async def get(project: str, location: str, validation: str) -> Response:
        """State, progress, and once it has SUCCEEDED the verdict, reports and estimates."""
        return json_response(await validations.get(Parent.of(project, location), validation))

    @router.delete(_PARENT + "/datasetValidations/{validation}", openapi_extra=speaks())
    async def delete(project: str, location: str, validation: str) -> Response:
        """Forget a validation that has ended."""
        await validations.delete(Parent.of(project, location), validation)
        return json_response({})

    @router.get(_PARENT + "/datasetValidations/{validation}/datasetReport", openapi_extra=speaks(ReportPage))
    async def validation_report(
        project: str, location: str, validation: str, offset: _Offset = 0, limit: _Limit = 100
    ) -> Response:
        """Every bad or dropped line; ask again from ``nextOffset`` while there is one."""
        parent = Parent.of(project, location)
        return json_response(await validations.report(parent, validation, offset=offset, limit=limit))

    @router.get(_PARENT + "/datasetValidations/{validation}/datasetRows", openapi_extra=speaks(RowPage))
    async def validation_rows(
        project: str,
        location: str,
        validation: str,
        dataset: Dataset = "training",
        start: _Start = 1,
        limit: _Rows = 10,
    ) -> Response:
        """The first hundred good rows as the model sees them, with what it learns marked; go on from ``nextNumber``."""
        parent = Parent.of(project, location)
        return json_response(await views.validation_rows(parent, validation, dataset, start=start, limit=limit))

    return router
