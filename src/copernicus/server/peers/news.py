"""News that jobs wait somewhere: a hint that wakes idle workers, never more. Each server counts, and passes other counts on.

The greater count is the newer one, so news may arrive twice, late, or in a circle, and nothing comes of it.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable

from copernicus.wire import messages as m

MOST_SERVERS = 256
LONGEST_WAIT_S = 30.0


class News:
    """The counts that are known, by server. Belongs to one event loop; `when_newer` is called when there is more."""

    def __init__(self, own: str, first: int) -> None:
        self._own, self._counts = own, {own: first}
        self._changed = asyncio.Event()
        self._is_told = False
        self.version = 0
        self.when_newer: Callable[[], None] = lambda: None

    def queued(self) -> None:
        """A job waits here."""
        self._counts[self._own] += 1
        self._tell()

    def merge(self, counts: dict[str, int]) -> None:
        """Take in what another server knows."""
        for server, count in list(counts.items())[:MOST_SERVERS]:
            is_known = server in self._counts
            if server != self._own and count > self._counts.get(server, -1) and (is_known or len(self._counts) < MOST_SERVERS):
                self._counts[server] = count
                self._tell()

    def counts(self) -> dict[str, int]:
        """All that is known."""
        return dict(self._counts)

    async def wait(self, request: m.NewsRequest) -> m.NewsReply:
        """Answer as soon as anything is newer than what the caller has seen, or when the time is over."""
        loop = asyncio.get_running_loop()
        ends_at = loop.time() + min(request.wait_s, LONGEST_WAIT_S)
        while True:
            newer = {server: count for server, count in self._counts.items() if count > request.seen.get(server, -1)}
            left_s = ends_at - loop.time()
            if newer or left_s <= 0:
                return m.NewsReply(newer)
            changed = asyncio.ensure_future(self._changed.wait())
            await asyncio.wait([changed], timeout=left_s)
            changed.cancel()

    def _tell(self) -> None:
        self.version += 1
        if not self._is_told:
            self._is_told = True
            try:
                asyncio.get_running_loop().call_soon(self._spread)
            except RuntimeError:  # before the loop runs there is nobody to tell
                self._is_told = False

    def _spread(self) -> None:
        self._is_told = False
        changed, self._changed = self._changed, asyncio.Event()
        changed.set()
        self.when_newer()
