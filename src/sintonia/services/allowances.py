"""How often something may happen: so many at once, and so many a second after that."""

from __future__ import annotations

import time
from collections import OrderedDict
from collections.abc import Callable

_MOST_KEYS = 10_000


class Allowance:
    """A token bucket for each key, such as a client's address; memory is bounded, and who was quiet longest forgotten.

    Args:
        burst: how many at once.
        per_second: how many more each second.
        clock: seconds that only grow.
    """

    def __init__(self, *, burst: int, per_second: float, clock: Callable[[], float] = time.monotonic) -> None:
        self._burst = burst
        self._per_second = per_second
        self._clock = clock
        self._left: OrderedDict[str, tuple[float, float]] = OrderedDict()  # (how many are left, since when)

    def take(self, key: str = "") -> float:
        """Take one; 0 if there was one, else the seconds until there will be."""
        now = self._clock()
        left, since = self._left.pop(key, (float(self._burst), now))
        left = min(self._burst, left + (now - since) * self._per_second)
        granted = left >= 1
        self._left[key] = (left - granted, now)
        if len(self._left) > _MOST_KEYS:
            self._left.popitem(last=False)
        return 0.0 if granted else (1 - left) / self._per_second
