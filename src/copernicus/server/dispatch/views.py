"""The job book as people see it: rows, and why a job is where it is."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable
from heapq import nlargest

from msgspec.structs import replace

from copernicus.errors import UnknownPath
from copernicus.model.counts import counted
from copernicus.model.jobs import OPEN_STATES, JobState
from copernicus.server.dispatch.book import Jobs
from copernicus.server.dispatch.hosts import Hosts
from copernicus.server.dispatch.workers import Worker, Workers
from copernicus.server.scheduling.explain import explain
from copernicus.server.scheduling.shapes import Shape, WorkerView, can_run
from copernicus.server.storage.abc import BookStore, JobRecord, ProjectRow
from copernicus.wire.messages import JobRow, WorkerRow

Names = Callable[[], Iterable[ProjectRow]]
"""All projects."""


class JobViews(Jobs):
    """The job book, with what only those who know the workers can tell about it."""

    def __init__(
        self,
        store: BookStore,
        workers: Workers,
        names: Names,
        clock: Callable[[], float],
        monotonic: Callable[[], float],
    ) -> None:
        super().__init__(store, clock)
        self._workers, self.names, self._monotonic = workers, names, monotonic
        self.hosts = Hosts(store, clock)

    def load(self) -> None:
        """Read the store's jobs and hosts anew."""
        super().load()
        self.hosts.load()

    def rows(self, project: str = "", states: Collection[JobState] = OPEN_STATES) -> list[JobRow]:
        """The jobs in `states` (of one project, by id or name): queued ones first, in the order in which they would go out."""
        names = {row.id: row.name for row in self.names()}
        found = [job for job in self.open_jobs() if job.state in states]
        if project:
            found = [job for job in found if project in (job.project, names.get(job.project))]
        place = {}
        if "queued" in states:
            place = {waiting.job: index for index, waiting in enumerate(self.queue.in_order(self.running_cores))}
        found.sort(key=lambda job: (place.get(job.id, len(place)), job.id))
        if not OPEN_STATES.issuperset(states):
            ended = (job for job in self.ended_jobs() if job.state in states)
            found += [job for job in ended if not project or project in (job.project, names.get(job.project))]
        return [self._row(job, names.get(job.project, job.project)) for job in found]

    def page(
        self, project: ProjectRow, instances: Collection[int] | None, states: Collection[JobState], before: int, limit: int,
        name: Callable[[int], str] = lambda instance: "",
    ) -> tuple[list[JobRow], int]:  # fmt: skip
        """The newest jobs of a project, ended ones too, and how many there are in all.

        `instances` are the ids of those whose jobs count (None: all), `states` the states (none: all); of what there is, jobs
        with numbers below `before` (0: all), at most `limit`. `name` gives the present path of an instance ("": it is gone),
        which of an ended job may be another one than in its record.
        """
        found = [
            number for number, state, instance in self.outlines(project.id)
            if (instances is None or instance in instances) and (not states or state in states)
        ]  # fmt: skip
        below = (number for number in found if not before or number < before)
        records = (self.record(number) for number in nlargest(limit, below))
        rows = [(job.instance, self._row(job, project.name)) for job in records if job is not None]
        return [replace(row, path=name(instance) or row.path) for instance, row in rows], len(found)

    def explain(self, number: int) -> list[str]:
        """Why a job is where it is: lines for a person, most important first."""
        job = self.record(number)
        if job is None:
            return [f"There is no job {number}."]
        match job.state:
            case "queued":
                ranked = self.queue.in_order(self.running_cores)
                ahead = next((index for index, waiting in enumerate(ranked) if waiting.job == job.id), 0)
                views = [view for worker in self._workers if not worker.is_lost and (view := self.view(worker))]
                waiting = self.waiting(job)
                waiting = replace(waiting, priority=self.queue.priority(waiting))
                lines = explain(waiting, views, ahead, self.queue.reservations)
                return [f"Job {number} is queued.", *lines, *self._inherited(job), *_failures(job)]
            case "leased":
                return self._explain_leased(job)
            case "blocked":
                return [f"Job {number} is blocked: {job.why_blocked}"]
            case "failed":
                return [f"Job {number} failed.", *job.why.splitlines()]
            case _:
                return [f"Job {number} is {job.state}.", *([job.why] if job.why else [])]

    def _inherited(self, job: JobRecord) -> list[str]:
        priority, heir = self.inheritance.priority(job)
        return [f"It has the priority {priority} of job {heir}, which needs its result."] if heir else []

    def reach(self, worker: Worker) -> frozenset[str] | None:
        """The ids of the projects that a worker may serve, by its own wish and its bundle's; None: all."""
        wanted = worker.projects
        if worker.offer is not None and worker.offer.project is not None:
            only = frozenset((worker.offer.project,))
            wanted = only if wanted is None else wanted & only
        if wanted is None:
            return None
        return frozenset(row.id for row in self.names() if row.name in wanted)

    def view(self, worker: Worker, free_cores: int | None = None) -> WorkerView | None:
        """A worker as matching sees it, None before it introduced itself."""
        why = self.hosts.why_quarantined(worker.hostname)
        return worker.view(self.reach(worker), self._monotonic(), free_cores, why, self._is_able_without)

    def _is_able_without(self, shape: Shape) -> bool:
        """Say whether a worker on a host that jobs of this shape do not avoid can run them."""
        others = (worker for worker in self._workers if not worker.is_lost and worker.hostname not in shape.avoids)
        return any(view is not None and can_run(shape, view) for view in map(self.view, others))

    def worker_rows(self) -> list[WorkerRow]:
        """All workers that have introduced themselves, by host name and id."""
        now = self._monotonic()
        rows = [
            WorkerRow(
                worker.offer, len(worker.leases), worker.cores_used, now - worker.seen_at, worker.is_lost,
                self.hosts.why_quarantined(worker.hostname),
            )
            for worker in self._workers
            if worker.offer is not None
        ]  # fmt: skip
        return sorted(rows, key=lambda row: (row.offer.hostname, row.offer.worker))

    def _row(self, job: JobRecord, project: str) -> JobRow:
        now = self._clock()
        is_leased = job.state == "leased"
        worker = self._workers.get(job.worker) if is_leased else None
        lease = worker.leases.get(job.id) if worker is not None else None
        last = job.attempts[-1] if job.attempts else None
        since = last.ended_at if last is not None and last.ended_at is not None else job.created_at
        seen_at = None if lease is None or worker is None else lease.beat_at or worker.seen_at
        why = job.why_blocked
        if is_leased:
            why = _why_stopping(job) or (lease.progress if lease is not None else "")
        return JobRow(
            job=job.id,
            project=project,
            path=job.path,
            executable=job.description.executable,
            state=job.state,
            priority=job.description.priority + self.queue.project_priority(job.project),
            attempt=job.attempt,
            why=why,
            worker=job.worker,
            hostname=last.hostname if is_leased and last is not None else "",
            cores=job.cores,
            core_s=sum(one.core_s for one in job.attempts),
            ended_at=last.ended_at if last is not None and job.state not in OPEN_STATES else None,
            waited_s=max(0.0, now - since) if job.state in ("queued", "blocked") else 0.0,
            running_s=max(0.0, now - last.started_at) if is_leased and last is not None else 0.0,
            heartbeat_s=None if seen_at is None else max(0.0, self._monotonic() - seen_at),
        )

    def _explain_leased(self, job: JobRecord) -> list[str]:
        row = self._row(job, "")
        where = f"worker {job.worker}" + (f" on {row.hostname}" if row.hostname else "")
        lines = [
            f"Job {job.id} is running: attempt {job.attempt}, {where}, {counted(job.cores, 'core')}, for {row.running_s:.0f} s."
        ]
        if row.heartbeat_s is not None:
            lines.append(f"The worker's last sign of life came {row.heartbeat_s:.0f} s ago.")
        if row.why:
            lines.append(row.why)
        if job.checkpointed_at is not None:
            lines.append(f"Its last checkpoint came {max(0.0, self._clock() - job.checkpointed_at):.0f} s ago.")
        return lines + _failures(job)


def _why_stopping(job: JobRecord) -> str:
    """Why the attempt under way is to end, "" when it is not."""
    if job.is_superseded:
        return "nobody wants it any more"
    if job.stopped_by:
        return f"asked to stop by {job.stopped_by}"
    return f"asked to stop: {job.why or job.stop}" if job.stop else ""


def unknown_job(number: int) -> UnknownPath:
    """Return the one error for a job that does not exist, and for one of another project."""
    return UnknownPath(f"There is no job {number} in this project.", "`cpcc jobs` lists those that there are.")


def _failures(job: JobRecord) -> list[str]:
    ended = [row for row in job.attempts if row.ended_at is not None]
    return [f"Attempt {row.attempt} ended: {row.outcome}{f' ({row.error})' if row.error else ''}." for row in ended[-3:]]
