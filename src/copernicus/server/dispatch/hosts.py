"""What is held against hosts: setbacks, and quarantine. Durable with the unit that it belongs to.

A worker that is lost, or cannot do a job, makes its host and its jobs suspects. Whoever is at fault shows when the jobs are
tried on other hosts: one that is done there clears itself, and when all jobs of a setback have, it was the host's own. Setbacks
are dropped when the host has finished a job since, or when one of their jobs has ended otherwise.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterable, Iterator

from msgspec.structs import replace

from copernicus.model.jobs import OPEN_STATES
from copernicus.server.storage.abc import BookStore, HostRecord, JobRecord, PutHost, Setback, Unit

SETBACKS_TO_QUARANTINE = 3
"""So many setbacks of its own, one after the other and with as many different jobs, put a host in quarantine."""
MOST_SETBACKS = 16
_log = logging.getLogger(__name__)


class Hosts:
    """The records of all hosts that something is held against; `clock` is the wall clock. Lookups cost O(1)."""

    def __init__(self, store: BookStore, clock: Callable[[], float]) -> None:
        self._store, self._clock = store, clock
        self.load()

    def load(self) -> None:
        """Read the store's records anew."""
        self._records = {host.name: host for host in self._store.hosts()}
        self._suspects: dict[int, set[str]] = {}
        for host in self._records.values():
            self._index(host)

    def quarantined(self) -> list[HostRecord]:
        """The hosts in quarantine, the one that has been for longest first."""
        found = [host for host in self._records.values() if host.quarantined_at is not None]
        return sorted(found, key=lambda host: (host.quarantined_at or 0.0, host.name))

    def why_quarantined(self, name: str) -> str:
        """Why the workers of a host get no jobs, "" when they do."""
        host = self._records.get(name)
        return host.why if host is not None and host.quarantined_at is not None else ""

    # --- what happens

    def hold_against(self, unit: Unit, name: str, worker: str, jobs: Iterable[int], error: str) -> None:
        """A worker on this host was lost, or could not do a job."""
        numbers = tuple(sorted(jobs))
        if name and numbers:
            host = self._records.get(name, HostRecord(name))
            setback = Setback(worker, error, self._clock(), numbers)
            self._put(unit, replace(host, setbacks=(*host.setbacks, setback)[-MOST_SETBACKS:]))

    def withdraw(self, unit: Unit, name: str, worker: str) -> None:
        """A worker that counted as lost has spoken: it had not died."""
        self._drop(unit, name, lambda setback: setback.worker == worker)

    def follow(self, unit: Unit, job: JobRecord, name: str) -> None:
        """An attempt at a job has ended on a host; what that says of it and of others."""
        if job.state == "done":
            self._drop(unit, name, lambda setback: True)
        if job.state in OPEN_STATES or job.id not in self._suspects:
            return
        for other in sorted(self._suspects[job.id]):
            if job.state == "done":
                self._clear(unit, other, job.id)
            else:
                self._drop(unit, other, lambda setback: job.id in (*setback.jobs, *setback.cleared))

    def _clear(self, unit: Unit, name: str, job: int) -> None:
        """A job that was in setbacks of this host was done on another one."""
        host = self._records[name]
        setbacks = tuple(
            replace(one, jobs=tuple(number for number in one.jobs if number != job), cleared=(*one.cleared, job))
            if job in one.jobs else one
            for one in host.setbacks
        )  # fmt: skip
        host = replace(host, setbacks=setbacks)
        own = [setback for setback in setbacks if not setback.jobs]
        different = {number for setback in own for number in setback.cleared}
        if host.quarantined_at is None and min(len(own), len(different)) >= SETBACKS_TO_QUARANTINE:
            host = replace(host, quarantined_at=self._clock(), why=_verdict(own))
            _log.warning("host %s is in quarantine: %s", name, host.why)
        self._put(unit, host)

    def _drop(self, unit: Unit, name: str, is_void: Callable[[Setback], bool]) -> None:
        host = self._records.get(name)
        if host is not None:
            left = tuple(setback for setback in host.setbacks if not is_void(setback))
            if left != host.setbacks:
                self._put(unit, replace(host, setbacks=left))

    # --- what people want

    def quarantine(self, unit: Unit, name: str, why: str, who: str) -> None:
        """A person puts a host in quarantine."""
        host = self._records.get(name, HostRecord(name))
        self._put(unit, replace(host, quarantined_at=self._clock(), why=why, who=who))

    def release(self, unit: Unit, name: str) -> None:
        """A person trusts a host again: all that was held against it is forgotten."""
        self._put(unit, HostRecord(name))

    def _put(self, unit: Unit, host: HostRecord) -> None:
        before = self._records.pop(host.name, None)
        for number in _jobs(before) if before is not None else ():
            suspects = self._suspects.get(number, set())
            suspects.discard(host.name)
            if not suspects:
                self._suspects.pop(number, None)
        if not host.is_blank:
            self._records[host.name] = host
            self._index(host)
        unit.add(PutHost(host))

    def _index(self, host: HostRecord) -> None:
        for number in _jobs(host):
            self._suspects.setdefault(number, set()).add(host.name)


def _jobs(host: HostRecord) -> Iterator[int]:
    for setback in host.setbacks:
        yield from setback.jobs
        yield from setback.cleared


def _verdict(own: list[Setback]) -> str:
    numbers = sorted({number for setback in own for number in setback.cleared})
    last = own[-1]
    return (
        f"{len(own)} times in a row jobs came to nothing there that were done on other hosts"
        f" (jobs {', '.join(map(str, numbers[:10]))}{', …' if len(numbers) > 10 else ''}); the last time: {last.error}"
    )
