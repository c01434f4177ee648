"""Races: of several alternatives the best is found, and those that are not it are stopped as soon as that is known."""

from __future__ import annotations

import itertools
import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Annotated, Literal

from copernicus.modules.ensemble.arguments import seed_of
from copernicus.modules.ensemble.bags import Command, module
from copernicus.modules.ensemble.sampling import Sampled, sample
from copernicus.modules.ensemble.statistics import paired_doubt
from copernicus.plugin.functions import Call, Child, File

GROWTH = 1.5  # from one look to the next, in jobs of each alternative
MANY_FAILURES = 3
OF_JOBS = {"alternatives", "parameters", "seed"}
"""Inputs that the jobs are given as constants."""


@dataclass(frozen=True)
class Standing:
    """How one alternative stands.

    Attributes:
        values: of its parameters
        n: jobs that count
        mean: of their numbers
        error: standard error of the mean
        is_in: whether it may still be the best
        left_at: jobs that it had when it left the race
    """

    values: list[str]
    n: int
    mean: float | None = None
    error: float | None = None
    is_in: bool = True
    left_at: int | None = None


@dataclass
class Raced:
    """What a race has found out so far.

    Attributes:
        best: number of the alternative that leads, from 0
        best_values: its values
        is_sure: whether the others are worse (or no better by more than `tolerance`), with the confidence asked for
        left: numbers of those that may still be the best
        standings: of all alternatives
        jobs: that were started
        equal_jobs: that would have been needed to give each alternative as many as the leader has
        is_finished: whether no more are started
        reason: why
    """

    best: int | None = None
    best_values: list[str] = field(default_factory=list)
    is_sure: bool = False
    left: list[int] = field(default_factory=list)
    standings: list[Standing] = field(default_factory=list)
    jobs: int = 0
    equal_jobs: int = 0
    is_finished: bool = False
    reason: str = ""


@dataclass
class _Race:
    """A race as far as its jobs tell: who is in, who left when; derived anew at each call, so nothing needs remembering.

    numbers   for each alternative the number of each job, the larger the better
    without   its jobs that ended without one
    """

    numbers: list[dict[int, float]]
    failures: list[int]
    without: list[set[int]]
    tolerance: float
    confidence: float
    alive: list[int]
    left_at: dict[int, int] = field(default_factory=dict)
    is_close: bool = False

    def run(self, first: int) -> int:
        """Go from look to look; return the number of jobs that each alternative still in the race should have."""
        wanted = first
        for look in itertools.count(1):
            if any(not self._has_ended(one, index) for one in self.alive for index in range(wanted)):
                return wanted
            self._look(look, wanted)
            if len(self.alive) <= 1 or self.is_close:
                return wanted
            wanted = math.ceil(wanted * GROWTH)
        raise AssertionError

    def _has_ended(self, one: int, index: int) -> bool:
        return index in self.numbers[one] or index in self.without[one]

    def _look(self, look: int, wanted: int) -> None:
        failing = [one for one in self.alive if self.failures[one] >= max(MANY_FAILURES, len(self.numbers[one]))]
        # All pairs, both ways, at all looks together may be wrong with probability 1 - confidence: a share of
        # 1 / (look (look + 1)) of that for each look, and these shares add up to 1.
        pairs = len(self.numbers) * (len(self.numbers) - 1)
        doubt = (1 - self.confidence) / pairs / (look * (look + 1))
        worse = {
            loser
            for winner, loser in itertools.permutations(self.alive, 2)
            if self._doubt(winner, loser, wanted, 0.0) < doubt
        }  # fmt: skip
        for one in dict.fromkeys([*failing, *sorted(worse)]):
            if len(self.alive) > 1:
                self.alive.remove(one)
                self.left_at[one] = wanted
        if self.tolerance > 0 and len(self.alive) > 1:
            leader = self.leader()
            others = [one for one in self.alive if one != leader]
            self.is_close = all(self._doubt(leader, one, wanted, self.tolerance) < doubt for one in others)

    def _doubt(self, winner: int, loser: int, wanted: int, margin: float) -> float:
        """How probable what was seen is at most, if `winner` were worse than `loser` by `margin`."""
        one, other = self.numbers[winner], self.numbers[loser]
        return paired_doubt([one[index] - other[index] + margin for index in range(wanted) if index in one and index in other])

    def leader(self) -> int:
        """The alternative in the race with the largest mean, the first of several."""
        return max(self.alive, key=lambda one: (mean_of(self.numbers[one].values()), -one))


