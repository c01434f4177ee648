"""The pictures: free-energy surface, implied timescales, convergence over the generations, Chapman–Kolmogorov test."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from matplotlib import patheffects
from matplotlib.figure import Figure
from matplotlib.ticker import FuncFormatter, LogLocator, NullLocator
from scipy.ndimage import gaussian_filter1d

from copernicus.modules.msm.analysis import Analysis
from copernicus.modules.msm.features import Array
from copernicus.modules.msm.results import Macrostate, Measured, Population, Summary
from copernicus.modules.msm.uncertainty import Estimate

if TYPE_CHECKING:
    from copernicus.modules.msm.report import Staying

COLOURS = ("#1f5a92", "#d1702b", "#3f8f5f", "#8a4f9e", "#b03a48", "#6b6b6b")
_GAS_CONSTANT_KJ = 0.00831446
_DPI = 150
_GREY = "#5c5c5c"
_BINS = 72
_SEEN = 0.05  # frames per bin, smoothed, from which on a bin is drawn
_HIGHEST_KJ = 40.0
_GREEK = {
    "phi": "φ", "psi": "ψ", "omega": "ω", "alpha_R": "α$_R$", "alpha_L": "α$_L$", "alpha": "α", "beta": "β", "chi1": "χ$_1$",
}  # fmt: skip


def shown(name: str) -> str:
    """Return a name as pictures show it: phi as φ, alpha_L as α with L below."""
    word, _, rest = name.partition(" ")
    return " ".join(part for part in (_GREEK.get(word, word), rest) if part)


def free_energy(analysis: Analysis, macrostates: Sequence[Macrostate], temperature_k: float, path: Path) -> None:
    """Draw −RT ln p over the first two features (over the only one as a curve), p reweighted to equilibrium; kJ/mol."""
    data = analysis.data
    columns = list(range(min(2, len(data.names))))
    is_angle = [data.is_angle[column] for column in columns]
    values = [np.degrees(data.values[:, column]) if data.is_angle[column] else data.values[:, column] for column in columns]
    edges = [
        np.linspace(-180, 180, _BINS + 1) if turns else np.linspace(value.min(), value.max(), _BINS + 1)
        for turns, value in zip(is_angle, values, strict=True)
    ]
    surface = _surface(np.column_stack(values), edges, is_angle, analysis.frame_weights) * _GAS_CONSTANT_KJ * temperature_k
    middles = [(edge[1:] + edge[:-1]) / 2 for edge in edges]
    labels = [f"{shown(data.names[column])} ({'degrees' if turns else 'nm'})" for column, turns in enumerate(is_angle)]

    figure, axes = _figure(6.4, 5.2)
    axes.set_title("Free energy from the Markov model", loc="left", fontsize=12)
    axes.set_xlabel(labels[0])
    if len(columns) == 1:
        axes.plot(middles[0], surface, color=COLOURS[0])
        axes.set_ylabel("free energy (kJ/mol)")
    else:
        axes.set_ylabel(labels[1])
        for axis, turns in enumerate(is_angle):  # one more row on either side, so that the picture closes at ±180°
            if turns:
                surface = np.concatenate([surface.take([-1], axis), surface, surface.take([0], axis)], axis)
                middles[axis] = np.concatenate([middles[axis][-1:] - 360, middles[axis], middles[axis][:1] + 360])
        _draw_surface(figure, axes, middles, edges, surface)
        for macrostate in macrostates:
            _label_macrostate(axes, macrostate)
    for scale, turns in zip((axes.xaxis, axes.yaxis), is_angle, strict=False):
        if turns:
            scale.set_ticks(np.arange(-180, 181, 60))
    _save(figure, path)


def _surface(points: Array, edges: Sequence[Array], is_angle: Sequence[bool], weights: Array) -> Array:
    """Return −ln p, smoothed over a bin, its minimum 0; nan where no frame has been."""
    density, _ = np.histogramdd(points, bins=edges, weights=weights)
    visited, _ = np.histogramdd(points, bins=edges)
    for axis, turns in enumerate(is_angle):
        mode = "wrap" if turns else "nearest"
        density = gaussian_filter1d(density, 1.0, axis=axis, mode=mode, truncate=3.0)
        visited = gaussian_filter1d(visited, 1.0, axis=axis, mode=mode, truncate=3.0)
    with np.errstate(divide="ignore", invalid="ignore"):
        surface = -np.log(density / density.max())
    surface[~np.isfinite(surface) | (visited < _SEEN)] = np.nan
    return surface


def _draw_surface(figure: Any, axes: Any, middles: Sequence[Array], edges: Sequence[Array], surface: Array) -> None:
    top = min(_HIGHEST_KJ, float(np.ceil(np.nanmax(surface) / 5) * 5))
    levels = np.arange(0, top + 0.1, 2.5)
    axes.set_facecolor("#f2f2f0")
    drawn = axes.contourf(*middles, np.minimum(surface, top).T, levels=levels, cmap="YlGnBu_r")
    axes.contour(*middles, surface.T, levels=levels[::2], colors="white", linewidths=0.5, alpha=0.7)
    axes.set_xlim(edges[0][0], edges[0][-1])
    axes.set_ylim(edges[1][0], edges[1][-1])
    bar = figure.colorbar(drawn, ax=axes, pad=0.02, ticks=np.arange(0, top + 0.1, 5))
    bar.set_label("free energy (kJ/mol)")
    bar.outline.set_visible(False)


def _label_macrostate(axes: Any, macrostate: Macrostate) -> None:
    """Mark where a macrostate is most populated; its label stays inside of the picture."""
    x, y = macrostate.centre[:2]
    population = macrostate.population
    text = f"{shown(macrostate.name)}\n{_percent(population)}"
    (left, right), (_, top) = axes.get_xlim(), axes.get_ylim()
    margin, is_below = 0.12 * (right - left), y > top - 0.15 * (top - axes.get_ylim()[0])
    axes.plot(x, y, "o", color="#222222", markersize=4.5, markeredgecolor="white", markeredgewidth=0.9)
    axes.annotate(
        text, (min(max(x, left + margin), right - margin), y), xytext=(0, -7 if is_below else 7), ha="center",
        textcoords="offset points", va="top" if is_below else "bottom", fontsize=10, color="#111111",
        path_effects=[patheffects.withStroke(linewidth=2.5, foreground="white")],
    )  # fmt: skip


def _percent(population: Measured) -> str:
    """Return "0.05 ± 0.04 %": the error with one digit, the value to the same place."""
    if not population.error:
        return f"{100 * population.value:.2g} %"
    digits = max(0, -math.floor(math.log10(100 * population.error)))
    return f"{100 * population.value:.{digits}f} ± {100 * population.error:.{digits}f} %"


def timescales(by_lag: Mapping[int, Sequence[Estimate]], lag: int, frame_ps: float, path: Path) -> None:
    """Draw the slowest implied timescales against the lag, with 95 % intervals; below the lag nothing can be resolved."""
    figure, axes = _figure(6.4, 4.4)
    lags = np.array(sorted(by_lag))
    x = lags * frame_ps
    for process in range(max(len(found) for found in by_lag.values())):
        rows = [(each * frame_ps, by_lag[each][process]) for each in lags if process < len(by_lag[each])]
        at = np.array([time for time, _ in rows])
        value, low, high = (np.array([getattr(one, part) for _, one in rows]) * frame_ps for part in ("value", "low", "high"))
        colour = COLOURS[process % len(COLOURS)]
        axes.fill_between(at, low, high, color=colour, alpha=0.18, linewidth=0)
        axes.plot(at, value, "o-", color=colour, markersize=4, label=f"process {process + 1}")
    limit = np.array([x[0] * 0.8, x[-1] * 1.1])
    axes.fill_between(limit, limit, 1e-6, color="#9a9a9a", alpha=0.3, linewidth=0)
    axes.axvline(lag * frame_ps, color=_GREY, linestyle=":", linewidth=1)
    axes.annotate(
        "lag of the model", (lag * frame_ps, 0), xycoords=("data", "axes fraction"), xytext=(4, 4),
        textcoords="offset points", va="bottom", fontsize=8.5, color=_GREY,
    )  # fmt: skip
    _log_scale(axes)
    axes.set_xlim(0, limit[1])
    axes.set_ylim(bottom=x[0] * 2)
    axes.set_xlabel("lag time (ps)")
    axes.set_ylabel("implied timescale (ps)")
    axes.set_title("Implied timescales", loc="left", fontsize=12)
    _legend(axes)
    _save(figure, path)


def convergence(history: Sequence[Mapping[str, Any]], summary: Summary, path: Path) -> None:
    """Draw over the simulated time of the generations: connected states, slowest timescale, the rarest region's population."""
    figure = Figure(figsize=(6.4, 7.2), dpi=_DPI, layout="constrained")
    top, middle, bottom = figure.subplots(3, 1, sharex=True)
    at = [generation["simulated_ns"] for generation in history]
    top.plot(at, [generation["states"] for generation in history], "o-", color=_GREY, markersize=3.5, label="states")
    top.plot(
        at,
        [generation["connected_states"] for generation in history],
        "o-",
        color=COLOURS[0],
        markersize=3.5,
        label="connected",
    )
    top.set_ylabel("states")
    top.set_ylim(bottom=0)
    _legend(top)
    top.set_title("Convergence over the generations", loc="left", fontsize=12)

    for process in range(len(summary.timescales_ns)):
        found = [(g["simulated_ns"], g["timescales_ns"][process]) for g in history if process < len(g["timescales_ns"])]
        _draw_measured(middle, found, COLOURS[process % len(COLOURS)], f"process {process + 1}", scale=1000.0)
    _log_scale(middle)
    middle.set_ylabel("timescale (ps)")
    _legend(middle)
    if summary.regions:
        rarest = min(range(len(summary.regions)), key=lambda place: _value(summary.regions[place]))
        name = shown(summary.regions[rarest].name)
        rows = [(g["simulated_ns"], g["regions"][rarest]) for g in history]
        raw = [100 * row["raw"] for _, row in rows]
        bottom.plot(
            [time for time, _ in rows], raw, "s--", color=COLOURS[1], markersize=3.5, label=f"frames simulated in {name}"
        )
        there = [(time, row["population"]) for time, row in rows if "population" in row]
        if there:
            _draw_measured(bottom, there, COLOURS[0], f"population of {name}", scale=100.0)
        else:
            middle_of = (0.5, 0.5)
            bottom.annotate(
                f"{name} is not connected to the rest yet", middle_of, xycoords="axes fraction", ha="center", color=_GREY
            )
        _log_scale(bottom, steps=(1.0,))
        bottom.set_ylabel(f"{name} (%)")
        _legend(bottom)
    bottom.set_xlabel("simulated time (ns)")
    bottom.set_xlim(left=0)
    for axes in (top, middle, bottom):
        _tidy(axes)
    _save(figure, path)


