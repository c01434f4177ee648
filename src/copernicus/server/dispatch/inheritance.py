"""Priority that jobs inherit: one whose result a blocked job needs is as urgent as the blocked one."""

from __future__ import annotations

from collections.abc import Callable, Iterator

from copernicus.model.jobs import OPEN_STATES
from copernicus.server.storage.abc import JobRecord

Maker = tuple[str, int]
"""Project and instance: whose job makes an input anew."""


class Inheritance:
    """Which blocked jobs need which instance's job. In memory only: the engine says it again when a project is read.

    `get` finds an open job.
    """

    def __init__(self, get: Callable[[int], JobRecord | None]) -> None:
        self._get = get
        self._jobs_of: dict[Maker, set[int]] = {}
        self._maker_of: dict[int, Maker] = {}
        self._needs: dict[int, Maker] = {}
        self._needed_by: dict[Maker, set[int]] = {}

    def follow(self, job: JobRecord) -> list[int]:
        """A job stands differently; return those whose priority may be another one now."""
        maker = (job.project, job.instance) if job.state in OPEN_STATES else None
        _move(self._jobs_of, self._maker_of, job.id, maker)
        if job.id not in self._needs:
            return []
        if maker is None or not job.why:
            return self.need(job.id, None)
        return self._makers(self._needs[job.id])

    def need(self, job: int, maker: Maker | None) -> list[int]:
        """A blocked job needs what the job of an instance makes (None: nothing); return whose priority may change."""
        before = self._needs.get(job)
        if before == maker:
            return []
        _move(self._needed_by, self._needs, job, maker)
        return [number for one in (before, maker) if one is not None for number in self._makers(one)]

    def forget(self, job: int) -> None:
        """The job is gone, with its project."""
        _move(self._jobs_of, self._maker_of, job, None)
        _move(self._needed_by, self._needs, job, None)

    def priority(self, job: JobRecord) -> tuple[int, int]:
        """The priority of a job, and from which blocked job it was inherited (0: it is its own)."""
        best, heir = job.description.priority, 0
        for number in self._those_who_need((job.project, job.instance)):
            blocked = self._get(number)
            if blocked is not None and blocked.state == "blocked" and blocked.description.priority > best:
                best, heir = blocked.description.priority, number
        return best, heir

    def _those_who_need(self, maker: Maker) -> Iterator[int]:
        """The jobs that need the job of an instance, directly or through others that are blocked."""
        seen, todo = {maker}, [maker]
        while todo:
            for number in sorted(self._needed_by.get(todo.pop(), ())):
                yield number
                following = self._maker_of.get(number)
                if following is not None and following not in seen:
                    seen.add(following)
                    todo.append(following)

    def _makers(self, maker: Maker) -> list[int]:
        """The jobs of an instance, and of those that it needs in its turn."""
        seen, todo, found = {maker}, [maker], list[int]()
        while todo:
            for number in sorted(self._jobs_of.get(todo.pop(), ())):
                found.append(number)
                following = self._needs.get(number)
                if following is not None and following not in seen:
                    seen.add(following)
                    todo.append(following)
        return found


def _move(members: dict[Maker, set[int]], of: dict[int, Maker], job: int, maker: Maker | None) -> None:
    """Let a job belong to another maker, or to none."""
    before = of.pop(job, None)
    if before is not None:
        members[before].discard(job)
        if not members[before]:
            del members[before]
    if maker is not None:
        of[job] = maker
        members.setdefault(maker, set()).add(job)