def mean_of(numbers: Iterable[float]) -> float:
    """Return the mean; of nothing, what is smaller than all."""
    given = list(numbers)
    return math.fsum(given) / len(given) if given else -math.inf


@module.controller
def race(
    call: Call[Raced, None],
    *,
    command: Command,
    parameters: Annotated[Sequence[str], "names; {T} in an argument is the place of the parameter T"],
    alternatives: Annotated[Sequence[Sequence[str]], "for each alternative the values of its parameters"],
    goal: Annotated[Literal["smallest", "largest"], "which mean of the numbers that jobs print is the best"] = "smallest",
    confidence: Annotated[float, "probability that the best alternative never leaves the race"] = 0.95,
    tolerance: Annotated[float, "a difference of the means that does not matter"] = 0.0,
    max_jobs: int = 1000,
    max_core_s: Annotated[float | None, "core-seconds that may be spent"] = None,
    first_batch: Annotated[int, "jobs of each alternative to begin with, at least 4"] = 8,
    extract: Annotated[str, "regular expression: each match in stdout is a number (empty: lines with a number)"] = "",
    discard: Annotated[int, "the first numbers of each job, which do not count"] = 0,
    files: Annotated[Sequence[File], "staged in every work folder"] = (),
    cores: int = 1,
    seed: Annotated[int, "from which those of the jobs are made"] = 1,
    priority: int = 0,
) -> None:
    """Runs alternatives with new seeds until one is the best, gives effort to those that may still be it, and stops the rest.

    The mean of what a job prints is its number. All alternatives get the same seeds, and what is compared is the
    difference of two alternatives for the same seed. After each batch an alternative leaves when another is better; the
    bounds of all pairs at all looks hold together with the confidence asked for, so that looking often costs nothing of
    it. It ends with one left, with all that are left within `tolerance`, or with the budget.

    Successive elimination, with the confidence spread over looks and pairs: E. Even-Dar, S. Mannor, Y. Mansour, J. Mach.
    Learn. Res. 7 (2006) 1079; with Student's t of paired differences in place of bounded rewards, as for numbers that are
    about normally distributed: S.-H. Kim, B. L. Nelson, ACM Trans. Model. Comput. Simul. 11 (2001) 251.
    """
    _check(call, parameters, alternatives, confidence, first_batch)
    sign = -1.0 if goal == "smallest" else 1.0
    children = call.children(sample)
    jobs = {_numbers_in(name): child for name, child in children.items()}
    found = _read(jobs, alternatives, sign, tolerance, confidence)
    wanted = found.run(first_batch)
    missing = [(one, index) for index in range(wanted) for one in found.alive if (one, index) not in jobs]
    going = sum(not (one.is_done or one.error or one.is_held) for one in jobs.values())
    is_decided = len(found.alive) <= 1 or found.is_close
    is_spent = not is_decided and bool(missing) and not _is_affordable(call, max_jobs, max_core_s, len(jobs), len(missing))
    start = [] if is_decided or is_spent else missing
    if all(one >= MANY_FAILURES for one in found.failures):
        call.warn(f"All alternatives fail; no more jobs are started until clear-error. One of them: {_first_error(jobs)}")
        start, is_decided, is_spent = [], False, False
    else:
        failed = sum(found.failures)
        call.warn(f"{failed} of {len(jobs)} jobs failed and do not count. One of them: {_first_error(jobs)}" if failed else "")
    for one, index in [*(jobs if OF_JOBS & call.changed else ()), *start]:
        if one < len(alternatives):
            _start(call, parameters, alternatives[one], one, index, seed_of(seed, index))
    _tell(call, found, alternatives, sign, len(jobs) + len(start), is_decided, is_spent and not going)
    call.note(_said(call.out, going + len(start)))


