"""Sign-in on the wire: API tokens, and what one may do; the documented API has no words for them."""

from __future__ import annotations

from pydantic import Field

from sintonia.resources.base import Resource, Timestamp, WireEnum


class AccessRole(WireEnum):
    """What one may do in a project; each may do what those before it may."""

    VIEWER = "VIEWER", 1
    TUNER = "TUNER", 2
    ADMIN = "ADMIN", 3


class AccessToken(Resource):
    """An API token of a project. To make one, say ``displayName`` and ``role``, and ``expireTime`` if it shall end."""

    name: str | None = Field(default=None, description="projects/PROJECT/tokens/ID")
    display_name: str | None = Field(default=None, description="whom or what it is for")
    role: AccessRole | None = None
    create_time: Timestamp | None = None
    expire_time: Timestamp | None = None
    revoke_time: Timestamp | None = None
    state: str | None = Field(default=None, description="valid, expired or revoked")
    created_by: str | None = None
    token: str | None = Field(default=None, description="the token itself, in the answer to its creation only")


class TokenPage(Resource):
    tokens: list[AccessToken] = Field(default_factory=list)


class Me(Resource):
    """Who asks, and their role in each project; ``*`` stands for every project."""

    principal: str
    display_name: str | None = Field(default=None, description="what people call them")
    grants: dict[str, AccessRole] = Field(default_factory=dict)
    sign_in: bool = Field(description="whether this server asks who you are")


class SignIn(Resource):
    """Begins the session of a browser. The answer sets a cookie with the session's id, which no page can read."""

    token: str | None = Field(default=None, description="an API token, or one of the OpenID issuer")
