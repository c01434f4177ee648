"""Waiting for a server that does not answer."""

from __future__ import annotations

import random
import threading

from copernicus.errors import CertificateRefused, NotAllowed, NotAuthenticated, Unavailable

FIRST_PAUSE_S, LONGEST_PAUSE_S = 0.25, 30.0
# The server may come back, or be told better, and then wants its results: all these are waited out.
PASSING = (Unavailable, NotAuthenticated, NotAllowed, CertificateRefused)


class Pause:
    """Jittered, growing pauses; `wake` ends one at once."""

    def __init__(self) -> None:
        self._failures = 0
        self._woken = threading.Event()

    def reset(self) -> None:
        """The server answers again."""
        self._failures = 0
        self._woken.set()

    def wake(self) -> None:
        """End the present pause."""
        self._woken.set()

    def sleep(self) -> None:
        """Wait before the next attempt."""
        limit_s = min(LONGEST_PAUSE_S, FIRST_PAUSE_S * 2.0 ** min(self._failures, 10))
        self._failures += 1
        self._woken.clear()
        self._woken.wait(limit_s * (0.5 + random.random() / 2))  # noqa: S311 - no secret