def _value(region: Population) -> float:
    return region.population.value if region.population is not None else 0.0


def _draw_measured(
    axes: Any, rows: Sequence[tuple[float, Mapping[str, float]]], colour: str, label: str, scale: float = 1.0
) -> None:
    at = [time for time, _ in rows]
    value = [row["value"] * scale for _, row in rows]
    low, high = ([row.get(part, row["value"]) * scale for _, row in rows] for part in ("low", "high"))
    axes.fill_between(at, low, high, color=colour, alpha=0.18, linewidth=0)
    axes.plot(at, value, "o-", color=colour, markersize=3.5, label=label)


def chapman_kolmogorov(tests: Sequence[Staying], frame_ps: float, path: Path) -> None:
    """Draw for each macrostate how likely one is there again after a time: predicted by the model, and estimated."""
    figure = Figure(figsize=(2.6 * max(len(tests), 2), 3.0), dpi=_DPI, layout="constrained")
    for place, test in enumerate(tests):
        axes = figure.add_subplot(1, max(len(tests), 2), place + 1)
        at = np.array(test.lags) * frame_ps
        value = np.array([one.value for one in test.estimated])
        spread = [[one.value - one.low for one in test.estimated], [one.high - one.value for one in test.estimated]]
        axes.plot([0, *at], [1.0, *test.predicted], "-", color=COLOURS[0], label="predicted")
        axes.errorbar(
            at, value, yerr=np.maximum(spread, 0), fmt="o", color=COLOURS[1], markersize=4, capsize=2, label="estimated"
        )
        axes.set_ylim(0, 1.05)
        axes.set_xlim(0, at[-1] * 1.08)
        axes.set_title(shown(test.name), fontsize=11)
        axes.set_xlabel("time (ps)")
        if place == 0:
            axes.set_ylabel("probability to be there again")
            axes.legend(frameon=False, fontsize=8.5, loc="lower left")
        _tidy(axes)
    _save(figure, path)


def _figure(width: float, height: float) -> tuple[Any, Any]:
    figure = Figure(figsize=(width, height), dpi=_DPI, layout="constrained")
    axes = figure.add_subplot()
    _tidy(axes)
    return figure, axes


def _legend(axes: Any) -> None:
    """Put the legend above the picture, where no data are."""
    axes.legend(frameon=False, fontsize=9, loc="lower right", bbox_to_anchor=(1.0, 1.0), ncols=3, borderaxespad=0.1)


def _log_scale(axes: Any, steps: Sequence[float] = (1.0, 2.0, 5.0)) -> None:
    """Make the y axis logarithmic, its labels plain numbers."""
    axes.set_yscale("log")
    axes.yaxis.set_major_locator(LogLocator(subs=steps, numticks=12))
    axes.yaxis.set_major_formatter(FuncFormatter(lambda value, _: f"{value:g}"))
    axes.yaxis.set_minor_locator(NullLocator())


def _tidy(axes: Any) -> None:
    axes.spines[["top", "right"]].set_visible(False)
    axes.tick_params(labelsize=9)


def _save(figure: Any, path: Path) -> None:
    figure.savefig(path, dpi=_DPI, metadata={"Software": None})
