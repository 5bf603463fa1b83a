"""What each route needs: which role, and in which project; told by its path and method, and by nothing else.

``docs/how-to/secure.md`` tells the roles to people; a test walks every route by every role.
"""

from __future__ import annotations

import enum
import re
from collections.abc import Collection
from dataclasses import dataclass

from sintonia.services.access import Role


class About(enum.Enum):
    """Where a request says which project it is about."""

    OPEN = "nobody has to say who they are"
    NOTHING = "about no project"
    PROJECT = "{project} in the path"
    PROJECT_PARAMETER = "?project="
    BUCKET = "the project of {bucket}"
    COPY = "the project of {bucket} to read, that of {target_bucket} to write"
    ENDPOINT = "the project of the endpoint {name}"
    MODEL = "the project of the model {name}"


@dataclass(frozen=True)
class Need:
    """``role`` is the least one needed; None where to be somebody is enough."""

    about: About
    role: Role | None
    changes: bool = False
    """Whether something may be another afterwards."""


# Where sessions begin, people prove who they are by what they send.
_OPEN = {"/healthz", "/docs/style.css", "/sintonia/v1/sessions"}
_FOR_ANYBODY = {"/sintonia/v1/me", "/sintonia/v1/sessions/current"}
_WITHOUT_PROJECT = {"/readyz", "/openapi.json", "/docs", "/sintonia/v1/baseModels", "/batch/storage/v1"}
_READING = {"GET", "HEAD", "OPTIONS"}
# POST, because what is asked does not fit into a URL; nothing changes by them.
_ASKING = {
    "generateContent", "streamGenerateContent", "countTokens", "computeTokens", "exportTensorboardTimeSeries", "wait",
}  # fmt: skip


def need_of(path: str, methods: Collection[str]) -> Need:
    """What the route of this template needs.

    Raises:
        LookupError: no rule fits, so that nobody can be let in.
    """
    verb = path.rpartition(":")[2] if ":" in path.rpartition("/")[2] else ""
    changes = not (_READING.issuperset(methods) or verb in _ASKING)
    if path in _OPEN:
        return Need(About.OPEN, None, changes)
    if path in _FOR_ANYBODY:
        return Need(About.NOTHING, None, changes)
    role = Role.TUNER if changes else Role.VIEWER
    if re.search("/projects/{project}/tokens(/|$)", path):
        return Need(About.PROJECT, Role.ADMIN, changes)
    if "{target_bucket}" in path:
        return Need(About.COPY, Role.TUNER, changes)
    if "{project}" in path:
        return Need(About.PROJECT, role, changes)
    if "{bucket}" in path:
        return Need(About.BUCKET, role, changes)
    if path == "/storage/v1/b":
        return Need(About.PROJECT_PARAMETER, role, changes)
    if verb in _ASKING and path.startswith("/endpoints/{name}:"):
        return Need(About.ENDPOINT, role)
    if verb in _ASKING and path.startswith("/models/{name}:"):
        return Need(About.MODEL, role)
    if path in _WITHOUT_PROJECT or (path.startswith("/publishers/{publisher}/models") and role is Role.VIEWER):
        return Need(About.NOTHING, Role.VIEWER)
    raise LookupError(f"No rule says who may call {path}; add one to {__name__}.")
