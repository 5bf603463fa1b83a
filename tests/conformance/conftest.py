"""One real server for all conformance tests, on which the documented model names stand for a tiny model."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from compatibility import Compatibility

from rows import shouting_rows
from server import Server

NAMES = ("gemini-1.5-pro-002", "gemini-1.5-flash-002", "gemini-1.0-pro-002")


@pytest.fixture(scope="package")
def server(tmp_path_factory: pytest.TempPathFactory, tiny_model_dir: Path) -> Iterator[Server]:
    aliases = "".join(f'"{name}" = "tiny"\n' for name in NAMES)
    settings = f"training_threads = 1\nserving_threads = 1\ngrpc_port = 0\n\n[aliases]\n{aliases}"
    server = Server(tmp_path_factory.mktemp("conformance"), base_models={"tiny": tiny_model_dir}, settings=settings)
    subprocess.run([sys.executable, "-m", "sintonia", "certs", "create", "--home", str(server.home)], check=True)
    server.start()
    server.upload("gs://my-data/train.jsonl", shouting_rows(24))
    server.upload("gs://my-data/valid.jsonl", shouting_rows(8, start=500))
    yield server
    server.stop()


@pytest.fixture(scope="package")
def https_server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    """A server that speaks https, without any model."""
    home = tmp_path_factory.mktemp("https")
    subprocess.run([sys.executable, "-m", "sintonia", "certs", "create", "--home", str(home)], check=True)
    certs = home / "certs"
    files = f'tls_certificate = "{certs / "server.pem"}"\ntls_key = "{certs / "server.key"}"\n'
    server = Server(home, base_models={}, settings=files + "grpc_port = 0\n", authority=certs / "ca.pem").start()
    yield server
    server.stop()


@pytest.fixture
def compatibility(request: pytest.FixtureRequest) -> Iterator[Compatibility]:
    """Told which calls the clients of this test made, it compares them with the page's table."""
    told = Compatibility(f"{request.path.name}::{request.node.name}")
    failed = request.session.testsfailed
    yield told
    if request.session.testsfailed == failed:  # a test that failed made only some of its calls
        told.check()
