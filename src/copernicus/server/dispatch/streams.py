"""Files of running attempts, passed on to those who follow them: pulled only meanwhile, bounded, never stored."""

from __future__ import annotations

import asyncio
from collections.abc import Callable

from copernicus.errors import NotAllowed, Unavailable, UnknownPath
from copernicus.model.jobs import OPEN_STATES
from copernicus.server.access.identity import Identity
from copernicus.server.dispatch.book import Jobs
from copernicus.server.dispatch.fetches import Fetches
from copernicus.server.dispatch.windows import Windows
from copernicus.server.dispatch.workers import Worker, Workers
from copernicus.server.storage.abc import BookStore, JobRecord, Unit
from copernicus.wire import messages as m
from copernicus.wire.stream_messages import STREAM_WINDOW_BYTES

TOTAL_BYTES = 64 * 1024**2
MOST_FOLLOWED = 2000
FOLLOWED_FOR_S = 10.0
LONGEST_WAIT_S = 30.0


class _Followed:
    """A job that somebody follows: the windows of its newest attempts, and who waits for more."""

    __slots__ = ("asked_at", "attempts", "waiting")

    def __init__(self) -> None:
        self.asked_at = 0.0
        self.attempts: dict[int, Windows] = {}
        self.waiting: set[asyncio.Future[None]] = set()

    def wake(self) -> None:
        """Let all who wait look again."""
        for future in self.waiting:
            if not future.done():
                future.set_result(None)


