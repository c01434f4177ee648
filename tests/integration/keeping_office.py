"""The projects' room with real files: jobs bring files, and time passes when a test says so."""

from __future__ import annotations

import asyncio
import os
from collections.abc import Awaitable, Callable
from pathlib import Path

from msgspec.structs import replace
from tests.unit.office import Code, Office

from copernicus.blobs.folder import BlobFolder
from copernicus.dataflow.calls import Answer, Call, CommandAnswer, CommandCall
from copernicus.model import edits as e
from copernicus.model.functions import Field, FunctionSchema, ModuleSchema
from copernicus.model.jobs import JobDescription, Output, StagedFile
from copernicus.model.values import FileRef
from copernicus.server.projects.archives.service import Archives
from copernicus.server.projects.keeping import Keeping
from copernicus.server.projects.retention import Retention
from copernicus.server.storage.abc import AttemptRow, JobRecord, Unit

DAY_S = 24 * 3600.0
WORK = FunctionSchema(
    "t::work", "command", (Field("conf", "file"), Field("n", "int", default=1)), (Field("traj", "file"), Field("note", "file?"))
)
MODULE = ModuleSchema("t", functions=(WORK,))


class FileCode(Code):
    """Answers with jobs that read and bring files."""

    def __init__(self) -> None:
        super().__init__()
        self.module = MODULE

    async def call(self, request: Call) -> Answer:
        assert isinstance(request, CommandCall)
        conf, n = request.inputs["conf"], request.inputs.get("n", 1)
        files = (StagedFile("conf", FileRef(conf["blob"], conf["size"], "conf")),)
        outputs = {"traj": Output("file", "traj"), "note": Output("file", "note", is_optional=True)}
        return CommandAnswer(JobDescription("t/work", (str(n),), files=files, outputs=outputs, checkpoint=("state",)), "")


class KeepingOffice(Office):
    """An office with a blob folder, archives and retention; `now` may be moved on."""

    def __init__(self, folder: Path, high_water: float = 0.0) -> None:
        super().__init__()
        self.now = 1_000_000_000.0
        self.folder, self.high_water = BlobFolder(folder), high_water
        self.blobs, self.code = self.folder, FileCode()  # type: ignore[assignment]

    async def come_up(self) -> None:
        """Come up, and make the rooms for files."""
        await super().come_up()
        clock = lambda: self.now  # noqa: E731
        self.archives = Archives(
            home=self.projects, store=self.book, jobs=self.jobs, blobs=self.folder, clock=clock, server="print",
            hostname="here", limit_bytes=0,
        )  # fmt: skip
        self.retention = Retention(
            home=self.projects, store=self.book, jobs=self.jobs, blobs=self.folder, pinned=self.archives.pinned, clock=clock,
            retention_s=30 * DAY_S, high_water=self.high_water,
        )  # fmt: skip
        self.keeping = Keeping(self.projects.find, self.projects.live, self.book, self.folder, self.retention, clock, self.jobs)

    def file(self, content: str) -> FileRef:
        """A file on the server, as old as now."""
        file = self.folder.put_bytes(content.encode(), "file")
        os.utime(self.folder.path(file.blob), (self.now, self.now))
        return file

    def has(self, content: str) -> bool:
        """Whether the content is still on the disk."""
        from copernicus.blobs.hashing import hash_bytes

        return self.folder.has(hash_bytes(content.encode()))

    async def setf(self, path: str, content: str) -> None:
        """Set a file."""
        await self.apply("ada", e.SetFile(path, self.file(content)))

    async def bring(self, path: str, **files: str) -> int:
        """The queued job of an instance ends with these files; or, with `checkpoint`, is interrupted and waits again."""
        self.now += 10
        job = self.queued(path)
        attempt = job.attempt + 1
        row = AttemptRow(attempt, "w1", "node7", self.now - 10, self.now, "finished", 2, 20.0, 0, "1.5", gpu_s=5.0)
        unit, ended = Unit(), replace(job, attempt=attempt, worker="w1", attempts=(*job.attempts, row))
        if "checkpoint" in files:
            self.jobs.put(unit, replace(ended, worker="", checkpoint=(StagedFile("state", self.file(files["checkpoint"])),)))
        else:
            outputs = {name: self.file(content) for name, content in files.items()}
            plain = {name: {"blob": one.blob, "size": one.size, "name": name} for name, one in outputs.items()}
            assert self.projects.job_finished(unit, ended, plain, 20.0) == ""  # type: ignore[arg-type]
            self.jobs.put(unit, replace(ended, state="done", worker=""))
        await self.book.submit(unit)
        await self.settle()
        return job.id

    async def days(self, count: float) -> None:
        """Time passes, and each day there is a round."""
        await self.retention.sweep()
        self.now += count * DAY_S
        await self.retention.sweep()

    def job(self, number: int) -> JobRecord:
        found = self.jobs.record(number)
        assert found is not None
        return found


def keeping(test: Callable[[KeepingOffice], Awaitable[None]]) -> Callable[[Path], None]:
    """Run an async test with an office that has files."""

    def run(tmp_path: Path) -> None:
        async def run_it() -> None:
            office = KeepingOffice(tmp_path / "blobs")
            await office.come_up()
            await test(office)
            await office.projects.close()

        asyncio.run(run_it())

    return run
