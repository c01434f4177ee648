"""What the demo shows: a live panel on a terminal, plain lines elsewhere, and the summary at the end."""

from __future__ import annotations

import time
from collections import deque
from collections.abc import Mapping, Sequence
from types import TracebackType
from typing import Any

from rich.console import Console, Group
from rich.live import Live
from rich.progress_bar import ProgressBar
from rich.table import Table
from rich.text import Text

from copernicus.demo.workflow import Size, Standing

PS_PER_NS = 1000.0
_WINDOW_S = 12.0
_REPORT_S = 10.0
_NOTHING_NS = 1e-6
_LINE_EVERY_S = 5.0
_NAMES = {"alpha_L": "αL", "alpha_R": "αR", "beta": "β"}


def shown(name: str) -> str:
    """Return a region's name as it is printed."""
    word, _, rest = name.partition(" ")
    return f"{_NAMES.get(word, word)} {rest}".rstrip()


def with_error(measured: Mapping[str, float], scale: float = 1.0, unit: str = "") -> str:
    """Return "39 ± 6 ps": the error with one digit (two below 2), the value to the same place."""
    value, error = measured["value"] * scale, measured.get("error", 0.0) * scale
    if not error:
        return f"{value:.3g}{unit}"
    digits = 0
    while error * 10**digits < 2 and digits < 6:
        digits += 1
    return f"{value:.{digits}f} ± {error:.{digits}f}{unit}"


def population_of(region: Mapping[str, Any]) -> float:
    """Return the population of a region in the model, 0 while it is not connected to the rest."""
    return float(region["population"]["value"]) if region.get("population") else 0.0


class Progress:
    """Shows how things stand, as often as it is told; knows rates and the time left."""

    def __init__(self, console: Console, size: Size) -> None:
        self._console, self._size = console, size
        self._seen: deque[tuple[float, Standing]] = deque()
        self._begun = time.monotonic()
        self._said = (-_LINE_EVERY_S, -1)
        self._live = Live(console=console, refresh_per_second=4, transient=True) if console.is_terminal else None

    def __enter__(self) -> Progress:
        if self._live is not None:
            self._live.start()
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        if self._live is not None:
            self._live.stop()

    def show(self, standing: Standing) -> None:
        """Take note of how things stand, and show it."""
        now = time.monotonic()
        self._seen.append((now, standing))
        while len(self._seen) > 2 and now - self._seen[0][0] > _WINDOW_S:
            self._seen.popleft()
        if self._live is not None:
            self._live.update(self._panel(standing))
        elif now - self._said[0] >= _LINE_EVERY_S or standing.generation != self._said[1]:
            self._said = (now, standing.generation)
            rows = [f"{name} {value}" for name, value in self._rows(standing)]
            self._console.print(f"{now - self._begun:4.0f} s: {', '.join(rows)}", highlight=False, soft_wrap=True)

    def jobs_per_s(self) -> float:
        """Jobs done per second lately."""
        (then, old), (now, new) = self._seen[0], self._seen[-1]
        return (new.jobs_done - old.jobs_done) / (now - then) if now > then else 0.0

    def left_s(self) -> float | None:
        """Seconds left, from the pace of late; None where there is no pace yet, or no more."""
        (then, old), (now, new) = self._seen[0], self._seen[-1]
        lacking = self._size.total_ns - new.simulated_ns
        if lacking < _NOTHING_NS:
            return None  # the last model and the report: no pace to go by
        if now - then < 2 or new.simulated_ns <= old.simulated_ns:
            return None
        return lacking * (now - then) / (new.simulated_ns - old.simulated_ns) + _REPORT_S

    def _rows(self, standing: Standing) -> list[tuple[str, str]]:
        left = self.left_s()
        slowest = with_error(standing.timescales_ns[0], PS_PER_NS, " ps") if standing.timescales_ns else "–"
        rarest = min(standing.populations, key=population_of, default=None)
        rows = [
            ("generation", f"{standing.generation} of {self._size.generations}"),
            ("simulated", f"{standing.simulated_ns:.2f} of {self._size.total_ns:.2f} ns"),
            ("connected states", f"{standing.connected_states} of {standing.states}" if standing.states else "–"),
            ("slowest timescale", slowest),
        ]
        if rarest is not None:
            is_there = population_of(rarest) > 0
            population = with_error(rarest["population"], 100, " %") if is_there else "not connected yet"
            rows.append((f"population of {shown(rarest['name'])}", population))
        rows.append(("jobs", f"{standing.jobs_done} ({self.jobs_per_s():.1f} per second)"))
        if left is not None:
            rows.append(("time left", f"{left:.0f} s"))
        return rows

    def _panel(self, standing: Standing) -> Group:
        table = Table.grid(padding=(0, 2))
        for name, value in self._rows(standing):
            table.add_row(Text(name, style="dim"), value)
        bar = ProgressBar(total=self._size.total_ns, completed=standing.simulated_ns, width=50)
        is_last = self._size.total_ns - standing.simulated_ns < _NOTHING_NS
        last = "last model and pictures …" if is_last else ""
        return Group(Text(), bar, table, Text(last, style="dim"))