class Streams:
    """What is followed on one server. Belongs to one event loop.

    All windows together hold at most `TOTAL_BYTES`: the more files are followed, the less of each is kept.
    """

    def __init__(
        self,
        store: BookStore,
        jobs: Jobs,
        workers: Workers,
        has_blob: Callable[[str], bool],
        monotonic: Callable[[], float],
    ) -> None:
        self._store, self._jobs, self._workers, self._monotonic = store, jobs, workers, monotonic
        self._followed: dict[int, _Followed] = {}
        self._polls: dict[str, asyncio.Future[None]] = {}
        self.fetches = Fetches(has_blob, monotonic, self._end_poll)
        self._files = 0
        self._is_closed = False
        jobs.when_changed = self.job_changed

    # --- workers

    async def exchange(self, request: m.StreamRequest, identity: Identity) -> m.StreamReply:
        """Take pieces in, and say what is wanted; wait for that up to `wait_s`. Raise `NotAllowed` for another's name."""
        worker = self._known(request.worker, identity)
        for piece in request.pieces:
            self._put(worker, piece)
        for brought in request.brought:
            self.fetches.take(worker, brought)
        wanted, files = self._wanted(worker), self.fetches.wanted(worker)
        if not wanted and not files and request.wait_s > 0:
            await self._next_wish(request)
            worker = self._known(request.worker, identity)
            wanted, files = self._wanted(worker), self.fetches.wanted(worker)
        return m.StreamReply(wanted, files)

    def _known(self, name: str, identity: Identity) -> Worker | None:
        worker = self._workers.get(name)
        if worker is not None and worker.bundle != identity.key:
            raise NotAllowed(f"Worker {name} came with another bundle.", "Every worker needs an id of its own.")
        return worker

    async def _next_wish(self, request: m.StreamRequest) -> None:
        """Wait until something is wanted of a worker. A second poll of its ends the first."""
        self._end_poll(request.worker)
        future = self._polls[request.worker] = asyncio.get_running_loop().create_future()
        try:
            await _over(future, min(request.wait_s, LONGEST_WAIT_S))
        finally:
            if self._polls.get(request.worker) is future:
                del self._polls[request.worker]

    def _end_poll(self, worker: str) -> None:
        future = self._polls.pop(worker, None)
        if future is not None and not future.done():
            future.set_result(None)

    def _wanted(self, worker: Worker | None) -> list[m.Wanted]:
        self.forget_unfollowed()
        wanted = []
        for number, followed in self._followed.items():
            lease = worker.leases.get(number) if worker is not None else None
            if lease is not None:
                windows = followed.attempts.get(lease.attempt)
                wanted.append(m.Wanted(number, lease.attempt, windows.have() if windows else {}))
        return wanted

    def _put(self, worker: Worker | None, piece: m.Piece) -> None:
        """Take a piece in, unless it is of an attempt that is not current any more, or that nobody follows."""
        lease = worker.leases.get(piece.job) if worker is not None else None
        followed = self._followed.get(piece.job)
        if lease is None or lease.attempt != piece.attempt or followed is None:
            return
        if piece.attempt not in followed.attempts:
            followed.attempts[piece.attempt] = Windows()
            for old in sorted(followed.attempts)[:-2]:
                self._files -= len(followed.attempts.pop(old).files)
        if followed.attempts[piece.attempt].put(piece, self._limit_bytes(self._files + 1)):
            self._files += 1
            self._trim()
        followed.wake()

    def _limit_bytes(self, files: int) -> int:
        return min(STREAM_WINDOW_BYTES, TOTAL_BYTES // max(1, files))

    def _trim(self) -> None:
        limit_bytes = self._limit_bytes(self._files)
        if limit_bytes < STREAM_WINDOW_BYTES:
            for followed in self._followed.values():
                for windows in followed.attempts.values():
                    for window in windows.files.values():
                        window.trim(limit_bytes)

    # --- followers

    async def follow(self, number: int, request: m.FollowRequest) -> m.FollowReply:
        """Return what is new of a job, waiting for it up to `wait_s`. Raise `Unavailable` when too many are followed."""
        followed = self._follow(number)
        loop = asyncio.get_running_loop()
        ends_at = loop.time() + min(request.wait_s, LONGEST_WAIT_S)
        while True:
            followed.asked_at = self._monotonic()
            reply = self._look(number, followed, request)
            is_new = bool(reply.pieces) or reply.attempt != request.attempt or reply.state != request.state
            left_s = ends_at - loop.time()
            if is_new or reply.is_over or left_s <= 0 or self._is_closed:
                break
            future: asyncio.Future[None] = loop.create_future()
            followed.waiting.add(future)
            try:
                await _over(future, left_s)
            finally:
                followed.waiting.discard(future)
        await self._store.submit(Unit())  # what is told of the job's state must be durable
        return reply

    def _follow(self, number: int) -> _Followed:
        followed = self._followed.get(number)
        if followed is None:
            self.forget_unfollowed()
            if len(self._followed) >= MOST_FOLLOWED:
                raise Unavailable(f"More than {MOST_FOLLOWED} jobs are followed already.", "Try again later.")
            followed = self._followed[number] = _Followed()
            job = self._jobs.get(number)
            if job is not None:
                self._end_poll(job.worker)
        return followed

    def _look(self, number: int, followed: _Followed, request: m.FollowRequest) -> m.FollowReply:
        job = self._jobs.record(number)
        if job is None:
            raise UnknownPath(f"There is no job {number} any more.")
        attempt = request.attempt or job.attempt
        pieces = _news(followed, job, attempt, request.offsets if attempt == request.attempt else {})
        if not pieces and job.attempt > attempt:
            attempt = job.attempt
            pieces = _news(followed, job, attempt, {})
        row = next((row for row in job.attempts if row.attempt == attempt), None)
        return m.FollowReply(
            job=number, path=job.path, state=job.state, attempt=attempt, hostname=row.hostname if row else "", pieces=pieces,
            is_over=job.state not in OPEN_STATES and not pieces, why=job.why,
        )  # fmt: skip

    # --- what others tell

    def job_changed(self, job: JobRecord) -> None:
        """A job stands differently in the book: those who follow it look again, and its worker is asked."""
        followed = self._followed.get(job.id)
        if followed is not None:
            followed.wake()
            if job.state == "leased":
                # once the lease is noted, which is after the book
                asyncio.get_running_loop().call_soon(self._end_poll, job.worker)

    def forget_unfollowed(self) -> None:
        """Drop what nobody has asked for lately; to be called now and then."""
        self.fetches.forget()
        now = self._monotonic()
        for number, followed in list(self._followed.items()):
            if not followed.waiting and now - followed.asked_at > FOLLOWED_FOR_S:
                del self._followed[number]
                self._files -= sum(len(windows.files) for windows in followed.attempts.values())

    def kept_bytes(self) -> int:
        """How much all windows hold."""
        every = (windows for followed in self._followed.values() for windows in followed.attempts.values())
        return sum(window.end - window.start for windows in every for window in windows.files.values())

    def close(self) -> None:
        """Answer all who wait, and let nobody wait any more."""
        self._is_closed = True
        for worker in list(self._polls):
            self._end_poll(worker)
        for followed in self._followed.values():
            followed.wake()
        self.fetches.close()


def _news(followed: _Followed, job: JobRecord, attempt: int, offsets: dict[str, int]) -> list[m.StreamPiece]:
    windows = followed.attempts.get(attempt)
    if windows is not None:
        return windows.news(offsets)
    is_current = job.state == "leased" and job.attempt == attempt
    return [] if is_current or offsets else _last_lines(job, attempt)


def _last_lines(job: JobRecord, attempt: int) -> list[m.StreamPiece]:
    """The last lines of an ended attempt of which no stream was seen: it was over too soon, or before somebody looked."""
    row = next((row for row in job.attempts if row.attempt == attempt), None)
    if row is None:
        return []
    tails = {"stdout": row.stdout_tail, "stderr": row.stderr_tail}
    return [m.StreamPiece(name, 0, f"{tail}\n".encode()) for name, tail in tails.items() if tail.strip()]


async def _over(future: asyncio.Future[None], limit_s: float) -> None:
    """Wait for a future that may not come."""
    await asyncio.wait([future], timeout=limit_s)
