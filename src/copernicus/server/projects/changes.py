"""Those who wait for a project to change: each is woken by its next transaction."""

from __future__ import annotations

import asyncio

MOST_WAIT_S = 30.0


class Changes:
    """Waiting callers of one project. Everything runs in the event loop."""

    def __init__(self) -> None:
        self._waiting: set[asyncio.Future[None]] = set()

    def tell(self) -> None:
        """Wake all who wait."""
        waiting, self._waiting = self._waiting, set()
        for future in waiting:
            if not future.done():
                future.set_result(None)

    async def wait(self, limit_s: float) -> None:
        """Return at the next change, or after `limit_s` seconds (at most `MOST_WAIT_S`)."""
        future = asyncio.get_running_loop().create_future()
        self._waiting.add(future)
        try:
            await asyncio.wait([future], timeout=max(0.0, min(limit_s, MOST_WAIT_S)))
        finally:
            self._waiting.discard(future)
