"""``…/tuningJobs``: create, get, list, cancel."""

from __future__ import annotations

from fastapi import APIRouter, Request, Response

from sintonia.api.bodies import json_response, read_resource
from sintonia.api.listing import list_request, page_response
from sintonia.api.openapi import speaks
from sintonia.api.request_ids import REQUEST_ID, request_id
from sintonia.api.routing import ApiRoute
from sintonia.errors import Unimplemented
from sintonia.resources.names import Parent
from sintonia.resources.tuning import TuningJob
from sintonia.services.tuning_jobs import TuningJobs

_COLLECTION = "/projects/{project}/locations/{location}/tuningJobs"


def routes(jobs: TuningJobs) -> APIRouter:
    router = APIRouter(tags=["Tuning jobs"], route_class=ApiRoute)

    @router.post(_COLLECTION, openapi_extra=speaks(TuningJob, takes=TuningJob, query=REQUEST_ID))
    async def create(project: str, location: str, request: Request) -> Response:
        """Create a job: it is PENDING at once, and a controller moves it on."""
        parent = Parent.of(project, location)
        body = await read_resource(request, TuningJob, root="tuning_job")
        return json_response(await jobs.create(parent, body, request_id=request_id(request)))

    @router.get(_COLLECTION, openapi_extra=speaks(TuningJob, lists="tuningJobs"))
    async def list_jobs(project: str, location: str, request: Request) -> Response:
        """A page of jobs, newest first."""
        return page_response("tuningJobs", await jobs.list(Parent.of(project, location), list_request(request)))

    @router.get(_COLLECTION + "/{job}", openapi_extra=speaks(TuningJob))
    async def get(project: str, location: str, job: str) -> Response:
        """One job as it stands."""
        return json_response(await jobs.get(Parent.of(project, location), job))

    @router.post(_COLLECTION + "/{job}:cancel", openapi_extra=speaks())
    async def cancel(project: str, location: str, job: str) -> Response:
        """Ask a job to stop; checkpoints that it has exported stay."""
        await jobs.cancel(Parent.of(project, location), job)
        return json_response({})

    @router.post(_COLLECTION + ":rebaseTunedModel", openapi_extra=speaks(), include_in_schema=False)
    async def rebase(project: str, location: str) -> Response:
        """Refused: what it does elsewhere, moving a tuned model to a newer base model, has no meaning here."""
        raise Unimplemented(
            "rebaseTunedModel is not supported by this server, whose base models do not change. To tune another base "
            "model on the same rows, create a tuning job with that base_model; to go on from a tuned model, one with "
            "pre_tuned_model."
        )

    return router
