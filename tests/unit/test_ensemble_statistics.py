"""Statistics over jobs: known distributions, coverage over many seeds, jobs that are each caught in a state of their own."""

from __future__ import annotations

import math
import random
from collections.abc import Callable

import pytest

from copernicus.modules.ensemble.statistics import (
    Estimate,
    blocks_of,
    chi_squared_quantile,
    estimate_mean,
    estimate_quantile,
    estimate_ratio,
    t_quantile,
    thinned,
)

SEEDS = 200
SURE = 1.96


def ar1(chance: random.Random, phi: float, length: int) -> list[float]:
    """A stationary AR(1) series about 0 with noise of unit variance."""
    x = chance.gauss(0, 1) / math.sqrt(1 - phi * phi)
    series = []
    for _ in range(length):
        series.append(x)
        x = phi * x + chance.gauss(0, 1)
    return series


def variance_of_job_mean(phi: float, length: int) -> float:
    """Of an AR(1) series, exactly."""
    return (1 + 2 * sum((1 - lag / length) * phi**lag for lag in range(1, length))) / (1 - phi * phi) / length


def coverage(truth: float, make: Callable[[random.Random], Estimate | None]) -> float:
    """The part of intervals that hold the truth."""
    found = [make(random.Random(seed)) for seed in range(SEEDS)]
    return sum(one is not None and one.low <= truth <= one.high for one in found) / SEEDS


@pytest.mark.parametrize(("phi", "length", "jobs"), [(0.8, 200, 20), (0.95, 400, 20), (0.0, 1, 12), (0.9, 15, 25)])
def test_the_error_of_a_mean_is_that_of_theory(phi: float, length: int, jobs: int) -> None:
    exact = variance_of_job_mean(phi, length) / jobs
    ratios, uncertainties = [], []
    for seed in range(SEEDS):
        chance = random.Random(seed)
        found = estimate_mean([blocks_of(ar1(chance, phi, length)) for _ in range(jobs)])
        assert found is not None
        ratios.append(found.error**2 / exact)
        uncertainties.append(found.variance_uncertainty)
    mean = sum(ratios) / SEEDS
    spread = math.sqrt(sum((ratio - mean) ** 2 for ratio in ratios) / (SEEDS - 1))
    assert mean == pytest.approx(1, abs=0.1)
    # It knows how well it knows: the spread over seeds is the one that it claims.
    assert spread == pytest.approx(sum(uncertainties) / SEEDS, rel=0.35)


@pytest.mark.parametrize(("phi", "length", "jobs"), [(0.8, 200, 20), (0.0, 1, 6)])
def test_the_interval_of_a_mean_holds_the_truth_as_often_as_it_says(phi: float, length: int, jobs: int) -> None:
    share = coverage(0, lambda chance: estimate_mean([blocks_of(ar1(chance, phi, length)) for _ in range(jobs)]))
    assert 0.90 <= share <= 0.98


def test_the_interval_of_a_quantile_holds_the_truth() -> None:
    upper_quartile = 0.6744897501960817 / math.sqrt(1 - 0.8**2)
    share = coverage(
        upper_quartile, lambda chance: estimate_quantile([thinned(ar1(chance, 0.8, 400)) for _ in range(20)], 0.75)
    )
    assert 0.90 <= share <= 0.99


def test_the_interval_of_a_ratio_holds_the_truth_and_knows_of_common_noise() -> None:
    def make(chance: random.Random) -> Estimate | None:
        above, below = [], []
        for _ in range(20):
            noise = ar1(chance, 0.8, 100)
            above.append(blocks_of([6 + 2 * x + chance.gauss(0, 0.1) for x in noise]))
            below.append(blocks_of([3 + x for x in noise]))
        return estimate_ratio(above, below)

    assert 0.90 <= coverage(2, make) <= 0.99
    found = make(random.Random(1))
    assert found is not None
    assert found.error < 0.002, "what moves both parts alike does not move the ratio"


def test_jobs_that_stay_where_they_began_are_not_taken_for_converged() -> None:
    chance = random.Random(4)
    caught = [[place + chance.gauss(0, 0.1) for _ in range(64)] for place in (1.0, -1.0, 1.0, 1.0, -1.0, -1.0, 1.0, -1.0)]
    found = estimate_mean(caught)
    assert found is not None
    assert found.error == pytest.approx(1 / math.sqrt(7), rel=0.05)
    assert found.degrees == 7


def test_jobs_that_differ_by_a_little_that_time_does_not_heal_are_noticed() -> None:
    """Each job wanders, about a place of its own: the correlation within it seems to decay, and does not tell."""
    spread, noise, jobs = 0.3, 1.0, 24
    exact = math.sqrt((spread**2 + noise**2 / 64) / jobs)
    ratios = []
    for seed in range(60):
        chance = random.Random(seed)
        places = [chance.gauss(0, spread) for _ in range(jobs)]
        found = estimate_mean([[chance.gauss(place, noise) for _ in range(64)] for place in places])
        assert found is not None
        ratios.append(found.error / exact)
    assert sum(ratios) / len(ratios) == pytest.approx(1, abs=0.1)


def test_there_is_no_error_where_there_is_nothing_to_tell_it_from() -> None:
    assert estimate_mean([]) is None
    assert estimate_mean([[1.0]]) is None
    assert estimate_mean([[1.0, 2.0, 3.0]]) is None
    assert estimate_quantile([[1.0]], 0.5) is None
    assert estimate_ratio([[1.0], [2.0]], [[0.0], [0.0]]) is None
    same = estimate_mean([[3.0], [3.0], [3.0]])
    assert same is not None
    assert (same.value, same.error, same.low, same.high) == (3.0, 0.0, 3.0, 3.0)


@pytest.mark.parametrize("length", [1, 63, 64, 65, 127, 130, 1000, 6401])
def test_blocks_keep_the_mean_and_are_few_and_alike(length: int) -> None:
    values = [math.sin(index) for index in range(length)]
    blocks = blocks_of(values)
    assert min(length, 32) <= len(blocks) <= 64
    size = length / len(blocks)
    assert sum(blocks) / len(blocks) == pytest.approx(sum(values) / length, abs=1 / size if size > 1 else 1e-12)
    assert len(thinned(values)) <= 64
    assert set(thinned(values)) <= set(values)


@pytest.mark.parametrize(
    ("degrees", "quantile"), [(1, 12.706), (2, 4.303), (3, 3.182), (5, 2.571), (10, 2.228), (30, 2.042), (1e6, SURE)]
)
def test_quantiles_of_student(degrees: float, quantile: float) -> None:
    assert t_quantile(0.975, degrees) == pytest.approx(quantile, rel=0.01)


@pytest.mark.parametrize(("degrees", "quantile"), [(1, 10.83), (7, 24.32), (50, 86.66)])
def test_quantiles_of_chi_squared(degrees: float, quantile: float) -> None:
    assert chi_squared_quantile(0.999, degrees) == pytest.approx(quantile, rel=0.05)
