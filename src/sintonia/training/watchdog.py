"""Notices that a run stands still: a process that waits for ever would hold its job, and its slot, for ever."""

from __future__ import annotations

import faulthandler
import os
import sys
import threading
from collections.abc import Callable

_TICK = 1.0


class Watchdog:
    """Ends the process when ``beat`` was not called for ``limit`` seconds after it was first called.

    Seconds in which the process itself did not run (it was stopped, the machine slept) do not count.

    Args:
        tell: is called with what was last told to ``beat``, from another thread, before the process ends.
    """

    def __init__(self, limit: float, tell: Callable[[str], None]) -> None:
        self._limit = limit
        self._tell = tell
        self._doing: str | None = None
        self._beats = 0
        self._ended = threading.Event()
        threading.Thread(target=self._watch, daemon=True, name="watchdog").start()

    def beat(self, doing: str) -> None:
        """Something was got done, and ``doing`` comes next."""
        self._doing = doing
        self._beats += 1

    def close(self) -> None:
        """Watch no more."""
        self._ended.set()

    def _watch(self) -> None:
        seen, waited = 0, 0.0
        tick = min(_TICK, self._limit / 4)
        while not self._ended.wait(tick):
            if self._doing is None or self._beats != seen:
                seen, waited = self._beats, 0.0
                continue
            waited += tick
            if waited >= self._limit:
                try:
                    faulthandler.dump_traceback(sys.stdout, all_threads=True)
                    self._tell(self._doing)
                finally:
                    os._exit(1)
