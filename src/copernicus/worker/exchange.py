"""Reports go out and jobs come in: one request for both, repeated with the same id until it is answered."""

from __future__ import annotations

import contextlib
import threading
import time
import uuid
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Protocol

import msgspec

from copernicus.errors import CopernicusError, CorruptData, InternalError
from copernicus.wire.messages import ExchangeReply, ExchangeRequest, InlineBlob
from copernicus.worker.desk import Ask, Desk
from copernicus.worker.partition import BATCH
from copernicus.worker.pauses import PASSING, Pause
from copernicus.worker.shelf import Shelf
from copernicus.worker.spool import Spool
from copernicus.worker.workload import Ended

POLL_S, SHORT_POLL_S = 30.0, 2.0
SPOOL_ABOVE_S = 1.0
MOST_INLINE_BYTES = 8 * 1024**2
MOST_FAULTS = 10


class Caller(Protocol):
    """The seam to the server: one method. `copernicus.net.caller.Caller` is one."""

    def call(self, request: Any) -> Any:
        """Return the reply to a message, or raise a `CopernicusError`."""
        ...


@dataclass
class Pending:
    """A request that has not been answered: sent again as it is, with the same id."""

    request: ExchangeRequest
    ask: Ask
    packed: list[Ended]
    faults: int = 0


