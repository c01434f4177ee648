"""The store in memory: for unit tests and the test kit."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterator

from copernicus.errors import CopernicusError, Unavailable
from copernicus.server.storage.abc import (
    AppendRecord,
    Change,
    DropBorrowed,
    DropProject,
    DropRetired,
    HostRecord,
    JobRecord,
    ProjectRow,
    PutBorrowed,
    PutHost,
    PutJob,
    PutProject,
    PutRetired,
    RememberAnswer,
    Unit,
)
from copernicus.server.storage.groups import refuse, settle


class _Tables:
    """What is durable."""

    def __init__(self) -> None:
        self.projects: dict[str, ProjectRow] = {}
        self.records: dict[str, dict[int, bytes]] = {}
        self.jobs: dict[int, JobRecord] = {}
        self.answers: dict[tuple[str, str], bytes] = {}
        self.last_job = 0
        self.retired: dict[str, float] = {}
        self.attempt_floor = 0
        self.hosts: dict[str, HostRecord] = {}
        self.borrowed: dict[int, bytes] = {}

    def apply(self, change: Change) -> None:
        """Make one change; raise `Unavailable` when it contradicts what stands."""
        match change:
            case PutProject(project):
                self.projects[project.id] = project
                self.records.setdefault(project.id, {})
            case DropProject(project):
                self.projects.pop(project, None)
                self.records.pop(project, None)
                self.jobs = {number: job for number, job in self.jobs.items() if job.project != project}
            case AppendRecord(project, seq, data):
                records = self.records.setdefault(project, {})
                if seq in records:
                    raise Unavailable(f"Record {seq} of project {project} is there already.")
                records[seq] = data
            case PutJob(job):
                self.jobs[job.id] = job
                self.last_job = max(self.last_job, job.id)
            case PutRetired(blob, since):
                self.retired[blob] = since
            case DropRetired(blob):
                self.retired.pop(blob, None)
            case RememberAnswer(request_id, who, answer):
                self.answers[request_id, who] = answer
            case PutHost(host) if host.is_blank:
                self.hosts.pop(host.name, None)
            case PutHost(host):
                self.hosts[host.name] = host
            case PutBorrowed(number, data):
                self.borrowed[number] = data
            case DropBorrowed(number):
                self.borrowed.pop(number, None)


class MemoryBook:
    """A `BookStore` that forgets everything with the process; `disk` lets a test keep the tables over a restart.

    `fail_with`: the next group is refused with this error, as if the disk had refused it.
    """

    def __init__(self, disk: _Tables | None = None) -> None:
        self.disk = disk or _Tables()
        self.fail_with: CopernicusError | None = None
        self._refusal: CopernicusError | None = None
        self._told: list[Callable[[CopernicusError], None]] = []
        self._group: list[tuple[Unit, asyncio.Future[None]]] = []
        self._answers: dict[tuple[str, str], bytes] = {}

    def submit(self, unit: Unit) -> asyncio.Future[None]:
        """See `BookStore.submit`."""
        loop = asyncio.get_running_loop()
        future: asyncio.Future[None] = loop.create_future()
        if self._refusal is not None:
            refuse(future, self._refusal)
        elif not unit.changes and not self._group:
            settle(unit, future)
        else:
            self._answers |= {(c.request_id, c.who): c.answer for c in unit.changes if isinstance(c, RememberAnswer)}
            self._group.append((unit, future))
            if len(self._group) == 1:
                loop.call_soon(self._commit)
        return future

    def _commit(self) -> None:
        group, self._group = self._group, []
        self._answers = {}
        error, self.fail_with = self.fail_with, None
        if error is None:
            try:
                for unit, _ in group:
                    for change in unit.changes:
                        self.disk.apply(change)
            except CopernicusError as refusal:
                error = refusal
        if error is None:
            for unit, future in group:
                settle(unit, future)
            return
        self._refusal = error
        for _, future in group:
            refuse(future, error)
        for action in self._told:
            action(error)

    def when_refused(self, action: Callable[[CopernicusError], None]) -> None:
        """See `BookStore.when_refused`."""
        self._told.append(action)

    async def recover(self) -> None:
        """See `BookStore.recover`."""
        self._refusal = None

    def projects(self) -> list[ProjectRow]:
        """See `BookStore.projects`."""
        return list(self.disk.projects.values())

    def records(self, project: str, after: int = 0) -> Iterator[tuple[int, bytes]]:
        """See `BookStore.records`."""
        return iter([(seq, data) for seq, data in sorted(self.disk.records.get(project, {}).items()) if seq > after])

    def newest_records(self, project: str, before: int, count: int) -> list[tuple[int, bytes]]:
        """See `BookStore.newest_records`."""
        found = self.disk.records.get(project, {})
        return [(seq, found[seq]) for seq in sorted(found, reverse=True) if seq < before][:count]

    def jobs(self) -> Iterator[JobRecord]:
        """See `BookStore.jobs`."""
        return iter([job for _, job in sorted(self.disk.jobs.items())])

    def job(self, job: int) -> JobRecord | None:
        """See `BookStore.job`."""
        return self.disk.jobs.get(job)

    def retired(self) -> dict[str, float]:
        """See `BookStore.retired`."""
        return dict(self.disk.retired)

    def hosts(self) -> list[HostRecord]:
        """See `BookStore.hosts`."""
        return list(self.disk.hosts.values())

    def borrowed(self) -> list[bytes]:
        """See `BookStore.borrowed`."""
        return [data for _, data in sorted(self.disk.borrowed.items())]

    def last_job(self) -> int:
        """See `BookStore.last_job`."""
        return self.disk.last_job

    def attempt_floor(self) -> int:
        """See `BookStore.attempt_floor`."""
        return self.disk.attempt_floor

    def answer(self, request_id: str, who: str) -> bytes | None:
        """See `BookStore.answer`."""
        return self._answers.get((request_id, who)) or self.disk.answers.get((request_id, who))

    def close(self) -> None:
        """See `BookStore.close`."""
        if self._group:
            self._commit()