def _check(
    call: Call[Raced, None], parameters: Sequence[str], alternatives: Sequence[Sequence[str]], confidence: float, first: int
) -> None:
    if len(alternatives) < 2:
        call.fail("A race needs at least two alternatives.")
    if any(len(one) != len(parameters) for one in alternatives):
        call.fail(f"Each alternative needs a value for each of the {len(parameters)} parameters.")
    if not 0 < confidence < 1 or first < 4:
        call.fail("`confidence` lies between 0 and 1, and `first_batch` is at least 4.")


def _numbers_in(name: str) -> tuple[int, int]:
    _, one, index = name.split("_")
    return int(one), int(index)


def _read(
    jobs: Mapping[tuple[int, int], Child[Sampled]], alternatives: Sequence[object], sign: float, tolerance: float,
    confidence: float,
) -> _Race:  # fmt: skip
    count = len(alternatives)
    numbers: list[dict[int, float]] = [{} for _ in range(count)]
    failures, without = [0] * count, [set[int]() for _ in range(count)]
    for (one, index), child in jobs.items():
        if one >= count:
            continue
        if child.is_done:
            numbers[one][index] = sign * child.out.numbers.mean
        elif child.error or child.is_held:
            failures[one] += bool(child.error)
            without[one].add(index)
    return _Race(numbers, failures, without, tolerance, confidence, list(range(count)))


def _is_affordable(call: Call[Raced, None], max_jobs: int, max_core_s: float | None, jobs: int, more: int) -> bool:
    if jobs + more > max_jobs:
        return False
    return max_core_s is None or not jobs or call.spent_core_s * (1 + more / jobs) <= max_core_s


def _start(
    call: Call[Raced, None], parameters: Sequence[str], values: Sequence[str], one: int, index: int, seed: int
) -> None:  # fmt: skip
    call.start(
        f"job_{one}_{index}", sample, command=call.input("command"), index=index, seed=seed, names=list(parameters),
        values=list(values), files=call.input("files"), extract=call.input("extract"), discard=call.input("discard"),
        cores=call.input("cores"), priority=call.input("priority"),
    )  # fmt: skip


def _first_error(jobs: Mapping[tuple[int, int], Child[Sampled]]) -> str:
    return next((child.error for _, child in sorted(jobs.items()) if child.error), "")


def _tell(
    call: Call[Raced, None], found: _Race, alternatives: Sequence[Sequence[str]], sign: float, jobs: int, is_decided: bool,
    is_spent: bool,
) -> None:  # fmt: skip
    out = call.out
    out.standings = [
        _standing(values, [sign * number for number in found.numbers[one].values()], found.left_at.get(one))
        for one, values in enumerate(alternatives)
    ]
    leader = found.leader()
    has_leader = bool(found.numbers[leader])
    out.best, out.best_values = (leader, list(alternatives[leader])) if has_leader else (None, [])
    out.left, out.jobs = list(found.alive), jobs
    out.equal_jobs = len(alternatives) * max(len(one) for one in found.numbers)
    out.is_sure = is_decided and has_leader
    out.is_finished = is_decided or is_spent
    reason = "what is left differs by less than the tolerance" if found.is_close else "one is left"
    out.reason = reason if is_decided else "the budget is spent" if is_spent else ""


def _standing(values: Sequence[str], numbers: Sequence[float], left_at: int | None) -> Standing:
    count = len(numbers)
    if not count:
        return Standing(list(values), 0, is_in=left_at is None, left_at=left_at)
    mean = math.fsum(sorted(numbers)) / count
    spread = math.fsum(sorted((one - mean) ** 2 for one in numbers))
    error = math.sqrt(spread / (count - 1) / count) if count > 1 else None
    return Standing(list(values), count, mean, error, left_at is None, left_at)


def _said(out: Raced, going: int) -> str:
    text = f"{len(out.left)} of {len(out.standings)} are in the race after {out.jobs} jobs"
    if out.best is not None:
        mean = out.standings[out.best].mean
        text += f"; {'the best' if out.is_sure else 'ahead'}: {', '.join(out.best_values)} ({mean:.6g})"
    return f"{text}; {out.reason}" if out.reason else f"{text}, {going} going"
