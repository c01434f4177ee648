"""Error bars: the model estimated again and again with trajectories weighted at random.

The Bayesian bootstrap (Rubin 1981): every trajectory, as a whole, gets an exponentially distributed weight. Trajectories
are the independent pieces of data, so time correlation within them is accounted for, and since no weight is zero a rare
transition that was seen once stays in every sample.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np

from copernicus.modules.msm.features import Array, Trajectories
from copernicus.modules.msm.model import MarkovModel, count_transitions, estimate


@dataclass(frozen=True)
class Estimate:
    """A number with its standard error and its 95 % interval."""

    value: float
    error: float
    low: float
    high: float


def summarise(value: float, samples: Array) -> Estimate:
    """Return the estimate `value` with the spread of `samples` (those that are nan do not count)."""
    samples = samples[np.isfinite(samples)]
    if len(samples) < 2:
        return Estimate(value, float("nan"), float("nan"), float("nan"))
    low, high = (float(np.quantile(samples, part)) for part in (0.025, 0.975))
    return Estimate(value, float(np.std(samples, ddof=1)), low, high)


def resample(
    data: Trajectories, states: Array, count: int, lag: int, samples: int, random: Any, measure: Callable[[MarkovModel], Array]
) -> Array:
    """Return `measure(model)` for `samples` models of reweighted trajectories, shape (samples, …)."""
    rows = []
    for _ in range(samples):
        weights = random.exponential(size=data.count)
        rows.append(measure(estimate(count_transitions(data, states, count, lag, weights), lag)))
    return np.array(rows)


def region_populations(model: MarkovModel, inside: Array) -> Array:
    """Return the stationary population of each region; `inside` (regions, states) is the part of a state that lies in it."""
    return inside @ model.weights()


def part_inside(states: Array, count: int, inside: Array) -> Array:
    """Return for each state the part of its frames that lies inside, where `inside` says so of each frame."""
    visits = np.bincount(states, minlength=count)
    return np.bincount(states, weights=inside, minlength=count) / np.maximum(visits, 1)
