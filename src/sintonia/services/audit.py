"""The audit log: who changed what, and who was refused; it holds no credentials and no contents.

One JSON object a line, appended by a single write, so that several servers and the command line may share the file. It
is opened anew for each line: whoever renames it, as logrotate does, loses nothing.
"""

from __future__ import annotations

import json
import logging
import os
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path

from sintonia.resources.base import format_timestamp
from sintonia.services.allowances import Allowance

_log = logging.getLogger(__name__)

_LONGEST = 1000
"""Characters of what the asker chose; a head of 64 KiB holds longer paths, methods and addresses."""


@dataclass(frozen=True)
class Entry:
    """What was asked for by whom, and the HTTP status it was answered with; ``path`` is without its query."""

    principal: str
    method: str
    path: str
    project: str
    code: int
    client: str
    request: str


@dataclass
class AuditLog:
    """Appends to ``file`` all that was done, and what was refused no more than once a second in the long run."""

    file: Path
    _refusals: Allowance = field(default_factory=lambda: Allowance(burst=100, per_second=1))
    _left_out: int = 0

    def write(self, entry: Entry) -> None:
        """Never raises: a disk that is full must not stop what people do, and the server's log tells it."""
        # Strangers and people who are signed in fill different buckets: a flood of the first hides none of the second.
        if entry.code >= 400 and self._refusals.take(str(entry.code)):
            self._left_out += 1
            return
        line: dict[str, object] = {"time": format_timestamp(datetime.now(UTC))}
        line |= {name: value[:_LONGEST] if isinstance(value, str) else value for name, value in vars(entry).items()}
        if self._left_out:
            line["refusalsLeftOut"] = self._left_out
        try:
            self.file.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
            descriptor = os.open(self.file, os.O_WRONLY | os.O_APPEND | os.O_CREAT, 0o600)
            try:
                os.write(descriptor, json.dumps(line).encode() + b"\n")
            finally:
                os.close(descriptor)
        except OSError as error:
            _log.error("The audit log '%s' cannot be written (%s).", self.file, error.strerror)
            return
        self._left_out = 0
