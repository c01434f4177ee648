"""One job of an estimate: a run with a seed of its own, and the numbers that it printed."""

from __future__ import annotations

import math
import re
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Annotated, Literal

from copernicus.errors import ModuleError
from copernicus.modules.ensemble.bags import Command, module, run
from copernicus.modules.ensemble.statistics import blocks_of, thinned
from copernicus.plugin.functions import File

# The whole of a line: one number, or two (for a ratio).
_NUMBER = r"([-+]?(?:\d+\.?\d*|\.\d+)(?:[eE][-+]?\d+)?)"
DEFAULT_PATTERNS = {False: rf"^[ \t]*{_NUMBER}[ \t]*$", True: rf"^[ \t]*{_NUMBER}[ \t,;]+{_NUMBER}[ \t]*$"}


@dataclass(frozen=True)
class Numbers:
    """Numbers that one job printed, cut short for what is to be estimated from them.

    Attributes:
        count: how many there were, after those that were discarded
        mean: of all of them
        variance: of all of them, about their mean
        series: means of consecutive ones (for a quantile: some of them, evenly spaced), in their order
        below_mean: of the second numbers of each pair, for a ratio
        below: the same as `series` of these
    """

    count: int
    mean: float
    variance: float
    series: list[float]
    below_mean: float | None = None
    below: list[float] | None = None


@dataclass(frozen=True)
class Measured:
    """What was read from the output of one job."""

    numbers: Numbers


@dataclass(frozen=True)
class Sampled:
    """What one job of an estimate brings."""

    numbers: Numbers
    stdout: File


Kind = Literal["mean", "quantile", "ratio"]


@module.pure(version=1)
def measure(stdout: File, extract: str = "", statistic: Kind = "mean", discard: int = 0) -> Measured:
    """Finds the numbers in what a job printed.

    Args:
        extract: regular expression, applied to all of it; each match gives a number, its first group (for a ratio two).
            Empty: lines that hold a number (for a ratio two) and nothing else.
        discard: how many of the first numbers do not count
    """
    is_ratio = statistic == "ratio"
    found = _found(stdout.read_text(), extract or DEFAULT_PATTERNS[is_ratio], 1 + is_ratio)[discard:]
    if not found:
        raise ModuleError(
            f"What the job printed holds no number that {extract or 'stands on a line of its own'!r} finds"
            + (f" after the first {discard}." if discard else "."),
            "Set `extract` to a regular expression with the number as its first group.",
        )
    upper, lower = [pair[0] for pair in found], [pair[-1] for pair in found]
    mean = math.fsum(upper) / len(upper)
    shorten = thinned if statistic == "quantile" else blocks_of
    return Measured(
        Numbers(
            count=len(upper),
            mean=mean,
            variance=math.fsum((one - mean) ** 2 for one in upper) / len(upper),
            series=shorten(upper),
            below_mean=math.fsum(lower) / len(lower) if is_ratio else None,
            below=shorten(lower) if is_ratio else None,
        )
    )


def _found(text: str, pattern: str, groups: int) -> list[tuple[float, ...]]:
    try:
        expression = re.compile(pattern, re.MULTILINE)
    except re.error as error:
        raise ModuleError(f"`extract` is no regular expression: {error}.") from None
    if expression.groups < groups and not (groups == 1 and expression.groups == 0):
        raise ModuleError(f"`extract` has {expression.groups} groups, and {groups} numbers are wanted of each match.")
    found = []
    for match in expression.finditer(text):
        words = match.groups()[:groups] or (match.group(),)
        try:
            numbers = tuple(float(word) for word in words if word is not None)
        except ValueError:
            raise ModuleError(f"`extract` found {match.group()[:60]!r}, which is no number.") from None
        if len(numbers) < len(words) or not all(map(math.isfinite, numbers)):
            raise ModuleError(f"The job printed {match.group()[:60]!r}: there is no going on from that.")
        found.append(numbers)
    return found


@module.network
def sample(
    command: Command,
    index: int,
    seed: int,
    files: Sequence[File] = (),
    extract: str = "",
    statistic: Kind = "mean",
    discard: Annotated[int, "numbers"] = 0,
    cores: int = 1,
    priority: int = 0,
    names: Annotated[Sequence[str], "of parameters"] = (),
    values: Annotated[Sequence[str], "of the parameters"] = (),
) -> Sampled:
    """Runs a program with a seed and reads the numbers that it prints."""
    ran = run(
        command, index=index, seed=seed, names=names, values=values, files=files, cores=cores, priority=priority
    )  # fmt: skip
    return Sampled(measure(ran.stdout, extract, statistic, discard).numbers, ran.stdout)
