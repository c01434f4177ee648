"""What the worker has: jobs in hand, attempts that run, results that the server has not accepted yet."""

from __future__ import annotations

import threading
import time
from collections import deque
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass

import msgspec

from copernicus.model.jobs import LeasedJob, Report
from copernicus.wire.messages import Beat
from copernicus.worker.partition import BATCH, fit, granted, hoard
from copernicus.worker.workload import Attempt, Ended, Reason

RECENT = 8
STUCK_S = 1.0
Key = tuple[int, int]


@dataclass(frozen=True)
class Ask:
    """What one request asks for: that many cores may be filled, with at most that many jobs."""

    cores: int
    jobs: int


class Desk:
    """All under one lock; whoever waits is woken when anything changes.

    `begin(lease)` makes the attempt; `per_job` is the most cores that one job may have (the flag -s).
    """

    def __init__(self, cores: int, begin: Callable[[LeasedJob], Attempt], per_job: int | None = None) -> None:
        self.cores = cores
        self._per_job = per_job
        self._begin = begin
        self._changed = threading.Condition()
        self._hand: deque[LeasedJob] = deque()
        self._running: dict[Key, Attempt] = {}
        self._ready: dict[Key, Ended] = {}
        self._uploading: dict[Key, Ended] = {}
        self._sent: set[Key] = set()
        self._free = cores
        self._promised = 0
        self._recent: deque[float] = deque(maxlen=RECENT)  # seconds
        self._used_at = time.monotonic()
        self.is_closed = False

    # --- slots ---

    def take(self) -> Attempt | None:
        """Wait for a job that fits into the free cores, and begin it; None when the desk is closed."""
        with self._changed:
            while not self.is_closed:
                starting = fit(self._hand, self._free)
                if starting:
                    lease = starting[0]
                    self._hand.remove(lease)
                    self._free -= lease.cores
                    attempt = self._running[lease.job, lease.attempt] = self._begin(lease)
                    if len(self._running) == 1:
                        self._changed.notify_all()
                    return attempt
                self._changed.wait()
            return None

    def finish(self, attempt: Attempt, ended: Ended) -> None:
        """An attempt has ended: its cores are free, its result is to be uploaded or reported."""
        with self._changed:
            self._running.pop((attempt.lease.job, attempt.lease.attempt), None)
            self._free += attempt.cores
            self._recent.append(time.monotonic() - attempt.started_at)
            self._file(ended)
            self._used_at = time.monotonic()
            self._changed.notify_all()

    def _file(self, ended: Ended) -> None:
        place = self._uploading if ended.parcel.large else self._ready
        place[ended.report.job, ended.report.attempt] = ended

    # --- what to ask for ---

    def ask(self) -> Ask:
        """Say what to ask for now, and hold it against further asking until `settle`."""
        with self._changed:
            if self.is_closed:
                return Ask(0, 0)
            in_hand = sum(lease.cores for lease in self._hand)
            spare = hoard(self.cores, self._recent)
            cores = max(0, self._free - in_hand - self._promised)
            # Beyond the free cores only jobs of one core are counted on: those are the short ones that come in crowds.
            extra = max(0, min(BATCH, spare - len(self._hand)) - cores) if not self._promised else 0
            ask = Ask(cores + extra, min(BATCH, cores + extra))
            self._promised += ask.cores
            return ask

    def settle(self, ask: Ask, jobs: Iterable[LeasedJob]) -> int:
        """The answer to an ask is here; return how many of its jobs are new."""
        with self._changed:
            self._promised -= ask.cores
            new = [self._granted(lease) for lease in jobs if not self._has((lease.job, lease.attempt))]
            if self.is_closed:
                for lease in new:
                    self._return(lease)
            else:
                self._hand.extend(new)
            if new:
                self._used_at = time.monotonic()
            self._changed.notify_all()
            return len(new)

    def wait_idle(self) -> bool:
        """Wait until cores are free that nobody has asked to fill; False when the desk is closed.

        Where a result waits to be reported, its report will ask: its answer comes first and costs no second request.
        """

        def is_idle() -> bool:
            return self._free > self._promised and not self._hand and len(self._ready) <= len(self._sent)

        with self._changed:
            self._changed.wait_for(lambda: self.is_closed or is_idle())
            return not self.is_closed

    def is_all_idle(self) -> bool:
        """Whether nothing runs and nothing is in hand."""
        with self._changed:
            return not self._running and not self._hand

    def idle_s(self, now: float) -> float:
        """Return for how long there has been nothing to do and nothing to report; 0 while there is."""
        with self._changed:
            is_busy = self._running or self._hand or self._ready or self._uploading
            return 0.0 if is_busy else now - self._used_at

    # --- results ---

    def is_due(self) -> bool:
        """Whether it is time to report: the hand is down to a quarter of what it may hold, or a batch of results waits."""
        with self._changed:
            waiting = len(self._ready) - len(self._sent)
            return waiting > 0 and (len(self._hand) <= hoard(self.cores, self._recent) // 4 or waiting >= BATCH)

    def has_results(self) -> bool:
        """Whether results are not accepted yet."""
        with self._changed:
            return bool(self._ready or self._uploading)

    def pack(self, most: int, most_bytes: int) -> list[Ended]:
        """Return results for one request, at most so many and, beyond the first, so many bytes; they count as sent."""
        with self._changed:
            packed: list[Ended] = []
            for key, ended in self._ready.items():
                if key in self._sent:
                    continue
                size = sum(map(len, ended.parcel.inline.values()))
                if packed and (len(packed) >= most or size > most_bytes):
                    break
                packed.append(ended)
                most_bytes -= size
                self._sent.add(key)
            return packed

    def unpack(self, packed: Iterable[Ended]) -> None:
        """They have not arrived after all, and are to be sent again."""
        with self._changed:
            self._sent.difference_update((one.report.job, one.report.attempt) for one in packed)

    def replace(self, ended: Ended) -> None:
        """Report this instead of what was to be reported of the same attempt."""
        with self._changed:
            key = (ended.report.job, ended.report.attempt)
            self._sent.discard(key)
            self._uploading.pop(key, None)
            self._ready[key] = ended

    def accept(self, job: int, attempt: int) -> Ended | None:
        """The server has judged a report: it is done with. Returns it."""
        with self._changed:
            self._sent.discard((job, attempt))
            ended = self._ready.pop((job, attempt), None)
            self._used_at = time.monotonic()
            self._changed.notify_all()
            return ended

    def next_upload(self) -> Ended | None:
        """Wait for a result with large files; None when the desk is closed and there is none."""
        with self._changed:
            self._changed.wait_for(lambda: self._uploading or (self.is_closed and not self._running))
            return next(iter(self._uploading.values()), None)

    def uploaded(self, ended: Ended) -> None:
        """Its large files are on the server: now it can be reported."""
        self.replace(ended)

    def results(self) -> list[Ended]:
        """Return all results that the server has not accepted."""
        with self._changed:
            return [*self._ready.values(), *self._uploading.values()]

    # --- what runs ---

    def wait_running(self) -> bool:
        """Wait until anything runs; False when the desk is closed and nothing does."""
        with self._changed:
            self._changed.wait_for(lambda: self._running or self.is_closed)
            return bool(self._running)

    def all_running(self) -> list[Attempt]:
        """Return everything that runs."""
        with self._changed:
            return list(self._running.values())

    def running(self, job: int, attempt: int) -> Attempt | None:
        """Return an attempt that runs, or None."""
        with self._changed:
            return self._running.get((job, attempt))

    # --- stopping, signs of life ---

    def beats(self) -> list[Beat]:
        """Return a sign of life for everything that is leased to this worker."""
        with self._changed:
            running = list(self._running.values())
            waiting = [*self._ready, *self._uploading, *((lease.job, lease.attempt) for lease in self._hand)]
        beats = [Beat(one.lease.job, one.lease.attempt, one.progress()) for one in running]
        return beats + [Beat(job, attempt) for job, attempt in waiting]

    def stop(self, jobs: Mapping[int, Reason]) -> None:
        """These jobs are to end, each for a reason: those in hand are given back, those that run are asked to stop."""
        with self._changed:
            for lease in [lease for lease in self._hand if lease.job in jobs]:
                self._hand.remove(lease)
                self._return(lease)
            for attempt in self._running.values():
                if attempt.lease.job in jobs:
                    attempt.stop(jobs[attempt.lease.job])
            self._changed.notify_all()

    def check(self, now: float) -> None:
        """Hold what runs to its limits; give back jobs that wait behind one that turned out long."""
        with self._changed:
            running = list(self._running.values())
            is_stuck = bool(self._hand) and not fit(self._hand, self._free)
            if is_stuck and all(now - attempt.started_at > STUCK_S for attempt in running):
                while self._hand:
                    self._return(self._hand.popleft())
        for attempt in running:
            attempt.check(now)

    def close(self, grace_s: float | None = None) -> None:
        """Take nothing any more: jobs in hand are given back, those that run are interrupted. Again: only sooner."""
        with self._changed:
            self.is_closed = True
            while self._hand:
                self._return(self._hand.popleft())
            for attempt in self._running.values():
                attempt.stop("leaving", grace_s)
            self._changed.notify_all()

    def wait_ended(self, timeout_s: float) -> bool:
        """Wait until nothing runs; return whether that is so."""
        with self._changed:
            return self._changed.wait_for(lambda: not self._running, timeout_s)

    def _granted(self, lease: LeasedJob) -> LeasedJob:
        cores = granted(lease.cores, lease.description.resources.cores_min, self.cores, self._per_job)
        return lease if cores == lease.cores else msgspec.structs.replace(lease, cores=cores)

    def _return(self, lease: LeasedJob) -> None:
        report = Report(lease.job, lease.attempt, "interrupted", error="It was not started.", cores=lease.cores)
        self._ready[lease.job, lease.attempt] = Ended(report)

    def _has(self, key: Key) -> bool:
        is_known = key in self._running or key in self._ready or key in self._uploading
        return is_known or any((lease.job, lease.attempt) == key for lease in self._hand)
