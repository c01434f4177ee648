"""Histories that are lived: what happened in them is counted, and one that fails is made short and told.

`python -m tests.unit.histories --seed 17` lives one history again.
"""

from __future__ import annotations

import argparse
import sys
import traceback
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, field

from tests.unit.history import Decision, History

STEPS = 40
EVERY = (1, 7, 9, 9, 11, 11, 13, 13, 15, 17)
"""After how many steps everything is compared: in some histories after each, so that what mends itself is seen as well."""


@dataclass
class Failure:
    """A history that failed: where, in the tests or in the engine, and what was said."""

    seed: int
    steps: int
    where: str
    what: str
    decisions: list[Decision]

    def __str__(self) -> str:
        decisions = shorten(self)
        last = fails_at(decisions, History()) or self
        told = live_again(decisions, self.seed).told
        again = f"python -m tests.unit.histories --seed {self.seed} --steps {self.steps}"
        return "\n".join([f"{again}\nfails at {self.where}; {len(decisions)} decisions are enough:", *told, "", last.what])


@dataclass
class Tally:
    """What happened: how often each thing did, and in how many histories."""

    histories: int = 0
    steps: int = 0
    happened: Counter[str] = field(default_factory=Counter)
    within: Counter[str] = field(default_factory=Counter)
    failures: list[Failure] = field(default_factory=list)

    def add(self, other: Tally) -> None:
        self.histories, self.steps = self.histories + other.histories, self.steps + other.steps
        self.happened.update(other.happened)
        self.within.update(other.within)
        self.failures += other.failures

    def told(self, first: int) -> str:
        """One line: seeds, histories, steps."""
        return f"seeds {first} to {first + self.histories - 1}: {self.histories} histories, {self.steps} steps"

    def table(self) -> str:
        """One line for each thing: how often, in how many of a hundred histories."""
        lines = [f"{'what happened':<44}{'times':>10}{'of 100 histories':>18}"]
        for name, times in sorted(self.happened.items()):
            lines.append(f"{name:<44}{times:>10}{100 * self.within[name] / self.histories:>18.1f}")
        return "\n".join(lines)


def live(seed: int, steps: int, tally: Tally) -> None:
    """Live one history, and count what happened in it."""
    history = History(EVERY[seed % len(EVERY)])
    tally.histories += 1
    try:
        history.live(seed, steps)
    except Exception as error:
        tally.failures.append(Failure(seed, steps, *where_of(error), list(history.decisions)))
    tally.steps += history.witness.clock
    happened = +history.happened
    tally.happened.update(happened)
    tally.within.update(happened.keys())


def where_of(error: Exception) -> tuple[str, str]:
    """Where an error was raised, and all of it."""
    frame = traceback.extract_tb(error.__traceback__)[-1]
    place = f"{frame.filename.rpartition('/')[2]}:{frame.lineno} ({type(error).__name__})"
    return place, "".join(traceback.format_exception(error))


def fails_at(decisions: list[Decision], history: History) -> Failure | None:
    """How a history of these decisions fails, if it does."""
    try:
        history.relive(decisions)
    except Exception as error:
        return Failure(0, 0, *where_of(error), decisions)
    return None


def live_again(decisions: list[Decision], seed: int) -> History:
    history = History()
    if fails_at(decisions, history) is None:
        history = History(EVERY[seed % len(EVERY)])
        fails_at(decisions, history)
    return history


def shorten(failure: Failure) -> list[Decision]:
    """The decisions of a history that failed, without those that are not needed for it to fail at the same place."""

    def fails(decisions: list[Decision]) -> bool:
        found = [fails_at(decisions, History(every)) for every in {1, EVERY[failure.seed % len(EVERY)]}]
        return any(one is not None and one.where == failure.where for one in found)

    return smallest(failure.decisions, fails)


def smallest(decisions: list[Decision], fails: Callable[[list[Decision]], bool]) -> list[Decision]:
    """Leave out halves, quarters, … and single decisions for as long as it fails still."""
    size = max(1, len(decisions) // 2)
    while True:
        before = len(decisions)
        for start in reversed(range(0, len(decisions), size)):
            fewer = decisions[:start] + decisions[start + size :]
            if fails(fewer):
                decisions = fewer
        if size == 1 and len(decisions) == before:
            return decisions
        size = max(1, size // 2)


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--seed", type=int, required=True)
    parser.add_argument("--steps", type=int, default=STEPS)
    asked = parser.parse_args()
    tally = Tally()
    live(asked.seed, asked.steps, tally)
    print(tally.table())
    print(tally.told(asked.seed))
    for failure in tally.failures:
        print(failure)
    return bool(tally.failures)


if __name__ == "__main__":
    sys.exit(main())
