"""Tuned models with their versions, and base models: to read."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from sintonia.base_models import Catalog
from sintonia.database import Database, Transaction, models
from sintonia.database.listing import ORDERS
from sintonia.database.models import ModelRecord
from sintonia.errors import NotFound
from sintonia.resources.base import JsonObject
from sintonia.resources.names import Parent, parse_id
from sintonia.resources.serving import Model, PublisherModel
from sintonia.services.paging import ListRequest, Pager
from sintonia.services.short_lists import short_list


@dataclass(frozen=True)
class Models:
    """Tuned models as users read them."""

    database: Database
    pager: Pager

    async def find(self, parent: Parent | None, model: str) -> ModelRecord:
        """The version that ``ID``, ``ID@VERSION`` or ``ID@ALIAS`` names. Raises NotFound."""
        return await self.database.read(lambda tx: find_version(tx, parent, model))

    async def get(self, parent: Parent | None, model: str) -> Model:
        """The model, whose name says the version if ``model`` does. Raises NotFound."""
        record = await self.find(parent, model)
        return told(record, versioned="@" in model)

    async def versions(self, parent: Parent, model: str, request: ListRequest) -> tuple[list[JsonObject], str | None]:
        """A page of a model's versions, newest first, and the token of the next page. Raises NotFound."""

        found = (await self.database.read(lambda tx: all_versions(tx, parent, model)))[::-1]
        read = short_list(
            [told(item, versioned=True).to_wire() for item in found], numbers=[item.version for item in found]
        )
        return await self.pager.page(read, request, what=f"{parent}/models/{model}:listVersions")

    async def checkpoints(
        self, parent: Parent, model: str, request: ListRequest
    ) -> tuple[list[JsonObject], str | None]:
        """A page of a version's checkpoints, the first first, and the token of the next page. Raises NotFound."""

        found = (await self.find(parent, model)).model.checkpoints
        return await self.pager.page(
            short_list([item.to_wire() for item in found]), request, what=f"{parent}/models/{model}:listCheckpoints"
        )

    async def list(self, parent: Parent, request: ListRequest) -> tuple[list[JsonObject], str | None]:
        """A page of models as the wire has them, newest first, and the token of the next page."""
        return await self.pager.page(
            lambda wanted: self.database.read(lambda tx: models.page(tx, parent, wanted)),
            request,
            what=f"{parent}/models",
            orders=ORDERS,
        )


@dataclass(frozen=True)
class PublisherModels:
    """The catalog as the API's publisher models; an alias says what it stands for."""

    catalog: Catalog

    def get(self, name: str) -> PublisherModel:
        """Raises NotFound."""
        entry = self.catalog.find(name)
        short = name.rsplit("/", 1)[-1].partition("@")[0]
        alias = self.catalog.aliases.get(short)
        title = entry.display_name or entry.id
        return PublisherModel(
            name=f"publishers/google/models/{short}",
            version_id=short,
            display_name=f"{short} (alias of {title})" if alias else title,
            launch_stage=(alias.stage if alias and alias.stage else entry.stage),
            labels={"alias-of": entry.id} if alias else {},
        )

    def list(self) -> Sequence[PublisherModel]:
        return [self.get(name) for name in self.catalog.names()]


async def find_version(tx: Transaction, parent: Parent | None, model: str, *, lock: bool = False) -> ModelRecord:
    """The version that ``ID``, ``ID@VERSION`` or ``ID@ALIAS`` names; ``ID`` alone, and ``ID@-``, the default one.

    With ``lock`` all versions of the model are kept from other writers. Raises NotFound.
    """
    wanted = model.partition("@")[2]
    found = await all_versions(tx, parent, model, lock=lock)
    for record in found:
        if wanted in ("", "-"):
            fits = record.is_default
        else:
            fits = wanted == str(record.version) or wanted in record.model.version_aliases
        if fits:
            return record
    raise _missing(parent, model)


async def all_versions(tx: Transaction, parent: Parent | None, model: str, *, lock: bool = False) -> list[ModelRecord]:
    """The versions of the model that ``model`` names, oldest first, whichever version it says. Raises NotFound."""
    model_id = parse_id(model.partition("@")[0])
    found = await models.versions(tx, model_id, parent, lock=lock) if model_id is not None else []
    if not found:
        raise _missing(parent, model)
    return found


def told(record: ModelRecord, *, versioned: bool) -> Model:
    """The version as it is answered: under the name by which it was asked for."""
    name = record.parent.model(record.id, record.version if versioned else None)
    return record.model.model_copy(update={"name": name})


def _missing(parent: Parent | None, model: str) -> NotFound:
    place = f"{parent}/" if parent else ""
    return NotFound(f"Model `{place}models/{model}` not found.")
