"""Uploads that were begun, noted on this machine: a later run of the same command goes on where one was killed."""

from __future__ import annotations

import hashlib
import json
import os
from pathlib import Path


class Unfinished:
    """Where one file's upload goes on.

    Args:
        folder: where notes lie.
        what: everything that makes it the same upload: server, object, file, its size and its time of change.
    """

    def __init__(self, folder: Path, *what: object) -> None:
        self._file = folder / f"{hashlib.sha256(json.dumps([str(item) for item in what]).encode()).hexdigest()}.txt"

    def read(self) -> str | None:
        try:
            return self._file.read_text(encoding="utf-8") or None
        except OSError:
            return None

    def note(self, where: str) -> None:
        """A note that cannot be written costs only the chance to go on."""
        try:
            self._file.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
            with os.fdopen(os.open(self._file, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600), "w") as stream:
                stream.write(where)
        except OSError:
            pass

    def forget(self) -> None:
        self._file.unlink(missing_ok=True)
