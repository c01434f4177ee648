"""What the tests of lending say as clients of an owner, and as workers of a lender."""

from __future__ import annotations

import time
from typing import Any

from tests.integration.connected import until
from tests.integration.standing import DEADLINE_S, Standing, offer

from copernicus.blobs.hashing import hash_bytes
from copernicus.errors import Unavailable
from copernicus.model.edits import Activate, ImportModule, MakeInstance, SetValue
from copernicus.model.jobs import LeasedJob, Report
from copernicus.model.values import FileRef
from copernicus.wire import messages as m

FIRST = 1 << 52


def double(owner: Standing, value: int, name: str = "d", project: str = "p") -> None:
    """Have one number doubled by a job."""
    caller = owner.caller()
    if project not in [row.name for row in caller.call(m.ProjectsRequest()).projects]:
        caller.call(m.StartProjectRequest(project, f"start {project}"))
    edits = [ImportModule("math"), MakeInstance("math::double", name), SetValue(f"{name}:in.integer_inputs", value), Activate()]
    caller.call(m.ApplyRequest(project, edits, f"double {project} {name}"))


def output(owner: Standing, name: str = "d", project: str = "p") -> Any:
    """What has come of it."""
    return owner.caller().call(m.GetRequest(project, f"{name}:out.integer_outputs")).value


def running(owner: Standing) -> list[m.JobRow]:
    """The jobs that workers have."""
    return owner.caller().call(m.RunningRequest()).jobs


class Hand:
    """A worker that does what a test says, and only that."""

    def __init__(self, server: Standing, name: str = "w", cores: int = 1) -> None:
        self.name, self.caller, self.cores = name, server.caller("worker"), cores
        self.bundle_of = server
        self._announced = offer(name, cores)
        self.caller.call(self._announced)

    def ask(self, wait_s: float = 0.0, free: int | None = None) -> list[LeasedJob]:
        """Ask for jobs, as many as there are cores."""
        free = self.cores if free is None else free
        id = f"{self.name} {time.monotonic_ns()}"
        reply = self.caller.call(m.ExchangeRequest(self.name, free, free, wait_s=wait_s, request_id=id), wait_s + 30)
        if reply.is_unknown_worker:
            self.caller.call(self._announced)
        return reply.jobs

    def take(self) -> LeasedJob:
        """Ask until there is one job."""
        found: list[LeasedJob] = []
        until(lambda: found or found.extend(self.ask(5.0)) or found, "no job came")
        (job,) = found
        return job

    def report(self, job: LeasedJob, value: int, **more: Any) -> str:
        """A job is done; return the verdict. Repeated while the server is away."""
        report = Report(job.job, job.attempt, "finished", {"integer_outputs": value}, exit_status=0, wall_s=0.1, version="1.0")
        ends_at = time.monotonic() + DEADLINE_S
        while True:
            try:
                reply = self.caller.call(m.ExchangeRequest(self.name, 0, 0, [report], request_id=f"r {time.monotonic_ns()}"))
                return reply.verdicts[0].verdict
            except Unavailable:
                assert time.monotonic() < ends_at
                time.sleep(0.05)

    def keep(self, data: bytes) -> FileRef:
        """Bring a file."""
        file = FileRef(hash_bytes(data), len(data), "file")
        self.caller.call(m.ExchangeRequest(self.name, 0, 0, blobs=[m.InlineBlob(file.blob, data)]))
        return file

    def beat(self, *jobs: LeasedJob, progress: str = "") -> m.HeartbeatReply:
        """A sign of life."""
        return self.caller.call(m.HeartbeatRequest(self.name, [m.Beat(job.job, job.attempt, progress) for job in jobs]))
