"""What follows when a worker falls silent, and when it speaks again: whose fault that may have been."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from copernicus.server.dispatch import outcomes
from copernicus.server.dispatch.views import JobViews
from copernicus.server.dispatch.workers import Worker
from copernicus.server.storage.abc import JobRecord, Unit


def lose(
    unit: Unit, views: JobViews, worker: Worker, jobs: Sequence[JobRecord], silent_s: float, clock: float, monotonic: float
) -> Iterator[tuple[JobRecord, outcomes.Ended]]:
    """A worker was not heard of for `silent_s`: yield how the attempts at its `jobs` end.

    Where its time was over, that is nobody's fault; else it is held against its host. `clock` is the wall clock's time.
    """
    worker.is_lost = True
    views.queue.reservations.release_worker(worker.name)
    if worker.leaves_at is not None and worker.leaves_at <= monotonic:
        for job in jobs:
            again = outcomes.interrupted(job, clock, "worker left", "its time was over, and it said nothing more")
            yield job, outcomes.Ended(again)
        return
    worker.lost_with = {job.id: job.attempt for job in jobs}
    hosts = [job.attempts[-1].hostname for job in jobs]  # after a restart it may not have introduced itself
    silence = f"worker {worker.name} was not heard of for {silent_s:.0f} s"
    views.hosts.hold_against(unit, max([worker.hostname, *hosts]), worker.name, worker.lost_with, silence)
    for job in jobs:
        yield job, outcomes.lost(job, clock, silent_s)


def take_back(unit: Unit, views: JobViews, worker: Worker) -> None:
    """A worker that counted as lost has spoken. It had not died, so neither its jobs nor its host are suspects."""
    lost_with, worker.lost_with = worker.lost_with, {}
    for number, attempt in lost_with.items():
        job = views.get(number)
        forgiven = outcomes.forgiven(job, attempt) if job is not None else None
        if forgiven is not None:
            views.put(unit, forgiven)
    views.hosts.withdraw(unit, worker.hostname, worker.name)
