"""What the demo says: numbers with their errors, the way of a region into the model, the time left."""

from __future__ import annotations

import io
from typing import Any

import pytest
from rich.console import Console

from copernicus.demo import display
from copernicus.demo.display import Progress, joined_at, remarks, summary, with_error
from copernicus.demo.molecule import PHI, PSI, START_REGIONS, alanine_dipeptide
from copernicus.demo.workflow import QUICK, Standing


@pytest.mark.parametrize(
    ("value", "error", "text"),
    [
        (39.22, 6.5, "39 ± 6"),
        (15.43, 1.84, "15.4 ± 1.8"),
        (0.0547, 0.041, "0.05 ± 0.04"),
        (7.0, 0.0, "7"),
        (0.1234567, None, "0.123"),
    ],
)
def test_a_value_is_as_precise_as_its_error(value: float, error: float | None, text: str) -> None:
    measured = {"value": value} if error is None else {"value": value, "error": error}
    assert with_error(measured) == text


def generation(number: int, population: float | None) -> dict[str, Any]:
    region: dict[str, Any] = {"name": "alpha_L", "raw": 0.3}
    return {"generation": number, "regions": [region | ({"population": {"value": population}} if population else {})]}


def test_a_region_has_joined_when_it_stays() -> None:
    assert joined_at([generation(1, None), generation(2, 0.1), generation(3, 0.2)], "alpha_L") == 2
    assert joined_at([generation(1, 0.1), generation(2, None), generation(3, 0.2)], "alpha_L") == 3
    assert joined_at([generation(1, 0.1), generation(2, None)], "alpha_L") is None


def results(population: float | None) -> dict[str, Any]:
    region: dict[str, Any] = {"name": "alpha_L", "raw": 0.3}
    measured = {"value": 0.86, "error": 0.02, "low": 0.82, "high": 0.9}
    return {
        "simulated_ns": 5.6, "generation": 2, "states": 200, "connected_states": 180,
        "populations": [region | ({"population": {"value": population, "error": 0.001}} if population else {})],
        "history": [generation(1, None), generation(2, population)],
        "macrostates": [{"name": "beta", "centre": [-149.0, 154.0], "population": measured, "raw": 0.5}],
        "timescales_ns": [{"value": 0.039, "error": 0.006, "low": 0.03, "high": 0.05}],
    }  # fmt: skip


def test_the_summary_shows_errors_and_both_populations() -> None:
    page = io.StringIO()
    summary(Console(file=page, width=200), results(0.003))
    for part in ("β", "86 ± 2 %", "82 – 90 %", "50.0 %", "39 ± 6 ps", "30 – 50 ps", "joined in generation 2", "0.30 ± 0.10 %"):
        assert part in page.getvalue()
    assert any("does not reach it yet" in line for line in remarks(results(None)))


def test_the_time_left_follows_the_pace(monkeypatch: pytest.MonkeyPatch) -> None:
    clock = [0.0]
    monkeypatch.setattr(display.time, "monotonic", lambda: clock[0])
    progress = Progress(Console(file=io.StringIO()), QUICK)
    progress.show(Standing())
    assert progress.left_s() is None
    clock[0] = 10.0
    progress.show(Standing(simulated_ns=QUICK.total_ns / 4, jobs_done=20))
    assert progress.jobs_per_s() == 2.0
    assert progress.left_s() == pytest.approx(30 + 10, abs=0.1)
    progress.show(Standing(simulated_ns=QUICK.total_ns - 1e-12))
    assert progress.left_s() is None


def test_the_molecule_is_a_pdb_file_with_its_dihedrals_where_they_belong() -> None:
    atoms = [line for line in alanine_dipeptide(*START_REGIONS["beta"]).splitlines() if line.startswith("ATOM")]
    assert [atoms[number][12:16].strip() for number in PHI] == ["C", "N", "CA", "C"]
    assert [atoms[number][12:16].strip() for number in PSI] == ["N", "CA", "C", "N"]
    assert [line[17:20] for line in atoms] == ["ACE"] * 6 + ["ALA"] * 10 + ["NME"] * 6
