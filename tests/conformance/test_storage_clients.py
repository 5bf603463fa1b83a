"""Storage clients drive a real server, as their users do; what they call is in docs/reference/compatibility.md."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from compatibility import ROOT, Compatibility

from server import Server

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


def test_nothing_is_left_behind(server: Server) -> None:
    """The clients deleted what they made; the store has no file that belongs to nothing."""
    assert server.call("GET", "/storage/v1/b?project=p")["items"] == []
    left = [path for path in (server.home / "buckets").rglob("*") if path.is_file()]
    assert left == []
