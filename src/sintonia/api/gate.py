"""The gate: who asks, and may they? Every route goes through it once its path is known, before a body is read."""

from __future__ import annotations

import ipaddress
import math
from collections.abc import Collection, Sequence
from dataclasses import dataclass
from typing import Protocol

from fastapi import Request

from sintonia.api import cookies
from sintonia.api.needs import About, Need
from sintonia.errors import (
    FailedPrecondition,
    InvalidArgument,
    NotFound,
    PermissionDenied,
    ResourceExhausted,
    Unauthenticated,
)
from sintonia.services.access import EVERY_PROJECT, Authenticator, Principal, Role
from sintonia.services.allowances import Allowance
from sintonia.services.sessions import Sessions

LOCAL = Principal("local", {EVERY_PROJECT: Role.ADMIN})
"""Whoever asks a server without sign-in, which is on loopback."""

_HOW = "Send an API token of this server as 'Authorization: Bearer TOKEN', 'x-goog-api-key: TOKEN' or '?key=TOKEN'."


@dataclass
class Access:
    """What the gate made of a request."""

    need: Need
    principal: Principal | None = None
    project: str = ""


class Owners(Protocol):
    """Whose things are that a path names without their project."""

    async def of_bucket(self, name: str) -> str | None:
        """The project; None if it is built in. Raises NotFound."""
        ...

    async def of_endpoint(self, name: str) -> str:
        """Raises NotFound."""
        ...

    async def of_model(self, name: str) -> str:
        """Raises NotFound."""
        ...


class Gate:
    """Lets requests in.

    Args:
        authenticators: asked in this order; None if there is no sign-in, and everybody is ``LOCAL``.
        sessions: those of browsers, which show cookies.
    """

    def __init__(self, authenticators: Sequence[Authenticator] | None, owners: Owners, sessions: Sessions) -> None:
        self._authenticators = authenticators
        self._owners = owners
        self._sessions = sessions
        self._failures = Allowance(burst=20, per_second=0.2)

    @property
    def signs_in(self) -> bool:
        return self._authenticators is not None

    def refuse_without_sign_in(self) -> None:
        """Or else whoever may connect now could let themselves in later. Raises FailedPrecondition."""
        if not self.signs_in:
            raise FailedPrecondition(
                "Sign-in is off, so nobody needs a token. Whoever runs this server can make some with 'sintonia tokens "
                "create', and switch it on with 'sintonia serve --sign-in'."
            )

    async def admit(self, request: Request, need: Need) -> None:
        """Let a request in, or refuse it; ``request.state.access`` tells what was found.

        Raises:
            Unauthenticated: it does not prove who sends it.
            ResourceExhausted: it does not, and too many from its address did not before.
            PermissionDenied: that one may not do it, or the page of another site sent it.
            NotFound: it is about a bucket that is not there.
        """
        access = request.state.access = Access(need, project=request.path_params.get("project", ""))
        if self._authenticators is None:
            access.principal = LOCAL
            return
        if need.about is About.OPEN:
            return
        principal = access.principal = await self._principal(request)
        if need.role is None:
            return
        match need.about:
            case About.NOTHING:
                if not principal.grants:
                    raise PermissionDenied(
                        f"You are signed in as '{principal.name}' and have no role in any project. Ask an admin."
                    )
            case About.PROJECT:
                _check(principal, need.role, access.project, f"projects/{access.project}")
            case About.PROJECT_PARAMETER:
                access.project = _parameter(request)
                _check(principal, need.role, access.project, f"projects/{access.project}")
            case About.BUCKET:
                await self._check_bucket(access, need.role, request.path_params["bucket"])
            case About.COPY:
                await self._check_bucket(access, Role.VIEWER, request.path_params["bucket"])
                await self._check_bucket(access, need.role, request.path_params["target_bucket"])
            case About.ENDPOINT | About.MODEL:
                await self._check_express(access, need.role, request.path_params["name"])

    async def _principal(self, request: Request) -> Principal:
        credentials = _credentials(request)
        if credentials:
            return await self.prove(request, credentials)
        if session := cookies.session_of(request):
            # An id that is not valid (any more) does not count as a guess: tabs ask on with it.
            cookies.refuse_pages_of_others(request)
            return await self._sessions.owner(session)
        raise Unauthenticated(f"Request is missing required authentication credential. {_HOW}")

    async def prove(self, request: Request, credentials: Collection[str]) -> Principal:
        """Who these belong to, which came with ``request``.

        Raises:
            Unauthenticated: they differ, or are not valid.
            ResourceExhausted: the same, and too many from its address were not before.
        """
        assert self._authenticators is not None
        try:
            if len(credentials) > 1:
                raise Unauthenticated("Request has several credentials, and they differ. Send one of them.")
            for authenticator in self._authenticators:
                if principal := await authenticator.authenticate(*credentials):
                    return principal
            raise Unauthenticated(f"Request had invalid authentication credentials. {_HOW}")
        except Unauthenticated:
            if wait := self._failures.take(_network_of(request)):
                raise ResourceExhausted(
                    "Too many requests from your address had invalid credentials. A valid one passes at any time.",
                    retry_after=math.ceil(wait),
                ) from None
            raise

    async def _check_bucket(self, access: Access, role: Role, bucket: str) -> None:
        """Buckets that are built in may be read by all."""
        assert access.principal is not None
        owner = await self._owners.of_bucket(bucket)
        access.project = owner or ""
        if owner is not None or role > Role.VIEWER or not access.principal.grants:
            _check(access.principal, role, owner or "", f"b/{bucket}")

    async def _check_express(self, access: Access, role: Role, name: str) -> None:
        """Names without a project: who may not see all must not learn which there are."""
        assert access.principal is not None
        find = self._owners.of_endpoint if access.need.about is About.ENDPOINT else self._owners.of_model
        try:
            access.project = await find(name)
        except NotFound:
            if access.principal.role_in(EVERY_PROJECT):
                raise
        _check(access.principal, role, access.project, name)


def gate_of(request: Request) -> Gate:
    """The one that let ``request`` in."""
    gate: Gate = request.app.state.gate
    return gate


def principal_of(request: Request) -> Principal:
    """Who asks; of a request that needs somebody."""
    access: Access = request.state.access
    assert access.principal is not None, "the gate has let the request in"
    return access.principal


def _check(principal: Principal, role: Role, project: str, resource: str) -> None:
    found = principal.role_in(project)
    if found is None or found < role:
        raise PermissionDenied(
            f"Permission denied on resource '{resource[:200]}' (or it may not exist). It needs the role "
            f"{role.name.lower()} in its project."
        )


def _parameter(request: Request) -> str:
    said = set(request.query_params.getlist("project"))
    if len(said) != 1 or said == {""}:
        raise InvalidArgument("Required parameter: project")
    return said.pop()


def _credentials(request: Request) -> set[str]:
    found = {*request.headers.getlist("x-goog-api-key"), *request.query_params.getlist("key")}
    for said in request.headers.getlist("authorization"):
        scheme, _, credential = said.partition(" ")
        # One of another scheme stays what it is, and so is known to nobody.
        found.add(credential.strip() if scheme.lower() == "bearer" else f"{scheme} {credential}")
    return found - {""}


def _network_of(request: Request) -> str:
    """The client's address, or of IPv6 the network of one: who has one has all of it."""
    try:
        address = ipaddress.ip_address(request.client.host if request.client else "")
    except ValueError:  # of a proxy that passes on what clients say, or none: all of these are one
        return ""
    if address.version == 4 or address.ipv4_mapped:
        return str(address)
    return str(ipaddress.ip_network((address, 64), strict=False))
