"""Bugs planted into the programs that the kill loops kill: each shows only when a program dies at the wrong moment."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterator
from functools import partial
from typing import Any

from msgspec.structs import replace

FORGETFUL_CLIENT = "retry without request id"
"""This one is in the client: it asks again under another id."""


def acknowledge_before_commit() -> None:
    """Who waits is told as soon as the units are handed to the writer."""
    from tests.proof.early import acknowledge_before_commit

    acknowledge_before_commit().__enter__()


def _read_jobs_as(change: Callable[[Any], Any]) -> None:
    from copernicus.server.storage.sqlite.book import SqliteBook

    real = SqliteBook.jobs

    def jobs(self: SqliteBook) -> Iterator[Any]:
        for job in real(self):
            yield change(job)

    SqliteBook.jobs = jobs  # type: ignore[method-assign]


def attempt_reset_on_restart() -> None:
    """A server that comes up counts the attempts at a job that nobody has from 0."""
    _read_jobs_as(lambda job: job if job.state == "leased" else replace(job, attempt=0))


def crash_counter_not_persisted() -> None:
    """A server that comes up does not know how many workers a job has cost."""
    _read_jobs_as(lambda job: replace(job, lost_workers=0))


def downstream_outside_the_transaction() -> None:
    """What follows from a result is stored in a unit of its own, a moment after the job has ended."""
    from copernicus.server.projects.service import Projects
    from copernicus.server.storage.abc import Unit

    real = Projects.job_finished

    def follow(self: Projects, job: Any, outputs: Any, core_s: float) -> None:
        unit = Unit()
        real(self, unit, job, outputs, core_s)
        self._store.submit(unit)

    def job_finished(self: Projects, unit: Unit, job: Any, outputs: Any, core_s: float) -> str:
        later = partial(follow, self, job, outputs, core_s)
        unit.then(lambda: asyncio.get_running_loop().call_later(0.02, later))
        return ""

    Projects.job_finished = job_finished  # type: ignore[method-assign]


def idempotency_pruned_early() -> None:
    """Answers are forgotten with the first commit after them."""
    from copernicus.server.storage.sqlite import book

    book.ANSWERS_KEPT_S = book._PRUNE_EVERY_S = 0.0
    book.NEWEST_KEPT = 0


IN_PROGRAMS: dict[str, Callable[[], None]] = {
    "acknowledge before commit": acknowledge_before_commit,
    "attempt reset on restart": attempt_reset_on_restart,
    "crash counter not persisted": crash_counter_not_persisted,
    "downstream fired outside the transaction": downstream_outside_the_transaction,
    "idempotency pruned early": idempotency_pruned_early,
}
