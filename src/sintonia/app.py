"""The composition root: the only place that picks concrete classes and puts them together."""

from __future__ import annotations

import asyncio
import contextlib
import ipaddress
import logging
import socket
from collections.abc import AsyncIterator
from concurrent.futures import ThreadPoolExecutor
from datetime import timedelta
from pathlib import Path
from typing import TYPE_CHECKING

import uvicorn
from fastapi import FastAPI

from sintonia import console
from sintonia.api.application import Services, create_api
from sintonia.api.certificates import Certificate
from sintonia.api.protocol import Limits, protocol
from sintonia.base_models import Catalog
from sintonia.controller.dataset_process import DatasetProcess
from sintonia.controller.loop import Controller
from sintonia.controller.steps import Steps
from sintonia.controller.validation_loop import ValidationLoop
from sintonia.database import Database
from sintonia.datasets.estimate import has_gpu
from sintonia.errors import FailedPrecondition, Unavailable
from sintonia.executors.local_process import LocalProcessExecutor
from sintonia.services.access import Authenticator, Role
from sintonia.services.audit import AuditLog
from sintonia.services.dataset_validations import DatasetValidations
from sintonia.services.dataset_views import DatasetViews
from sintonia.services.endpoint_changes import EndpointChanges
from sintonia.services.endpoints import Endpoints
from sintonia.services.experiments import Experiments
from sintonia.services.generation import Generation
from sintonia.services.job_ledger import JobLedger
from sintonia.services.metrics_files import MetricsFiles
from sintonia.services.model_changes import ModelChanges
from sintonia.services.models import Models, PublisherModels
from sintonia.services.operations import Operations
from sintonia.services.outputs import Outputs
from sintonia.services.paging import Pager, installation_key
from sintonia.services.pre_tuned import PreTunedModels
from sintonia.services.sessions import Sessions
from sintonia.services.tensorboards import Tensorboards
from sintonia.services.tokens import Tokens
from sintonia.services.tuning_jobs import TuningJobs
from sintonia.serving.deployments import Deployments
from sintonia.serving.launcher import Engines
from sintonia.settings import Settings
from sintonia.storage import BucketStore, Storage, StorageConfig, read_places

if TYPE_CHECKING:
    from sintonia.api.grpc.server import GrpcServer

_log = logging.getLogger("sintonia")

SAMPLES_DIR = Path(__file__).parent / "datasets" / "samples"

# Open replies may end for so long once the server is told to stop; trainers save their state after that.
_REPLIES_END_SECONDS = 2
_THREADS = 64
_DAY_SECONDS = 86400.0


def serve(settings: Settings) -> None:
    """Run the server until SIGTERM or SIGINT.

    Raises:
        FailedPrecondition: others reach the address and need not sign in, or it is taken; TLS or gRPC is asked for
            and lacks something.
    """
    logging.basicConfig(level=logging.INFO, format="%(asctime)s %(levelname)s %(message)s")
    for noisy in ("alembic", "httpx"):
        logging.getLogger(noisy).setLevel(logging.WARNING)
    logging.getLogger("uvicorn.error").setLevel(logging.ERROR)  # it warns of every request that is no HTTP
    certificate = Certificate(*settings.tls_files, purpose="HTTPS") if settings.tls_files else None
    listener = _listen(settings.host, settings.port, sign_in=settings.sign_in)
    grpc_server = _grpc_server(settings)
    host, port = listener.getsockname()[:2]
    address = f"{'https' if certificate else 'http'}://{f'[{host}]' if ':' in host else host}:{port}"
    plain = [name for name, tls in (("http", certificate), ("gRPC", settings.grpc_speaks_tls)) if not tls]
    if plain and not ipaddress.ip_address(host).is_loopback:
        _log.warning(
            "%s is spoken without TLS beyond this machine: tokens and data travel readable, unless a proxy in front "
            "of it ends TLS. See 'sintonia certs create'.",
            " and ".join(plain),
        )
    app = build(settings, address=address, grpc_server=grpc_server)
    limits = Limits(
        head_bytes=settings.max_header_bytes,
        head_seconds=settings.header_timeout_seconds,
        idle_seconds=settings.body_timeout_seconds,
        connections=settings.max_connections,
    )
    config = uvicorn.Config(
        app,
        http=protocol(limits),
        ws="none",
        log_config=None,
        access_log=False,
        timeout_graceful_shutdown=_REPLIES_END_SECONDS,
        server_header=False,
        ssl_context_factory=(lambda *_: certificate.context()) if certificate else None,
    )
    uvicorn.Server(config).run(sockets=[listener])


