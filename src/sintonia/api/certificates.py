"""The certificate by which the server speaks TLS, over HTTP and gRPC alike; knows of neither, and of no settings."""

from __future__ import annotations

import logging
import ssl
from pathlib import Path

from sintonia.errors import FailedPrecondition

_log = logging.getLogger(__name__)


class Certificate:
    """A chain of certificates and its key, in two PEM files: read now, and again when a renewal has replaced them.

    Files that cannot be used are refused now; later what was read before stays in use, and the log tells why.

    Args:
        chain: the server's certificate, then those that lead to its authority.
        key: its key, without a password.
        purpose: what shall speak TLS, for messages.
        otherwise: what else there is to do where a file is missing, for messages.

    Attributes:
        pem: what the files hold.

    Raises:
        FailedPrecondition: a file cannot be read, or they do not belong together.
    """

    def __init__(self, chain: Path, key: Path, *, purpose: str, otherwise: str = "") -> None:
        self._chain, self._key, self._purpose, self._otherwise = chain, key, purpose, otherwise
        self._seen = self._look()
        self._context, self.pem = self._read()

    def renew(self) -> bool:
        """Read the files if they are others than at the last look; whether there is a new certificate now."""
        seen = self._look()
        if seen == self._seen:
            return False
        self._seen = seen
        try:
            self._context, self.pem = self._read()
        except FailedPrecondition as error:
            _log.error("the certificate before it stays in use: %s", error.message)
            return False
        _log.info("%s has a new certificate: '%s'", self._purpose, self._chain)
        return True

    def context(self) -> ssl.SSLContext:
        """For a server of Python; its new connections have a renewed certificate."""

        def take_newest(connection: ssl.SSLObject, name: str | None, context: ssl.SSLContext) -> None:
            self.renew()
            connection.context = self._context

        context, _ = self._read()
        context.sni_callback = take_newest  # called at every handshake, also where the client names no host
        return context

    def _look(self) -> list[tuple[int, int, int] | None]:
        return [_state(self._chain), _state(self._key)]

    def _read(self) -> tuple[ssl.SSLContext, tuple[bytes, bytes]]:
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.minimum_version = ssl.TLSVersion.TLSv1_2
        try:
            pem = self._chain.read_bytes(), self._key.read_bytes()
            context.load_cert_chain(self._chain, self._key, password="")
        except ssl.SSLError:
            raise FailedPrecondition(
                f"{self._purpose} cannot use the certificate '{self._chain}' with the key '{self._key}': both must be "
                "PEM and belong together, and the key must have no password. Make others with: "
                "sintonia certs create --force."
            ) from None
        except OSError as error:
            raise FailedPrecondition(
                f"{self._purpose} needs a certificate, and '{error.filename}' cannot be read ({error.strerror}). "
                f"Make one with: sintonia certs create.{self._otherwise}"
            ) from None
        return context, pem


def _state(file: Path) -> tuple[int, int, int] | None:
    try:
        found = file.stat()
    except OSError:
        return None
    return found.st_mtime_ns, found.st_size, found.st_ino
