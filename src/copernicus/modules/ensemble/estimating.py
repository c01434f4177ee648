"""Estimates until an error is small enough: a program run with new seeds, in batches sized from what is known so far."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Annotated

from copernicus.modules.ensemble.arguments import seed_of
from copernicus.modules.ensemble.bags import Command, module
from copernicus.modules.ensemble.sampling import Kind, Numbers, Sampled, sample
from copernicus.modules.ensemble.statistics import Estimate, estimate_mean, estimate_quantile, estimate_ratio
from copernicus.plugin.functions import Call, Child, File

GROWTH = 3  # a batch is at most so many times as large as what stands
SMALLEST_STEP = 0.05  # of the jobs that are needed
MANY_FAILURES = 5
OF_SAMPLES = {"command", "files", "extract", "statistic", "discard", "seed"}
"""Inputs that change what the jobs bring."""


@dataclass(frozen=True)
class Step:
    """How things stood after a batch."""

    n: int
    mean: float
    error: float
    core_s: float


@dataclass
class Estimated:
    """An estimate; what is not known yet is absent.

    Attributes:
        mean: the estimate (of the mean, or of the quantile or ratio that was asked for)
        error: its standard error
        low: lower end of the interval that holds the truth with the confidence asked for
        high: upper end of it
        n: jobs that count
        values: numbers that they printed
        autocorrelation_time: integrated, within a job, in printed numbers (0.5: independent); of a mean only
        history: one entry for each batch
        predicted_jobs: how many more are needed, as far as is known
        predicted_core_s: what these will cost
        is_finished: whether the error is reached or the budget spent
        reason: why no more jobs are started
    """

    mean: float | None = None
    error: float | None = None
    low: float | None = None
    high: float | None = None
    n: int = 0
    values: int = 0
    autocorrelation_time: float | None = None
    history: list[Step] = field(default_factory=list)
    predicted_jobs: int | None = None
    predicted_core_s: float | None = None
    is_finished: bool = False
    reason: str = ""


@dataclass(frozen=True)
class Goal:
    """When enough is enough: standard errors (None: not asked for) and budgets."""

    error: float | None
    relative_error: float | None
    max_jobs: int
    max_core_s: float | None

    def error_at(self, value: float) -> float | None:
        """Return the standard error to be reached at this value, None when there is only a budget."""
        asked = [self.error] if self.error is not None else []
        if self.relative_error is not None:
            asked.append(self.relative_error * abs(value))
        return min(asked) if asked else None

    def affordable(self, jobs: int, spent_core_s: float) -> int:
        """Return how many jobs may be started beyond `jobs`, which have cost so much."""
        left = max(0, self.max_jobs - jobs)
        if self.max_core_s is None or (jobs and spent_core_s <= 0):
            return left
        rest_core_s = self.max_core_s - spent_core_s
        if rest_core_s <= 0:
            return 0
        return min(left, int(rest_core_s * jobs / spent_core_s)) if jobs else left


@module.controller
def estimate(
    call: Call[Estimated, None],
    *,
    command: Command,
    error: Annotated[float | None, "standard error to reach, in the unit of the number"] = None,
    relative_error: Annotated[float | None, "the same as a part of the value"] = None,
    max_jobs: int = 1000,
    max_core_s: Annotated[float | None, "core-seconds that may be spent"] = None,
    statistic: Annotated[Kind, "of all numbers that the jobs print; a ratio is that of two means"] = "mean",
    share: Annotated[float, "for a quantile: the part of the numbers below it"] = 0.5,
    extract: Annotated[str, "regular expression: each match in stdout is a number (empty: lines with a number)"] = "",
    discard: Annotated[int, "the first numbers of each job, which do not count"] = 0,
    confidence: float = 0.95,
    first_batch: Annotated[int, "jobs to begin with"] = 16,
    files: Annotated[Sequence[File], "staged in every work folder"] = (),
    cores: int = 1,
    seed: Annotated[int, "from which those of the jobs are made"] = 1,
    priority: int = 0,
) -> None:
    """Runs a program with new seeds until the standard error of a number is small enough, or the budget spent.

    The number is looked at when all jobs of a batch have ended, never earlier: quick jobs may have other values than slow
    ones. Each batch is as large as will hardly be too much. An error asked for later, or a larger budget, goes on from
    what is there.
    """
    out = call.out
    goal = Goal(error, relative_error, max_jobs, max_core_s)
    _check(call, goal, share, confidence)
    samples = list(call.children(sample).values())
    done = [one for one in samples if one.is_done]
    failed = [one for one in samples if one.error]
    waiting = len(samples) - len(done) - len(failed) - sum(one.is_held for one in samples if not one.is_done and not one.error)
    if OF_SAMPLES & call.changed:
        out.history.clear()
    step = first_batch - len(samples)
    if waiting:
        out.is_finished, out.reason = False, ""
        step = 0
    elif samples:
        found = _estimated([one.out.numbers for one in done], statistic, share, confidence)
        _record(out, found, done, statistic, call.spent_core_s)
        step = _next(out, found, goal, len(samples), call.spent_core_s, first_batch)
    step = min(step, goal.affordable(len(samples), call.spent_core_s))
    if _are_many(failed, done):
        call.warn(
            f"{len(failed)} of {len(samples)} jobs failed; no more are started until clear-error. The last: {failed[-1].error}"
        )
        out.is_finished, out.reason, step = False, "", 0
    else:
        call.warn(_doubt(failed, samples))
    for index in range(len(samples), len(samples) + step):
        call.start(
            f"job_{index}", sample, command=call.input("command"), index=index, seed=seed_of(seed, index),
            files=call.input("files"), extract=call.input("extract"), statistic=call.input("statistic"),
            discard=call.input("discard"), cores=call.input("cores"), priority=call.input("priority"),
        )  # fmt: skip
    call.note(_standing(out, goal, waiting + step))


def _check(call: Call[Estimated, None], goal: Goal, share: float, confidence: float) -> None:
    if not 0 < share < 1 or not 0 < confidence < 1:
        call.fail("`share` and `confidence` lie between 0 and 1.")
    if any(one is not None and one <= 0 for one in (goal.error, goal.relative_error)):
        call.fail("The error to reach must be larger than 0.")


def _estimated(numbers: Sequence[Numbers], statistic: Kind, share: float, confidence: float) -> Estimate | None:
    series = [one.series for one in numbers]
    if statistic == "quantile":
        return estimate_quantile(series, share, confidence)
    count = sum(one.count for one in numbers)
    mean = math.fsum(one.count * one.mean for one in numbers) / count if count else 0.0
    if statistic == "mean":
        return estimate_mean(series, confidence, mean)
    below = math.fsum(one.count * (one.below_mean or 0.0) for one in numbers) / count if count else 0.0
    return estimate_ratio(series, [one.below or [] for one in numbers], confidence, mean / below if below else None)


def _record(
    out: Estimated, found: Estimate | None, done: Sequence[Child[Sampled]], statistic: Kind, core_s: float
) -> None:  # fmt: skip
    numbers = [one.out.numbers for one in done]
    out.n, out.values = len(done), sum(one.count for one in numbers)
    out.mean, out.error, out.low, out.high = (found.value, found.error, found.low, found.high) if found else (None,) * 4
    out.autocorrelation_time = None
    if found is None:
        return
    if statistic == "mean" and found.error > 0:
        variance = math.fsum(one.count * (one.variance + (one.mean - found.value) ** 2) for one in numbers) / out.values
        out.autocorrelation_time = out.values * found.error**2 / variance / 2 if variance else None
    step = Step(out.n, found.value, found.error, core_s)
    if out.history and out.history[-1].n == step.n:
        out.history[-1] = step
    else:
        out.history.append(step)


def _next(
    out: Estimated, found: Estimate | None, goal: Goal, jobs: int, core_s: float, first_batch: int
) -> int:  # fmt: skip
    """Say whether that was all; return how many jobs are wanted next, whatever the budget says."""
    wanted = goal.error_at(found.value) if found else None
    needed = max(first_batch, out.n + 1)
    if found is not None and wanted is not None:
        needed = max(first_batch, math.ceil(out.n * (found.error / wanted) ** 2)) if wanted else 2 * goal.max_jobs
    is_reached = found is not None and wanted is not None and found.error <= wanted and out.n >= first_batch
    out.predicted_jobs = out.predicted_core_s = None
    if found is not None and wanted:
        out.predicted_jobs = 0 if is_reached else max(1, needed - out.n)
        out.predicted_core_s = out.predicted_jobs * core_s / jobs
    is_spent = goal.affordable(jobs, core_s) <= 0
    out.is_finished = is_reached or is_spent
    out.reason = "the error is reached" if is_reached else "the budget is spent" if is_spent else ""
    if out.is_finished:
        return 0
    if found is None or wanted is None:
        return jobs * (GROWTH - 1) if goal.max_core_s is not None or goal.error_at(1.0) is not None else goal.max_jobs
    # What is needed is known no better than the error is: as many as will hardly be too many.
    sure = needed * (1 - min(0.5, found.variance_uncertainty))
    return min(max(math.ceil(sure) - out.n, math.ceil(SMALLEST_STEP * needed), 1), (GROWTH - 1) * jobs)


def _are_many(failed: Sequence[Child[Sampled]], done: Sequence[Child[Sampled]]) -> bool:
    return len(failed) >= max(MANY_FAILURES, len(done) // 4)


def _doubt(failed: Sequence[Child[Sampled]], samples: Sequence[Child[Sampled]]) -> str:
    if not failed:
        return ""
    return (
        f"{len(failed)} of {len(samples)} jobs failed and do not count; if failing has to do with the value, the estimate "
        f"is biased. The last: {failed[-1].error}"
    )


def _standing(out: Estimated, goal: Goal, going: int) -> str:
    text = f"{out.n} jobs"
    if out.mean is not None and out.error is not None:
        wanted = goal.error_at(out.mean)
        text = f"{out.mean:.6g} ± {out.error:.2g} from {text}" + (f", {wanted:.2g} wanted" if wanted else "")
    if out.reason:
        return f"{text}; {out.reason}"
    more = f", about {out.predicted_jobs} more needed" if out.predicted_jobs else ""
    return f"{text}, {going} going{more}"
