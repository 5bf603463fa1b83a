"""Who asks, and what they may do: principals with a role in each project; knows neither HTTP nor how it was proven."""

from __future__ import annotations

import enum
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any, Protocol

EVERY_PROJECT = "*"


class Role(enum.IntEnum):
    """What one may do in a project; each role may do what those before it may."""

    VIEWER = 1
    """Look at everything, and ask models."""
    TUNER = 2
    """Upload, tune, deploy, change and delete."""
    ADMIN = 3
    """Say who else may do what."""


@dataclass(frozen=True)
class Principal:
    """Somebody who has proven who they are; ``name`` is what the audit log calls them, such as ``token:ci``."""

    name: str
    grants: Mapping[str, Role] = field(default_factory=dict)
    """Role by project; ``*`` stands for every project."""
    display_name: str = field(default="", compare=False)
    """What people call them. Whoever made their token chose it, so that nothing may depend on it."""
    proof: Mapping[str, Any] = field(default_factory=dict, compare=False, repr=False)
    """What the Authenticator that knew them recalls them by; JSON, and of no use to others."""
    until: datetime | None = field(default=None, compare=False)
    """When what they have proven it by ends, if it does."""

    def role_in(self, project: str) -> Role | None:
        """The highest role in ``project``; None if it is none of theirs."""
        found = [role for name in (project, EVERY_PROJECT) if (role := self.grants.get(name)) is not None]
        return max(found, default=None)


class Authenticator(Protocol):
    """One way to prove who asks."""

    async def authenticate(self, credential: str) -> Principal | None:
        """Who ``credential`` belongs to; None if it is not of the kind known here.

        Raises:
            Unauthenticated: it is of that kind, but not valid (any more); the message never repeats it.
            Unavailable: it cannot be told at the moment.
        """
        ...

    async def recall(self, proof: Mapping[str, Any]) -> Principal | None:
        """Who the principal with this ``proof`` is now; None if it is not of the kind known here.

        Raises:
            Unauthenticated: what they had proven it by is not valid any more.
        """
        ...
