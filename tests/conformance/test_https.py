"""The server with a certificate: what is answered over TLS, what is not, and how a certificate is renewed."""

from __future__ import annotations

import socket
import ssl
import subprocess
import sys
from pathlib import Path
from urllib.parse import urlsplit

import httpx
import pytest

from server import PATIENCE, Server


def certify(home: Path, *arguments: str) -> None:
    command = [sys.executable, "-m", "sintonia", "certs", "create", "--home", str(home), *arguments]
    subprocess.run(command, check=True, stdout=subprocess.DEVNULL)


def run(*command: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(command, capture_output=True, text=True, timeout=PATIENCE, check=False)


def sintonia(*arguments: str) -> subprocess.CompletedProcess[str]:
    return run(sys.executable, "-m", "sintonia", *arguments)


def shown(port: int, authority: Path) -> list[str]:
    """The names in the certificate that a new connection is shown."""
    context = ssl.create_default_context(cafile=authority)
    with (
        socket.create_connection(("127.0.0.1", port), timeout=PATIENCE) as plain,
        context.wrap_socket(plain, server_hostname="localhost") as connection,
    ):
        names = (connection.getpeercert() or {})["subjectAltName"]
        return [str(name) for _, name in names]


def test_clients_that_trust_the_authority_are_answered(https_server: Server) -> None:
    url = https_server.url
    assert url.startswith("https://127.0.0.1:")
    assert https_server.call("GET", "/healthz")["status"] == "ok"
    authority = str(https_server.home / "certs" / "ca.pem")
    answered = run("curl", "--silent", "--show-error", "--cacert", authority, f"{url}/healthz")
    assert '"ok"' in answered.stdout, answered.stderr
    origin = https_server.request("GET", "/healthz", headers={"Origin": url})
    assert origin.status_code == 200

    told = sintonia("--url", url, "ls", "--ca", authority)
    assert told.returncode == 0, told.stderr


def test_clients_that_do_not_trust_it_say_so(https_server: Server, tmp_path: Path) -> None:
    with pytest.raises(httpx.ConnectError, match="CERTIFICATE_VERIFY_FAILED"):
        httpx.get(https_server.url + "/healthz")
    told = sintonia("--url", https_server.url, "ls")
    assert (told.returncode, "--ca or SINTONIA_CA" in told.stderr) == (1, True), told.stderr
    for file in (tmp_path / "missing", https_server.log):
        told = sintonia("--url", https_server.url, "ls", "--ca", str(file))
        assert (told.returncode, str(file) in told.stderr) == (1, True), told.stderr


def test_who_speaks_no_tls_is_not_answered(https_server: Server) -> None:
    port = urlsplit(https_server.url).port
    with pytest.raises(httpx.RemoteProtocolError):
        httpx.get(f"http://127.0.0.1:{port}/healthz", timeout=PATIENCE)
    told = sintonia("--url", f"http://127.0.0.1:{port}", "ls")
    assert told.returncode == 3
    assert https_server.call("GET", "/healthz")["status"] == "ok"
    assert "Traceback" not in https_server.log.read_text()


def test_old_versions_of_tls_are_refused(https_server: Server) -> None:
    context = ssl.create_default_context(cafile=https_server.home / "certs" / "ca.pem")
    context.set_ciphers("DEFAULT:@SECLEVEL=0")
    context.minimum_version = context.maximum_version = ssl.TLSVersion.TLSv1_1
    with pytest.raises(httpx.ConnectError):
        httpx.get(https_server.url + "/healthz", verify=context)
    context.minimum_version = context.maximum_version = ssl.TLSVersion.TLSv1_2
    assert httpx.get(https_server.url + "/healthz", verify=context).status_code == 200


def test_a_renewed_certificate_is_taken_without_a_restart(https_server: Server) -> None:
    """For https and gRPC alike; files that cannot be used change nothing."""
    certs = https_server.home / "certs"
    ports = [int(https_server.url.rpartition(":")[2]), https_server.grpc_port]
    certify(https_server.home, "--host", "box.example")
    for port in ports:
        assert "box.example" in shown(port, certs / "ca.pem")
    (certs / "server.pem").write_text("half of a certifi")
    for port in ports:
        assert "box.example" in shown(port, certs / "ca.pem")
    assert "stays in use" in https_server.log.read_text()
    certify(https_server.home, "--host", "shed.example")
    for port in ports:
        assert "shed.example" in shown(port, certs / "ca.pem")
