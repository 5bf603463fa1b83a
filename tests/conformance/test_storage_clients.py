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

CLIENTS = ROOT / ".cache" / "clients-storage" / "bin" / "python"
WAYS = ("emulator", "token")


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    server = Server(tmp_path_factory.mktemp("storage-clients"), base_models={})
    yield server.start()
    server.stop()


def test_google_cloud_storage(server: Server, compatibility: Compatibility) -> None:
    for way in WAYS:
        compatibility.run(CLIENTS, "storage_flow.py", server.url, "p", way)


def test_gcsfs(server: Server, compatibility: Compatibility) -> None:
    for way in WAYS:
        env = {"GCSFS_EXPERIMENTAL_ZB_HNS_SUPPORT": "false"}
        if way == "emulator":
            env["STORAGE_EMULATOR_HOST"] = server.url
        compatibility.run(CLIENTS, "gcsfs_flow.py", server.url, "p", way, env=env)


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


def test_nothing_is_left_behind(server: Server) -> None:
    """The clients deleted what they made; the store has no file that belongs to nothing."""
    for project in ("p", "local"):
        assert server.call("GET", f"/storage/v1/b?project={project}")["items"] == []
    left = [path for path in (server.home / "buckets").rglob("*") if path.is_file()]
    assert left == []
