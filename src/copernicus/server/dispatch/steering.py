"""What people do to single jobs: stop one, give it a fresh start, declare an attempt lost. Durable before it is answered."""

from __future__ import annotations

import logging
from collections.abc import Callable

from msgspec.structs import replace

from copernicus.errors import Refused
from copernicus.model.jobs import OPEN_STATES
from copernicus.server.access.identity import unknown_project
from copernicus.server.dispatch import outcomes
from copernicus.server.dispatch.dispatch import Dispatch
from copernicus.server.dispatch.views import unknown_job
from copernicus.server.storage.abc import BookStore, JobRecord, RememberAnswer, Unit
from copernicus.wire import messages as m
from copernicus.wire.codec import decode, encode

Decision = Callable[[Unit, JobRecord, str], str]
"""Changes one job for a person, in a unit, and says in a sentence what follows."""
_log = logging.getLogger(__name__)


class Steering:
    """Acts on the job book for people. Belongs to the event loop of `dispatch`; `clock` is the wall clock."""

    def __init__(self, dispatch: Dispatch, store: BookStore, clock: Callable[[], float]) -> None:
        self._dispatch, self._store, self._clock = dispatch, store, clock

    async def stop(self, request: m.StopJobRequest, who: str) -> m.Done:
        """End a job as failed, its checkpoint kept; one that a worker has when the worker has heard of it."""
        return await self._do(request, who, self._stop, self._would_stop)

    async def rerun(self, request: m.RerunJobRequest, who: str) -> m.Done:
        """Give a job a fresh budget of attempts; one that failed is queued again, from its last checkpoint."""
        return await self._do(request, who, self._rerun, self._would_rerun)

    async def command_failed(self, request: m.CommandFailedRequest, who: str) -> m.Done:
        """The attempt under way counts as lost: the job is queued again, and what the attempt may still say counts no more."""
        return await self._do(request, who, self._command_failed, self._would_fail)

    async def _do(self, request: m.JobCommand, who: str, decide: Decision, foresee: Callable[[JobRecord], str]) -> m.Done:
        """Find the job, change it, remember the answer; or say what would be. Raise `UnknownPath` or `Refused`."""
        remembered = self._store.answer(request.request_id, who) if request.request_id else None
        if remembered is not None:
            await self._store.submit(Unit())
            return decode(remembered, m.Done)
        job, unit = self._find(request), Unit()
        would = foresee(job)
        if request.is_check:
            await self._store.submit(Unit())
            return m.Done(would)
        with self._dispatch.deciding(unit):
            done = m.Done(decide(unit, job, who))
        _log.info("job %d: %s (%s)", job.id, done.note, who)
        if request.request_id:
            unit.add(RememberAnswer(request.request_id, who, encode(done), self._clock()))
        await self._store.submit(unit)
        return done

    def _find(self, request: m.JobCommand) -> JobRecord:
        ids = [row.id for row in self._dispatch.jobs.names() if row.name == request.project]
        if not ids:
            raise unknown_project(request.project)
        job = self._dispatch.jobs.record(request.job)
        if job is None or job.project != ids[0]:
            raise unknown_job(request.job)
        return job

    def _would_stop(self, job: JobRecord) -> str:
        if job.is_superseded:
            raise Refused(f"Job {job.id} is being stopped already: nobody wants it any more.")
        if job.state not in OPEN_STATES:
            raise Refused(f"Job {job.id} is {job.state}: there is nothing to stop.")
        asked = f"would be asked to stop within {self._heard_s:.0f} s, and then end" if job.state == "leased" else "would end"
        return f"Job {job.id} {asked} as failed; its last checkpoint stays, and {job.path} would be in error."

    def _stop(self, unit: Unit, job: JobRecord, who: str) -> str:
        jobs = self._dispatch.jobs
        if job.state == "leased":
            jobs.put(unit, replace(job, stop="stopped", stopped_by=who))
            return f"Job {job.id} is asked to stop; its worker hears of it within {self._heard_s:.0f} s."
        stopped = outcomes.stopped(job, who)
        jobs.put(unit, stopped)
        self._dispatch.ends.job_failed(unit, stopped, stopped.why, outcomes.spent_core_s(stopped))
        return f"Job {job.id} is stopped."

    @property
    def _heard_s(self) -> float:
        """How long it takes at most until a worker hears of an order."""
        return self._dispatch.heartbeat_s / 3

    def _would_rerun(self, job: JobRecord) -> str:
        if job.state == "done":
            raise Refused(f"Job {job.id} is done.", f"To do its work anew, from nothing: cpcc force-rerun {job.path}")
        if job.state == "cancelled" or job.is_superseded:
            raise _unwanted(job)
        again = ""
        if job.state == "failed":
            again = f" and be queued again, from {'its last checkpoint' if job.checkpoint else 'the beginning'}"
        return f"Job {job.id} would have a fresh budget of attempts{again}."

    def _rerun(self, unit: Unit, job: JobRecord, who: str) -> str:
        jobs = self._dispatch.jobs
        if job.state == "failed":
            if not self._dispatch.ends.job_rerun(unit, job, who):
                raise _unwanted(job)
        else:
            stop = "" if job.stop == "stopped" else job.stop
            jobs.put(unit, replace(job, stop=stop, stopped_by="", program_failures=0, lost_workers=0, overtimes=0))
        again = jobs.record(job.id) or job
        where = ", from its last checkpoint" if again.state != "leased" and again.checkpoint else ""
        return f"Job {job.id} has a fresh budget of attempts and is {again.state}{where}."

    def _would_fail(self, job: JobRecord) -> str:
        state = self._lost(job).job.state
        return f"Attempt {job.attempt} at job {job.id} would count as lost; the job would be {state}."

    def _command_failed(self, unit: Unit, job: JobRecord, who: str) -> str:
        ended = self._lost(job, who)
        self._dispatch.end(unit, job, ended, {})
        return f"Attempt {job.attempt} at job {job.id} counts as lost; the job is {ended.job.state}."

    def _lost(self, job: JobRecord, who: str = "somebody") -> outcomes.Ended:
        if job.state != "leased":
            raise Refused(f"Job {job.id} is {job.state}: no attempt at it is under way.")
        return outcomes.lost(job, self._clock(), self._dispatch.heartbeat_s, declared_by=who)


def _unwanted(job: JobRecord) -> Refused:
    return Refused(
        f"Nobody wants job {job.id} any more: the inputs of {job.path} have changed since.",
        "When they are set back, it goes on by itself.",
    )
