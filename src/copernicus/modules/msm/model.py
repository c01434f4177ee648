"""Markov state models: clusters, counts, the largest connected set, the reversible estimate and what follows from it.

Times are counted in frames here; who calls knows how long a frame is.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from scipy.sparse import csr_array
from scipy.sparse.csgraph import connected_components

from copernicus.modules.msm.features import Array, Trajectories
from copernicus.modules.msm.reversible import reversible_estimate

MAX_STATES = 2000


@dataclass(frozen=True)
class MarkovModel:
    """A reversible Markov model on the largest connected set of states.

    `connected` (n,) are the states of the set among all `states`; `transitions` (n, n) is the transition matrix over
    `lag` frames, `stationary` (n,) its stationary distribution.
    """

    lag: int
    states: int
    connected: Array
    transitions: Array
    stationary: Array

    def eigenvalues(self) -> Array:
        """Return all eigenvalues, the largest first (they are real, since the model is reversible)."""
        root = np.sqrt(self.stationary)
        symmetric = root[:, None] * self.transitions / root[None, :]
        return np.linalg.eigvalsh((symmetric + symmetric.T) / 2)[::-1]

    def timescales(self, count: int) -> Array:
        """Return the `count` slowest implied timescales in frames, −lag / ln λ; nan where there are fewer."""
        slow = self.eigenvalues()[1 : count + 1]
        slow = slow[(slow > 0) & (slow < 1)]
        return np.concatenate([-self.lag / np.log(slow), np.full(count - len(slow), np.nan)])

    def weights(self) -> Array:
        """Return the stationary distribution over all states (0 for those not connected)."""
        weights: Array = np.zeros(self.states)
        weights[self.connected] = self.stationary
        return weights

    def macrostates(self, count: int) -> Array:
        """Return for each of all states its macrostate by PCCA+ (Röblitz & Weber 2013), −1 for those not connected.

        Macrostate 0 is the most populated one.
        """
        from deeptime.markov import pcca  # deeptime takes seconds to import, and only this needs it

        count = min(count, len(self.connected))
        crisp: Array = np.zeros(len(self.connected), int)
        if count > 1:
            crisp = pcca(self.transitions, count, self.stationary).assignments
        population = np.bincount(crisp, weights=self.stationary, minlength=count)
        rank: Array = np.empty(count, int)
        rank[np.argsort(-population, kind="stable")] = np.arange(count)
        assignment: Array = np.full(self.states, -1)
        assignment[self.connected] = rank[crisp]
        return assignment


def cluster(points: Array, distance: float) -> tuple[Array, int]:
    """Cluster by regular space (Senne et al. 2012): return the state of each point and the number of states.

    Going through the points in order, one that is farther than `distance` from all centres becomes a centre; then each
    point belongs to the nearest one. So there are centres on barriers too, and more data keep the old ones. Raises
    `ValueError` beyond 2,000 states.
    """
    nearest: Array = np.full(len(points), np.inf)
    states: Array = np.zeros(len(points), int)
    count = 0
    while True:
        far = nearest > distance
        first = int(np.argmax(far))
        if not far[first]:
            return states, count
        if count == MAX_STATES:
            raise ValueError(f"more than {MAX_STATES} states: take a larger cluster distance than {distance}.")
        away = np.linalg.norm(points - points[first], axis=1)
        is_nearer = away < nearest
        states[is_nearer] = count
        nearest[is_nearer] = away[is_nearer]
        count += 1


def count_transitions(data: Trajectories, states: Array, count: int, lag: int, weights: Array | None = None) -> Array:
    """Return the count matrix (count, count) of the sliding window, each trajectory with its weight (default 1)."""
    first = data.pairs(lag)
    pair = states[first] * count + states[first + lag]
    weight = None if weights is None else weights[data.owner[first]]
    return np.bincount(pair, weights=weight, minlength=count * count).reshape(count, count).astype(float)


def estimate(counts: Array, lag: int) -> MarkovModel:
    """Return the reversible maximum-likelihood model on the largest connected set.

    Raises `ValueError` when fewer than two states are connected.
    """
    _, component = connected_components(csr_array(counts), directed=True, connection="strong")
    connected = np.flatnonzero(component == np.argmax(np.bincount(component)))
    if len(connected) < 2:
        raise ValueError("fewer than two states are connected: more or longer trajectories are needed, or a shorter lag.")
    transitions, stationary = reversible_estimate(counts[np.ix_(connected, connected)])
    return MarkovModel(lag, len(counts), connected, transitions, stationary)


def least_counted(data: Trajectories, states: Array, count: int, seeds: int, random: Any) -> list[tuple[int, int]]:
    """Return `seeds` frames to start from, as (trajectory, frame): one from each of the least visited states.

    When there are more seeds than states the states are gone through again, each time with another frame.
    """
    visits = np.bincount(states, minlength=count)
    order = np.argsort(visits + random.random(count) * 0.5, kind="stable")
    chosen = []
    for seed in range(seeds):
        pick = int(random.choice(np.flatnonzero(states == order[seed % count])))
        chosen.append((int(data.owner[pick]), int(data.frame[pick])))
    return chosen
