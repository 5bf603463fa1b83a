"""The gRPC server: where it listens, and with what certificate."""

from __future__ import annotations

from pathlib import Path

import grpc
from fastapi import FastAPI

from sintonia.api.certificates import Certificate
from sintonia.api.grpc.descriptors import Descriptors
from sintonia.api.grpc.in_process import InProcess
from sintonia.api.grpc.transcoder import Transcoder, routes_of
from sintonia.errors import FailedPrecondition

# Open calls may end for so long once the server is told to stop.
_CALLS_END_SECONDS = 2


class GrpcServer:
    """Answers gRPC beside the application that answers REST, and by it.

    Args:
        host: an address of this machine.
        port: 0 takes a free one.
        descriptors: the file that ``prepare`` names.
        certificate: None answers without TLS.
        max_request_bytes: largest message.
    """

    def __init__(
        self,
        *,
        host: str,
        port: int,
        descriptors: Path,
        certificate: Certificate | None,
        max_request_bytes: int,
    ) -> None:
        self._host = f"[{host}]" if ":" in host else host
        self._port = port
        self._descriptors = Descriptors.load(descriptors)
        self._certificate = certificate
        self._max_request_bytes = max_request_bytes

    async def start(self, app: FastAPI) -> str:
        """Answer by ``app`` from now on; returns the address. Raises FailedPrecondition if it is taken."""
        self._application = InProcess(app)
        # so_reuseport off: two servers on one port would answer by turns.
        options = [("grpc.so_reuseport", 0), ("grpc.max_receive_message_length", self._max_request_bytes)]
        self._server = grpc.aio.server(options=options)
        handler = Transcoder(self._descriptors, self._application, routes_of(app.router))
        self._server.add_generic_rpc_handlers((handler,))
        address = f"{self._host}:{self._port}"
        try:
            if self._certificate is None:
                port = self._server.add_insecure_port(address)
            else:
                port = self._server.add_secure_port(address, _credentials(self._certificate))
        except RuntimeError:
            raise FailedPrecondition(
                f"gRPC cannot use {address}; choose another port with --grpc-port, or look at the certificate."
            ) from None
        await self._server.start()
        return f"{self._host}:{port}"

    async def stop(self) -> None:
        await self._server.stop(_CALLS_END_SECONDS)
        await self._application.finish(_CALLS_END_SECONDS)


def _credentials(certificate: Certificate) -> grpc.ServerCredentials:
    """New connections have a renewed certificate."""

    def configuration() -> grpc.ServerCertificateConfiguration:
        chain, key = certificate.pem
        return grpc.ssl_server_certificate_configuration([(key, chain)])

    def newest() -> grpc.ServerCertificateConfiguration | None:
        return configuration() if certificate.renew() else None

    return grpc.dynamic_ssl_server_credentials(configuration(), newest)
