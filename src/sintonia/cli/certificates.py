"""``sintonia certs`` and ``sintonia auth``: what clients need that accept nothing but TLS and a token."""

from __future__ import annotations

import ipaddress
import os
import socket
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from sintonia.cli.failures import CommandFailed
from sintonia.cli.session import Session, guarded

if TYPE_CHECKING:
    from cryptography import x509
    from cryptography.hazmat.primitives.asymmetric.ec import EllipticCurvePrivateKey

_LOCAL = ("localhost", "127.0.0.1", "::1")
_AUTHORITY_DAYS, _SERVER_DAYS, _RENEW_DAYS = 3650, 730, 30
_PORT = 8443


def register(app: typer.Typer) -> None:
    group = typer.Typer(help="Certificates for TLS.", no_args_is_help=True)
    group.command("create")(guarded(create))
    app.add_typer(group, name="certs")
    group = typer.Typer(help="Tokens for clients that want one.", no_args_is_help=True)
    group.command("print-access-token")(guarded(print_access_token))
    app.add_typer(group, name="auth")


def print_access_token(context: typer.Context) -> None:
    """Print the token that commands here sign in with; without one a word that serves while sign-in is off."""
    session: Session = context.obj or Session()
    typer.echo(session.access_token or "sign-in-is-off")


def create(
    host: Annotated[
        list[str] | None,
        typer.Option(help="A further name or address of this machine; may be repeated.", show_default=False),
    ] = None,
    home: Annotated[
        Path | None, typer.Option(help="Home of the server. (env: SINTONIA_HOME)", show_default=False)
    ] = None,
    force: Annotated[bool, typer.Option("--force", help="Make all anew, though what is there is valid.")] = False,
) -> None:
    """Make a certificate authority of your own, and by it a certificate for this machine; quick when they are there."""
    from sintonia.settings import Settings

    settings = Settings.load(home=home)
    folder = settings.certificates_dir
    try:
        made = _Folder(folder).provide([*_LOCAL, socket.gethostname(), *(host or [])], force=force)
    except ImportError as error:
        raise CommandFailed("FAILED_PRECONDITION", f"needs '{error.name}': pip install 'sintonia[grpc]'") from None
    port = settings.grpc_port or _PORT
    typer.echo(f"certificate    {folder / 'server.pem'}")
    typer.echo(f"for            {', '.join(_names(made))}, until {made.not_valid_after_utc:%Y-%m-%d}")
    typer.echo(
        f"https          sintonia serve --tls-certificate {folder / 'server.pem'} --tls-key {folder / 'server.key'}"
    )
    typer.echo(f"gRPC           sintonia serve --grpc-port {port}")
    typer.echo("and tell the clients, in their environment and in vertexai.init or their client options:")
    typer.echo(f"export SINTONIA_CA={folder / 'ca.pem'}")
    typer.echo(f"export GRPC_DEFAULT_SSL_ROOTS_FILE_PATH={folder / 'ca.pem'}")
    typer.echo(f'api_endpoint="localhost:{port}"')


class _Folder:
    """``ca.pem``, ``ca.key``, ``server.pem`` and ``server.key``; the keys are for their owner only."""

    def __init__(self, path: Path) -> None:
        self._path = path

    def provide(self, hosts: list[str], *, force: bool) -> x509.Certificate:
        """The server's certificate: the one that is there if it is for all ``hosts``, else a new one for them as well.

        The authority stays, so that clients need not be told again, unless ``force`` is given or it ends.
        """
        authority, server = self._read("ca"), self._read("server")
        if force or authority is None:
            authority, server = _authority(), None
            self._write("ca", *authority)
        known = _names(server[0]) if server and server[0].issuer == authority[0].subject else []
        wanted = list(dict.fromkeys([*known, *(str(_alternative(host).value) for host in hosts)]))
        if server is None or wanted != known:
            server = _signed(authority, wanted)
            self._write("server", *server)
        return server[0]

    def _read(self, name: str) -> tuple[x509.Certificate, EllipticCurvePrivateKey] | None:
        """A certificate and its key, if both are there and good for a while yet."""
        from cryptography import x509
        from cryptography.hazmat.primitives.serialization import load_pem_private_key

        try:
            certificate = x509.load_pem_x509_certificate((self._path / f"{name}.pem").read_bytes())
            key: Any = load_pem_private_key((self._path / f"{name}.key").read_bytes(), None)
        except (OSError, ValueError):
            return None
        ends_soon = certificate.not_valid_after_utc < datetime.now(UTC) + timedelta(days=_RENEW_DAYS)
        return None if ends_soon or key.public_key() != certificate.public_key() else (certificate, key)

    def _write(self, name: str, certificate: x509.Certificate, key: EllipticCurvePrivateKey) -> None:
        from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat

        self._path.mkdir(parents=True, exist_ok=True, mode=0o700)
        secret = self._path / f"{name}.key"
        secret.unlink(missing_ok=True)
        with os.fdopen(os.open(secret, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "wb") as file:
            file.write(key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()))
        (self._path / f"{name}.pem").write_bytes(certificate.public_bytes(Encoding.PEM))


