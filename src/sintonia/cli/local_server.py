"""A server of our own on a free loopback port, as a child process."""

from __future__ import annotations

import os
import signal
import socket
import subprocess
import sys
import time
from pathlib import Path

from sintonia.cli.failures import CommandFailed, ServerUnreachable
from sintonia.cli.rest import RestClient

_SECONDS_TO_START = 60.0
_SECONDS_TO_STOP = 20.0


class LocalServer:
    """``sintonia serve`` on ``home``, started at once; it outlives this process unless it is stopped."""

    def __init__(self, home: Path) -> None:
        self.home = home
        self.log = home / "server.log"
        port = _free_port()
        self.url = f"http://127.0.0.1:{port}"
        with self.log.open("ab") as log:
            self._process = subprocess.Popen(
                [sys.executable, "-m", "sintonia", "serve", "--host", "127.0.0.1", "--port", str(port),
                 "--home", str(home)],
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                env={**os.environ, "SINTONIA_TLS_CERTIFICATE": "", "SINTONIA_TLS_KEY": "", "SINTONIA_SIGN_IN": ""},
                start_new_session=True,  # Ctrl+C in this terminal is for us: we end the server in order
            )  # fmt: skip

    @property
    def pid(self) -> int:
        return self._process.pid

    def wait_until_ready(self, api: RestClient) -> None:
        """Raises CommandFailed with the end of the log if the server ends, or does not answer in a minute."""
        deadline = time.monotonic() + _SECONDS_TO_START
        while time.monotonic() < deadline and self._process.poll() is None:
            try:
                api.get("/healthz")
                return
            except (ServerUnreachable, CommandFailed):
                time.sleep(0.05)
        lines = self.log.read_text(errors="replace").splitlines()[-12:]
        raise CommandFailed("INTERNAL", "\n".join(["the server did not start; its log ends with:", *lines]))

    def stop(self) -> None:
        """End the server; no error if it has ended."""
        if self._process.poll() is not None:
            return
        self._process.send_signal(signal.SIGTERM)
        try:
            self._process.wait(_SECONDS_TO_STOP)
        except subprocess.TimeoutExpired:
            os.killpg(self._process.pid, signal.SIGKILL)
            self._process.wait()


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])
