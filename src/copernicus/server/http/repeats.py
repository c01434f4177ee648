"""Requests that come again while the first one is still being handled: they wait for it, and find its answer remembered."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager


class _Turn:
    """One request id in hand; `count` is how many handle it or wait."""

    __slots__ = ("count", "lock")

    def __init__(self) -> None:
        self.count, self.lock = 0, asyncio.Lock()


class Repeats:
    """Who handles which request id now. Belongs to one event loop."""

    def __init__(self) -> None:
        self._turns: dict[tuple[str, str], _Turn] = {}

    def __len__(self) -> int:
        return len(self._turns)

    @asynccontextmanager
    async def one_at_a_time(self, request_id: str, who: str) -> AsyncIterator[None]:
        """Wait until nobody else handles this request of `who`; without a request id nobody waits."""
        if not request_id:
            yield
            return
        place = request_id, who
        turn = self._turns.setdefault(place, _Turn())
        turn.count += 1
        try:
            async with turn.lock:
                yield
        finally:
            turn.count -= 1
            if not turn.count:
                del self._turns[place]
