"""The API tokens of a project, a resource of our own."""

from __future__ import annotations

from datetime import UTC, datetime

from fastapi import APIRouter, Request, Response

from sintonia.api.bodies import json_response, read_resource
from sintonia.api.gate import gate_of, principal_of
from sintonia.api.openapi import speaks
from sintonia.api.routing import ApiRoute
from sintonia.errors import InvalidArgument
from sintonia.resources.access import AccessRole, AccessToken, TokenPage
from sintonia.services.access import EVERY_PROJECT, Role
from sintonia.services.tokens import Token, Tokens

_TOKENS = "/projects/{project}/tokens"


def routes(tokens: Tokens) -> APIRouter:
    router = APIRouter(prefix="/sintonia/v1", tags=["Sintonia's own"], route_class=ApiRoute)

    @router.post(_TOKENS, openapi_extra=speaks(AccessToken, takes=AccessToken))
    async def create(project: str, request: Request) -> Response:
        """Make a token for this project; the answer is the only place where it is ever shown."""
        gate_of(request).refuse_without_sign_in()
        body = await read_resource(request, AccessToken, root="token")
        if body.role is None:
            raise InvalidArgument("Required field 'role' is not set: VIEWER, TUNER or ADMIN.")
        made = await tokens.create(
            body.display_name or "", {project: Role[body.role]}, by=principal_of(request), expires=body.expire_time
        )
        return json_response(_resource(made, project))

    @router.get(_TOKENS, openapi_extra=speaks(TokenPage))
    async def list_tokens(project: str, request: Request) -> Response:
        """The tokens that reach this project, newest first, revoked ones included."""
        gate_of(request).refuse_without_sign_in()
        found = await tokens.list(principal_of(request))
        reaching = [
            token for token in found if project == EVERY_PROJECT or token.grants.keys() & {project, EVERY_PROJECT}
        ]
        return json_response(TokenPage(tokens=[_resource(token, project) for token in reaching]))

    @router.delete(_TOKENS + "/{token}", openapi_extra=speaks(AccessToken))
    async def revoke(project: str, token: str, request: Request) -> Response:
        """Refuse a token from now on; it stays in the list."""
        gate_of(request).refuse_without_sign_in()
        revoked = await tokens.revoke(token, by=principal_of(request), project=project)
        return json_response(_resource(revoked, project))

    return router


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