def build(settings: Settings, *, address: str = "", grpc_server: GrpcServer | None = None) -> FastAPI:
    """The whole server as one ASGI application, which starts and stops its parts with its lifespan."""
    for directory in (
        settings.home,
        settings.runs_dir,
        settings.logs_dir,
        settings.buckets_dir,
        settings.validations_dir,
        settings.prepared_dir,
    ):
        directory.mkdir(parents=True, exist_ok=True, mode=0o700)
    database = Database(settings.database)
    catalog = Catalog.load(cache=settings.cache, entries=settings.base_models, aliases=settings.aliases)
    storage = Storage(storage_config(settings))
    buckets = BucketStore(settings.buckets_dir, SAMPLES_DIR)
    pager = Pager(installation_key(settings.home / "secret.key"))
    engines = Engines(
        log_dir=settings.logs_dir,
        threads=settings.serving_threads,
        max_engines=settings.max_engines,
        device=settings.device,
        precision=settings.precision,
    )
    tokens = Tokens(database)
    authenticators = _authenticators(settings, tokens)
    endpoints = Endpoints(database, pager)
    models = Models(database, pager)
    generation = Generation(
        catalog=catalog,
        endpoints=endpoints,
        models=models,
        deployments=Deployments(engines),
        runs_dir=settings.runs_dir,
        default_max_output_tokens=settings.default_max_output_tokens,
    )
    ledger = JobLedger(database, settings.lease_seconds)
    datasets = DatasetProcess(
        catalog=catalog,
        storage=storage.config,
        processes=settings.dataset_processes,
        prepared_dir=settings.prepared_dir,
        prepared_bytes=settings.prepared_bytes,
    )
    validations = DatasetValidations(
        folder=settings.validations_dir,
        database=database,
        catalog=catalog,
        storage=storage,
        pager=pager,
        cores=settings.training_threads,
        gpu=has_gpu(settings.device),
    )
    pre_tuned_models = PreTunedModels(database, settings.runs_dir)
    steps = Steps(
        settings=settings,
        ledger=ledger,
        catalog=catalog,
        datasets=datasets,
        executor=LocalProcessExecutor(),
        metrics_files=MetricsFiles(database, storage),
        generation=generation,
        outputs=Outputs(database, storage, settings.runs_dir),
        pre_tuned_models=pre_tuned_models,
    )
    tuning_jobs = TuningJobs(
        database=database,
        catalog=catalog,
        storage=storage,
        pager=pager,
        pre_tuned_models=pre_tuned_models,
        runs_dir=settings.runs_dir,
    )
    services = Services(
        tuning_jobs=tuning_jobs,
        models=models,
        model_changes=ModelChanges(database, generation, settings.runs_dir),
        publisher_models=PublisherModels(catalog),
        endpoints=endpoints,
        endpoint_changes=EndpointChanges(database, generation),
        operations=Operations(database, pager),
        experiments=Experiments(database, pager),
        tensorboards=Tensorboards(database, pager),
        generation=generation,
        validations=validations,
        dataset_views=DatasetViews(tuning_jobs, validations, storage),
        buckets=buckets,
        gs_is_ours=storage.buckets is not None,
        catalog=catalog,
        tokens=tokens,
        sessions=Sessions(
            database=database,
            authenticators=authenticators or [],
            idle=timedelta(hours=settings.session_idle_hours),
            longest=timedelta(hours=settings.session_hours),
        ),
    )

    moving: list[asyncio.Task[None]] = []

    async def ready() -> None:
        await database.ping()
        if not moving or any(task.done() for task in moving):
            raise Unavailable("Jobs are not moved on: the controller does not run.")

    @contextlib.asynccontextmanager
    async def lifespan(app: FastAPI) -> AsyncIterator[None]:
        # Enough threads that some which a disk holds up do not hold up all others.
        asyncio.get_running_loop().set_default_executor(ThreadPoolExecutor(_THREADS, thread_name_prefix="work"))
        await database.open()
        if settings.sign_in and not settings.oidc_issuer and not await tokens.are_there():
            _log.warning("Nobody can sign in yet. Make a token: sintonia tokens create NAME --grant '*=admin'")
        controller = Controller(ledger=ledger, steps=steps, slots=settings.training_slots)
        validating = ValidationLoop(validations=validations, datasets=datasets)
        moving[:] = [asyncio.create_task(controller.run()), asyncio.create_task(validating.run())]
        sweeping = asyncio.create_task(_sweep_daily(buckets))
        _log.info("Sintonia answers at %s (home %s)", address, settings.home)
        if grpc_server:
            _log.info("and gRPC at %s (%s)", await grpc_server.start(app), settings.grpc_security)
        try:
            yield
        finally:
            _log.info("stopping; jobs go on at the next start")
            if grpc_server:
                await grpc_server.stop()
            sweeping.cancel()
            controller.stop()
            validating.stop()
            await asyncio.gather(*moving, engines.close())
            await database.close()

    api = create_api(
        services,
        lifespan=lifespan,
        ready=ready,
        authenticators=authenticators,
        audit=AuditLog(settings.audit_file),
        max_request_bytes=settings.max_request_bytes,
    )
    api.router.routes.extend(console.routes(sign_in=settings.sign_in))
    return api


