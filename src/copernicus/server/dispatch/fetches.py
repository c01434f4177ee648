"""Files of running attempts that somebody wants as they are now: asked of the worker, which uploads a copy."""

from __future__ import annotations

import asyncio
from collections.abc import Callable

from copernicus.errors import Unavailable
from copernicus.server.dispatch.workers import Worker
from copernicus.server.storage.abc import JobRecord
from copernicus.wire import messages as m

MOST_ASKED = 100
ASKED_FOR_S = 40.0


class _Asked:
    """One file that is being brought; `answer` None: not yet."""

    __slots__ = ("answer", "asked_at", "changed", "wanted")

    def __init__(self, wanted: m.FileWanted) -> None:
        self.wanted = wanted
        self.asked_at = 0.0
        self.answer: m.FileBrought | None = None
        self.changed = asyncio.Event()


class Fetches:
    """What is asked of workers. `has_blob` says whether a whole blob is here; `wake` lets a worker ask what is wanted."""

    def __init__(self, has_blob: Callable[[str], bool], monotonic: Callable[[], float], wake: Callable[[str], None]) -> None:
        self._has_blob, self._monotonic, self._wake = has_blob, monotonic, wake
        self._asked: dict[str, _Asked] = {}

    async def fetch(self, job: JobRecord, pattern: str, index: int, fetch: str, wait_s: float) -> m.FileBrought | None:
        """Return what the worker of a leased job brought for `fetch`, None when it is not here after `wait_s`: ask again.

        The same `fetch` waits for the same copy. Raise `Unavailable` when too many are asked for.
        """
        fetch = f"{job.id}.{job.attempt} {fetch}"  # what another attempt brings has another name
        asked = self._asked.get(fetch)
        if asked is None:
            self.forget()
            if len(self._asked) >= MOST_ASKED:
                raise Unavailable(f"More than {MOST_ASKED} files are being fetched already.", "Try again later.")
            asked = self._asked[fetch] = _Asked(m.FileWanted(fetch, job.id, job.attempt, pattern, index))
        asked.asked_at = self._monotonic()
        self._wake(job.worker)
        if asked.answer is None and wait_s > 0:
            waiting = asyncio.ensure_future(asked.changed.wait())
            await asyncio.wait([waiting], timeout=wait_s)
            waiting.cancel()
        return asked.answer

    def wanted(self, worker: Worker | None) -> list[m.FileWanted]:
        """What a worker shall bring."""
        self.forget()
        leases = worker.leases if worker is not None else {}
        return [
            asked.wanted
            for asked in self._asked.values()
            if asked.answer is None and (lease := leases.get(asked.wanted.job)) and lease.attempt == asked.wanted.attempt
        ]

    def take(self, worker: Worker | None, brought: m.FileBrought) -> None:
        """A worker has brought a file, or says why not; an attempt that is not its own any more brings nothing."""
        asked = self._asked.get(brought.fetch)
        lease = worker.leases.get(asked.wanted.job) if worker is not None and asked is not None else None
        if asked is None or lease is None or lease.attempt != asked.wanted.attempt:
            return
        if brought.file is None or self._has_blob(brought.file.blob):
            asked.answer = brought
            asked.changed.set()

    def forget(self) -> None:
        """Drop what nobody has asked for lately; to be called now and then."""
        now = self._monotonic()
        for fetch, asked in list(self._asked.items()):
            if now - asked.asked_at > ASKED_FOR_S:
                del self._asked[fetch]

    def close(self) -> None:
        """Answer all who wait."""
        for asked in self._asked.values():
            asked.changed.set()