def _authority() -> tuple[x509.Certificate, EllipticCurvePrivateKey]:
    from cryptography import x509
    from cryptography.hazmat.primitives.asymmetric import ec

    key = ec.generate_private_key(ec.SECP256R1())
    # Its number tells it from those before: a server's certificate names the authority that signed it.
    name = f"Sintonia on {socket.gethostname()} {x509.random_serial_number() % 10**8:08}"[-64:]
    builder = _builder(name, name, key, _AUTHORITY_DAYS).add_extension(
        x509.BasicConstraints(ca=True, path_length=0), critical=True
    )
    return _sign(builder, key, key, certifies=True), key


def _signed(
    authority: tuple[x509.Certificate, EllipticCurvePrivateKey], hosts: list[str]
) -> tuple[x509.Certificate, EllipticCurvePrivateKey]:
    from cryptography import x509
    from cryptography.hazmat.primitives.asymmetric import ec
    from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

    certificate, secret = authority
    key = ec.generate_private_key(ec.SECP256R1())
    issuer = str(certificate.subject.get_attributes_for_oid(NameOID.COMMON_NAME)[0].value)
    builder = _builder("localhost", issuer, key, _SERVER_DAYS)
    builder = builder.add_extension(x509.BasicConstraints(ca=False, path_length=None), critical=True)
    builder = builder.add_extension(x509.SubjectAlternativeName([_alternative(host) for host in hosts]), critical=False)
    builder = builder.add_extension(x509.ExtendedKeyUsage([ExtendedKeyUsageOID.SERVER_AUTH]), critical=False)
    return _sign(builder, key, secret, certifies=False), key


def _builder(subject: str, issuer: str, key: EllipticCurvePrivateKey, days: int) -> x509.CertificateBuilder:
    from cryptography import x509
    from cryptography.x509.oid import NameOID

    def named(name: str) -> x509.Name:
        return x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, name)])

    now = datetime.now(UTC)
    builder = x509.CertificateBuilder(issuer_name=named(issuer), subject_name=named(subject))
    builder = builder.public_key(key.public_key()).serial_number(x509.random_serial_number())
    # From a little ago, for clients whose clock is behind.
    return builder.not_valid_before(now - timedelta(hours=1)).not_valid_after(now + timedelta(days=days))


def _sign(
    builder: x509.CertificateBuilder, key: EllipticCurvePrivateKey, by: EllipticCurvePrivateKey, *, certifies: bool
) -> x509.Certificate:
    from cryptography import x509
    from cryptography.hazmat.primitives.hashes import SHA256

    usage = x509.KeyUsage(
        digital_signature=not certifies,
        key_cert_sign=certifies,
        crl_sign=certifies,
        content_commitment=False,
        key_encipherment=False,
        data_encipherment=False,
        key_agreement=False,
        encipher_only=False,
        decipher_only=False,
    )
    builder = builder.add_extension(usage, critical=True)
    builder = builder.add_extension(x509.SubjectKeyIdentifier.from_public_key(key.public_key()), critical=False)
    authority = x509.AuthorityKeyIdentifier.from_issuer_public_key(by.public_key())
    return builder.add_extension(authority, critical=False).sign(by, SHA256())


def _alternative(host: str) -> x509.GeneralName:
    from cryptography import x509

    try:
        return x509.IPAddress(ipaddress.ip_address(host))
    except ValueError:
        pass
    try:
        return x509.DNSName(host)
    except ValueError:
        raise CommandFailed("INVALID_ARGUMENT", f"'{host}' is no name of a host.") from None


def _names(certificate: x509.Certificate) -> list[str]:
    from cryptography import x509

    held = certificate.extensions.get_extension_for_class(x509.SubjectAlternativeName).value
    return [str(name.value) for name in held]
