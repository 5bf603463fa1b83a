"""``…/endpoints``: create, get, list, update, deploy, undeploy, delete."""

from __future__ import annotations

from fastapi import APIRouter, Request, Response

from sintonia.api.bodies import json_response, read_named, read_resource
from sintonia.api.listing import list_request, page_response, update_mask
from sintonia.api.openapi import UPDATE_MASK, speaks
from sintonia.api.operations import version_called
from sintonia.api.request_ids import REQUEST_ID, request_id
from sintonia.api.routing import ApiRoute
from sintonia.resources.names import Parent
from sintonia.resources.serving import DeployModelRequest, Endpoint, Operation, UndeployModelRequest
from sintonia.services.endpoint_changes import EndpointChanges
from sintonia.services.endpoints import Endpoints

_COLLECTION = "/projects/{project}/locations/{location}/endpoints"
_ONE = _COLLECTION + "/{endpoint}"


def routes(endpoints: Endpoints, changes: EndpointChanges) -> APIRouter:
    router = APIRouter(tags=["Endpoints"], route_class=ApiRoute)

    @router.get(_COLLECTION, openapi_extra=speaks(Endpoint, lists="endpoints"))
    async def list_endpoints(project: str, location: str, request: Request) -> Response:
        """A page of endpoints, newest first."""
        return page_response("endpoints", await endpoints.list(Parent.of(project, location), list_request(request)))

    @router.post(
        _COLLECTION,
        openapi_extra=speaks(
            Operation,
            takes=Endpoint,
            query={"endpointId": "Its id, up to nine digits, if not ours."} | REQUEST_ID,
        ),
    )
    async def create(project: str, location: str, request: Request) -> Response:
        """Create an endpoint with nothing on it."""
        place = Parent.of(project, location)
        body = await read_named(request, Endpoint, root="endpoint", name=f"{place}/endpoints/-")
        asked = request.query_params.get("endpointId") or request.query_params.get("endpoint_id") or ""
        made = await changes.create(
            place, body, endpoint_id=asked, api=version_called(request), request_id=request_id(request)
        )
        return json_response(made)

    @router.get(_ONE, openapi_extra=speaks(Endpoint))
    async def get(project: str, location: str, endpoint: str) -> Response:
        """One endpoint, where one checkpoint answers, or none."""
        return json_response(await endpoints.get(Parent.of(project, location), endpoint))

    @router.patch(_ONE, openapi_extra=speaks(Endpoint, takes=Endpoint, query=UPDATE_MASK))
    async def update(project: str, location: str, endpoint: str, request: Request) -> Response:
        """Change display name, description or labels."""
        place = Parent.of(project, location)
        body = await read_named(request, Endpoint, root="endpoint", name=f"{place}/endpoints/{endpoint}")
        return json_response(await changes.update(place, endpoint, body, update_mask(request)))

    @router.post(_ONE + ":deployModel", openapi_extra=speaks(Operation, takes=DeployModelRequest))
    async def deploy(project: str, location: str, endpoint: str, request: Request) -> Response:
        """Deploy a checkpoint of a tuned model at an empty endpoint."""
        body = await read_resource(request, DeployModelRequest)
        place = Parent.of(project, location)
        return json_response(await changes.deploy(place, endpoint, body, api=version_called(request)))

    @router.post(_ONE + ":undeployModel", openapi_extra=speaks(Operation, takes=UndeployModelRequest))
    async def undeploy(project: str, location: str, endpoint: str, request: Request) -> Response:
        """Take the model off an endpoint, which stays."""
        body = await read_resource(request, UndeployModelRequest)
        place = Parent.of(project, location)
        return json_response(await changes.undeploy(place, endpoint, body, api=version_called(request)))

    @router.delete(_ONE, openapi_extra=speaks(Operation, query={"force": "true undeploys what is deployed first."}))
    async def delete(project: str, location: str, endpoint: str, request: Request) -> Response:
        """Delete an endpoint."""
        force = request.query_params.get("force", "").lower() in ("true", "1")
        place = Parent.of(project, location)
        return json_response(await changes.delete(place, endpoint, force=force, api=version_called(request)))

    return router
