"""The worker as a whole: announces itself, keeps its threads going, and leaves in good order."""

from __future__ import annotations

import contextlib
import queue
import sys
import threading
import time
import uuid
from collections.abc import Callable
from dataclasses import dataclass, replace
from functools import cmp_to_key, partial
from pathlib import Path
from typing import Protocol

import psutil

from copernicus.config.places import node_name, site_name
from copernicus.errors import CopernicusError
from copernicus.model.jobs import ExecutableOffer, JobDescription, LeasedJob, WorkerOffer
from copernicus.model.values import FileRef
from copernicus.model.versions import compare_versions, is_in_range
from copernicus.plugin.registry import Found
from copernicus.wire.messages import AnnounceReply, AnnounceRequest, FarewellRequest
from copernicus.worker.checkpoints import EVERY_S, Checkpointer, Timing
from copernicus.worker.desk import Desk
from copernicus.worker.duties import Duties
from copernicus.worker.exchange import Caller, Exchange
from copernicus.worker.fetching import Fetcher
from copernicus.worker.folder import WorkFolder
from copernicus.worker.gpus import Gpus
from copernicus.worker.heartbeat import Heartbeat
from copernicus.worker.leftovers import deliver_leftovers
from copernicus.worker.place import Place
from copernicus.worker.platforms import Platform
from copernicus.worker.shelf import Shelf
from copernicus.worker.spool import Spool
from copernicus.worker.streaming import Streamer
from copernicus.worker.uploads import Uploader
from copernicus.worker.workload import GRACE_S, Attempt, Tools

TICK_S = 0.5
MOST_SLOTS = 1024
"""So many jobs run at once at most, on however many cores."""
FLUSH_S, HURRIED_FLUSH_S = 30.0, 2.0
LAST_LIMIT_S = 5.0
LEAVE_BEFORE_END_S, LAST_CHECKPOINT_S = 60.0, 600.0


class Connection(Protocol):
    """The way to the server: callers, one for each thread that needs one, and files by content."""

    def caller(self, timeout_s: float = ...) -> Caller:
        """Return a new caller, for one thread, that waits so long for an answer."""
        ...

    def upload(self, file: FileRef, path: Path) -> None:
        """Send a blob; raise `CopernicusError`."""
        ...

    def download(self, file: FileRef, path: Path) -> None:
        """Fetch a blob to `path`; raise `CopernicusError`."""
        ...

    def stop_downloads(self) -> None:
        """Let no download wait any longer."""
        ...

    def close(self) -> None:
        """Let no transfer wait any longer."""
        ...


class Closeable(Protocol):
    """A thread's work."""

    def close(self) -> None:
        """End it."""
        ...


@dataclass(frozen=True)
class Options:
    """How this worker is to behave. Times in seconds; None: no limit. `memory_bytes` None: all that the host has."""

    cores_per_job: int | None = None
    project: str | None = None
    quit_after_s: float | None = None
    time_left_s: float | None = None
    grace_s: float = GRACE_S
    checkpoint_every_s: float | None = EVERY_S
    memory_bytes: int | None = None


