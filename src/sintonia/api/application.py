"""The API as one ASGI application."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Sequence
from contextlib import AbstractAsyncContextManager
from dataclasses import dataclass

from fastapi import FastAPI
from starlette.types import ASGIApp

import sintonia
from sintonia.api import (
    datasets,
    docs,
    endpoints,
    generation,
    health,
    metadata,
    models,
    operations,
    own,
    sessions,
    storage,
    tensorboards,
    tokens,
    tuning_jobs,
)
from sintonia.api.auditing import Audited
from sintonia.api.envelope import Envelope
from sintonia.api.errors import handle_errors
from sintonia.api.gate import Gate
from sintonia.api.guard import LoopbackGuard
from sintonia.api.owners import FoundOwners
from sintonia.base_models import Catalog
from sintonia.services.access import Authenticator
from sintonia.services.audit import AuditLog
from sintonia.services.dataset_validations import DatasetValidations
from sintonia.services.dataset_views import DatasetViews
from sintonia.services.endpoint_changes import EndpointChanges
from sintonia.services.endpoints import Endpoints
from sintonia.services.experiments import Experiments
from sintonia.services.generation import Generation
from sintonia.services.model_changes import ModelChanges
from sintonia.services.models import Models, PublisherModels
from sintonia.services.operations import Operations
from sintonia.services.sessions import Sessions
from sintonia.services.tensorboards import Tensorboards
from sintonia.services.tokens import Tokens
from sintonia.services.tuning_jobs import TuningJobs
from sintonia.storage import BucketStore

# Clients use both versions for the same resources, whatever their documentation says.
VERSIONS = ("v1", "v1beta1")


@dataclass(frozen=True)
class Services:
    """What the routes call."""

    tuning_jobs: TuningJobs
    models: Models
    model_changes: ModelChanges
    publisher_models: PublisherModels
    endpoints: Endpoints
    endpoint_changes: EndpointChanges
    operations: Operations
    experiments: Experiments
    tensorboards: Tensorboards
    generation: Generation
    validations: DatasetValidations
    dataset_views: DatasetViews
    buckets: BucketStore
    gs_is_ours: bool
    catalog: Catalog
    tokens: Tokens
    sessions: Sessions


class _Api(FastAPI):
    def build_middleware_stack(self) -> ASGIApp:
        """With the envelope around what answers faults of the server too."""
        return Envelope(super().build_middleware_stack())


def create_api(
    services: Services,
    *,
    lifespan: Callable[[FastAPI], AbstractAsyncContextManager[None]],
    ready: Callable[[], Awaitable[None]],
    authenticators: Sequence[Authenticator] | None,
    audit: AuditLog,
    max_request_bytes: int,
) -> FastAPI:
    """All routes over ``services``.

    Args:
        lifespan: starts and stops what works behind the API.
        ready: raises Unavailable if that does not work.
        authenticators: the ways to sign in, tried in this order; None if nobody has to.
        max_request_bytes: largest JSON body; uploads of objects have no limit.
    """
    app = _Api(
        title="Sintonia",
        version=sintonia.__version__,
        lifespan=lifespan,
        openapi_url=None,
        docs_url=None,
        redoc_url=None,
        redirect_slashes=False,
    )
    app.state.max_request_bytes = max_request_bytes
    app.state.gate = Gate(
        authenticators, FoundOwners(services.buckets, services.endpoints, services.models), services.sessions
    )
    handle_errors(app)
    for version in VERSIONS:
        for router in (
            tuning_jobs.routes(services.tuning_jobs),
            models.routes(services.models, services.model_changes, services.publisher_models),
            endpoints.routes(services.endpoints, services.endpoint_changes),
            operations.routes(services.operations),
            metadata.routes(services.experiments),
            tensorboards.routes(services.tensorboards),
            generation.routes(services.generation),
        ):
            app.include_router(router, prefix=f"/{version}", include_in_schema=version == "v1")
    app.include_router(operations.routes(services.operations), prefix=f"/{operations.UI}", include_in_schema=False)
    app.include_router(storage.routes(services.buckets, gs_is_ours=services.gs_is_ours))
    app.include_router(own.routes(services.tuning_jobs, services.catalog, services.generation))
    app.include_router(datasets.routes(services.tuning_jobs, services.validations, services.dataset_views))
    app.include_router(tokens.routes(services.tokens))
    app.include_router(sessions.routes(services.sessions))

    app.include_router(health.routes(ready))
    app.include_router(docs.routes(app))
    if authenticators is None:
        app.add_middleware(LoopbackGuard)
    app.add_middleware(Audited, audit=audit)  # the last one is the outermost
    return app
