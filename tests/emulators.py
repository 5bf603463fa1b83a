"""Other people's storages, as well-kept emulators of them speak: each in a process of its own, from an environment of
its own."""

from __future__ import annotations

import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

PYTHON = Path(__file__).parents[1] / ".cache" / "clients-emulators" / "bin" / "python"

# They end when their stdin does, so not even a killed test leaves one behind.
_S3 = """
import sys
from moto.server import ThreadedMotoServer
server = ThreadedMotoServer("127.0.0.1", 0, verbose=False)
server.start()
print("http://%s:%d" % server.get_host_and_port(), flush=True)
sys.stdin.read()
"""
_GOOGLE = """
import sys
from gcp_storage_emulator.server import create_server
server = create_server("127.0.0.1", 0, in_memory=True)
server.start()
print("http://127.0.0.1:%d" % server._api._httpd.server_address[1], flush=True)
sys.stdin.read()
server.stop()
"""

S3_CREDENTIALS = {
    "AWS_ACCESS_KEY_ID": "AKIAEXAMPLE",
    "AWS_SECRET_ACCESS_KEY": "very-secret-key",
    "AWS_DEFAULT_REGION": "us-east-1",
}


@contextmanager
def s3() -> Iterator[str]:
    """The URL of a moto server."""
    with _running(_S3) as url:
        yield url


@contextmanager
def google() -> Iterator[str]:
    """The URL of an emulator of Cloud Storage's JSON API."""
    with _running(_GOOGLE) as url:
        yield url


@contextmanager
def _running(program: str) -> Iterator[str]:
    process = subprocess.Popen([PYTHON, "-c", program], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True,
                               stderr=subprocess.DEVNULL)  # fmt: skip
    with process:
        assert process.stdout is not None
        url = process.stdout.readline().strip()
        assert url.startswith("http://127.0.0.1:"), "the emulator did not start"
        try:
            yield url
        finally:
            process.kill()
