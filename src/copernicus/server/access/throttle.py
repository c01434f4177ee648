"""The throttle on failed logins: per account and per address, forgetting with time, bounded in memory."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Callable

FREE_FAILURES = 5
FORGET_S = 3600.0
MOST_KEYS = 10_000


class Throttle:
    """After five failures each further one doubles the wait, from one second up to `longest_s`; an hour forgets all."""

    def __init__(self, clock: Callable[[], float], longest_s: float) -> None:
        self._clock = clock
        self._longest_s = longest_s
        self._failures: OrderedDict[str, tuple[int, float]] = OrderedDict()

    def wait_s(self, key: str) -> float:
        """Return how long `key` must still wait before it may try again; 0 when it may now."""
        count, last = self._failures.get(key, (0, 0.0))
        since = self._clock() - last
        if since > FORGET_S or count < FREE_FAILURES:
            return 0.0
        return max(0.0, min(self._longest_s, 2.0 ** min(count - FREE_FAILURES, 30)) - since)

    def failed(self, key: str) -> None:
        """Count a failure."""
        count, last = self._failures.pop(key, (0, 0.0))
        now = self._clock()
        self._failures[key] = (1 if now - last > FORGET_S else count + 1, now)
        while len(self._failures) > MOST_KEYS:
            self._failures.popitem(last=False)

    def succeeded(self, key: str) -> None:
        """Forget the failures of `key`."""
        self._failures.pop(key, None)
