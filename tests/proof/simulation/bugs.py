"""Bugs planted into server, worker and client, each by replacing one function, and the invariants by which each is found."""

from __future__ import annotations

from contextlib import AbstractContextManager
from typing import Any, NamedTuple
from unittest.mock import patch

from msgspec.structs import replace
from tests.proof.early import Plant, acknowledge_before_commit

from copernicus.client.project import Transaction
from copernicus.errors import Unavailable
from copernicus.model.jobs import Report
from copernicus.server.dispatch import outcomes
from copernicus.server.dispatch.book import Jobs
from copernicus.server.dispatch.dispatch import Dispatch
from copernicus.server.dispatch.workers import Worker, Workers
from copernicus.server.storage.abc import JobRecord, PutJob, Unit
from copernicus.server.storage.memory import MemoryBook
from copernicus.wire import messages as m


def accept_without_the_attempt_check() -> AbstractContextManager[Any]:
    """A report counts as long as somebody has the job."""
    accept = Dispatch._accept

    def anyway(self: Dispatch, unit: Unit, worker: Worker, report: Report) -> m.Verdict:
        job = self.jobs.get(report.job)
        if job is None or job.state != "leased":
            return accept(self, unit, worker, report)
        self.end(unit, job, outcomes.reported(job, report, self._clock()), report.outputs)
        return m.Verdict(report.job, report.attempt, "accepted")

    return patch.object(Dispatch, "_accept", anyway)


def attempt_reset_on_restart() -> AbstractContextManager[Any]:
    """Attempts are counted in memory: after a restart they begin anew."""
    load = Jobs.load

    def forget(self: Jobs) -> None:
        load(self)
        for number, job in self._open.items():
            if job.state != "leased":
                self._open[number] = replace(job, attempt=0)

    return patch.object(Jobs, "load", forget)


def lease_on_the_wall_clock() -> AbstractContextManager[Any]:
    """Silence is measured with the clock that people set."""
    make = Dispatch.__init__

    def begin(self: Dispatch, **given: Any) -> None:
        make(self, **{**given, "monotonic": given["clock"]})

    return patch.object(Dispatch, "__init__", begin)


def heartbeat_extends_a_superseded_lease() -> AbstractContextManager[Any]:
    """A sign of life renews the lease of a job, whatever attempt it is about."""
    beat = Workers.beat

    def renew(self: Workers, worker: Worker, job: int, attempt: int, progress: str) -> bool:
        lease = worker.leases.get(job)
        return beat(self, worker, job, attempt if lease is None else lease.attempt, progress)

    return patch.object(Workers, "beat", renew)


def downstream_fired_outside_the_transaction() -> AbstractContextManager[Any]:
    """What follows from a result is written down a moment after it."""
    end = Dispatch.end

    def later(self: Dispatch, unit: Unit, before: JobRecord, ended: outcomes.Ended, outputs: dict[str, Any]) -> None:
        job = ended.job
        if job.state != "done":
            return end(self, unit, before, ended, outputs)
        self.workers.release(before)
        self.jobs.put(unit, job)
        self.jobs.hand_on(unit, job)

        def fire() -> None:
            then = Unit()
            self.ends.job_finished(then, job, outputs, outcomes.spent_core_s(job))
            self._store.submit(then)

        unit.then(fire)
        return None

    return patch.object(Dispatch, "end", later)


def idempotency_pruned_early() -> AbstractContextManager[Any]:
    """An answer is forgotten as soon as it is durable."""

    def only_new(self: MemoryBook, request_id: str, who: str) -> bytes | None:
        return self._answers.get((request_id, who))

    return patch.object(MemoryBook, "answer", only_new)


def retry_without_request_id() -> AbstractContextManager[Any]:
    """A client that lost the answer sends the same edits as a new request."""
    commit = Transaction.commit

    def anew(self: Transaction) -> m.ApplyReply | None:
        try:
            return commit(self)
        except Unavailable:
            self._request_id += "+"
            raise

    return patch.object(Transaction, "commit", anew)


def reaper_before_drain_after_a_pause() -> AbstractContextManager[Any]:
    """A server that stood still gives workers up before it has read what they have sent meanwhile."""
    tick = Dispatch.tick

    def at_once(self: Dispatch) -> None:
        self._ticked_at = self._monotonic()
        tick(self)

    return patch.object(Dispatch, "tick", at_once)


def crash_counter_not_persisted() -> AbstractContextManager[Any]:
    """How many workers a job has cost is known in memory only."""
    put = Jobs.put

    def bare(self: Jobs, unit: Unit, job: JobRecord) -> None:
        put(self, unit, job)
        (place,) = [index for index, change in enumerate(unit.changes) if isinstance(change, PutJob) and change.job is job]
        unit.changes[place] = PutJob(replace(job, lost_workers=0))

    return patch.object(Jobs, "put", bare)


class Planted(NamedTuple):
    """How a bug is planted, the invariants by which it must be found, one of them first of all, and what brings it to light."""

    plant: Plant
    names: set[str]
    often: tuple[str, ...] = ()


PLANTS = {
    "accept without the attempt check": Planted(accept_without_the_attempt_check, {"I4"}, ("stop_worker", "cut")),
    "attempt reset on restart": Planted(attempt_reset_on_restart, {"I4"}, ("kill_server", "kill_worker")),
    "lease on the wall clock": Planted(lease_on_the_wall_clock, {"I12"}, ("jump", "kill_worker")),
    "heartbeat extends a superseded lease": Planted(heartbeat_extends_a_superseded_lease, {"I4"}, ("stop_worker", "cut")),
    "downstream fired outside the transaction": Planted(downstream_fired_outside_the_transaction, {"I2"}),
    "idempotency pruned early": Planted(idempotency_pruned_early, {"I5"}, ("storm",)),
    "retry without request id": Planted(retry_without_request_id, {"I5"}, ("storm", "kill_at_commit")),
    "reaper before drain after a pause": Planted(reaper_before_drain_after_a_pause, {"I12"}, ("stop_server",)),
    "crash counter not persisted": Planted(crash_counter_not_persisted, {"P9"}, ("kill_worker",)),
    "acknowledge before commit": Planted(acknowledge_before_commit, {"I1"}),
}
