"""Storage clients drive a real server, as their users do; what they call is in docs/reference/compatibility.md."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from compatibility import ROOT, Compatibility
from test_readme import ADDRESS, blocks

from server import PATIENCE, Server
from signed_in import SignedInServer
from sintonia.services.access import Role

CLIENTS = ROOT / ".cache" / "clients-storage" / "bin" / "python"


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    server = Server(tmp_path_factory.mktemp("storage-clients"), base_models={})
    yield server.start()
    server.stop()


@pytest.fixture(scope="module")
def signed_in(tmp_path_factory: pytest.TempPathFactory) -> Iterator[SignedInServer]:
    server = SignedInServer(tmp_path_factory.mktemp("storage-signed-in"))
    server.start()
    yield server
    server.stop()


def test_google_cloud_storage(server: Server, signed_in: SignedInServer, compatibility: Compatibility) -> None:
    compatibility.run(CLIENTS, "storage_flow.py", server.url, "p")
    compatibility.run(CLIENTS, "storage_flow.py", signed_in.url, "p", signed_in.token(p=Role.TUNER))


def test_gcsfs(server: Server, signed_in: SignedInServer, compatibility: Compatibility) -> None:
    plain = {"GCSFS_EXPERIMENTAL_ZB_HNS_SUPPORT": "false"}
    env = plain | {"STORAGE_EMULATOR_HOST": server.url}
    compatibility.run(CLIENTS, "gcsfs_flow.py", server.url, "p", env=env)
    compatibility.run(CLIENTS, "gcsfs_flow.py", signed_in.url, "p", signed_in.token(p=Role.TUNER), env=plain)


def test_the_page(server: Server, tmp_path: Path) -> None:
    """docs/how-to/use-storage-clients.md, as it is printed but for the address."""
    first, library, variable, files = blocks("docs/how-to/use-storage-clients.md")[:4]
    (tmp_path / "train.jsonl").write_text("{}\n" * 3)
    (tmp_path / "library.py").write_text(library)
    (tmp_path / "files.py").write_text(files)
    script = f"{first}{CLIENTS} library.py\n{variable}{CLIENTS} files.py\n"
    path = f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}"
    for program in tmp_path.glob("*.py"):
        program.write_text(program.read_text().replace(ADDRESS, server.url))
    done = subprocess.run(
        ["bash", "-euc", script],
        capture_output=True,
        text=True,
        cwd=tmp_path,
        env={**os.environ, "PATH": path, "SINTONIA_URL": server.url},
        timeout=PATIENCE,
        check=False,
    )
    assert done.returncode == 0, done.stderr[-3000:]
    assert done.stdout.splitlines()[-2:] == ["9 qaevvj7flJ32oNpl74rnXw==", "3"]
    bucket = "/storage/v1/b/my-data"
    server.request("DELETE", bucket + "/o/train.jsonl")
    assert server.request("DELETE", bucket).status_code == 204


def test_nothing_is_left_behind(server: Server, signed_in: SignedInServer) -> None:
    """The clients deleted what they made; the stores have no file that belongs to nothing."""
    for one in (server, signed_in):
        for project in ("p", "local"):
            assert one.call("GET", f"/storage/v1/b?project={project}")["items"] == []
        assert [path for path in (one.home / "buckets").rglob("*") if path.is_file()] == []
