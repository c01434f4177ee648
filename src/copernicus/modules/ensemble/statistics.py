"""Means, quantiles and ratios of what jobs print, with standard errors that know about autocorrelation. Pure Python."""

from __future__ import annotations

import itertools
import math
import operator
from collections.abc import Sequence
from dataclasses import dataclass
from statistics import NormalDist
from typing import Literal

Statistic = Literal["mean", "quantile", "ratio"]
Series = Sequence[Sequence[float]]
BLOCKS = 64
WINDOW_FACTOR = 1.5  # S of Wolff 2004: autocorrelation beyond the window is taken to decay with 1.5 times its own time
JOBS_DIFFER = 0.999  # above this quantile of chance the jobs differ by more than their own fluctuations


@dataclass(frozen=True)
class Estimate:
    """A number with its uncertainty.

    error            standard error
    low, high        ends of the interval that holds the truth with the confidence asked for (Student's t)
    degrees          degrees of freedom of `error`: its own relative uncertainty is 1 / sqrt(2 · degrees)
    autocorrelation  integrated autocorrelation time within a job, in blocks (0.5: independent)
    """

    value: float
    error: float
    low: float
    high: float
    degrees: float
    autocorrelation: float = 0.5

    @property
    def variance_uncertainty(self) -> float:
        """Relative standard deviation of `error` squared."""
        return math.sqrt(2.0 / self.degrees)


@dataclass(frozen=True)
class _Spread:
    """Variance of a mean, the degrees of freedom of that variance, and the autocorrelation time behind it."""

    variance: float
    degrees: float
    autocorrelation: float