class Exchange:
    """Sends results and fetches jobs.

    A slot's thread does the exchange itself when one is due (`after_job`); when the server does not answer, the
    `courier` thread goes on with it while slots work off what is in hand. `poller` is a second thread with a connection
    of its own, whose request waits at the server while cores are free.
    """

    def __init__(
        self,
        worker: str,
        desk: Desk,
        spool: Spool,
        shelf: Shelf,
        connect: Callable[[], Caller],
        announce: Callable[[], None],
        say: Callable[[str], None],
    ) -> None:
        self._worker = worker
        self._desk = desk
        self._spool = spool
        self._shelf = shelf
        self._caller = connect()
        self._poll_caller = connect()
        self._announce = announce
        self._say = say
        self._turn = threading.Lock()
        self._disk = threading.Lock()
        self._pending: Pending | None = None
        self._refused: set[tuple[int, int]] = set()
        self._is_away = False
        self._needed = threading.Event()
        self._courier_pause = Pause()
        self._poll_pause = Pause()
        self._over = threading.Event()
        self._told_waiting_at = -1.0

    # --- slots and courier: short exchanges ---

    def secure(self, ended: Ended) -> None:
        """Put a result on disk if it was expensive; to be called before it is on the desk."""
        if ended.report.wall_s >= SPOOL_ABOVE_S or ended.parcel.large:
            self._write(ended)

    def after_job(self) -> None:
        """A result is on the desk: report it if that is due."""
        while not self._is_away and (self._desk.is_due() or self._pending) and self._turn.acquire(blocking=False):
            try:
                is_answered = self._round()
            finally:
                self._turn.release()
            if not is_answered:
                break
        if self._is_away:
            self._needed.set()

    def nudge(self) -> None:
        """Something is on the desk that no slot will report: the courier shall see to it."""
        if self._desk.is_due():
            self._needed.set()

    def courier(self) -> None:
        """In a thread of its own: repeat what was not answered, until `close`."""
        while not self._over.is_set():
            self._needed.wait()
            if self._over.is_set():
                return
            with self._turn:
                is_answered = self._round() if self._pending or self._desk.is_due() else True
            if is_answered and not self._desk.is_due():
                self._needed.clear()
            if not is_answered:
                self._courier_pause.sleep()

    def flush(self, limit_s: float) -> bool:
        """Report all that is left; return whether the server has everything. For the end, when nothing runs any more."""
        deadline = time.monotonic() + limit_s
        while self._desk.has_results() and time.monotonic() < deadline:
            self._courier_pause.wake()
            self._needed.set()
            if self._turn.acquire(timeout=max(0.0, deadline - time.monotonic())):
                try:
                    is_answered = self._round() if self._pending or self._desk.is_due() else False
                finally:
                    self._turn.release()
                if not is_answered:
                    time.sleep(min(0.1, limit_s))  # uploads go on, or the server is away
        return not self._desk.has_results()

    def close(self) -> None:
        """End the threads; what is not accepted goes to disk."""
        self._over.set()
        self._secure_all()
        for pause in (self._courier_pause, self._poll_pause):
            pause.wake()
        self._needed.set()
        interrupt = getattr(self._poll_caller, "interrupt", None)
        if interrupt is not None:
            interrupt()

    def _round(self) -> bool:
        """Send the pending request, or a new one; return whether it was answered. The caller has the turn."""
        if self._pending is None:
            self._pending = self._composed()
        pending = self._pending
        try:
            reply = self._caller.call(pending.request)
        except PASSING as error:
            self._lost(error)
            return False
        except CopernicusError as error:
            # a mistake of the server, or data of its own that it cannot read
            if isinstance(error, (InternalError, CorruptData)) and pending.faults < MOST_FAULTS:
                pending.faults += 1
                self._lost(error)
                return False
            self._pending = None
            self._set_apart(pending, error)
            return True
        self._pending = None
        self._answered()
        self._take_in(pending, reply)
        return True

    def _composed(self) -> Pending:
        most = 1 if self._refused else 2 * BATCH
        ask = self._desk.ask()  # before packing: the poller asks for the same cores once there is nothing to report
        return self._request(self._desk.pack(most, MOST_INLINE_BYTES), ask, 0.0)

    def _request(self, packed: list[Ended], ask: Ask, wait_s: float) -> Pending:
        inline = {blob: data for ended in packed for blob, data in ended.parcel.inline.items()}
        request = ExchangeRequest(
            self._worker,
            ask.cores,
            ask.jobs,
            [ended.report for ended in packed],
            [InlineBlob(blob, data) for blob, data in inline.items()],
            wait_s,
            uuid.uuid4().hex,
        )
        return Pending(request, ask, packed)

    def _take_in(self, pending: Pending, reply: ExchangeReply) -> None:
        for blob in reply.blobs:
            self._shelf.remember(blob.blob, blob.data)
        for verdict in reply.verdicts:
            if verdict.verdict == "refused":
                self._say(f"The result of job {verdict.job} was refused: {verdict.why}")
            self._drop(verdict.job, verdict.attempt)
        count = self._desk.settle(pending.ask, reply.jobs)
        self._desk.unpack(pending.packed)  # what got no verdict is sent again
        if count or not (pending.packed or pending.request.wait_s):
            self._say(f"Got {count} job{'s' if count != 1 else ''}.")
        if reply.is_unknown_worker:
            try:
                self._announce()
            except CopernicusError as error:  # the next answer will ask again
                self._lost(error)
                self._poll_pause.sleep()

    def _drop(self, job: int, attempt: int) -> None:
        """The server is done with a result. First from the disk: what is off the desk counts as delivered."""
        with self._disk:
            with contextlib.suppress(OSError):  # delivered again after this worker, it would be one result too many: stale
                self._spool.remove(job, attempt)
            ended = self._desk.accept(job, attempt)
        self._refused.discard((job, attempt))
        for file in ended.parcel.large if ended else ():
            self._shelf.unpin(file.blob)

    def _set_apart(self, pending: Pending, error: CopernicusError) -> None:
        """The server can do nothing with a request: find the report that it is about, and report that instead."""
        self._desk.settle(pending.ask, [])
        keys = {(ended.report.job, ended.report.attempt) for ended in pending.packed}
        if len(pending.packed) != 1:
            self._refused |= keys  # each is sent alone from now on
            self._desk.unpack(pending.packed)
            if not pending.packed:
                self._lost(error)
            return
        report = pending.packed[0].report
        if keys <= self._refused and report.outcome == "failed" and not report.outputs:
            self._say(f"The server does not take the result of job {report.job}: {error}")
            self._drop(report.job, report.attempt)
            return
        self._refused |= keys
        why = f"The server does not take the result: {error.message}"
        short = msgspec.structs.replace(report, outcome="failed", error=why, outputs={}, checkpoint=())
        self._desk.replace(Ended(short))

    def _secure_all(self) -> None:
        """Put everything on disk that is on the desk; what is being accepted meanwhile must not come back there."""
        with self._disk:
            for ended in self._desk.results():
                self._write(ended)

    def _write(self, ended: Ended) -> None:
        try:
            self._spool.write(ended)
        except (OSError, CopernicusError) as error:
            self._say(f"The result of job {ended.report.job} cannot be put on disk, it is kept in memory: {error}")

    def _lost(self, error: CopernicusError) -> None:
        if not self._is_away:
            self._is_away = True
            self._say(f"{error.message} Running jobs go on; results are kept until the server has them.")
        self._secure_all()

    def _answered(self) -> None:
        if self._is_away:
            self._is_away = False
            self._say("The server answers again.")
            self._poll_pause.reset()
        self._courier_pause.reset()

    # --- poller ---

    def poller(self) -> None:
        """In a thread of its own: while cores are free, keep a request waiting at the server, until `close`."""
        wait_s = 0.0  # the first one, so that people see at once what there is
        while self._desk.wait_idle() and not self._over.is_set():
            ask = self._desk.ask()
            if ask.cores <= 0:
                continue
            if wait_s:
                self._tell_waiting()
                # One that offers only some of the cores is renewed soon, so that wide jobs hear of those freed later.
                wait_s = POLL_S if ask.cores >= self._desk.cores else SHORT_POLL_S
            self._poll(self._request([], ask, wait_s))
            wait_s = POLL_S

    def _poll(self, pending: Pending) -> None:
        while not self._over.is_set():
            try:
                reply = self._poll_caller.call(pending.request)
            except CopernicusError as error:
                if self._over.is_set():
                    return
                if isinstance(error, PASSING):
                    self._lost(error)
                else:
                    self._say(f"The server gives no jobs: {error}")
                self._poll_pause.sleep()
                continue
            self._poll_pause.reset()
            self._take_in(pending, reply)
            if self._is_away:
                self._answered()
                self._needed.set()
                self._courier_pause.wake()
            return

    def _tell_waiting(self) -> None:
        now = time.monotonic()
        if self._desk.is_all_idle() and (self._told_waiting_at < 0 or now - self._told_waiting_at > POLL_S):
            self._told_waiting_at = now
            self._say("Have free resources. Waiting for jobs.")
