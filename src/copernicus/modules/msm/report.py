"""The final report: macrostates, error bars at several lags, a test of the model, and the pictures."""

from __future__ import annotations

import argparse
import json
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from copernicus.modules.msm import plots
from copernicus.modules.msm.analysis import Analysis, AnalysisSettings
from copernicus.modules.msm.features import Array, Region, read_trajectories
from copernicus.modules.msm.model import MarkovModel
from copernicus.modules.msm.results import Macrostate, Summary, as_measured, as_populations, write_json
from copernicus.modules.msm.uncertainty import Estimate, resample, summarise

PS_PER_NS = 1000.0
_LAGS = 6
_SAMPLES_PER_LAG = 20
_STAYING_STEPS = 4


@dataclass(frozen=True)
class Staying:
    """Chapman–Kolmogorov test of one macrostate: the probability to be there again after a time.

    `lags` in frames; `predicted` by the model at its own lag, `estimated` from models at those lags.
    """

    name: str
    lags: list[int]
    predicted: list[float]
    estimated: list[Estimate]


def report(options: argparse.Namespace) -> None:
    """Write summary.json and the pictures free_energy.png, timescales.png, convergence.png, chapman_kolmogorov.png."""
    data = read_trajectories(options.features, options.angles, options.distances)
    settings = AnalysisSettings(options.cluster_distance, options.lag, options.samples, options.seed)
    analysis = Analysis(data, settings)
    assignment = analysis.model.macrostates(options.macrostates)
    frames_in = [assignment[analysis.states] == macrostate for macrostate in range(assignment.max() + 1)]
    names = macrostate_names(analysis, frames_in, options.region)
    inside = [region.contains(data) for region in options.region]
    timescales, populations = analysis.with_errors([*frames_in, *inside])
    macro_populations, region_populations = populations[: len(frames_in)], populations[len(frames_in) :]
    frame_ns = options.frame_ps / PS_PER_NS
    macrostates = [
        Macrostate(
            name=name,
            states=int((assignment == number).sum()),
            centre=centre(analysis, mask),
            population=as_measured(population),
            raw=float(mask.mean()),
        )
        for number, (name, mask, population) in enumerate(zip(names, frames_in, macro_populations, strict=True))
    ]
    summary = Summary(
        simulated_ns=round((len(data.owner) - data.count) * frame_ns, 9),
        trajectories=data.count,
        states=analysis.count,
        connected_states=len(analysis.model.connected),
        lag_ns=options.lag * frame_ns,
        timescales_ns=[as_measured(timescale, frame_ns) for timescale in timescales],
        regions=as_populations(
            [region.name for region in options.region], region_populations, [float(mask.mean()) for mask in inside]
        ),
        macrostates=macrostates,
    )
    write_json(Path("summary.json"), summary)

    plots.free_energy(analysis, macrostates, options.temperature_k, Path("free_energy.png"))
    by_lag = {lag: analysis.with_errors([], lag, samples=_SAMPLES_PER_LAG)[0] for lag in lags_to_try(analysis)}
    plots.timescales(by_lag, options.lag, options.frame_ps, Path("timescales.png"))
    history = [json.loads(model.read_text(encoding="utf-8")) for model in options.models]
    plots.convergence(history, summary, Path("convergence.png"))
    plots.chapman_kolmogorov(staying(analysis, assignment, names), options.frame_ps, Path("chapman_kolmogorov.png"))
    print(f"{summary.trajectories} trajectories, {summary.simulated_ns:g} ns, {len(macrostates)} macrostates")


def lags_to_try(analysis: Analysis) -> list[int]:
    """Return some lags, from one frame to half of the longest trajectory; the model's own is among them."""
    longest = int(analysis.data.frame.max())
    spread = np.unique(np.geomspace(1, max(2, longest // 2), _LAGS).round().astype(int))
    return sorted({*map(int, spread), analysis.settings.lag})


def macrostate_names(analysis: Analysis, frames_in: Sequence[Array], regions: Sequence[Region]) -> list[str]:
    """Return for each macrostate the name of the region that holds most of it; numbers tell those apart that share one."""
    inside = [region.contains(analysis.data) for region in regions]
    names: list[str] = []
    for number, mask in enumerate(frames_in):
        held = [float(analysis.frame_weights[mask & region].sum()) for region in inside]
        best = int(np.argmax(held)) if held else -1
        is_most = best >= 0 and held[best] > 0.5 * float(analysis.frame_weights[mask].sum())
        name = regions[best].name if is_most else f"state {number + 1}"
        count = sum(other.split(" (")[0] == name for other in names)
        names.append(f"{name} ({count + 1})" if count else name)
    return names


def centre(analysis: Analysis, mask: Array) -> list[float]:
    """Return the mean of each feature over the frames of the most populated state within `mask`; angles in degrees."""
    weights = np.bincount(analysis.states[mask], weights=analysis.frame_weights[mask], minlength=analysis.count)
    values = analysis.data.values[mask & (analysis.states == np.argmax(weights))]
    return [
        float(np.degrees(np.angle(np.exp(1j * column).mean()))) if is_angle else float(column.mean())
        for column, is_angle in zip(values.T, analysis.data.is_angle, strict=True)
    ]


def staying(analysis: Analysis, assignment: Array, names: Sequence[str]) -> list[Staying]:
    """Return the Chapman–Kolmogorov test of each macrostate, over up to four lags of the model."""
    lag, longest = analysis.settings.lag, int(analysis.data.frame.max())
    lags = [lag * step for step in range(1, _STAYING_STEPS + 1) if lag * step < longest]
    sets = [assignment == number for number in range(len(names))]

    def probabilities(model: MarkovModel, power: int = 1) -> Array:
        moved = np.linalg.matrix_power(model.transitions, power)
        return np.array([_stay(model, moved, inside[model.connected]) for inside in sets])

    predicted = np.array([probabilities(analysis.model, step + 1) for step in range(len(lags))])
    estimated: list[list[Estimate]] = []
    for each in lags:
        values = probabilities(analysis.model_at(each))
        samples = resample(
            analysis.data,
            analysis.states,
            analysis.count,
            each,
            _SAMPLES_PER_LAG,
            analysis.random(1000 + each),
            probabilities,
        )
        estimated.append([summarise(float(value), samples[:, place]) for place, value in enumerate(values)])
    return [
        Staying(name, lags, [float(one) for one in predicted[:, place]], [row[place] for row in estimated])
        for place, name in enumerate(names)
    ]


def _stay(model: MarkovModel, moved: Array, inside: Array) -> float:
    """Return the probability to be inside again, starting inside at equilibrium."""
    start = model.stationary * inside
    total = start.sum()
    return float((start @ moved)[inside].sum() / total) if total > 0 else float("nan")
