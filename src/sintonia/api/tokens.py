"""Sign-in as a resource of our own: who am I, and the API tokens of a project."""

from __future__ import annotations

from datetime import UTC, datetime

from fastapi import APIRouter, Request, Response

from sintonia.api.bodies import json_response, read_resource
from sintonia.api.gate import Access, Gate
from sintonia.api.openapi import speaks
from sintonia.api.routing import ApiRoute
from sintonia.errors import FailedPrecondition, InvalidArgument
from sintonia.resources.access import AccessRole, AccessToken, Me, TokenPage
from sintonia.services.access import EVERY_PROJECT, Principal, Role
from sintonia.services.tokens import Token, Tokens

_TOKENS = "/projects/{project}/tokens"


def routes(tokens: Tokens) -> APIRouter:
    router = APIRouter(prefix="/sintonia/v1", tags=["Sintonia's own"], route_class=ApiRoute)

    @router.get("/me", openapi_extra=speaks(Me))
    async def me(request: Request) -> Response:
        """Who you are to this server, and your role in each project."""
        principal = _principal(request)
        grants = {project: AccessRole[role.name] for project, role in principal.grants.items()}
        return json_response(Me(principal=principal.name, grants=grants, sign_in=_gate(request).signs_in))

    @router.post(_TOKENS, openapi_extra=speaks(AccessToken, takes=AccessToken))
    async def create(project: str, request: Request) -> Response:
        """Make a token for this project; the answer is the only place where it is ever shown."""
        _refuse_without_sign_in(request)
        body = await read_resource(request, AccessToken, root="token")
        if body.role is None:
            raise InvalidArgument("Required field 'role' is not set: VIEWER, TUNER or ADMIN.")
        made = await tokens.create(
            body.display_name or "", {project: Role[body.role]}, by=_principal(request), expires=body.expire_time
        )
        return json_response(_resource(made, project))

    @router.get(_TOKENS, openapi_extra=speaks(TokenPage))
    async def list_tokens(project: str, request: Request) -> Response:
        """The tokens that reach this project, newest first, revoked ones included."""
        _refuse_without_sign_in(request)
        found = await tokens.list(_principal(request))
        reaching = [
            token for token in found if project == EVERY_PROJECT or token.grants.keys() & {project, EVERY_PROJECT}
        ]
        return json_response(TokenPage(tokens=[_resource(token, project) for token in reaching]))

    @router.delete(_TOKENS + "/{token}", openapi_extra=speaks(AccessToken))
    async def revoke(project: str, token: str, request: Request) -> Response:
        """Refuse a token from now on; it stays in the list."""
        _refuse_without_sign_in(request)
        revoked = await tokens.revoke(token, by=_principal(request), project=project)
        return json_response(_resource(revoked, project))

    return router


def _gate(request: Request) -> Gate:
    gate: Gate = request.app.state.gate
    return gate


def _principal(request: Request) -> Principal:
    access: Access = request.state.access
    assert access.principal is not None, "the gate has let the request in"
    return access.principal


def _refuse_without_sign_in(request: Request) -> None:
    if not _gate(request).signs_in:  # else whoever may connect now could let themselves in later
        raise FailedPrecondition(
            "Sign-in is off, so nobody needs a token. Whoever runs this server can make some with 'sintonia tokens "
            "create', and switch it on with 'sintonia serve --sign-in'."
        )


def _resource(token: Token, project: str) -> AccessToken:
    role = token.grants.get(project) or max(token.grants.values())
    return AccessToken(
        name=f"projects/{project}/tokens/{token.id}",
        display_name=token.name,
        role=AccessRole[role.name],
        create_time=token.created,
        expire_time=token.expires,
        revoke_time=token.revoked,
        state=token.state(datetime.now(UTC)),
        created_by=token.created_by,
        token=token.secret,
    )
