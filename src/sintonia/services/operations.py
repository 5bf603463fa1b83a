"""Long-running operations: here everything is done at once, and the operation tells of it."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, datetime

from sintonia.database import Database, Transaction, micros, operations
from sintonia.database.operations import OperationRecord, Subject
from sintonia.errors import FailedPrecondition, NotFound
from sintonia.resources.base import JsonObject, Resource, format_timestamp
from sintonia.resources.names import Parent, parse_id
from sintonia.resources.serving import Operation
from sintonia.services.ids import new_id
from sintonia.services.paging import ListRequest, Pager

_API = "google.cloud.aiplatform."


@dataclass(frozen=True)
class Done:
    """What an operation tells: names of its messages in the API, such as ``DeleteOperationMetadata``.

    Without an ``answer`` the response is empty.
    """

    metadata: str
    response: str = "google.protobuf.Empty"
    answer: Resource | JsonObject | None = None


@dataclass(frozen=True)
class Operations:
    """Operations as users read them."""

    database: Database
    pager: Pager

    async def get(self, parent: Parent, subject: Subject | None, operation: str) -> Operation:
        """Raises NotFound; with a ``subject``, also if the operation was done to something else."""
        number = parse_id(operation)
        found = None
        if number is not None:
            found = await self.database.read(lambda tx: operations.get(tx, number, parent, subject))
        if found is None:
            raise _missing(parent, subject, operation)
        return Operation.from_wire(found)

    async def delete(self, parent: Parent, subject: Subject | None, operation: str) -> None:
        """Forget it; what it did stays done. Raises NotFound."""
        number = parse_id(operation)
        if number is None or not await self.database.write(lambda tx: operations.delete(tx, number, parent, subject)):
            raise _missing(parent, subject, operation)

    async def list(
        self, parent: Parent, subject: Subject | None, request: ListRequest
    ) -> tuple[list[JsonObject], str | None]:
        """A page of operations as the wire has them, newest first, and the token of the next page."""
        return await self.pager.page(
            lambda wanted: self.database.read(lambda tx: operations.page(tx, parent, subject, wanted)),
            request,
            what=f"{_place(parent, subject)}/operations",
        )


async def finish(
    tx: Transaction, parent: Parent, subject: Subject, done: Done, *, version: str, number: int | None = None
) -> Operation:
    """Store in this transaction that something was done to ``subject``.

    Args:
        version: of the API that was called (``v1``, ``v1beta1``): its messages tell of it.
        number: the operation's; chosen here if None.
    """
    now, number = datetime.now(UTC), number or new_id()
    moment = format_timestamp(now)
    answer = done.answer.to_wire() if isinstance(done.answer, Resource) else (done.answer or {})
    operation = Operation(
        name=f"{_place(parent, subject)}/operations/{number}",
        metadata={
            "@type": _type_url(done.metadata, version),
            "genericMetadata": {"createTime": moment, "updateTime": moment},
        },
        done=True,
        response={"@type": _type_url(done.response, version), **answer},
    )
    await operations.insert(tx, OperationRecord(number, parent, micros(now), subject, operation.to_wire()))
    return operation


async def finished(tx: Transaction, parent: Parent, number: int, *, request: str | None, version: str) -> Operation:
    """The operation of an earlier ``request``. Raises FailedPrecondition if somebody has deleted it."""
    found = await operations.get(tx, number, parent, None)
    if found is None:
        raise FailedPrecondition(
            f"Request '{request}' was done before, and the operation that told of it has been deleted since; "
            "use another request id."
        )
    return Operation.from_wire(in_version(found, version))


def in_version(document: JsonObject, version: str) -> JsonObject:
    """An operation, as the wire has it, by the messages of this version of the API, which have the same fields."""

    def told(message: JsonObject) -> JsonObject:
        name = message.get("@type", "").rpartition("/")[2]
        known = name.startswith(_API)
        return {**message, "@type": _type_url(name.rpartition(".")[2], version)} if known else message

    return {key: told(item) if key in ("metadata", "response") else item for key, item in document.items()}


def _type_url(name: str, version: str) -> str:
    return f"type.googleapis.com/{name if name.startswith('google.') else f'{_API}{version}.{name}'}"


def _place(parent: Parent, subject: Subject | None) -> str:
    return f"{parent}/{subject[0]}/{subject[1]}" if subject else str(parent)


def _missing(parent: Parent, subject: Subject | None, operation: str) -> NotFound:
    return NotFound(f"Operation `{_place(parent, subject)}/operations/{operation}` not found.")
