"""What this room asks of its neighbours, which it may not import: the job book with what people want to know of it."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Protocol

from copernicus.dataflow.calls import Answer, Call
from copernicus.errors import UnknownPath
from copernicus.model.functions import ModuleSchema
from copernicus.server.storage.abc import JobBook, JobRecord, Unit
from copernicus.server.storage.costs import Cost


class Jobs(JobBook, Protocol):
    """The job book, and what it can tell."""

    def record(self, job: int) -> JobRecord | None:
        """One job, ended or not."""
        ...

    def get(self, job: int) -> JobRecord | None:
        """One job that has not ended, or None."""
        ...

    def put(self, unit: Unit, job: JobRecord) -> None:
        """Make `job` what stands in the book."""
        ...

    def with_checkpoint(self, project: str) -> list[int]:
        """The numbers of the ended jobs of a project that have a checkpoint."""
        ...

    def counts(self, project: str) -> dict[str, int]:
        """How many jobs of a project are in each state."""
        ...

    def costs(self, project: str) -> Iterable[tuple[int, int, tuple[Cost, ...]]]:
        """Number, instance and costs of each job of a project."""
        ...

    def explain(self, job: int) -> list[str]:
        """Why a job is where it is, in lines for a person."""
        ...


class ModuleCode(Protocol):
    """Whoever runs module code (`pool.Pool`)."""

    async def start(self) -> None:
        """Come up."""
        ...

    async def catalog(self) -> list[ModuleSchema]:
        """All modules, the broken ones with their error."""
        ...

    async def call(self, request: Call) -> Answer:
        """Answer a call; faults of modules are the answer's `error`. `Forgotten`: ask again, with everything in the call."""
        ...

    def slow_call_s(self, project: str, instance: int) -> float:
        """How many seconds the last call of a controller took, if that was long (else 0)."""
        ...

    async def stop(self) -> None:
        """End."""
        ...


def find_job(jobs: Jobs, project: str, target: str) -> JobRecord | None:
    """The job whose number `target` is, None when it is no number; `UnknownPath` when the project has no such job."""
    if not (target.isascii() and target.isdecimal()):
        return None
    job = jobs.record(int(target)) if len(target) < 20 else None
    if job is None or job.project != project:
        raise UnknownPath(f"There is no job {target[:40]} in this project.", "`cpcc jobs` lists those that there are.")
    return job
