"""A server whose every address begins with /x, as behind a proxy that gives it a part of its own."""

from __future__ import annotations

import logging
import socket
from typing import Any

import uvicorn

from sintonia.app import build
from sintonia.settings import Settings

PREFIX = "/x"


def main() -> None:
    logging.basicConfig(level=logging.INFO, format="%(message)s")
    listener = socket.create_server(("127.0.0.1", 0))
    app = build(Settings.load(), address=f"http://127.0.0.1:{listener.getsockname()[1]}{PREFIX}")

    async def prefixed(scope: Any, receive: Any, send: Any) -> None:
        if scope["type"] == "http":
            assert scope["path"].startswith(PREFIX + "/"), scope["path"]
            scope = {**scope, "root_path": PREFIX}
        await app(scope, receive, send)

    config = uvicorn.Config(prefixed, log_config=None, access_log=False, timeout_graceful_shutdown=1)
    uvicorn.Server(config).run(sockets=[listener])


main()