def summary(console: Console, results: Mapping[str, Any]) -> None:
    """Print what came out: timescales and macrostates with error bars, raw and reweighted populations."""
    table = Table(title="Macrostates of alanine dipeptide", title_justify="left", title_style="bold")
    table.add_column("state")
    for heading in ("φ, ψ", "population (model)", "95 % interval", "frames simulated there (raw)"):
        table.add_column(heading, justify="right")
    for one in results["macrostates"]:
        table.add_row(
            shown(one["name"]), ", ".join(f"{angle:.0f}°" for angle in one["centre"]),
            with_error(one["population"], 100, " %"), _interval(one["population"], 100, " %"), f"{100 * one['raw']:.1f} %",
        )  # fmt: skip
    console.print(table)
    times = Table(title="Slowest timescales", title_justify="left", title_style="bold")
    times.add_column("process")
    times.add_column("timescale", justify="right")
    times.add_column("95 % interval", justify="right")
    for number, one in enumerate(results["timescales_ns"], start=1):
        times.add_row(str(number), with_error(one, PS_PER_NS, " ps"), _interval(one, PS_PER_NS, " ps"))
    console.print(times)
    for line in remarks(results):
        console.print(line, highlight=False)


def remarks(results: Mapping[str, Any]) -> Sequence[str]:
    """Return what the numbers say in words."""
    lines = [
        f"{results['simulated_ns']:g} ns in {results['generation']} generations; "
        f"{results['connected_states']} of {results['states']} states are connected."
    ]
    rarest = min(results["populations"], key=population_of, default=None)
    if rarest is not None:
        name, joined = shown(rarest["name"]), joined_at(results["history"], rarest["name"])
        raw = f"{100 * rarest['raw']:.0f} % of all frames lie in {name}, where simulations were started on purpose;"
        if joined is None:
            lines.append(f"{raw} the model does not reach it yet, so it cannot say what that is worth at equilibrium.")
        else:
            lines.append(
                f"{raw} the model, which {name} joined in generation {joined}, gives it "
                f"{with_error(rarest['population'], 100, ' %')} at equilibrium."
            )
    return lines


def joined_at(history: Sequence[Mapping[str, Any]], region: str) -> int | None:
    """Return the generation from which on the region has had a population in every model, or None."""
    joined = None
    for generation in history:
        is_there = any(population_of(one) > 0 for one in generation["regions"] if one["name"] == region)
        joined = (joined or generation["generation"]) if is_there else None
    return joined


def _interval(measured: Mapping[str, float], scale: float, unit: str) -> str:
    if "low" not in measured or "high" not in measured:
        return "–"
    return f"{measured['low'] * scale:.2g} – {measured['high'] * scale:.2g}{unit}"
