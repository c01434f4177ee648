"""How often one caller may ask: a bucket each that fills with time, bounded in memory."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Callable

from copernicus.errors import TooMany

BURST_S = 10.0
MOST_KEYS = 10_000


class Rates:
    """Each caller may ask `per_s` times a second, and what `BURST_S` seconds have gathered at once. For one event loop."""

    def __init__(self, clock: Callable[[], float]) -> None:
        self._clock = clock
        self._buckets: OrderedDict[str, tuple[float, float]] = OrderedDict()

    def take(self, key: str, per_s: float) -> None:
        """Count one request of `key`; raise `TooMany` when its bucket is empty. `per_s` 0: no limit."""
        if per_s <= 0:
            return
        now, most = self._clock(), max(1.0, per_s * BURST_S)
        left, at = self._buckets.pop(key, (most, now))
        left = min(most, left + (now - at) * per_s)
        is_allowed = left >= 1
        self._buckets[key] = (left - 1 if is_allowed else left, now)
        while len(self._buckets) > MOST_KEYS:
            self._buckets.popitem(last=False)
        if not is_allowed:
            raise TooMany(f"You ask more often than {per_s:g} times a second.", f"Wait {(1 - left) / per_s:.1g} s.")
