"""The one gate to everything that a request may name by an address; credentials and connections are behind it."""

from __future__ import annotations

import importlib.util
from collections.abc import Iterator
from pathlib import Path
from typing import Literal

from pydantic import BaseModel, ConfigDict

from sintonia.errors import FailedPrecondition, PermissionDenied
from sintonia.storage.buckets import BucketStore
from sintonia.storage.elsewhere.google import GoogleStore
from sintonia.storage.elsewhere.local_files import FolderStore
from sintonia.storage.elsewhere.s3 import S3Store
from sintonia.storage.places import Place
from sintonia.storage.stores import EmbeddedStore, FoundObject, ObjectStore, OpenObject
from sintonia.storage.uri import ObjectUri

_REMOTE = {"s3": S3Store, "gs": GoogleStore}
_EXTRAS = {"s3": ("s3fs", "s3"), "gs": ("gcsfs", "gcs")}


class StorageConfig(BaseModel):
    """What a process needs to know to be given the same objects as the server; no secrets.

    Args:
        buckets_dir: root of the embedded store.
        samples_dir: directory of the built-in sample buckets.
        gs: whose ``gs://`` is.
        owners: whether a project may name its own embedded buckets only.
    """

    model_config = ConfigDict(extra="forbid", frozen=True)

    buckets_dir: Path
    samples_dir: Path | None = None
    gs: Literal["embedded", "google"] = "embedded"
    places: tuple[Place, ...] = ()
    owners: bool = False

    @property
    def needs_credentials(self) -> bool:
        return self.gs == "google" or any(place.scheme != "file" for place in self.places)


class Storage:
    """Objects by address, for a project: the embedded buckets, and what lies below the operator's places.

    All methods take the address as a request or a job tells it and look anew whether ``project`` may use it. They
    raise InvalidArgument for what is no address, PermissionDenied for what is not allowed, and what ``ObjectStore``
    says. Nothing of an address is ever decoded, resolved, or given to something that picks a file system by it.
    """

    def __init__(self, config: StorageConfig) -> None:
        """Raises FailedPrecondition if a place needs a package that is missing, or is of no kind that there is."""
        self._config = config
        self._buckets = BucketStore(config.buckets_dir, config.samples_dir)
        self._remote: dict[str, ObjectStore] = {}
        for place in config.places:
            if place.scheme == "gs" and config.gs == "embedded":
                raise FailedPrecondition(
                    f"Storage place '{place.uri}' cannot be used: gs:// is the embedded store here, which needs no "
                    'place; set gs = "google" if it shall be Google\'s.'
                )
            if place.scheme in _EXTRAS and place.scheme not in self._remote:
                package, extra = _EXTRAS[place.scheme]
                if importlib.util.find_spec(package) is None:
                    raise FailedPrecondition(
                        f"Storage place '{place.uri}' needs '{package}': pip install 'sintonia[{extra}]'."
                    )
                self._remote[place.scheme] = _REMOTE[place.scheme]()

    @property
    def config(self) -> StorageConfig:
        return self._config

    @property
    def buckets(self) -> BucketStore | None:
        """The embedded store; None if ``gs://`` is Google's."""
        return self._buckets if self._config.gs == "embedded" else None

    def stat(self, uri: str, *, project: str) -> FoundObject:
        store, address = self._admit(uri, project)
        return store.stat(address)

    def open(self, uri: str, *, project: str) -> OpenObject:
        store, address = self._admit(uri, project)
        return store.open(address)

    def put(self, uri: str, content: Path | bytes, *, project: str, content_type: str | None = None) -> None:
        store, address = self._admit(uri, project, write=True)
        store.put(address, content, content_type=content_type)

    def check_writable(self, uri: str, *, project: str) -> None:
        store, address = self._admit(uri, project, write=True)
        store.check_writable(address)

    def look_around(self) -> Iterator[tuple[Place, Exception | None]]:
        """Each place, and what is wrong with it if it does not answer or cannot be written; for its operator."""
        for place in self._config.places:
            address = ObjectUri.parse(f"{place.uri.rstrip('/')}/sintonia-doctor")
            project = place.projects[0] if place.projects else ""
            try:
                store, _ = self._admit(str(address), project)
                store.check_readable(address)
                if not place.read_only:
                    store.check_writable(address)
                yield place, None
            except Exception as error:
                yield place, error

    def _admit(self, uri: str, project: str, *, write: bool = False) -> tuple[ObjectStore, ObjectUri]:
        address = ObjectUri.parse(uri)
        if address.scheme == "gs" and self._config.gs == "embedded":
            return EmbeddedStore(self._buckets, project if self._config.owners else None), address
        place = self._place(address, project)
        if write and place.read_only:
            raise PermissionDenied(f"'{address}' cannot be written: the operator of this server lists it as read-only.")
        return FolderStore(place) if place.scheme == "file" else self._remote[place.scheme], address

    def _place(self, address: ObjectUri, project: str) -> Place:
        """Of the places that hold the address the narrowest says who may use it."""
        parts = address.parts()
        holding = [place for place in self._config.places if place.holds(address, parts)]
        narrowest = max((len(place.parts) for place in holding), default=0)
        usable = [p for p in holding if len(p.parts) == narrowest and p.is_open_to(project)]
        if not usable:
            raise PermissionDenied(
                f"'{address}' is not below a place that project '{project}' may use; the operator of this server "
                "lists those in its setting 'storage'."
            )
        return min(usable, key=lambda place: place.read_only)
