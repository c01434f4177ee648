"""Running again what a project has done, to see whether the same comes out. Nothing of it becomes part of the project."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Any

from msgspec.structs import replace

from copernicus.blobs.folder import BlobFolder
from copernicus.dataflow.calls import PureAnswer, PureCall
from copernicus.dataflow.edits import find_instance
from copernicus.dataflow.instances import Evaluation, Instance
from copernicus.dataflow.paths import parse_path
from copernicus.dataflow.status import is_pending
from copernicus.dataflow.views import inputs_of
from copernicus.errors import CorruptData, ModuleError, Refused, UnknownPath
from copernicus.model.jobs import JobDescription
from copernicus.server.projects.comparing import Comparison, Finding, worst
from copernicus.server.projects.live import LiveProject
from copernicus.server.projects.ports import Jobs, ModuleCode, find_job
from copernicus.server.storage.abc import AttemptRow, BookStore, JobRecord, RememberAnswer, Unit
from copernicus.wire import messages as m
from copernicus.wire.codec import decode, encode

LONGEST_WAIT_S, TICK_S = 20.0, 0.1
NAMES_SHOWN = 10


class Reproductions:
    """Starts reproductions and compares them. `find` gives a project by name."""

    def __init__(
        self,
        find: Callable[[str], LiveProject],
        store: BookStore,
        jobs: Jobs,
        blobs: BlobFolder,
        code: ModuleCode,
        clock: Callable[[], float],
    ) -> None:
        self._find, self._store, self._jobs, self._blobs, self._code, self._clock = find, store, jobs, blobs, code, clock

    def job(self, request: m.JobRequest) -> m.JobReply:
        """Everything that is needed to run a job anywhere."""
        job = self._job(self._find(request.project), str(request.job))
        runs = tuple(_run(row) for row in job.attempts)
        return m.JobReply(job.id, job.path, job.state, job.description, job.checkpoint, runs)

    async def begin(self, request: m.ReproduceRequest, key: str) -> m.Reproduction:
        """Begin to run something again; raise `Refused` with the reason when it cannot be, `CorruptData` for changed inputs."""
        known = self._store.answer(request.request_id, key) if request.request_id else None
        if known is not None:
            await self._store.submit(Unit())
            return decode(known, m.Reproduction)
        project = self._find(request.project)
        if request.target.isdigit():
            return await self._again(project, self._job(project, request.target), request.request_id, key)
        instance = find_instance(project.network, parse_path(request.target).names)
        evaluation = project.network.evaluations.get(instance.stood)
        if not instance.is_evaluated:
            raise _no_work(project, instance)
        if evaluation is None or evaluation.state != "done":
            raise Refused(f"{request.target} has no result yet.", f"See: cpcc why {request.target}")
        if instance.function.kind == "pure":
            return await self._evaluate(project, instance, evaluation)
        return await self._again(project, self._job(project, str(evaluation.job or 0)), request.request_id, key)

    async def look(self, request: m.ReproductionRequest) -> m.Reproduction:
        """How far a reproduction is; when it is done, what came of it."""
        project = self._find(request.project)
        ends_at = asyncio.get_running_loop().time() + min(request.wait_s, LONGEST_WAIT_S)
        while True:
            job = self._job(project, str(request.job))
            if not job.reproduces:
                raise Refused(f"Job {job.id} is no reproduction.", "Begin one with: cpcc reproduce PATH|JOB")
            if job.state in ("done", "failed", "cancelled") or asyncio.get_running_loop().time() >= ends_at:
                return await self._result(project, job)
            await asyncio.sleep(TICK_S)

    # --- jobs --------------------------------------------------------------------------------------------------------

    def _job(self, project: LiveProject, target: str) -> JobRecord:
        job = find_job(self._jobs, project.row.id, target)
        if job is None:
            raise UnknownPath(f"There is no job {target} in this project.", "`cpcc log PATH` names those of an instance.")
        return job

    async def _again(self, project: LiveProject, job: JobRecord, request_id: str, key: str) -> m.Reproduction:
        if job.reproduces:
            return await self._result(project, job)
        if job.state != "done":
            raise Refused(f"Job {job.id} of {job.path} is {job.state}: only what is done can be run again to compare.")
        if self._evaluation(project, job) is None:
            raise Refused(
                f"The result of job {job.id} is gone: there is nothing to compare with.", "cpcc fetch gets its inputs."
            )
        await asyncio.to_thread(self._check_inputs, job)
        number = self._jobs.reserve(1)
        made = JobRecord(
            id=number, project=job.project, instance=job.instance, path=f"{job.path} (again: job {job.id})",
            key=f"reproduces {job.key} {number}", description=replace(job.description, checkpoint=(), watch=()), state="queued",
            created_at=self._clock(), reproduces=job.id,
        )  # fmt: skip
        unit = Unit()
        self._jobs.adopt(unit, [made])
        reply = m.Reproduction(job.path, number, "waiting", job.id, then=_run(job.attempts[-1]) if job.attempts else None)
        if request_id:
            unit.add(RememberAnswer(request_id, key, encode(reply), self._clock()))
        await self._store.submit(unit)
        return reply

    def _check_inputs(self, job: JobRecord) -> None:
        for staged in job.description.files:
            try:
                self._blobs.verify(staged.file.blob)
            except UnknownPath:
                raise Refused(f"The input {staged.name} of job {job.id} is gone: its content was deleted.") from None
            except CorruptData:
                raise CorruptData(
                    f"The input {staged.name} of job {job.id} is not what it was: it has changed on the server's disk.",
                    "Restore it from a backup, or set it again.",
                ) from None

    def _evaluation(self, project: LiveProject, job: JobRecord) -> Evaluation | None:
        evaluation = project.network.evaluations.get(job.key)
        return evaluation if evaluation is not None and evaluation.state == "done" else None

    async def _result(self, project: LiveProject, job: JobRecord) -> m.Reproduction:
        origin = self._job(project, str(job.reproduces))
        path, last = origin.path, job.attempts[-1] if job.attempts else None
        then = _run(origin.attempts[-1]) if origin.attempts else None
        now = _run(last) if last is not None else None
        if job.state in ("failed", "cancelled"):
            why = job.why or "nobody wants it any more"
            return m.Reproduction(path, job.id, "failed", origin.id, why=why, then=then, now=now)
        if job.state != "done":
            state = "running" if job.state == "leased" else "waiting"
            why = "" if state == "running" else " ".join(self._jobs.explain(job.id))
            return m.Reproduction(path, job.id, state, origin.id, why=why, then=then, now=now)  # type: ignore[arg-type]
        evaluation = self._evaluation(project, origin)
        if evaluation is None:
            raise Refused(f"The result of job {origin.id} is gone meanwhile: there is nothing to compare with.")
        findings = await self._compare(evaluation.outputs, job.outputs or {}, job.description)
        return _told(m.Reproduction(path, job.id, "done", origin.id, then=then, now=now), findings)

    async def _compare(self, then: dict[str, Any], now: dict[str, Any], job: JobDescription | None) -> dict[str, Finding]:
        comparison = Comparison(self._blobs, dict(job.tolerances) if job is not None else {})
        return await asyncio.to_thread(comparison.outputs, dict(then), now)

    # --- pure functions ----------------------------------------------------------------------------------------------

    async def _evaluate(self, project: LiveProject, instance: Instance, evaluation: Evaluation) -> m.Reproduction:
        network = project.network
        path = network.path_of(instance.id)
        if instance.key != instance.stood or is_pending(network, instance):
            raise Refused(f"{path} is being made anew: its inputs are no longer those of its result.", "Wait for it.")
        inputs, _ = inputs_of(network, instance)
        answer = await self._code.call(PureCall(instance.function.name, inputs))
        assert isinstance(answer, PureAnswer)
        if answer.error:
            raise ModuleError(f"{instance.function.name} failed when it was evaluated again: {answer.error}")
        findings = await self._compare(evaluation.outputs, answer.outputs, None)
        return _told(m.Reproduction(path, 0, "done"), findings)


def _told(reply: m.Reproduction, findings: dict[str, Finding]) -> m.Reproduction:
    outputs = [m.Compared(name, one.verdict, one.where) for name, one in findings.items()]
    return replace(reply, verdict=worst(findings), outputs=outputs)


def _no_work(project: LiveProject, instance: Instance) -> Refused:
    """The refusal for what does no work itself: it names what is inside."""
    network, kind = project.network, instance.function.kind
    inside = [network.path_of(one.id) for one in network.subtree(instance) if one is not instance and one.is_evaluated]
    what = "the project" if not instance.name else f"{network.path_of(instance.id)} is a {kind}"
    names = ", ".join(inside[:NAMES_SHOWN]) + (f" and {len(inside) - NAMES_SHOWN} more" if len(inside) > NAMES_SHOWN else "")
    hint = f"Reproduce what is inside: {names}." if inside else "There is nothing inside yet."
    return Refused(f"{what}: it does no work that could be run again.", hint)


def _run(row: AttemptRow) -> m.Run:
    return m.Run(
        row.attempt, row.worker, row.hostname, row.site, row.started_at, row.outcome, row.cores, row.core_s, row.version,
        row.execution,
    )  # fmt: skip
