"""The projects' room with its job book, in memory: module code is answered at once, jobs end when a test says so."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Awaitable, Callable
from functools import wraps
from pathlib import Path
from typing import Any, cast

from msgspec.structs import replace
from tests.unit import functions
from tests.unit.told import Told

from copernicus.blobs.folder import BlobFolder
from copernicus.dataflow.calls import Answer, Call, CommandAnswer, CommandCall, ControllerCall, Forgotten, PureAnswer, PureCall
from copernicus.model import edits as e
from copernicus.model.functions import ModuleSchema
from copernicus.server.dispatch.views import JobViews
from copernicus.server.dispatch.workers import Workers
from copernicus.server.projects.service import Projects
from copernicus.server.projects.snapshots import FORM, Snapshots
from copernicus.server.storage.abc import AttemptRow, JobRecord, ProjectRow, Unit
from copernicus.server.storage.memory import MemoryBook
from copernicus.server.storage.snapshots import SnapshotFolder
from copernicus.wire import messages as m


class Code:
    """Answers with the functions of the engine's tests."""

    def __init__(self) -> None:
        self.module, self.control = functions.MODULE, functions.control
        self.told = Told()

    async def start(self) -> None:
        """Nothing starts."""

    async def stop(self) -> None:
        """Nothing ends."""

    async def catalog(self) -> list[ModuleSchema]:
        return [self.module]

    async def call(self, request: Call) -> Answer:
        match request:
            case CommandCall():
                found = functions.describe(request.function, request.inputs)
                return CommandAnswer(found, "" if found else "unlucky")
            case PureCall():
                return PureAnswer(functions.evaluate(request.function, request.inputs))
        assert isinstance(request, ControllerCall)
        if not self.told.has(request):
            return Forgotten()
        whole = self.told.hear(request)
        return self.told.said(whole, self.control(whole))

    def slow_call_s(self, project: str, instance: int) -> float:
        return 0.0


class Blobs(set[str]):
    """Blobs by hash; all of them have five bytes."""

    def has(self, blob: str) -> bool:
        return blob in self

    def size(self, blob: str) -> int:
        return 5


class Office:
    """One server's projects, with a project `p`. `now` is its clock."""

    snapshots = Path("no snapshots")

    def __init__(self) -> None:
        self.now, self.book, self.blobs, self.code = 1000.0, MemoryBook(), Blobs(), Code()

    async def come_up(self) -> None:
        """Come up, and make the project."""
        self.jobs = JobViews(
            self.book,
            Workers(lambda: self.now, 120.0),
            self._names,
            lambda: self.now,
            lambda: self.now,
        )
        self.projects = Projects(
            store=self.book, jobs=self.jobs, blobs=cast(BlobFolder, self.blobs), pool=self.code,
            snapshots=Snapshots(SnapshotFolder(self.snapshots, FORM), self.book), clock=lambda: self.now,
        )  # fmt: skip
        self.jobs.load()
        begin = self.projects.open
        await begin()
        if not self.projects.names():
            await self.projects.start_project("p", "root")

    def _names(self) -> list[ProjectRow]:
        return self.projects.names()

    async def restart(self) -> None:
        """Come up again from what is durable."""
        await self.settle()
        await self.projects.close()
        self.book = MemoryBook(self.book.disk)
        await self.come_up()
        await self.settle()

    async def settle(self) -> None:
        """Wait until nothing follows any more from what was done."""
        live = self.projects._live["p"]
        for _ in range(10_000):
            if not live._tasks and not live.young:
                return
            await asyncio.sleep(0)
        raise AssertionError("it does not settle")

    async def apply(self, who: str, *edits: e.Edit, **request: Any) -> m.ApplyReply:
        """Ask for edits, and wait for all that follows."""
        self.now += 1
        reply = await self.projects.apply(m.ApplyRequest("p", list(edits), **request), who)
        await self.settle()
        return reply

    async def make(self, function: str, name: str, who: str = "ada", **inputs: object) -> None:
        """An instance that may run."""
        sets = [e.SetValue(f"{name}:in.{field}", value) for field, value in inputs.items()]
        await self.apply(who, e.MakeInstance(f"m::{function}", name), *sets, e.Activate(name))

    async def set(self, path: str, value: object, who: str = "ada") -> None:
        await self.apply(who, e.SetValue(path, value))

    def queued(self, path: str) -> JobRecord:
        """The job of an instance that waits for a worker."""
        return next(job for job in self.jobs.open_jobs() if job.path == path and job.state == "queued")

    async def finish(self, path: str, error: str = "", stderr: str = "") -> int:
        """A worker has done the job of an instance; return its number."""
        self.now += 10
        job = self.queued(path)
        function, inputs = job.description.executable.replace("/", "::"), json.loads(job.description.argv[0])
        row = AttemptRow(
            1, "w1", "node7", self.now - 10, self.now, "failed" if error else "finished", 2, 20.0, int(bool(error)), "1.5",
            error, stderr_tail=stderr,
        )  # fmt: skip
        unit, ended = Unit(), replace(job, attempt=1, worker="w1", attempts=(row,))
        if error:
            self.projects.job_failed(unit, ended, error, 20.0)
        else:
            self.projects.job_finished(unit, ended, functions.evaluate(function, inputs), 20.0)
        self.jobs.put(unit, replace(ended, state="failed" if error else "done", why=error, worker=""))
        await self.book.submit(unit)
        await self.settle()
        return job.id

    async def finish_all(self) -> None:
        """Workers do all that there is to do."""
        while waiting := [job.path for job in self.jobs.open_jobs() if job.state == "queued"]:
            await self.finish(waiting[0])


def in_the_office(test: Callable[[Office], Awaitable[None]]) -> Callable[[], None]:
    """Run an async test with an office that has come up."""

    @wraps(test)
    def run() -> None:
        async def run_it() -> None:
            office = Office()
            await office.come_up()
            await test(office)
            await office.projects.close()

        asyncio.run(run_it())

    del run.__wrapped__  # type: ignore[attr-defined]
    return run