async def _sweep_daily(buckets: BucketStore) -> None:
    while True:
        try:
            await asyncio.to_thread(buckets.sweep)
        except OSError as error:  # the next day is soon enough
            _log.warning("what was left behind in the buckets could not be removed: %s", error)
        await asyncio.sleep(_DAY_SECONDS)


def storage_config(settings: Settings) -> StorageConfig:
    """Raises InvalidArgument for a place that is none."""
    return StorageConfig(
        buckets_dir=settings.buckets_dir,
        samples_dir=SAMPLES_DIR,
        gs=settings.gs,
        places=read_places(settings.storage, home=settings.home),
        owners=settings.sign_in,
    )


def _authenticators(settings: Settings, tokens: Tokens) -> list[Authenticator] | None:
    """The ways to prove who one is; None if nobody is asked. Whatever they lack is told before anything starts."""
    found: list[Authenticator] = [tokens]
    if settings.oidc_issuer and settings.oidc_audience:
        if not settings.sign_in:
            raise FailedPrecondition("oidc_issuer is set, but nobody is asked to sign in; set sign_in = true as well.")
        try:
            from sintonia.services.oidc import OidcGrant, OidcTokens
        except ImportError as error:
            raise FailedPrecondition(f"oidc_issuer needs '{error.name}': pip install 'sintonia[oidc]'.") from None
        grants = [OidcGrant(grant.value, grant.project, Role[grant.role.upper()]) for grant in settings.oidc_grants]
        found.append(
            OidcTokens(
                issuer=settings.oidc_issuer, audience=settings.oidc_audience, claim=settings.oidc_claim, grants=grants
            )
        )
    return found if settings.sign_in else None


def _grpc_server(settings: Settings) -> GrpcServer | None:
    """The gRPC server if there shall be one; whatever it lacks is told before anything starts."""
    if settings.grpc_port is None:
        return None
    try:
        from sintonia.api.grpc.descriptors import prepare
        from sintonia.api.grpc.server import GrpcServer

        descriptors = prepare(settings.cache)
    except ImportError as error:
        raise FailedPrecondition(f"gRPC needs '{error.name}' and more: pip install 'sintonia[grpc]'.") from None
    certificate = None
    if settings.grpc_security == "tls":
        otherwise = " Or start with --grpc-plaintext."
        certificate = Certificate(*settings.grpc_tls_files, purpose="gRPC", otherwise=otherwise)
    _listen(settings.host, settings.grpc_port, sign_in=settings.sign_in, option="--grpc-port").close()
    return GrpcServer(
        host=settings.host,
        port=settings.grpc_port,
        descriptors=descriptors,
        certificate=certificate,
        max_request_bytes=settings.max_request_bytes,
    )


def _listen(host: str, port: int, *, sign_in: bool = False, option: str = "--port") -> socket.socket:
    """A listening socket; without sign-in nothing but a loopback address is safe."""
    try:
        family, kind, protocol, _, target = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)[0]
    except socket.gaierror:
        raise FailedPrecondition(f"Host '{host}' is not known on this machine.") from None
    if not sign_in and not ipaddress.ip_address(target[0]).is_loopback:
        raise FailedPrecondition(
            f"Host '{host}' can be reached from other machines, where everybody has to sign in. Make yourself a token "
            "with 'sintonia tokens create NAME --grant \"*=admin\"' and start with --sign-in; or use 127.0.0.1, and a "
            "tunnel (ssh -L) to reach it from elsewhere."
        )
    # With the protocol named: asyncio switches Nagle's algorithm off only for sockets that say they are TCP, and a
    # reply on a kept connection would else wait 40 ms for the client's delayed acknowledgement.
    listener = socket.socket(family, kind, protocol)
    listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    try:
        listener.bind(target)
    except OSError as error:
        listener.close()
        raise FailedPrecondition(
            f"Port {port} of {host} cannot be used ({error.strerror}); choose another one with {option}."
        ) from None
    listener.listen(128)
    return listener


__all__ = ["build", "serve"]
