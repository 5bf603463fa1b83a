"""Endpoints as users change them: create, update, deploy, undeploy, delete. An endpoint has one model at most."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from typing import Any

from sintonia.database import Database, Transaction, endpoints, micros, tuning_jobs
from sintonia.database.endpoints import EndpointRecord
from sintonia.database.models import ModelRecord
from sintonia.errors import Aborted, AlreadyExists, FailedPrecondition, FieldViolation, InvalidArgument, NotFound
from sintonia.resources.base import Resource
from sintonia.resources.names import Parent
from sintonia.resources.serving import (
    DeployedModel,
    DeployModelRequest,
    Endpoint,
    Operation,
    UndeployModelRequest,
)
from sintonia.services.endpoints import find_endpoint
from sintonia.services.generation import Generation
from sintonia.services.ids import new_id
from sintonia.services.labels import check_display_name, check_labels
from sintonia.services.masks import check_etag, fields_to_change
from sintonia.services.model_versions import etag_of, rewrite
from sintonia.services.models import find_version
from sintonia.services.operations import Done, finish, finished
from sintonia.services.repeats import made_meanwhile, named_request

_CHANGEABLE = frozenset({"display_name", "description", "labels", "traffic_split"})
_SERVER_SET = frozenset(
    {
        "name",
        "deployed_models",
        "create_time",
        "update_time",
        "etag",
        "dedicated_endpoint_dns",
        "model_deployment_monitoring_job",
        "satisfies_pzi",
        "satisfies_pzs",
    }
)

# What this server cannot give: an endpoint of one's own network, keys, logging of what is asked.
_UNSERVED_OF_ENDPOINT = (
    "client_connection_config",
    "dedicated_endpoint_enabled",
    "enable_private_service_connect",
    "encryption_spec",
    "gen_ai_advanced_features_config",
    "network",
    "predict_request_response_logging_config",
    "private_model_server_enabled",
    "private_service_connect_config",
)
_UNSERVED_OF_DEPLOYMENT = ("explanation_spec", "private_endpoints", "service_account", "speculative_decoding_spec")


@dataclass(frozen=True)
class EndpointChanges:
    """Methods that take an ``endpoint`` raise NotFound if there is none of this number."""

    database: Database
    generation: Generation

    async def create(
        self, parent: Parent, body: Endpoint, *, endpoint_id: str, api: str, request_id: str | None = None
    ) -> Operation:
        """A new endpoint with nothing on it.

        Args:
            endpoint_id: up to nine digits; chosen by the server if empty.
            request_id: see ``repeats``.

        Raises:
            InvalidArgument, FailedPrecondition: it asks for something wrong, or for something not served.
            AlreadyExists: the id is taken.
        """
        named = named_request(parent, "endpoints", request_id, {"endpoint": body.to_wire(), "id": endpoint_id})
        _refuse(body, _UNSERVED_OF_ENDPOINT, "endpoint")
        _check(body, _CHANGEABLE)
        if body.traffic_split:
            raise _invalid("endpoint.traffic_split", "traffic_split must be empty: nothing is deployed yet.")
        if endpoint_id and not re.fullmatch("[1-9][0-9]{0,8}", endpoint_id):
            raise _invalid("endpoint_id", f"The endpoint id '{endpoint_id[:100]}' is not valid: up to nine digits.")
        number, operation_id, now = int(endpoint_id) if endpoint_id else new_id(), new_id(), datetime.now(UTC)
        made = Endpoint(
            name=parent.endpoint(number),
            display_name=_value(body, "display_name"),
            description=_value(body, "description"),
            labels=body.labels,
            create_time=now,
            update_time=now,
            etag=etag_of(now),
        )

        async def work(tx: Transaction) -> Operation:
            if (twin := await made_meanwhile(tx, named, operation_id)) is not None:
                return await finished(tx, parent, twin, request=request_id, version=api)
            if await endpoints.get(tx, number, None) is not None:
                raise AlreadyExists(f"Endpoint {number} already exists; endpoint ids are shared by all projects.")
            await endpoints.insert(tx, EndpointRecord(number, parent, micros(now), None, None, "", made))
            done = Done("CreateEndpointOperationMetadata", "Endpoint", made)
            return await finish(tx, parent, ("endpoints", number), done, version=api, number=operation_id)

        return await self.database.write(work)

    async def update(self, parent: Parent, endpoint: str, body: Endpoint, mask: str) -> Endpoint:
        """Change what mask and body say; see ``masks.fields_to_change``.

        Raises:
            InvalidArgument: a field that cannot be changed, or a value it cannot have.
            Aborted: the body has an etag, and the endpoint was changed since.
        """
        names = fields_to_change(body, mask, root="endpoint", changeable=_CHANGEABLE, server_set=_SERVER_SET)
        _check(body, names)

        async def work(tx: Transaction) -> Endpoint:
            before = await find_endpoint(tx, parent, endpoint, lock=True)
            check_etag(body.etag, before.endpoint.etag, before.endpoint.name)
            if "traffic_split" in names:
                _check_traffic(body.traffic_split, before.endpoint.traffic_split, before.endpoint.name)
            now = datetime.now(UTC)
            values = {name: _value(body, name) for name in names - {"traffic_split"}}
            values |= {"update_time": now, "etag": etag_of(now)} if values else {}
            after = before.endpoint.model_copy(update=values)
            await endpoints.replace(tx, replace(before, endpoint=after))
            return after

        return await self.database.write(work)

    async def deploy(self, parent: Parent, endpoint: str, body: DeployModelRequest, *, api: str) -> Operation:
        """Put a checkpoint of a tuned model on an empty endpoint: the default one if none is named.

        Raises:
            InvalidArgument: the model or checkpoint is not named as it must be.
            NotFound: there is no such model.
            FailedPrecondition: something is deployed there, or something is asked for that is not served.
        """
        asked = body.deployed_model or DeployedModel()
        _refuse(asked, _UNSERVED_OF_DEPLOYMENT, "deployed_model")
        wanted_id = asked.id or str(new_id())
        if not re.fullmatch("[0-9]{1,19}", wanted_id):
            raise _invalid("deployed_model.id", f"The id '{wanted_id[:100]}' is not valid: only digits.")
        _check_traffic(body.traffic_split, {"0": 100}, parent.endpoint(0))
        collection, _, model = (asked.model or "").rpartition("/")
        if collection != f"{parent}/models":
            raise _invalid(
                "deployed_model.model",
                f"deployed_model.model '{asked.model or ''}' is no model of {parent}; write {parent}/models/MODEL.",
            )
        version = await self.database.read(lambda tx: find_version(tx, parent, model))
        checkpoint = _checkpoint(version, asked.checkpoint_id)
        await self.generation.checkpoint(version.base_model, version.job_id, checkpoint)  # its base model is there

        async def work(tx: Transaction) -> Operation:
            before = await _locked(tx, parent, endpoint, version.job_id)
            await find_version(tx, parent, f"{version.id}@{version.version}")  # not deleted meanwhile
            if before.endpoint.deployed_models:
                raise FailedPrecondition(
                    f"Endpoint {before.endpoint.name} has a deployed model, and there can be only one; "
                    "undeploy it with :undeployModel first, or create another endpoint."
                )
            now = datetime.now(UTC)
            deployed = DeployedModel(
                id=wanted_id,
                model=parent.model(version.id),
                model_version_id=str(version.version),
                display_name=asked.display_name or version.model.display_name,
                create_time=now,
                checkpoint_id=checkpoint,
            )
            await _put(tx, before, deployed, base_model=version.base_model, job_id=version.job_id)
            await rewrite(tx, version.job_id)
            done = Done("DeployModelOperationMetadata", "DeployModelResponse", {"deployedModel": deployed.to_wire()})
            return await finish(tx, parent, ("endpoints", before.id), done, version=api)

        return await self.database.write(work)

    async def undeploy(self, parent: Parent, endpoint: str, body: UndeployModelRequest, *, api: str) -> Operation:
        """Take the model off the endpoint, which stays.

        Raises:
            InvalidArgument: no deployed model is named.
            NotFound: it is not deployed there.
        """
        if not body.deployed_model_id:
            raise _invalid("deployed_model_id", "deployed_model_id is required.")

        async def work(tx: Transaction) -> tuple[Operation, EndpointRecord]:
            before = await _locked(tx, parent, endpoint)
            if body.deployed_model_id not in [item.id for item in before.endpoint.deployed_models]:
                raise NotFound(
                    f"DeployedModel `{body.deployed_model_id}` is not deployed at Endpoint {before.endpoint.name}."
                )
            _check_traffic(body.traffic_split, {}, before.endpoint.name)
            await _put(tx, before, None)
            if before.job_id is not None:
                await rewrite(tx, before.job_id)
            done = Done("UndeployModelOperationMetadata", "UndeployModelResponse")
            return await finish(tx, parent, ("endpoints", before.id), done, version=api), before

        operation, before = await self.database.write(work)
        await self._release(before)
        return operation

    async def delete(self, parent: Parent, endpoint: str, *, force: bool, api: str) -> Operation:
        """Delete an endpoint; with ``force`` what is deployed there is undeployed first.

        Raises:
            FailedPrecondition: something is deployed there.
        """

        async def work(tx: Transaction) -> tuple[Operation, EndpointRecord]:
            before = await _locked(tx, parent, endpoint)
            if before.endpoint.deployed_models and not force:
                ids = ", ".join(item.id or "" for item in before.endpoint.deployed_models)
                raise FailedPrecondition(
                    f"Endpoint {before.endpoint.name} has deployed or being-deployed DeployedModel(s): {ids}. "
                    "Undeploy them first, or delete it with force=true."
                )
            await endpoints.delete(tx, before.id)
            if before.job_id is not None:
                await rewrite(tx, before.job_id)
            done = Done("DeleteOperationMetadata")
            return await finish(tx, parent, ("endpoints", before.id), done, version=api), before

        operation, before = await self.database.write(work)
        await self._release(before)
        return operation

    async def _release(self, gone: EndpointRecord) -> None:
        if gone.job_id is not None and gone.checkpoint_id is not None:
            await self.generation.release(gone.base_model, gone.job_id, gone.checkpoint_id)


async def _locked(tx: Transaction, parent: Parent, endpoint: str, *jobs: int) -> EndpointRecord:
    """The endpoint, the job whose checkpoint is deployed there and further jobs, kept from other writers."""
    seen = await find_endpoint(tx, parent, endpoint)
    for job_id in sorted({*jobs, *([seen.job_id] if seen.job_id is not None else [])}):
        await tuning_jobs.get(tx, job_id, lock=True)
    record = await find_endpoint(tx, parent, endpoint, lock=True)
    if record.job_id != seen.job_id:
        raise Aborted(f"Endpoint {record.endpoint.name} was changed by somebody else at the same time; try again.")
    return record


async def _put(
    tx: Transaction,
    before: EndpointRecord,
    deployed: DeployedModel | None,
    *,
    base_model: str = "",
    job_id: int | None = None,
) -> None:
    """Let the endpoint have this, or nothing."""
    after = before.endpoint.model_copy(
        update={
            "deployed_models": [deployed] if deployed else [],
            "traffic_split": {deployed.id: 100} if deployed else {},
            "update_time": datetime.now(UTC),
        }
    )
    checkpoint = deployed.checkpoint_id if deployed else None
    await endpoints.replace(
        tx, replace(before, endpoint=after, job_id=job_id, checkpoint_id=checkpoint, base_model=base_model)
    )


def _checkpoint(version: ModelRecord, asked: str | None) -> str:
    known = [item.checkpoint_id for item in version.model.checkpoints]
    wanted = asked or version.model.default_checkpoint_id or known[-1]
    if wanted not in known:
        raise _invalid(
            "deployed_model.checkpoint_id",
            f"Model {version.model.name}@{version.version} has no checkpoint '{wanted}'; it has: {', '.join(known)}.",
        )
    return wanted


def _value(body: Endpoint, name: str) -> Any:
    """An empty text is as good as none."""
    value = getattr(body, name)
    return None if value == "" else value


def _check(body: Endpoint, names: frozenset[str]) -> None:
    if "display_name" in names:
        check_display_name(body.display_name or "", "endpoint.display_name")
    if "labels" in names:
        check_labels(body.labels, "endpoint.labels")


def _check_traffic(asked: Mapping[str, int], only: Mapping[str, int], name: str) -> None:
    """All traffic goes to the one model that is deployed; a split that says otherwise is refused."""
    if asked and dict(asked) != dict(only):
        split = ", ".join(f"{key}: {percent}" for key, percent in only.items()) or "empty"
        raise _invalid("traffic_split", f"{name} has one deployed model at most; traffic_split can only be {split}.")


def _refuse(body: Resource, fields: tuple[str, ...], root: str) -> None:
    for field in fields:
        value = getattr(body, field)
        if value not in (None, False, "", {}, []):
            raise FailedPrecondition(
                f"{root}.{field} is not supported by this server yet; leave it out.",
                violations=[FieldViolation(f"{root}.{field}", "not supported yet")],
            )


def _invalid(field: str, message: str) -> InvalidArgument:
    return InvalidArgument(message, violations=[FieldViolation(field, message)])
