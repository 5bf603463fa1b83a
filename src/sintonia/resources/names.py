"""Resource names: ``projects/P/locations/L/tuningJobs/ID`` and its sisters, read and written in one place."""

from __future__ import annotations

import re
from dataclasses import dataclass

from sintonia.errors import InvalidArgument

PROJECT = re.compile("[A-Za-z0-9][A-Za-z0-9.:_-]{0,62}")
LOCATION = re.compile(r"[a-z][a-z0-9-]{0,62}")


@dataclass(frozen=True)
class Parent:
    """A project and a location: a namespace that exists as soon as it is named."""

    project: str
    location: str

    @classmethod
    def of(cls, project: str, location: str) -> Parent:
        """Raises InvalidArgument if either id is not a valid one."""
        check_project(project)
        if not LOCATION.fullmatch(location):
            raise InvalidArgument(
                f"Invalid resource field value in the request: location '{location}' is not valid; "
                "use one such as us-central1."
            )
        return cls(project, location)

    def __str__(self) -> str:
        return f"projects/{self.project}/locations/{self.location}"

    def tuning_job(self, number: int) -> str:
        return f"{self}/tuningJobs/{number}"

    def model(self, number: int, version: int | None = None) -> str:
        return f"{self}/models/{number}" + (f"@{version}" if version else "")

    def endpoint(self, number: int) -> str:
        return f"{self}/endpoints/{number}"


def is_project(text: str) -> bool:
    """Whether ``text`` can be the id of a project."""
    return PROJECT.fullmatch(text) is not None


def check_project(text: str) -> None:
    """Raises InvalidArgument if no project can have the id ``text``."""
    if not is_project(text):
        raise InvalidArgument(f"Invalid resource field value in the request: project id '{text[:100]}' is not valid.")


def parse_id(text: str) -> int | None:
    """The number in a resource id, or None if ``text`` cannot be an id (so: not found)."""
    return int(text) if re.fullmatch(r"[0-9]{1,19}", text) and int(text) < 2**63 else None
