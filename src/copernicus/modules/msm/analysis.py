"""One model of many trajectories, with error bars: what a generation reports, and what the final summary adds."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np

from copernicus.modules.msm.features import Array, Region, Trajectories
from copernicus.modules.msm.model import MarkovModel, cluster, count_transitions, estimate
from copernicus.modules.msm.uncertainty import Estimate, part_inside, resample, summarise

TIMESCALES = 3


@dataclass(frozen=True)
class AnalysisSettings:
    """How trajectories become a model: distance between cluster centres, lag in frames, samples for the error bars."""

    cluster_distance: float
    lag: int
    samples: int
    seed: int


class Analysis:
    """A Markov model of the trajectories and what can be asked of it. Times are in frames.

    Raises `ValueError` when the trajectories are shorter than the lag or not connected.
    """

    def __init__(self, data: Trajectories, settings: AnalysisSettings) -> None:
        self.data, self.settings = data, settings
        if not len(data.pairs(settings.lag)):
            raise ValueError(f"no trajectory is longer than the lag of {settings.lag} frames.")
        self.states, self.count = cluster(data.points(), settings.cluster_distance)
        self.model = self.model_at(settings.lag)

    def model_at(self, lag: int) -> MarkovModel:
        """Return the model of the same states at another lag."""
        return estimate(count_transitions(self.data, self.states, self.count, lag), lag)

    def random(self, purpose: int) -> Any:
        """Return a random generator that is always the same for one purpose and the same amount of data.

        With more data it is another one: states that are equal in rank must not stay in the same order for ever.
        """
        return np.random.default_rng([self.settings.seed, purpose, self.data.count])

    @cached_property
    def visits(self) -> Array:
        """How many frames each state has."""
        return np.bincount(self.states, minlength=self.count)

    @cached_property
    def frame_weights(self) -> Array:
        """The weight of each frame at equilibrium; they sum to 1."""
        return (self.model.weights() / np.maximum(self.visits, 1))[self.states]

    def is_connected(self) -> Array:
        """Say of each frame whether its state belongs to the model."""
        return np.isin(self.states, self.model.connected)

    def with_errors(
        self, inside: Sequence[Array], lag: int | None = None, samples: int | None = None
    ) -> tuple[list[Estimate], list[Estimate]]:
        """Return the slowest timescales and the populations of sets of frames (`inside`, a mask each), with error bars."""
        lag = self.settings.lag if lag is None else lag
        samples = self.settings.samples if samples is None else min(samples, self.settings.samples)
        parts = np.array([part_inside(self.states, self.count, mask) for mask in inside]).reshape(len(inside), self.count)

        def measure(model: MarkovModel) -> Array:
            return np.concatenate([model.timescales(TIMESCALES), parts @ model.weights()])

        values = measure(self.model if lag == self.settings.lag else self.model_at(lag))
        spread = resample(self.data, self.states, self.count, lag, samples, self.random(lag), measure).reshape(-1, len(values))
        estimates = [summarise(float(value), spread[:, place]) for place, value in enumerate(values)]
        return [one for one in estimates[:TIMESCALES] if np.isfinite(one.value)], estimates[TIMESCALES:]

    def region_populations(self, regions: Sequence[Region]) -> tuple[list[Estimate], list[float], list[Estimate]]:
        """Return for each region its population with error, the raw part of frames in it; and the slowest timescales."""
        inside = [region.contains(self.data) for region in regions]
        timescales, populations = self.with_errors(inside)
        return populations, [float(mask.mean()) for mask in inside], timescales
