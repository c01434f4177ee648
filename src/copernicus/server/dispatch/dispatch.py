"""Dispatch: what workers say, and what follows: leases, heartbeats, reports, loss. Decided at once, answered when durable."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from functools import partial
from typing import Any

import msgspec
from msgspec.structs import replace

from copernicus.errors import Refused, UsageError
from copernicus.model.jobs import LeasedJob, Report, StopReason
from copernicus.server.access.identity import Identity, unknown_project
from copernicus.server.dispatch import outcomes
from copernicus.server.dispatch.checkpoints import Checkpoints
from copernicus.server.dispatch.losses import lose, take_back
from copernicus.server.dispatch.polls import Poll, Polls
from copernicus.server.dispatch.streams import Streams
from copernicus.server.dispatch.views import JobViews, Names
from copernicus.server.dispatch.workers import Worker, Workers, programs
from copernicus.server.scheduling.matching import match
from copernicus.server.storage.abc import BookStore, JobEnds, JobRecord, RememberAnswer, Unit
from copernicus.wire import messages as m

MOST_JOBS = 256
INLINE_LIMIT_BYTES = 64 * 1024
LOST_KEPT_S = 600.0
_FILE_KINDS = ("file", "files")
_log = logging.getLogger(__name__)


class _Answer(msgspec.Struct, frozen=True):
    """What is remembered of the answer to an exchange; the jobs themselves stand in the book."""

    leases: list[tuple[int, int]]
    verdicts: list[m.Verdict]


class Dispatch:
    """Leases of one server. Belongs to one event loop; every method decides without waiting and answers when durable.

    `ends` (the projects' room) is set before the first request; `has_blob` says whether a whole blob is here; `names`
    lists the projects, `name_of` gives the name of one; `when_broken` is called when a decision failed half-way: memory
    is then to be read again from the store.
    """

    ends: JobEnds

    def __init__(
        self,
        *,
        store: BookStore,
        names: Names,
        name_of: Callable[[str], str],
        has_blob: Callable[[str], bool],
        clock: Callable[[], float],
        monotonic: Callable[[], float],
        heartbeat_s: float = 120.0,
    ) -> None:
        self._store, self._has_blob, self._names, self._name_of = store, has_blob, names, name_of
        self._clock, self._monotonic = clock, monotonic
        self.heartbeat_s = heartbeat_s
        self.workers = Workers(monotonic, heartbeat_s)
        self.jobs = JobViews(store, self.workers, names, clock, monotonic)
        self.jobs.when_queued = self._queued
        self.checkpoints = Checkpoints(store, self.jobs, has_blob, clock, self.deciding, self._glimpsed)
        self.streams = Streams(store, self.jobs, self.workers, has_blob, monotonic)
        self.when_broken: Callable[[Exception], None] = lambda error: None
        self._polls = Polls()
        self._awaited: set[str] = set()
        self._ticked_at, self._is_reading = monotonic(), False

    def load(self) -> None:
        """Read the job book from the store, at the start and after a refusal. Leases get their whole time again."""
        self._polls.end_all()
        for worker in self.workers:
            worker.leases.clear()
        self.jobs.load()
        self.jobs.queue.reservations.when_released = self._released
        for job in self.jobs.open_jobs():
            if job.state == "leased":
                self.workers.restore(job, is_alone=job.lost_workers >= outcomes.LOST_WORKERS_ALONE)
        self.workers.renew_all()

    def fence(self) -> None:
        """End the attempts that stand in a restored book as under way: who had them may be anywhere by now."""
        unit = Unit()
        with self.deciding():
            for job in [job for job in self.jobs.open_jobs() if job.state == "leased"]:
                if job.attempt <= self.jobs.attempt_floor:
                    again = outcomes.interrupted(job, self._clock(), "restored", "the server was restored from a backup")
                    self.end(unit, job, outcomes.Ended(again), {})
        if unit.changes:
            self._store.submit(unit)

    def close(self) -> None:
        """Answer all who wait."""
        self._polls.end_all()
        self.streams.close()

    # --- what workers say

    def announce(self, request: m.AnnounceRequest, identity: Identity) -> m.AnnounceReply:
        """A worker introduces itself.

        Raise `NotAllowed` when its id came with another bundle, `UsageError` for nonsense, `UnknownPath` when the project
        that it is reserved for does not exist.
        """
        offer = request.offer
        if not offer.worker or offer.cores < 1 or (offer.cores_per_job is not None and offer.cores_per_job < 1):
            raise UsageError("A worker must have an id and at least one core.")
        if offer.project is not None:
            names = {row.name for row in self._names()}
            if offer.project not in names or not identity.may_see(offer.project):
                raise unknown_project(offer.project)
        reply = m.AnnounceReply(self.heartbeat_s, INLINE_LIMIT_BYTES)
        if self.workers.has_parted(offer.worker):  # it was asked to, while its last word was on its way
            return reply
        worker = self._heard(offer.worker, identity)
        if worker.offer != offer:
            _log.info("worker %s on %s: %d cores, %s", offer.worker, offer.hostname, offer.cores, programs(offer.executables))
        worker.introduce(offer, identity.projects, self._monotonic())
        return reply

    async def exchange(
        self, request: m.ExchangeRequest, identity: Identity, is_open: Callable[[], bool] = lambda: True
    ) -> m.ExchangeReply:
        """Take reports and give jobs, in one unit; without either, wait for a job up to `wait_s` (see the message).

        `is_open` says whether the worker's connection still stands. Raise `NotAllowed`, `NoSpace`, `Unavailable`.
        """
        worker = self._heard(request.worker, identity)
        remembered = self._store.answer(request.request_id, identity.key) if request.request_id else None
        if remembered is not None:
            reply = self._again(worker, msgspec.json.decode(remembered, type=_Answer))
            await self._store.submit(Unit())
            return reply
        poll = self._polls.of(worker.name)
        if poll is not None and request.request_id and poll.request.request_id == request.request_id:
            self._polls.end(poll)  # the same request again: one of the two is given something
        unit = Unit()
        with self.deciding():
            verdicts = [self._accept(unit, worker, report) for report in request.reports]
            reply = self._reply(unit, worker, request, verdicts)
        if request.reports or reply.jobs or reply.is_unknown_worker or request.wait_s <= 0:
            await self._store.submit(unit)
            return reply
        return await self._wait(worker, request, is_open)

    async def heartbeat(self, request: m.HeartbeatRequest, identity: Identity) -> m.HeartbeatReply:
        """Renew leases; the answer names the jobs that the worker shall stop. Nothing of this is stored."""
        worker = self._heard(request.worker, identity)
        worker.beat_at = self._monotonic()
        why: dict[int, StopReason] = {}
        for beat in request.beats:
            is_current = self.workers.beat(worker, beat.job, beat.attempt, beat.progress)
            job = self.jobs.get(beat.job)
            if not is_current or job is None or job.is_superseded:
                why[beat.job] = "unwanted"
            elif job.stop:
                why[beat.job] = job.stop
        if why:
            await self._store.submit(Unit())  # a job is not stopped for a change that may not come to be
        return m.HeartbeatReply(list(why), self.heartbeat_s, worker.offer is None, why)

    async def farewell(self, request: m.FarewellRequest, identity: Identity) -> m.Done:
        """A worker ends: what it still had goes back to the queue, and that counts against nobody."""
        worker = self._heard(request.worker, identity)
        unit = Unit()
        with self.deciding():
            for job in self._leased_to(worker):
                self.end(unit, job, outcomes.Ended(outcomes.interrupted(job, self._clock(), "worker left")), {})
        _log.info("worker %s on %s left: %s", worker.name, worker.hostname, request.why or "no reason given")
        self._polls.end_of(worker.name)  # its connection may look open for long
        self.workers.part(worker.name)
        self.jobs.queue.reservations.release_worker(worker.name)
        await self._store.submit(unit)
        return m.Done()

    def wake(self, worker: str) -> None:
        """Answer what a worker waits for, with nothing, so that it may look elsewhere."""
        self._polls.end_of(worker)

    # --- silence

    def tick(self) -> None:
        """Called every few seconds: put the jobs of silent workers back. After a pause of this very process, wait first."""
        now = self._monotonic()
        pause_s, self._ticked_at = now - self._ticked_at, now
        if pause_s > self.heartbeat_s / 2:
            _log.warning("the server stood still for %.0f s; every lease gets its whole time again", pause_s)
            self.workers.renew_all()
            return
        # After a shorter one, too, what was sent meanwhile is read first; but not for ever, should every look come late.
        self._is_reading = pause_s > self.heartbeat_s / 10 and not self._is_reading
        if self._is_reading:
            return
        unit = Unit()
        with self.deciding():
            for worker in self.workers.silent():
                _log.warning("worker %s on %s is lost, with %d jobs", worker.name, worker.hostname, len(worker.leases))
                jobs = self._leased_to(worker)
                for job, ended in lose(unit, self.jobs, worker, jobs, self.heartbeat_s, self._clock(), now):
                    self.end(unit, job, ended, {})
                worker.leases.clear()
            for worker, number in self.workers.unclaimed():
                if (unclaimed := self.jobs.get(number)) is None:
                    worker.leases.pop(number)  # its project is gone, and its programs are
                else:
                    _log.warning("worker %s does not have job %d", worker.name, number)
                    again = outcomes.interrupted(unclaimed, self._clock(), "not claimed")
                    self.end(unit, unclaimed, outcomes.Ended(again), {})
        self.workers.drop_long_lost(LOST_KEPT_S)
        self.streams.forget_unfollowed()
        if unit.changes:
            self._store.submit(unit)

    # --- inside

    @contextmanager
    def deciding(self, unit: Unit | None = None) -> Iterator[None]:
        """Tell of a decision that broke off half-way: what is in memory counts no more then.

        A refusal before anything is in `unit` breaks nothing off.
        """
        try:
            yield
        except Exception as error:
            if unit is None or unit.changes or not isinstance(error, Refused):
                self.when_broken(error)
            raise

    def _heard(self, name: str, identity: Identity) -> Worker:
        """A worker has spoken: it lives."""
        worker = self.workers.heard(name, identity.key)
        worker.projects = identity.projects  # what its bundle reaches may have changed since it introduced itself
        if worker.lost_with:
            unit = Unit()
            with self.deciding():
                take_back(unit, self.jobs, worker)
            if unit.changes:
                self._store.submit(unit)
        return worker

    def _leased_to(self, worker: Worker) -> list[JobRecord]:
        jobs = (self.jobs.get(number) for number in worker.leases)
        return [job for job in jobs if job is not None]

    def _accept(self, unit: Unit, worker: Worker, report: Report) -> m.Verdict:
        job = self.jobs.get(report.job)
        if job is None:
            worker.leases.pop(report.job, None)  # its project is gone, and now its programs are
        if job is None or job.state != "leased" or job.attempt != report.attempt or job.worker != worker.name:
            return m.Verdict(report.job, report.attempt, "stale")
        missing, why = self._missing_blob(job, report), ""
        if missing:  # the worker drops a refused report, so the attempt ends with it
            why = f"The file {missing} that the report names has not been received."
            report = replace(report, outcome="retry", error=why, outputs={}, checkpoint=())
        ended = outcomes.reported(job, report, self._clock())
        if outcomes.is_suspicion(ended.job):
            self.jobs.hosts.hold_against(unit, worker.hostname, worker.name, (job.id,), f"job {job.id}: {report.error}")
        self.end(unit, job, ended, report.outputs)
        return m.Verdict(report.job, report.attempt, "refused" if missing else "accepted", why)

    def end(self, unit: Unit, before: JobRecord, ended: outcomes.Ended, outputs: dict[str, Any]) -> None:
        """The current attempt of `before` is over: the book, and the project that the job belongs to, follow."""
        self.workers.release(before)
        job = ended.job
        self.jobs.put(unit, job)
        self.jobs.hosts.follow(unit, job, job.attempts[-1].hostname if job.attempts else "")
        self.jobs.hand_on(unit, job)
        if job.state == "done":
            refusal = self.ends.job_finished(unit, job, outputs, outcomes.spent_core_s(job))
            if refusal:
                self.jobs.put(unit, replace(job, state="failed", why=refusal))
        elif job.state == "failed":
            self.ends.job_failed(unit, job, ended.error or job.why, outcomes.spent_core_s(job))

    def _glimpsed(self, unit: Unit, job: JobRecord) -> None:
        self.ends.job_glimpsed(unit, job)

    def _missing_blob(self, job: JobRecord, report: Report) -> str:
        """The first file that the report speaks of and that is not here, "" when all are."""
        blobs = [staged.file.blob for staged in report.checkpoint]
        for name, output in job.description.outputs.items():
            value = report.outputs.get(name)
            if output.kind in _FILE_KINDS and value is not None:
                files = value if isinstance(value, list) else [value]
                blobs += [str(file.get("blob", "")) if isinstance(file, Mapping) else "" for file in files]
        return next((blob or "without a name" for blob in blobs if not blob or not self._has_blob(blob)), "")

    def _reply(self, unit: Unit, worker: Worker, request: m.ExchangeRequest, verdicts: list[m.Verdict]) -> m.ExchangeReply:
        """Give jobs for what is free, and remember the answer when it has an effect."""
        jobs = self._give(unit, worker, request)
        if unit.changes and request.request_id:
            answer = _Answer([(job.job, job.attempt) for job in jobs], verdicts)
            unit.add(RememberAnswer(request.request_id, worker.bundle, msgspec.json.encode(answer), self._clock()))
        return m.ExchangeReply(jobs, [], verdicts, is_unknown_worker=worker.offer is None)

    def _give(self, unit: Unit, worker: Worker, request: m.ExchangeRequest) -> list[LeasedJob]:
        if worker.offer is None or request.free_cores < 1 or request.most_jobs < 1 or not len(self.jobs.queue):
            return []
        view = self.jobs.view(worker, request.free_cores)
        if view is None:
            return []
        given, now = list[LeasedJob](), self._clock()
        for assignment in match(self.jobs.queue, view, min(request.most_jobs, MOST_JOBS), self.jobs.running_cores):
            job = self.jobs.get(assignment.job)
            if job is None:
                continue
            leased = outcomes.leased(job, worker.offer, worker.bundle, assignment.cores, now, self.jobs.attempt_floor)
            worker.reads(self.jobs.waiting(job).blobs)
            self.jobs.put(unit, leased)
            self.workers.lease(worker, leased, is_alone=job.lost_workers >= outcomes.LOST_WORKERS_ALONE)
            given.append(self._leased_job(leased))
        return given

    def _leased_job(self, job: JobRecord) -> LeasedJob:
        return LeasedJob(
            job.id, job.attempt, self._name_of(job.project), job.path, job.description, job.cores, job.checkpoint,
            job.program_failures,
        )  # fmt: skip

    def _again(self, worker: Worker, answer: _Answer) -> m.ExchangeReply:
        """The same answer once more; what was given then and is over since is left out."""
        current = []
        for number, attempt in answer.leases:
            job = self.jobs.get(number)
            if job is not None and job.state == "leased" and job.attempt == attempt and job.worker == worker.name:
                current.append(self._leased_job(job))
        return m.ExchangeReply(current, [], answer.verdicts, is_unknown_worker=worker.offer is None)

    # --- long polls

    async def _wait(self, worker: Worker, request: m.ExchangeRequest, is_open: Callable[[], bool]) -> m.ExchangeReply:
        loop = asyncio.get_running_loop()
        poll = Poll(worker, request, loop.create_future(), is_open)
        self._polls.add(poll)
        timer = loop.call_later(min(request.wait_s, self.heartbeat_s / 2), self._polls.end, poll)
        try:
            return await poll.future
        finally:
            timer.cancel()
            self._polls.remove(poll)

    def _queued(self, executable: str) -> None:
        """A job waits for `executable`: see to the polls, once, after the request in hand has been served."""
        if not len(self._polls):
            return
        if not self._awaited:
            asyncio.get_running_loop().call_soon(self._serve_polls)
        self._awaited.add(executable)

    def _released(self, worker: str) -> None:
        """A worker gathers cores for a job no more: what it has free may be what others wait for."""
        poll = self._polls.of(worker)
        if poll is not None:
            asyncio.get_running_loop().call_soon(self._serve_again, poll)

    def serve_host(self, host: str) -> None:
        """The workers on a host get jobs again, or no more: see to those that wait for some."""
        for worker in self.workers:
            if worker.hostname == host:
                self.jobs.queue.reservations.release_worker(worker.name)
                self._released(worker.name)

    def _serve_again(self, poll: Poll) -> None:
        if self._polls.of(poll.worker.name) is poll and poll.is_open():
            self._serve(poll)

    def _serve_polls(self) -> None:
        awaited, self._awaited = self._awaited, set()
        for executable in awaited:
            for poll in self._polls.for_executable(executable):
                if not any(self.jobs.queue.lanes(executable)):
                    break
                if poll.is_open():
                    self._serve(poll)
                else:
                    self._polls.remove(poll)

    def _serve(self, poll: Poll) -> None:
        unit = Unit()
        with self.deciding():
            reply = self._reply(unit, poll.worker, poll.request, [])
        if reply.jobs:
            self._polls.remove(poll)
            self._store.submit(unit).add_done_callback(partial(poll.answer, reply))
