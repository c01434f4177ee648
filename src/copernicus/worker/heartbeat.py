"""Signs of life: a thread and a connection of their own, so that nothing else can delay them."""

from __future__ import annotations

import random
import threading
from collections.abc import Callable
from typing import Any, Protocol

from copernicus.errors import CopernicusError
from copernicus.wire.messages import HeartbeatRequest
from copernicus.worker.desk import Desk

RETRY_S = 5.0
LIMIT_S, SHORTEST_LIMIT_S = 60.0, 5.0


def answer_limit_s(interval_s: float) -> float:
    """How long to wait for an answer: so short that a connection that leads nowhere costs one sign of life, not the lease."""
    return max(SHORTEST_LIMIT_S, min(LIMIT_S, interval_s / 3))


class Caller(Protocol):
    """The seam to the server: one method."""

    def call(self, request: Any) -> Any:
        """Return the reply to a message, or raise a `CopernicusError`."""
        ...


class Heartbeat:
    """Beats three times in the interval after which the server counts a silent worker as lost."""

    def __init__(
        self, worker: str, desk: Desk, connect: Callable[[float], Caller], announce: Callable[[], None], interval_s: float
    ) -> None:
        self.interval_s = interval_s
        self._worker = worker
        self._desk = desk
        self._caller = connect(answer_limit_s(interval_s))
        self._announce = announce
        self._over = threading.Event()

    def run(self) -> None:
        """In a thread of its own: beat until `close`."""
        while not self._over.wait(self._pause_s):
            self.beat()

    _pause_s = 0.0

    def beat(self) -> None:
        """Send one sign of life, and heed the answer. Sooner again when there is none."""
        self._pause_s = self.interval_s / 3
        try:
            reply = self._caller.call(HeartbeatRequest(self._worker, self._desk.beats()))
            self.interval_s = reply.heartbeat_s
            self._pause_s = self.interval_s / 3
            if reply.is_unknown_worker:
                self._announce()
            self._desk.stop({job: reply.why.get(job) or "unwanted" for job in reply.stop})
        except CopernicusError:  # the exchange tells about it
            self._pause_s = min(self._pause_s, RETRY_S * (0.5 + random.random() / 2))  # noqa: S311 - no secret

    def close(self) -> None:
        """End the thread."""
        self._over.set()
