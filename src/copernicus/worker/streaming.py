"""Files of running attempts on their way to those who follow them: read where they grow, only while somebody does."""

from __future__ import annotations

import random
import threading
from collections.abc import Callable

from copernicus.errors import CopernicusError
from copernicus.wire.messages import Piece, StreamReply, StreamRequest, Wanted
from copernicus.worker.desk import Desk
from copernicus.worker.exchange import Caller
from copernicus.worker.fetching import Fetcher
from copernicus.worker.workload import Attempt

POLL_S = 30.0
LOOK_S = 0.5
RETRY_S = 4.0
MOST_BYTES = 1024**2
LAST_LIMIT_S = 5.0


class Streamer:
    """Asks the server, over a connection of its own, what is followed, and brings it about twice a second."""

    def __init__(self, worker: str, desk: Desk, connect: Callable[..., Caller], fetcher: Fetcher) -> None:
        self._worker = worker
        self._desk = desk
        self._fetcher = fetcher
        self._is_wanted = False
        self._caller, self._last_caller = connect(), connect(LAST_LIMIT_S)
        self._last_turn = threading.Lock()
        self._wanted: dict[tuple[int, int], Wanted] = {}
        self._over = threading.Event()

    def run(self) -> None:
        """In a thread of its own: bring what is wanted while anything runs, until `close`."""
        while self._desk.wait_running() and not self._over.is_set():
            try:
                wait_s = 0.0 if self._is_wanted else POLL_S
                reply = self._caller.call(StreamRequest(self._worker, self._news(), self._fetcher.answers(), wait_s))
            except CopernicusError:  # the exchange tells about it
                self._wanted, self._is_wanted = {}, False
                self._over.wait(RETRY_S * (0.5 + random.random() / 2))  # noqa: S311 - no secret
                continue
            self._heed(reply)
            if self._is_wanted:
                self._over.wait(LOOK_S)

    def last_look(self, attempt: Attempt) -> None:
        """An attempt's program has ended: bring the rest before its files go, if somebody follows it."""
        wanted = self._wanted.get((attempt.lease.job, attempt.lease.attempt))
        if wanted is None:
            return
        pieces = pieces_of(attempt, wanted, MOST_BYTES)
        with self._last_turn:
            try:
                if pieces:
                    self._last_caller.call(StreamRequest(self._worker, pieces))
            except CopernicusError:
                return

    def close(self) -> None:
        """End the thread."""
        self._over.set()
        interrupt = getattr(self._caller, "interrupt", None)
        if interrupt is not None:
            interrupt()

    def _heed(self, reply: StreamReply) -> None:
        self._wanted = {(wanted.job, wanted.attempt): wanted for wanted in reply.wanted}
        self._fetcher.want(reply.files)
        self._is_wanted = bool(reply.wanted or reply.files)

    def _news(self) -> list[Piece]:
        pieces: list[Piece] = []
        left = MOST_BYTES
        for (job, number), wanted in self._wanted.items():
            attempt = self._desk.running(job, number)
            if attempt is not None and left > 0:
                pieces += pieces_of(attempt, wanted, left)
                left = MOST_BYTES - sum(len(piece.data) for piece in pieces)
        return pieces


def pieces_of(attempt: Attempt, wanted: Wanted, most_bytes: int) -> list[Piece]:
    """Return what is new in the watched files of an attempt, at most so much; of each no more than its last MiB."""
    lease, pieces = attempt.lease, list[Piece]()
    for name in attempt.live.watched(lease.description.watch):
        have = wanted.have.get(name, 0)
        found = attempt.live.peek(name, have, most_bytes) if most_bytes > 0 else None
        if found is not None and (found[1] or found[2] < have):
            pieces.append(Piece(lease.job, lease.attempt, name, *found))
            most_bytes -= len(found[1])
    return pieces
