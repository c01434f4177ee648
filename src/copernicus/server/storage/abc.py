"""The ports: what the server's rooms ask of a store, and the units in which they write.

A `Unit` gathers all changes that belong together, across rooms (a job's end, the project's record, the jobs that follow
from it, the answer to be repeated for a request id). `BookStore.submit` makes it durable, wholly or not at all; many
units share one fsync. What may only happen once it is durable stands in `Unit.after`.
"""

from __future__ import annotations

from asyncio import Future
from collections.abc import Callable, Iterable, Iterator, Sequence
from typing import Protocol

import msgspec

from copernicus.errors import CopernicusError
from copernicus.model.jobs import JobDescription
from copernicus.server.storage.access import (
    AccessStore as AccessStore,
    BundleRow as BundleRow,
    PeerRecord as PeerRecord,
    SessionRow as SessionRow,
    UserRow as UserRow,
)
from copernicus.server.storage.records import (
    SUSPICIOUS as SUSPICIOUS,
    AttemptRow as AttemptRow,
    HostRecord as HostRecord,
    JobRecord as JobRecord,
    ProjectRow as ProjectRow,
    Provisional as Provisional,
    Setback as Setback,
)


class PutProject(msgspec.Struct, frozen=True):
    """Insert a project, or give one another name or priority."""

    project: ProjectRow


class DropProject(msgspec.Struct, frozen=True):
    """Remove a project with its records and jobs."""

    project: str


class AppendRecord(msgspec.Struct, frozen=True):
    """Append one record to a project's log. `seq` grows by one; `data` is the encoded record."""

    project: str
    seq: int
    data: bytes


class PutJob(msgspec.Struct, frozen=True):
    """Insert or replace a job."""

    job: JobRecord


class RememberAnswer(msgspec.Struct, frozen=True):
    """Keep the answer given to a request id, so that the same request again has one effect."""

    request_id: str
    who: str
    answer: bytes
    at: float


class PutRetired(msgspec.Struct, frozen=True):
    """A blob was found that nothing keeps any more, at this time (Unix)."""

    blob: str
    since: float


class DropRetired(msgspec.Struct, frozen=True):
    """A blob is kept again, or is about to be deleted."""

    blob: str


class PutHost(msgspec.Struct, frozen=True):
    """What is held against a host has changed; a record that holds nothing is removed."""

    host: HostRecord


class PutBorrowed(msgspec.Struct, frozen=True):
    """Insert or replace what is known of an attempt at another server's job, under the number that it has here."""

    number: int
    data: bytes


class DropBorrowed(msgspec.Struct, frozen=True):
    """The other server has been told everything about that attempt."""

    number: int


Change = (
    PutProject | DropProject | AppendRecord | PutJob | RememberAnswer | PutRetired | DropRetired | PutHost | PutBorrowed
    | DropBorrowed
)  # fmt: skip


class Unit:
    """Changes that become durable together. `after` runs, in order, once they are."""

    __slots__ = ("after", "changes")

    def __init__(self) -> None:
        self.changes: list[Change] = []
        self.after: list[Callable[[], None]] = []

    def add(self, change: Change) -> None:
        """Add one change."""
        self.changes.append(change)

    def then(self, action: Callable[[], None]) -> None:
        """Run `action` in the event loop once the unit is durable."""
        self.after.append(action)


class Logs(Protocol):
    """The logs of projects, to be read."""

    def records(self, project: str, after: int = 0) -> Iterator[tuple[int, bytes]]:
        """The project's log records with a sequence number above `after`, in order."""
        ...

    def newest_records(self, project: str, before: int, count: int) -> list[tuple[int, bytes]]:
        """Up to `count` of the project's log records with a sequence number below `before`, the newest first."""
        ...


