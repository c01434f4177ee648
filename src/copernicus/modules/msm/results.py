"""What the jobs of this module write and its functions give: plain records, times in ns."""

from __future__ import annotations

import json
import math
from collections.abc import Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:  # the server reads these records, and has no numpy
    from copernicus.modules.msm.uncertainty import Estimate


@dataclass(frozen=True)
class Measured:
    """A number with its standard error and its 95 % interval (absent when there were too few samples)."""

    value: float
    error: float | None = None
    low: float | None = None
    high: float | None = None


@dataclass(frozen=True)
class Population:
    """The population of a part of the feature space: at equilibrium, and the raw part of all frames found there.

    The population is absent while that part is not connected to the rest: then the model says nothing about it.
    """

    name: str
    raw: float
    population: Measured | None = None


@dataclass(frozen=True)
class Seed:
    """A frame to start from: number of the trajectory and of its frame, both from 0."""

    trajectory: int
    frame: int


@dataclass(frozen=True)
class Model:
    """A Markov state model of all trajectories so far."""

    simulated_ns: float
    trajectories: int
    frames: int
    states: int
    connected_states: int
    connected_raw: float
    timescales_ns: list[Measured] = field(default_factory=list)
    regions: list[Population] = field(default_factory=list)
    seeds: list[Seed] = field(default_factory=list)


@dataclass(frozen=True)
class Generation:
    """One generation of adaptive sampling, for the history."""

    generation: int
    simulated_ns: float
    states: int
    connected_states: int
    timescales_ns: list[Measured] = field(default_factory=list)
    regions: list[Population] = field(default_factory=list)


@dataclass(frozen=True)
class Macrostate:
    """A long-lived set of states: its centre (angles in degrees), population at equilibrium, and raw part of all frames."""

    name: str
    states: int
    centre: list[float]
    population: Measured
    raw: float


@dataclass(frozen=True)
class Summary:
    """What all trajectories together say."""

    simulated_ns: float
    trajectories: int
    states: int
    connected_states: int
    lag_ns: float
    timescales_ns: list[Measured] = field(default_factory=list)
    regions: list[Population] = field(default_factory=list)
    macrostates: list[Macrostate] = field(default_factory=list)


def as_measured(estimate: Estimate, scale: float = 1.0) -> Measured:
    """Return the estimate times `scale` as a record; what is not finite is absent."""
    numbers = [number * scale for number in (estimate.error, estimate.low, estimate.high)]
    error, low, high = (number if math.isfinite(number) else None for number in numbers)
    return Measured(estimate.value * scale, error, low, high)


def as_populations(names: Sequence[str], estimates: Sequence[Estimate], raw: Sequence[float]) -> list[Population]:
    """Return one record for each name."""
    return [
        Population(name, part, as_measured(one) if one.value > 0 else None)
        for name, one, part in zip(names, estimates, raw, strict=True)
    ]


def write_json(path: Path, record: Any) -> None:
    """Write a record as a JSON file; absent members are left out."""
    path.write_text(json.dumps(_without_absent(asdict(record)), allow_nan=False), encoding="utf-8")


def _without_absent(data: Any) -> Any:
    if isinstance(data, dict):
        return {name: _without_absent(value) for name, value in data.items() if value is not None}
    return [_without_absent(item) for item in data] if isinstance(data, list) else data
