"""A dispatch room on a clock that only a test moves, with a store in memory and a project that notes what it is told."""

from __future__ import annotations

import asyncio
import itertools
from collections.abc import Awaitable, Callable
from functools import wraps
from typing import Any, TypeVar

from copernicus.model.jobs import ExecutableOffer, JobDescription, JobState, LeasedJob, Report, Resources, WorkerOffer
from copernicus.server.access.identity import Identity
from copernicus.server.dispatch.dispatch import Dispatch
from copernicus.server.dispatch.quarantine import Quarantine
from copernicus.server.dispatch.steering import Steering
from copernicus.server.storage.abc import JobRecord, ProjectRow, Unit
from copernicus.server.storage.memory import MemoryBook
from copernicus.wire import messages as m

T = TypeVar("T")
HEARTBEAT_S = 120.0
OPEN: set[JobState] = {"blocked", "queued", "leased"}


class Project:
    """Stands for the projects' room: notes the ends of jobs; `refuse` is why outputs are refused; `then` follows an end."""

    def __init__(self) -> None:
        self.ends: list[tuple[str, int, str]] = []
        self.refuse = ""
        self.then: Callable[[Unit, JobRecord], None] = lambda unit, job: None
        self.is_wanted = True
        self.clear: Callable[[Unit, str, str], None] = lambda unit, project, key: None

    def job_finished(self, unit: Unit, job: JobRecord, outputs: dict[str, object], core_s: float) -> str:
        self.ends.append(("finished", job.id, repr(outputs)))
        self.then(unit, job)
        return self.refuse

    def job_glimpsed(self, unit: Unit, job: JobRecord) -> None:
        self.ends.append(("glimpsed", job.id, repr(job.provisional.outputs if job.provisional else None)))

    def job_failed(self, unit: Unit, job: JobRecord, error: str, core_s: float) -> None:
        self.ends.append(("failed", job.id, error))

    def job_rerun(self, unit: Unit, job: JobRecord, who: str) -> bool:
        if self.is_wanted:
            self.clear(unit, job.project, job.key)
        return self.is_wanted


class Rig:
    """One server's dispatch. `restart` makes a new one from what is durable."""

    def __init__(self) -> None:
        self.now = 1000.0
        self.book = MemoryBook()
        self.blobs: set[str] = set()
        self.request_ids = itertools.count()
        self.restart()

    def restart(self) -> None:
        self.book = MemoryBook(self.book.disk)
        self.project = Project()
        self.dispatch = Dispatch(
            store=self.book,
            names=lambda: [ProjectRow("p", "named", 0.0), ProjectRow("q", "other", 0.0)],
            name_of=lambda project: {"p": "named", "q": "other"}[project],
            has_blob=self.blobs.__contains__,
            clock=lambda: self.now,
            monotonic=lambda: self.now,
            heartbeat_s=HEARTBEAT_S,
        )
        self.dispatch.ends = self.project
        self.project.clear = self.dispatch.jobs.clear
        self.steering = Steering(self.dispatch, self.book, lambda: self.now)
        self.quarantine = Quarantine(self.dispatch, self.book, lambda: self.now)
        self.dispatch.load()

    # --- what projects do

    async def want(
        self, *keys: str, project: str = "p", why: str = "", extends: tuple[str, ...] = (), **description: Any
    ) -> list[int]:
        unit, resources = Unit(), description.pop("resources", Resources())
        made = JobDescription("true", resources=resources, **description)
        numbers = [self.dispatch.jobs.want(unit, project, 1, "run", key, made, why, extends) for key in keys]
        await self.book.submit(unit)
        return numbers

    async def change(self, action: Callable[..., None], *arguments: Any) -> None:
        unit = Unit()
        action(unit, *arguments)
        await self.book.submit(unit)

    # --- what workers do

    def announce(self, worker: str = "w", cores: int = 2, **offer: Any) -> None:
        made = WorkerOffer(worker, f"host-{worker}", "smp", cores, (ExecutableOffer("true", "1"),), **offer)
        self.dispatch.announce(m.AnnounceRequest(made), bundle(worker))

    async def exchange(
        self, worker: str = "w", *reports: Report, cores: int = 2, most: int = 10, request_id: str = "", wait_s: float = 0.0
    ) -> m.ExchangeReply:  # fmt: skip
        request_id = request_id or f"request {next(self.request_ids)}"
        request = m.ExchangeRequest(worker, cores, most, list(reports), wait_s=wait_s, request_id=request_id)
        return await self.dispatch.exchange(request, bundle(worker))

    async def lease(self, worker: str = "w", cores: int = 2) -> list[LeasedJob]:
        self.announce(worker, cores)
        return (await self.exchange(worker, cores=cores)).jobs

    async def beat(self, worker: str, *jobs: LeasedJob) -> m.HeartbeatReply:
        request = m.HeartbeatRequest(worker, [m.Beat(job.job, job.attempt) for job in jobs])
        return await self.dispatch.heartbeat(request, bundle(worker))

    async def wait(self, seconds: float, *alive: tuple[str, list[LeasedJob]]) -> None:
        """Let time pass, tick by tick; the workers in `alive` beat for their jobs."""
        end = self.now + seconds
        while self.now < end:
            self.now += HEARTBEAT_S / 20
            for worker, jobs in alive:
                await self.beat(worker, *jobs)
            self.dispatch.tick()
        await self.book.submit(Unit())

    def state(self, job: int) -> str:
        record = self.dispatch.jobs.record(job)
        return record.state if record else "gone"


def bundle(worker: str) -> Identity:
    return Identity("bundle", "worker", "root", projects=None, serial=f"of {worker}")


def report(job: LeasedJob, outcome: str = "finished", **more: Any) -> Report:
    return Report(job.job, job.attempt, outcome, wall_s=2.0, **more)  # type: ignore[arg-type]


def run(scenario: Awaitable[T]) -> T:
    async def main() -> T:
        return await scenario

    return asyncio.run(main())


def scenario(test: Callable[[Rig], Awaitable[None]]) -> Callable[[], None]:
    """Run a coroutine test with a rig of its own, and check the books after it."""

    @wraps(test)
    def wrapped() -> None:
        rig = Rig()
        run(test(rig))
        in_memory = {job.id: job for job in rig.dispatch.jobs.open_jobs()}
        durable = {number: job for number, job in rig.book.disk.jobs.items() if job.state in ("blocked", "queued", "leased")}
        assert in_memory == durable, "what is in memory is not what is durable"
        leases = {number for worker in rig.dispatch.workers for number in worker.leases}
        assert leases == {job.id for job in in_memory.values() if job.state == "leased"}
        assert {job.id for job in in_memory.values() if job.state == "queued"} == {
            waiting.job for waiting in rig.dispatch.jobs.queue.in_order({})
        }

    del wrapped.__wrapped__  # pytest would take the rig for a fixture
    return wrapped
