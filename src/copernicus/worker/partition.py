"""How free cores are split among jobs, and how many jobs to ask for. Pure."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Protocol, TypeVar

BATCH = 32
SHORT_S = 0.2
HOARD_S = 0.25


class Wanting(Protocol):
    """Something that wants cores: a leased job."""

    @property
    def cores(self) -> int:
        """How many."""
        ...


W = TypeVar("W", bound=Wanting)


def fit(waiting: Iterable[W], free: int) -> list[W]:
    """Return those of `waiting` that start now on `free` cores, in order; what does not fit lets smaller ones pass.

    24 free cores and jobs of 12, 1, 1, … start the one of 12 and twelve of 1.
    """
    starting = []
    for job in waiting:
        if free <= 0:
            break
        if job.cores <= free:
            starting.append(job)
            free -= job.cores
    return starting


def granted(leased: int, minimum: int, cores: int, per_job: int | None) -> int:
    """Return how many cores a job gets that was leased with `leased` of them: at least its minimum, at most all or `-s`."""
    limit = min(cores, per_job or cores)
    return max(1, min(leased, limit), min(minimum, cores))


def pick(free: Iterable[int], count: int) -> frozenset[int]:
    """Return `count` of the core numbers `free` (fewer if there are fewer) that lie together.

    The tightest run of neighbours that is long enough is used, so that long runs stay whole for wide jobs; without
    one, the longest runs are joined.
    """
    runs = _runs(sorted(free))
    long_enough = [run for run in runs if len(run) >= count]
    if long_enough:
        return frozenset(min(long_enough, key=len)[:count])
    chosen: list[int] = []
    for run in sorted(runs, key=len, reverse=True):
        chosen += run[: count - len(chosen)]
    return frozenset(chosen)


def _runs(numbers: Sequence[int]) -> list[list[int]]:
    runs: list[list[int]] = []
    for number in numbers:
        if runs and runs[-1][-1] + 1 == number:
            runs[-1].append(number)
        else:
            runs.append([number])
    return runs


def hoard(slots: int, recent_s: Sequence[float]) -> int:
    """Return how many jobs may wait in the worker beyond those that run, given how long recent ones took.

    Two batches when jobs are short, so that reports and refills travel in batches while the cores stay busy; none when
    any recent job was long, or nothing is known: another worker may be idle.
    """
    if not recent_s or max(recent_s) >= SHORT_S:
        return 0
    mean_s = max(sum(recent_s) / len(recent_s), 0.0005)
    return min(2 * BATCH, int(HOARD_S * slots / mean_s))