class BookStore(Logs, Protocol):
    """The book of one server: projects, logs, jobs, remembered answers."""

    def submit(self, unit: Unit) -> Future[None]:
        """Make `unit` durable; the future ends when it is (and its `after` actions ran), or with `NoSpace`/`Unavailable`.

        Units become durable in the order of submission. An empty unit is a barrier: it ends when all before it are.
        """
        ...

    def when_refused(self, action: Callable[[CopernicusError], None]) -> None:
        """Call `action` in the event loop when the disk has refused units; all later ones are refused until `recover`."""
        ...

    async def recover(self) -> None:
        """After a refusal: open the book afresh and accept units again; raise `Unavailable` when it cannot be opened.

        What is in memory and came from refused units must be thrown away and read again by then.
        """
        ...

    def projects(self) -> list[ProjectRow]:
        """All projects."""
        ...

    def jobs(self) -> Iterator[JobRecord]:
        """All jobs that are not ended, and of the ended ones those that are still current, in order of id."""
        ...

    def job(self, job: int) -> JobRecord | None:
        """One job, ended or not."""
        ...

    def last_job(self) -> int:
        """The highest job number ever given, 0 before the first; numbers are never used again."""
        ...

    def attempt_floor(self) -> int:
        """Attempts up to this number were given out before the book was restored from a backup; 0: it never was."""
        ...

    def answer(self, request_id: str, who: str) -> bytes | None:
        """The answer remembered for a request id of `who`, or None. It may stand before its unit is durable."""
        ...

    def retired(self) -> dict[str, float]:
        """The blobs that nothing keeps, and since when."""
        ...

    def hosts(self) -> list[HostRecord]:
        """The hosts that something is held against."""
        ...

    def borrowed(self) -> list[bytes]:
        """What is known of attempts at other servers' jobs, in the order of their numbers."""
        ...

    def close(self) -> None:
        """Write what waits and close."""
        ...


class JobBook(Protocol):
    """What the projects' room asks of the dispatch room. Every call adds its changes to the caller's unit."""

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
        """See to it that the job for (project, key) is done, and return its number.

        A new key makes a job, which goes on from the checkpoint of the first job of the keys `extends` that has one; of one
        that a worker has, it waits for the end (state *blocked*). A key whose job was cancelled goes on from its own last
        checkpoint. A job that stands takes over priority and resources. `why_blocked` not empty: it must not be started
        (state *blocked*). `needs` is the instance that makes an input of a blocked job anew (0: none): its job inherits the
        priority of this one, if that is higher.
        """
        ...

    def rename(self, unit: Unit, project: str, instance: int, key: str, path: str) -> None:
        """The instance has another path now; its job is called so."""
        ...

    def block(self, unit: Unit, project: str, key: str, why: str, needs: int = 0) -> None:
        """Queued becomes blocked (`why` not empty), blocked becomes queued (`why` empty). `needs` is as in `want`.

        A leased job goes on; should its attempt end without finishing, the job becomes blocked instead of queued.
        """
        ...

    def stop_now(self, unit: Unit, project: str, key: str) -> None:
        """The job is held: an attempt under way is asked to stop, with a checkpoint, and the job becomes blocked."""
        ...

    def supersede(self, unit: Unit, project: str, key: str) -> None:
        """Nobody wants this job any more: ends as cancelled, at once or (leased) when the worker has heard of it."""
        ...

    def clear(self, unit: Unit, project: str, key: str) -> None:
        """A failed job, or one whose results were deleted, gets a fresh budget of attempts and is queued again, from its
        last checkpoint."""
        ...

    def prioritize(self, project: str, priority: int) -> None:
        """The project has this priority, which is added to that of each of its jobs."""
        ...

    def forget(self, unit: Unit, project: str) -> None:
        """The project was removed: all its jobs end."""
        ...

    def find(self, project: str, key: str) -> JobRecord | None:
        """The job for a key, or None."""
        ...

    def numbers(self, project: str) -> list[int]:
        """The numbers of all jobs of a project."""
        ...

    def reserve(self, count: int) -> int:
        """Return the first of `count` numbers that no job has or will get otherwise."""
        ...

    def adopt(self, unit: Unit, jobs: Iterable[JobRecord]) -> None:
        """Take in jobs that come with their project from elsewhere, under numbers that were reserved; none is leased."""
        ...


class JobEnds(Protocol):
    """What the dispatch room tells the projects' room, inside the unit that accepts the report."""

    def job_finished(self, unit: Unit, job: JobRecord, outputs: dict[str, object], core_s: float) -> str:
        """A current attempt finished; `outputs` is plain JSON. Returns "" or why the outputs were refused (then the
        evaluation is filed as failed with that reason, and the job's state becomes failed)."""
        ...

    def job_glimpsed(self, unit: Unit, job: JobRecord) -> None:
        """A job that runs has newer provisional outputs."""
        ...

    def job_failed(self, unit: Unit, job: JobRecord, error: str, core_s: float) -> None:
        """The job failed for good: `error` holds the message and the last lines of its output."""
        ...

    def job_rerun(self, unit: Unit, job: JobRecord, who: str) -> bool:
        """`who` wants a failed job to be tried again; return whether any instance wants it still (else nothing changes)."""
        ...
