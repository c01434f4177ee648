"""python -m tests.proof.simulation: many seeds, or one with its whole history, or the planted bugs."""

from __future__ import annotations

import argparse
import json
import logging
import sys
import time
from collections import Counter
from collections.abc import Iterator
from contextlib import nullcontext
from functools import partial
from typing import Any, get_args

from tests.proof.simulation import scenarios
from tests.proof.simulation.bugs import PLANTS
from tests.proof.simulation.faults import Faults
from tests.proof.simulation.judge import Kind, Violation
from tests.proof.simulation.life import Life, simulated

SEEDS, PLANTED_SEEDS = 2000, 400
PART = "simulation"
KINDS: tuple[str, ...] = get_args(Kind)


def live(seed: int, *, is_traced: bool = False, bug: str = "") -> tuple[Life, Violation | None]:
    """Live through one seed; return it, and what was found. `bug` is the one that is planted, so that it is looked for."""
    life = Life(seed, is_traced=is_traced)
    try:
        life.run(partial(Faults, often=PLANTS[bug].often if bug else ()))
    except Violation as found:
        return life, found
    except Exception as error:
        logging.getLogger(__name__).exception("the simulation broke off")
        return life, Violation("fault", "other", f"{type(error).__name__}: {error}")
    return life, None


def find(bug: str, first: int = 1, seeds: int = PLANTED_SEEDS) -> tuple[int, Violation] | None:
    """Plant a bug and return the seed by which it is found, with what is found; None when it is not."""
    with simulated(), PLANTS[bug].plant():
        for seed in range(first, first + seeds):
            _, found = live(seed, bug=bug)
            if found is not None:
                return seed, found
    return None


def seeds_of(options: argparse.Namespace) -> Iterator[int]:
    """The seeds to live through: so many, or until the time is over."""
    end = time.monotonic() + 60 * options.minutes if options.minutes else None
    count = options.seeds or (10**9 if end else SEEDS)
    for seed in range(options.seed, options.seed + count):
        if end is not None and time.monotonic() > end:
            return
        yield seed


def survive(options: argparse.Namespace) -> dict[str, Any]:
    """Live through seeds, and print what is found with the command that replays it."""
    kinds, counts, count = Counter[str](), Counter[str](), 0
    planted = PLANTS[options.bug].plant() if options.bug else nullcontext()
    with simulated(), planted:
        for seed in seeds_of(options):
            life, found = live(seed, is_traced=options.trace, bug=options.bug)
            count += 1
            counts += life.judge.counts
            if options.trace:
                print("\n".join(life.world.history))
            if found is not None:
                kinds[found.kind] += 1
                print(f"seed {seed}: {found}")
                print(f"  {replay(seed, options.bug)}")
    if not options.json:
        happened = ", ".join(f"{number} {name}" for name, number in sorted(counts.items()))
        print(f"{count} seeds, {sum(kinds.values())} findings; {happened}")
    return {"seeds": count, **{kind: kinds[kind] for kind in KINDS}}


def replay(seed: int, bug: str = "") -> str:
    """The command that lives through a seed again, and prints its history."""
    return f"python -m tests.proof.simulation --seed {seed} --seeds 1 --trace" + (f' --bug "{bug}"' if bug else "")


def judge_plants(first: int, *, is_told: bool) -> dict[str, bool]:
    """Plant each bug; return which were found as what they are."""
    caught = {}
    for bug, planted in PLANTS.items():
        found = find(bug, first)
        caught[bug] = found is not None and found[1].name in planted.names
        if is_told:
            what = f"seed {found[0]}: {found[1]}" if found is not None else f"not found in {PLANTED_SEEDS} seeds"
            print(f"{'caught' if caught[bug] else 'MISSED'}  {bug}: {what}")
    return caught


def main() -> int:
    """Do what the command line says; return the exit status."""
    parser = argparse.ArgumentParser(prog="python -m tests.proof.simulation", description=__doc__)
    parser.add_argument("--seed", type=int, default=1, help="the first seed")
    parser.add_argument("--seeds", type=int, default=0, help=f"how many ({SEEDS})")
    parser.add_argument("--minutes", type=float, default=0.0, help="as many as there is time for")
    parser.add_argument("--planted", action="store_true", help="plant each bug, too: each must be found")
    parser.add_argument("--json", action="store_true", help="the last line is one JSON object")
    parser.add_argument("--bug", choices=PLANTS, default="", help="plant this one, and live through seeds")
    parser.add_argument("--scenario", choices=scenarios.SCENARIOS, help="live through this one instead")
    parser.add_argument("--trace", action="store_true", help="print the whole history")
    options = parser.parse_args()
    if not options.trace:
        logging.disable(logging.CRITICAL)
    if options.scenario:
        with simulated():
            life = scenarios.survive(options.scenario, options.seed, is_traced=options.trace)
        print("\n".join(life.world.history) or "survived")
        return 0
    begun = time.monotonic()
    result = {"part": PART, "seed": options.seed, **survive(options)}
    result["planted"] = judge_plants(options.seed, is_told=not options.json) if options.planted else {}
    result["seconds"] = round(time.monotonic() - begun, 1)
    if options.json:
        print(json.dumps(result))
    findings = sum(result[kind] for kind in KINDS)
    return int(bool(findings) or not all(result["planted"].values()))


if __name__ == "__main__":
    sys.exit(main())
