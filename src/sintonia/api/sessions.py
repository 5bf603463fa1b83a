"""Sign-in as a resource of our own: who am I, and the session of a browser."""

from __future__ import annotations

from fastapi import APIRouter, Request, Response

from sintonia.api import cookies
from sintonia.api.bodies import json_response, read_resource
from sintonia.api.gate import Access, gate_of, principal_of
from sintonia.api.openapi import speaks
from sintonia.api.routing import ApiRoute
from sintonia.errors import InvalidArgument
from sintonia.resources.access import AccessRole, Me, SignIn
from sintonia.services.access import Principal
from sintonia.services.sessions import Sessions


def routes(sessions: Sessions) -> APIRouter:
    router = APIRouter(prefix="/sintonia/v1", tags=["Sintonia's own"], route_class=ApiRoute)

    @router.get("/me", openapi_extra=speaks(Me))
    async def me(request: Request) -> Response:
        """Who you are to this server, and your role in each project."""
        return json_response(_me(principal_of(request), signs_in=gate_of(request).signs_in))

    @router.post("/sessions", openapi_extra=speaks(Me, takes=SignIn))
    async def begin(request: Request) -> Response:
        """Begin a session of this browser, for the pages of this server; programs send their token each time."""
        gate = gate_of(request)
        gate.refuse_without_sign_in()
        body = await read_resource(request, SignIn, root="session")
        if not body.token:
            raise InvalidArgument("Required field 'token' is not set: an API token, or one of the OpenID issuer.")
        cookies.refuse_pages_of_others(request)
        access: Access = request.state.access
        access.principal = await gate.prove(request, [body.token])
        session = await sessions.begin(access.principal)
        if before := cookies.session_of(request):
            await sessions.end(before)
        response = json_response(_me(access.principal, signs_in=True))
        cookies.keep_session(request, response, session.id, expires=session.expires)
        return response

    @router.delete("/sessions/current", openapi_extra=speaks())
    async def end(request: Request) -> Response:
        """End the session of this browser; nothing happens to the token that began it."""
        if session := cookies.session_of(request):
            await sessions.end(session)
        response = json_response({})
        cookies.drop_session(request, response)
        return response

    return router


def _me(principal: Principal, *, signs_in: bool) -> Me:
    return Me(
        principal=principal.name,
        display_name=principal.display_name or None,
        grants={project: AccessRole[role.name] for project, role in principal.grants.items()},
        sign_in=signs_in,
    )
