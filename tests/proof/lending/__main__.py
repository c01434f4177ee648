"""python -m tests.proof.lending: an owner and a lender under faults, many seeds, and the bugs planted into lending."""

from __future__ import annotations

import argparse
import asyncio
import logging
import sys

from tests.proof.lending.life import Life, Violation
from tests.proof.lending.plants import PLANTS
from tests.proof.part import Result, main

SEEDS, PLANTED_SEEDS = 300, 200


def live(seed: int) -> Violation | None:
    """Live through one seed; return what was broken, None when nothing was."""
    try:
        asyncio.run(Life(seed).run())
    except Violation as violation:
        return violation
    return None


def find(bug: str, first: int = 1) -> tuple[int, Violation] | None:
    """Plant a bug and return the seed by which it is found, with what is found; None when it is not."""
    with PLANTS[bug][0]():
        for seed in range(first, first + PLANTED_SEEDS):
            found = live(seed)
            if found is not None:
                return seed, found
    return None


def run(asked: argparse.Namespace, result: Result) -> None:
    """Live through seeds, so many or until the time is over; then plant each bug."""
    logging.disable(logging.CRITICAL)
    seed, last = asked.seed, asked.seed + SEEDS
    while not result.is_over(asked.minutes) if asked.minutes is not None else seed < last:
        found = live(seed)
        result.count("histories")
        if found is not None:
            result.find(found.name, str(found), f"python -m tests.proof.lending --seed {seed} --minutes 0.001")
        seed += 1
    for bug, (_, names) in PLANTS.items() if asked.planted else ():
        hit = find(bug, asked.seed)
        result.plant(bug, hit is not None and hit[1].name in names, f"seed {hit[0]}: {hit[1]}" if hit else "")


if __name__ == "__main__":
    sys.exit(main("lending", __doc__ or "", run))
