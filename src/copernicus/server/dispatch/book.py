"""The job book in memory: every open job, a line for each ended one, and the queue that follows from them."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from functools import partial

import msgspec
from msgspec.structs import replace

from copernicus.model.jobs import OPEN_STATES, JobDescription, JobState, StopReason
from copernicus.server.dispatch.inheritance import Inheritance
from copernicus.server.dispatch.outcomes import LOST_WORKERS_ALONE, suspect_hosts
from copernicus.server.scheduling.queue import Queue, Waiting
from copernicus.server.scheduling.shapes import Shape
from copernicus.server.storage.abc import BookStore, JobRecord, PutJob, Unit
from copernicus.server.storage.costs import Cost, costs_of

LARGE_BYTES, MOST_LARGE = 64 * 1024, 16
"""From which size on a file counts when a job is given to a worker that has read it before, and how many of a job do."""


class Line(msgspec.Struct, frozen=True, gc=False):
    """What is kept in memory of an ended job; the rest is read from the store."""

    project: str
    key: str
    state: JobState
    instance: int
    has_checkpoint: bool = False
    costs: tuple[Cost, ...] = ()


class Jobs:
    """The `JobBook`. Every change goes through `put`, which keeps queue, counts and running cores in step.

    `when_queued` is called with an executable that a job waits for now, `when_changed` with every job that stands
    differently; `clock` is the wall clock.
    """

    def __init__(self, store: BookStore, clock: Callable[[], float]) -> None:
        self._store, self._clock = store, clock
        self.when_queued: Callable[[str], None] = lambda executable: None
        self.when_changed: Callable[[JobRecord], None] = lambda job: None
        self.clear_all()

    def clear_all(self) -> None:
        """Forget everything."""
        self.queue = Queue()
        self.inheritance = Inheritance(self.get)
        self.running_cores: dict[str, int] = {}
        self._open: dict[int, JobRecord] = {}
        self._ended: dict[int, Line] = {}
        self._settling: dict[int, JobRecord] = {}
        self._waiting: dict[int, tuple[int, ...]] = {}
        """Which open jobs wait for the end of an attempt at a job, to go on from its checkpoint."""
        self._by_key: dict[str, dict[str, int]] = {}
        self._counts: dict[str, dict[str, int]] = {}
        self._last = self.attempt_floor = 0

    def load(self) -> None:
        """Read the store's jobs anew."""
        self.clear_all()
        self._last = self._store.last_job()
        self.attempt_floor = self._store.attempt_floor()
        for row in self._store.projects():
            self.queue.prioritize(row.id, row.priority)
        for job in self._store.jobs():
            self._by_key.setdefault(job.project, {})[job.key] = job.id
            self._follow(None, job)
            self._last = max(self._last, job.id)
        self._settling.clear()

    # --- looking

    def get(self, job: int) -> JobRecord | None:
        """The record of an open job, or None."""
        return self._open.get(job)

    def record(self, job: int) -> JobRecord | None:
        """The record of any job, or None."""
        found = self._open.get(job) or self._settling.get(job)
        if found is None and job in self._ended:
            found = self._store.job(job)
        return found

    def find(self, project: str, key: str) -> JobRecord | None:
        """See `JobBook.find`."""
        number = self._by_key.get(project, {}).get(key)
        return None if number is None else self.record(number)

    def open_jobs(self) -> Iterable[JobRecord]:
        """All jobs that are blocked, queued or leased."""
        return self._open.values()

    def ended_jobs(self, project: str = "") -> Iterator[JobRecord]:
        """The ended jobs (of one project), read from the store."""
        for number, line in self._ended.items():
            if not project or line.project == project:
                found = self.record(number)
                if found is not None:
                    yield found

    def with_checkpoint(self, project: str) -> list[int]:
        """The ended jobs of a project that have a checkpoint."""
        return [number for number, line in self._ended.items() if line.has_checkpoint and line.project == project]

    def outlines(self, project: str) -> Iterator[tuple[int, JobState, int]]:
        """Number, state and instance of each job of a project."""
        for number in self._by_key.get(project, {}).values():
            job = self._open.get(number) or self._ended.get(number)
            if job is not None:
                yield number, job.state, job.instance

    def costs(self, project: str) -> Iterator[tuple[int, int, tuple[Cost, ...]]]:
        """Number, instance and costs of each job of a project."""
        for number in self._by_key.get(project, {}).values():
            job = self._open.get(number)
            if job is not None:
                yield number, job.instance, costs_of(job.attempts)
            elif (line := self._ended.get(number)) is not None:
                yield number, line.instance, line.costs

    def counts(self, project: str) -> dict[str, int]:
        """How many jobs of a project are in which state."""
        return {state: count for state, count in self._counts.get(project, {}).items() if count}

    def waiting(self, job: JobRecord) -> Waiting:
        """A job as the queue sees it."""
        resources = job.description.resources
        limits = [limit for limit in (resources.cores_max, job.cores_max) if limit is not None]
        shape = Shape(
            project=job.project,
            executable=job.description.executable,
            versions=job.description.versions,
            cores_min=resources.cores_min,
            memory_bytes=resources.memory_bytes or 0,
            gpus=resources.gpus,
            is_alone=job.lost_workers >= LOST_WORKERS_ALONE,
            wall_time_s=resources.wall_time_s,
            can_stop=bool(job.description.checkpoint),
            avoids=suspect_hosts(job),
            gpu_kind=resources.gpu_kind if resources.gpus else "",
        )
        most = min(limits) if limits else None
        priority, _ = self.inheritance.priority(job)
        return Waiting(job.id, shape, priority, bool(job.checkpoint), most, _large_files(job))

    # --- changing

    def put(self, unit: Unit, job: JobRecord) -> None:
        """Make `job` what stands in the book, in memory at once and durable with `unit`."""
        unit.add(PutJob(job))
        before = self._open.get(job.id)
        if before is None and (line := self._ended.pop(job.id, None)) is not None:
            self._counts[line.project][line.state] -= 1
        self._follow(before, job)
        if job.state not in OPEN_STATES:
            unit.then(partial(self._settled, job))

    def _follow(self, before: JobRecord | None, job: JobRecord) -> None:
        if before is not None:
            self._counts[before.project][before.state] -= 1
            if before.state == "leased":
                self.running_cores[before.project] -= before.cores
            elif before.state == "queued" and job.state != "queued":  # else what was reserved for it stays
                self.queue.remove(before.id)
        if before is not None and before.waits_for:
            others = tuple(one for one in self._waiting.pop(before.waits_for) if one != job.id)
            if others:
                self._waiting[before.waits_for] = others
        if job.waits_for:
            self._waiting[job.waits_for] = (*self._waiting.get(job.waits_for, ()), job.id)
        self.when_changed(job)
        counts = self._counts.setdefault(job.project, {})
        counts[job.state] = counts.get(job.state, 0) + 1
        if job.state not in OPEN_STATES:
            self._open.pop(job.id, None)
            self._settling[job.id] = job
            self._ended[job.id] = Line(
                job.project, job.key, job.state, job.instance, bool(job.checkpoint), costs_of(job.attempts)
            )
            self._queue_again(self.inheritance.follow(job))
            return
        self._open[job.id] = job
        self._queue_again(number for number in self.inheritance.follow(job) if number != job.id)
        if job.state == "leased":
            self.running_cores[job.project] = self.running_cores.get(job.project, 0) + job.cores
        elif job.state == "queued":
            self.queue.add(self.waiting(job))
            self.when_queued(job.description.executable)

    def _queue_again(self, jobs: Iterable[int]) -> None:
        """The priority of these may have changed."""
        for number in jobs:
            job = self._open.get(number)
            if job is not None and number in self.queue:
                self.queue.add(self.waiting(job))

    def _settled(self, job: JobRecord) -> None:
        if self._settling.get(job.id) is job:
            del self._settling[job.id]

    # --- what the projects' room asks (`JobBook`)

    def want(
        self,
        unit: Unit,
        project: str,
        instance: int,
        path: str,
        key: str,
        description: JobDescription,
        why_blocked: str,
        extends: Sequence[str] = (),
        needs: int = 0,
    ) -> int:
        """See `JobBook.want`."""
        number = self._want(unit, project, instance, path, key, description, why_blocked, extends)
        self._queue_again(self.inheritance.need(number, (project, needs) if needs else None))
        return number

    def _want(
        self,
        unit: Unit,
        project: str,
        instance: int,
        path: str,
        key: str,
        description: JobDescription,
        why_blocked: str,
        extends: Sequence[str],
    ) -> int:
        job = self.find(project, key)
        if job is None:
            self._last += 1
            self._by_key.setdefault(project, {})[key] = self._last
            made = JobRecord(
                id=self._last, project=project, instance=instance, path=path, key=key, description=description,
                state="queued", created_at=self._clock(), why=why_blocked,
            )  # fmt: skip
            made = self._extending(made, extends)
            self.put(unit, replace(made, state=made.resting_state))
            return self._last
        wanted = replace(job, path=path, instance=instance, description=description)
        if job.state == "leased":
            stop: StopReason = "" if job.stop == "held" and not why_blocked else job.stop
            wanted = replace(wanted, is_superseded=False, why=why_blocked, stop=stop)
        elif job.state in ("blocked", "queued", "cancelled"):
            wanted = self._extending(replace(wanted, why=why_blocked), extends)
            wanted = replace(wanted, state=wanted.resting_state)
        if wanted != job and (job.state in OPEN_STATES or job.state == "cancelled"):
            self.put(unit, wanted)
        return job.id

    def rename(self, unit: Unit, project: str, instance: int, key: str, path: str) -> None:
        """See `JobBook.rename`."""
        job = self.find(project, key)
        if job is not None and job.instance == instance and job.path != path:
            self.put(unit, replace(job, path=path))

    def _extending(self, job: JobRecord, extends: Sequence[str]) -> JobRecord:
        """A job that has never begun goes on from where the first of these keys is that has come to anything."""
        if job.attempt:
            return job
        for key in extends:
            earlier = self.find(job.project, key)
            if earlier is None or not earlier.attempt:
                continue  # what it was to go on from is among the keys, too
            if earlier.state == "leased":
                return replace(job, extends=0, waits_for=earlier.id, checkpoint=())
            if earlier.checkpoint:
                return replace(job, extends=earlier.id, waits_for=0, checkpoint=earlier.checkpoint)
        return replace(job, extends=0, waits_for=0, checkpoint=())

    def hand_on(self, unit: Unit, ended: JobRecord) -> None:
        """An attempt at a job has ended: those that wait to go on from it get its checkpoint."""
        for number in self._waiting.get(ended.id, ()):
            job = self._open[number]
            extends = ended.id if ended.checkpoint else 0
            job = replace(job, waits_for=0, extends=extends, checkpoint=ended.checkpoint)
            self.put(unit, replace(job, state=job.resting_state))

    def block(self, unit: Unit, project: str, key: str, why: str, needs: int = 0) -> None:
        """See `JobBook.block`."""
        job = self.find(project, key)
        if job is not None and job.state in OPEN_STATES:
            self._queue_again(self.inheritance.need(job.id, (project, needs) if needs else None))
        if job is not None and job.state in ("blocked", "queued"):
            wanted = replace(job, why=why)
            wanted = replace(wanted, state=wanted.resting_state)
            if wanted != job:
                self.put(unit, wanted)
        elif job is not None and job.state == "leased" and job.why != why:
            # It goes on; should it come back unfinished, it must not be started again.
            self.put(unit, replace(job, why=why, stop="" if job.stop == "held" and not why else job.stop))

    def stop_now(self, unit: Unit, project: str, key: str) -> None:
        """See `JobBook.stop_now`."""
        job = self.find(project, key)
        if job is not None and job.state == "leased" and not job.stop:
            self.put(unit, replace(job, stop="held"))

    def supersede(self, unit: Unit, project: str, key: str) -> None:
        """See `JobBook.supersede`."""
        job = self.find(project, key)
        if job is None or job.is_superseded:
            return
        if job.state == "leased":
            self.put(unit, replace(job, is_superseded=True))
        elif job.state in ("blocked", "queued"):
            self.put(unit, replace(job, state="cancelled", why="", waits_for=0))

    def clear(self, unit: Unit, project: str, key: str) -> None:
        """See `JobBook.clear`."""
        job = self.find(project, key)
        if job is not None and job.state in ("failed", "done"):
            fresh = replace(job, program_failures=0, lost_workers=0, overtimes=0)
            self.put(unit, replace(fresh, state="queued", why="", stopped_by=""))

    def numbers(self, project: str) -> list[int]:
        """See `JobBook.numbers`."""
        return list(self._by_key.get(project, {}).values())

    def reserve(self, count: int) -> int:
        """See `JobBook.reserve`."""
        self._last += count
        return self._last - count + 1

    def adopt(self, unit: Unit, jobs: Iterable[JobRecord]) -> None:
        """See `JobBook.adopt`."""
        for job in jobs:
            self._by_key.setdefault(job.project, {})[job.key] = job.id
            self.put(unit, job)

    def prioritize(self, project: str, priority: int) -> None:
        """See `JobBook.prioritize`."""
        for executable in self.queue.prioritize(project, priority):
            self.when_queued(executable)

    def forget(self, unit: Unit, project: str) -> None:
        """See `JobBook.forget`. The rows go with `DropProject`; workers are told to stop when they next report a beat."""
        for number in self._by_key.pop(project, {}).values():
            self._open.pop(number, None)
            self._ended.pop(number, None)
            self._settling.pop(number, None)
            self._waiting.pop(number, None)
            self.queue.remove(number)
            self.inheritance.forget(number)
        self._counts.pop(project, None)
        self.running_cores.pop(project, None)
        self.queue.forget(project)


def _large_files(job: JobRecord) -> tuple[str, ...]:
    """The files that are worth a way to a worker that has them."""
    staged = (*job.checkpoint, *job.description.files)
    return tuple(one.file.blob for one in staged if one.file.size >= LARGE_BYTES)[:MOST_LARGE]