def blocks_of(values: Sequence[float], most: int = BLOCKS) -> list[float]:
    """Return means of consecutive values, at most `most` of them and all over (nearly) equally many values.

    The variance of the mean can be found from the blocks as well as from the values, and the longer the blocks, the less
    they know of each other: H. Flyvbjerg and H. G. Petersen, J. Chem. Phys. 91 (1989) 461.
    """
    count = len(values)
    size = -(-count // most)
    if size <= 1:
        return list(values)
    number = count // size
    ends = [count * block // number for block in range(number + 1)]
    return [math.fsum(values[first:last]) / (last - first) for first, last in itertools.pairwise(ends)]


def thinned(values: Sequence[float], most: int = BLOCKS) -> list[float]:
    """Return at most `most` of the values, evenly spaced: their distribution is that of all."""
    step = -(-len(values) // most)
    return list(values[step // 2 :: step]) if step > 1 else list(values)


def estimate_mean(series: Series, confidence: float = 0.95, value: float | None = None) -> Estimate | None:
    """Return the mean over several jobs' series, None while there is no telling its error.

    `value` is the mean where it is known more exactly than from (blocked) `series`. Jobs are independent of each other;
    the numbers of one job need not be.
    """
    numbers = [number for one in series for number in one]
    if not numbers:
        return None
    mean = math.fsum(numbers) / len(numbers) if value is None else value
    spread = _spread([[number - mean for number in one] for one in series])
    return None if spread is None else _estimate(mean, spread, confidence)


def estimate_ratio(
    above: Series, below: Series, confidence: float = 0.95, value: float | None = None
) -> Estimate | None:  # fmt: skip
    """Return mean(above) / mean(below), None while there is no telling its error, or when the lower mean is 0.

    The error is that of the linear expansion, (a - ratio · b) / mean(b), whose autocorrelation is looked at as a whole.
    """
    numbers = [number for one in below for number in one]
    lower = math.fsum(numbers) / len(numbers) if numbers else 0.0
    if lower == 0.0:
        return None
    upper = math.fsum(number for one in above for number in one) / len(numbers)
    ratio = upper / lower if value is None else value
    pairs = zip(above, below, strict=True)
    spread = _spread([[(a - ratio * b) / lower for a, b in zip(*pair, strict=True)] for pair in pairs])
    return None if spread is None else _estimate(ratio, spread, confidence)


def estimate_quantile(series: Series, share: float, confidence: float = 0.95) -> Estimate | None:
    """Return the value below which `share` of all values lie, None while there is no telling its error.

    The error of the share below that value is found first, from the series of yes and no; the quantiles at its ends are
    then the ends of the interval: R. S. Woodruff, J. Am. Stat. Assoc. 47 (1952) 635.
    """
    numbers = sorted(number for one in series for number in one)
    if len(numbers) < 2:
        return None
    value = _quantile(numbers, share)
    spread = _spread([[(number <= value) - share for number in one] for one in series])
    if spread is None:
        return None
    # Of few values so few lie on one side that their spread says nothing: no less than of independent ones, then.
    least = share * (1 - share) / len(numbers)
    deviation = math.sqrt(max(spread.variance, least if spread.degrees < len(numbers) else 0.0))
    half_width = t_quantile(0.5 + confidence / 2, spread.degrees) * deviation
    error = (_quantile(numbers, share + deviation) - _quantile(numbers, share - deviation)) / 2
    low, high = _quantile(numbers, share - half_width), _quantile(numbers, share + half_width)
    return Estimate(value, error, low, high, spread.degrees, spread.autocorrelation)


def _estimate(value: float, spread: _Spread, confidence: float) -> Estimate:
    error = math.sqrt(spread.variance)
    half_width = t_quantile(0.5 + confidence / 2, spread.degrees) * error
    return Estimate(value, error, value - half_width, value + half_width, spread.degrees, spread.autocorrelation)


def _quantile(numbers: Sequence[float], share: float) -> float:
    """The quantile of sorted numbers, with straight lines between them."""
    place = min(max(share, 0.0), 1.0) * (len(numbers) - 1)
    below = min(int(place), len(numbers) - 2) if len(numbers) > 1 else 0
    return numbers[below] + (place - below) * (numbers[min(below + 1, len(numbers) - 1)] - numbers[below])


def _spread(series: Series) -> _Spread | None:
    """How far the mean of the deviations in `series` may be from 0, None while there is no telling.

    From the autocorrelation within jobs where the series are long enough for that; from the differences between jobs
    where they are not, and where jobs differ by more than their own fluctuations explain (each caught in a state of its
    own, say).
    """
    series = [one for one in series if one]
    between = _between(series)
    within = _within(series)
    if within is None or between is None:
        return within or between
    # Under the within-job estimate, variance · (jobs - 1) follows chi-squared.
    excess = between.variance / within.variance * between.degrees if within.variance > 0 else 0.0
    if excess > chi_squared_quantile(JOBS_DIFFER, between.degrees):
        return _Spread(between.variance, between.degrees, within.autocorrelation)
    return within


def _between(series: Series) -> _Spread | None:
    """The variance of the mean from the differences between jobs, each weighted by its length."""
    jobs = len(series)
    if jobs < 2:
        return None
    total = sum(len(one) for one in series)
    variance = math.fsum(math.fsum(one) ** 2 for one in series) * jobs / (jobs - 1) / total**2
    return _Spread(variance, jobs - 1.0, 0.5)


def _within(series: Series) -> _Spread | None:
    """The variance of the mean from the autocorrelation inside of jobs, None where they are too short for it.

    The Γ-method with an automatic window, and correction for the bias of a mean that comes from the same data:
    U. Wolff, Comput. Phys. Commun. 156 (2004) 143 and 176 (2007) 383.
    """
    longest = min((len(one) for one in series), default=0) // 3
    total, jobs = sum(len(one) for one in series), len(series)
    if longest < 3:
        return None
    gamma = _correlation(series, 0, total)
    if gamma == 0.0:
        return _Spread(0.0, total - 1.0, 0.5)
    tau, sums = 0.5, gamma
    for lag in range(1, longest):
        gamma_lag = _correlation(series, lag, total - jobs * lag)
        sums += 2 * gamma_lag
        tau += gamma_lag / gamma
        if _is_window(lag, tau, total):
            variance = sums * (1 + (2 * lag + 1) / total) / total
            if variance <= 0:
                return None
            return _Spread(variance, max(1.0, total / (2 * lag + 1) - 1), tau * (1 + (2 * lag + 1) / total))
    return None


def _correlation(series: Series, lag: int, pairs: int) -> float:
    return math.fsum(sum(map(operator.mul, one, one[lag:])) for one in series) / pairs


def _is_window(lag: int, tau: float, total: int) -> bool:
    """Whether summing on would add more noise than what is left of the autocorrelation."""
    decay = WINDOW_FACTOR / math.log((2 * tau + 1) / (2 * tau - 1)) if tau > 0.5 else 1e-9
    return math.exp(-lag / decay) < decay / math.sqrt(lag * total)


def t_quantile(share: float, degrees: float) -> float:
    """Return the quantile of Student's distribution; beyond two degrees by expansion around the normal one.

    M. Abramowitz and I. A. Stegun, Handbook of Mathematical Functions, 26.7.5; at 0.975 within 1 % from 3 degrees on.
    """
    if degrees < 1.5:
        return math.tan(math.pi * (share - 0.5))
    if degrees < 2.5:
        return (2 * share - 1) / math.sqrt(2 * share * (1 - share))
    z = NormalDist().inv_cdf(share)
    terms = (
        (z**3 + z) / 4,
        (5 * z**5 + 16 * z**3 + 3 * z) / 96,
        (3 * z**7 + 19 * z**5 + 17 * z**3 - 15 * z) / 384,
        (79 * z**9 + 776 * z**7 + 1482 * z**5 - 1920 * z**3 - 945 * z) / 92160,
    )
    return z + sum(term / degrees ** (power + 1) for power, term in enumerate(terms))


def chi_squared_quantile(share: float, degrees: float) -> float:
    """Return the quantile of the chi-squared distribution: E. B. Wilson and M. M. Hilferty, PNAS 17 (1931) 684."""
    spread = 2 / (9 * degrees)
    return float(degrees * (1 - spread + NormalDist().inv_cdf(share) * math.sqrt(spread)) ** 3)


def paired_doubt(differences: Sequence[float]) -> float:
    """Return how probable a mean difference this far above 0 is at most, if the true one is not above 0 (one-sided).

    Student's t test. Of differences that are all the same, no spread is known: then that of the signs, 2⁻ⁿ. Fewer than two
    tell nothing (1).
    """
    count = len(differences)
    mean = math.fsum(differences) / count if count else 0.0
    if count < 2 or mean <= 0:
        return 1.0
    variance = math.fsum((one - mean) ** 2 for one in differences) / (count - 1)
    if variance <= (1e-12 * mean) ** 2:
        return 0.5**count
    return t_tail(mean / math.sqrt(variance / count), count - 1)


def t_tail(t: float, degrees: float) -> float:
    """Return the probability of Student's distribution beyond `t` ≥ 0, by the continued fraction of the incomplete beta
    function: NIST Digital Library of Mathematical Functions, 8.17.22."""
    x, a, b = degrees / (degrees + t * t), degrees / 2, 0.5
    if x > (a + 1) / (a + b + 2):
        return 0.5 - _beta_share(b, a, 1 - x) / 2
    return _beta_share(a, b, x) / 2


def _beta_share(a: float, b: float, x: float) -> float:
    """The regularised incomplete beta function, for x below its mean; the fraction goes from the last term to the first."""
    if x <= 0:
        return 0.0
    fraction = 1.0
    for term in range(200, 0, -1):
        m = term // 2
        if term % 2:
            factor = -(a + m) * (a + b + m) * x / ((a + 2 * m) * (a + 2 * m + 1))
        else:
            factor = m * (b - m) * x / ((a + 2 * m - 1) * (a + 2 * m))
        fraction = 1 + factor / fraction
    logarithm = math.lgamma(a + b) - math.lgamma(a) - math.lgamma(b) + a * math.log(x) + b * math.log1p(-x)
    return math.exp(logarithm) / (a * fraction)