class Agent:
    """One worker. `run` is for the main thread; `stop` may be called from anywhere, signal handlers included."""

    def __init__(
        self,
        options: Options,
        platform: Platform,
        programs: list[Found],
        connection: Connection,
        place: Place,
        say: Callable[[str], None],
        gpus: Gpus | None = None,
    ) -> None:
        self.worker = f"{node_name()}-{uuid.uuid4().hex[:12]}"
        self._options = options
        self._platform = platform
        self._programs = programs
        self._connection = connection
        self._place = place
        self._say = say
        self._began_at = time.monotonic()
        self._orders: queue.SimpleQueue[str] = queue.SimpleQueue()  # its put may be called in a signal handler
        self._announcing = threading.Lock()
        self._announce_caller = connection.caller()
        self._shelf = Shelf(place.blobs, connection.download)
        self._spool = Spool(place.spool, self.worker)
        self._desk = Desk(platform.cores, self._begin, options.cores_per_job)
        self._gpus = gpus or Gpus()
        self._tools = Tools(self.worker, platform, self._shelf, self._gpus, grace_s=options.grace_s)

    def run(self) -> None:
        """Work until told to stop, idle for too long, or out of time; raise `CopernicusError` when the server refuses us."""
        try:
            welcome = self.announce()
        except BaseException:
            self._platform.close()
            self._place.remove()
            raise
        self._platform.watch_over(self.worker, self._place.jobs)
        fetcher = Fetcher(self._desk, self._shelf, self._place.copies, self._connection.upload)
        streamer = Streamer(self.worker, self._desk, self._connection.caller, fetcher)
        self._tools = replace(self._tools, inline_limit_bytes=welcome.inline_limit_bytes, last_look=streamer.last_look)
        exchange = Exchange(
            self.worker, self._desk, self._spool, self._shelf, self._connection.caller, self._reannounce, self._say
        )
        heartbeat = Heartbeat(self.worker, self._desk, self._connection.caller, self._reannounce, welcome.heartbeat_s)
        uploader = Uploader(self._desk, self._shelf, self._connection.upload, exchange.nudge)
        checkpointer = Checkpointer(
            self.worker, self._desk, self._shelf, self._place.copies, self._connection.caller(), self._connection.upload,
            self._timing(), self._say,
        )  # fmt: skip
        duties = Duties(self._say)
        slots = [
            duties.thread(f"slot {number}", partial(self._work, number, exchange))
            for number in range(min(self._platform.cores, MOST_SLOTS))
        ]
        others = [
            duties.thread(name, target)
            for name, target in (
                ("heartbeat", heartbeat.run), ("poller", exchange.poller), ("courier", exchange.courier),
                ("uploads", uploader.run), ("streams", streamer.run),
                ("checkpoints", checkpointer.run), ("fetches", fetcher.run),
            )
        ]  # fmt: skip
        self._leftovers = threading.Thread(target=self._deliver_leftovers, name="leftovers", daemon=True)
        self._leftovers.start()
        for thread in (*slots, *others):
            thread.start()
        why = self._oversee(exchange)
        self._leave(why, slots, exchange, [heartbeat, uploader, streamer, checkpointer, fetcher, duties])

    def stop(self) -> None:
        """Leave in good order; said again: hurry."""
        self._orders.put("stop")

    # --- announcing ---

    def offer(self) -> WorkerOffer:
        """Return what this worker announces."""
        left_s = self._options.time_left_s
        jobs_s = None if left_s is None else left_s - _margin_s(left_s)
        return WorkerOffer(
            worker=self.worker,
            hostname=node_name(),
            platform=self._platform.name,
            cores=self._platform.cores,
            executables=tuple(
                ExecutableOffer(found.executable.name, found.version, found.executable.platform) for found in self._programs
            ),
            cores_per_job=self._options.cores_per_job,
            memory_bytes=min(int(psutil.virtual_memory().total), self._options.memory_bytes or sys.maxsize),
            project=self._options.project,
            time_left_s=None if jobs_s is None else max(0.0, jobs_s - (time.monotonic() - self._began_at)),
            site=site_name(),
            gpus=len(self._gpus.offered),
            gpu_devices=self._gpus.offered,
        )

    def announce(self) -> AnnounceReply:
        """Introduce this worker to the server; raise `CopernicusError`."""
        with self._announcing:
            reply: AnnounceReply = self._announce_caller.call(AnnounceRequest(self.offer()))
            return reply

    def _timing(self) -> Timing:
        """One more checkpoint is taken while there is time to bring it over, should the last one, at the end, not get there."""
        left_s = self._options.time_left_s
        last_at = None if left_s is None else self._began_at + left_s - min(LAST_CHECKPOINT_S, left_s / 4)
        return Timing(self._options.checkpoint_every_s, last_at)

    def _reannounce(self) -> None:
        self.announce()

    # --- slots ---

    def _work(self, number: int, exchange: Exchange) -> None:
        work = WorkFolder(self._place.jobs, f"slot-{number}")
        while (attempt := self._desk.take()) is not None:
            ended = attempt.run(work)
            try:
                exchange.secure(ended)
            finally:
                self._desk.finish(attempt, ended)
            exchange.after_job()
        work.remove()

    def _begin(self, lease: LeasedJob) -> Attempt:
        return Attempt(lease, best_program(self._programs, lease.description), lease.cores, self._tools)

    # --- the main thread ---

    def _oversee(self, exchange: Exchange) -> str:
        """Hold jobs to their limits until there is a reason to leave; return it."""
        options = self._options
        while True:
            try:
                self._orders.get(timeout=TICK_S)
                return "it was told to stop"
            except queue.Empty:
                pass
            now = time.monotonic()
            self._desk.check(now)
            exchange.nudge()
            if options.quit_after_s is not None and self._desk.idle_s(now) >= options.quit_after_s:
                return f"there was nothing to do for {options.quit_after_s / 60:g} minutes"
            left_s = options.time_left_s
            if left_s is not None and now - self._began_at >= left_s - _margin_s(left_s):
                return "its time is over"

    def _leave(self, why: str, slots: list[threading.Thread], exchange: Exchange, others: list[Closeable]) -> None:
        self._say(f"Leaving: {why}.")
        is_hurried = False
        self._desk.close()
        self._connection.stop_downloads()
        while not self._desk.wait_ended(0.1):
            is_hurried = self._is_told_again() or is_hurried
            if is_hurried:
                self._desk.close(0.0)
            self._desk.check(time.monotonic())
        begun = time.monotonic()
        while not exchange.flush(TICK_S):
            is_hurried = self._is_told_again() or is_hurried
            if time.monotonic() - begun > (HURRIED_FLUSH_S if is_hurried else FLUSH_S):
                break
        is_reached = not self._desk.has_results()
        if is_reached:  # what else is on its way to the server may get there
            self._leftovers.join(LAST_LIMIT_S)
        for other in others:
            other.close()
        exchange.close()
        self._connection.close()
        if is_reached:
            with contextlib.suppress(CopernicusError):  # it would be missed soon enough
                self._announce_caller.call(FarewellRequest(self.worker, why))
        deadline = time.monotonic() + LAST_LIMIT_S
        for slot in slots:
            slot.join(max(0.0, deadline - time.monotonic()))  # one of them may hang in a call that is not answered
        self._platform.close()
        self._clear_place()

    def _is_told_again(self) -> bool:
        return not self._orders.empty() and bool(self._orders.get())

    def _clear_place(self) -> None:
        if self._spool.is_empty():
            self._place.remove()
            return
        self._place.clear()
        self._place.unlock()
        self._say(
            f"Results that the server does not have yet stay in {self._place.path}. "
            f"The next worker that is started with -wd {self._place.parent} on this host delivers them."
        )

    def _deliver_leftovers(self) -> None:
        deliver_leftovers(self._place, self._connection, self._say)


def _margin_s(left_s: float) -> float:
    """How many seconds before the end of its time a worker leaves; so much less it offers for jobs."""
    return min(LEAVE_BEFORE_END_S, left_s / 10)


_by_version = cmp_to_key(compare_versions)


def best_program(programs: list[Found], description: JobDescription) -> Found | None:
    """Return the newest program that a job may be run with, or None."""
    fitting = [
        found
        for found in programs
        if found.executable.name == description.executable and is_in_range(found.version, description.versions)
    ]
    return max(fitting, key=lambda found: _by_version(found.version), default=None)
