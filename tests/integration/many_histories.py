"""Many histories, on all cores: `python -m tests.integration.many_histories --first 0 --histories 20000`."""

from __future__ import annotations

import argparse
import os
import sys
from collections.abc import Iterator
from multiprocessing import get_context

from tests.unit.histories import STEPS, Tally, live

CHUNK = 50


def _chunk(what: tuple[int, int, int]) -> Tally:
    tally = Tally()
    for seed in range(what[0], what[0] + what[1]):
        live(seed, what[2], tally)
        if tally.failures:
            break
    return tally


def live_many(first: int, histories: int, steps: int, processes: int = 0) -> Tally:
    """Live histories until one fails, in as many processes as there are cores."""
    chunks = [(seed, min(CHUNK, first + histories - seed), steps) for seed in range(first, first + histories, CHUNK)]
    total = Tally()
    for tally in _each(chunks, processes or os.cpu_count() or 1):
        total.add(tally)
        if total.failures:
            break
    return total


def _each(chunks: list[tuple[int, int, int]], processes: int) -> Iterator[Tally]:
    if processes == 1 or len(chunks) == 1:
        yield from map(_chunk, chunks)
        return
    with get_context("spawn").Pool(processes) as pool:
        yield from pool.imap_unordered(_chunk, chunks)


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--first", type=int, default=0, help="the first of many seeds")
    parser.add_argument("--histories", type=int, default=1000)
    parser.add_argument("--steps", type=int, default=STEPS)
    parser.add_argument("--processes", type=int, default=0)
    asked = parser.parse_args()
    tally = live_many(asked.first, asked.histories, asked.steps, asked.processes)
    print(tally.table())
    print(tally.told(asked.first))
    for failure in tally.failures[:1]:
        print(failure)
    return bool(tally.failures)


if __name__ == "__main__":
    sys.exit(main())
