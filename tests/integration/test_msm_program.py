"""The program of msm::build_msm and msm::report on files: numbers, seeds, pictures, and one clear line for what cannot be."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest

from copernicus.modules.msm.models import Range, Region, build_msm, report
from copernicus.modules.msm.results import Model, Summary
from copernicus.plugin.functions import File
from copernicus.testing import call_command, fake_file

np = pytest.importorskip("numpy", reason="needs the package numpy (an extra)")
pytest.importorskip("scipy", reason="needs the package scipy (an extra)")

from tests.unit.three_wells import WELL_REGIONS, exact, simulate  # noqa: E402

from copernicus.modules.msm.program import main  # noqa: E402

pytestmark = pytest.mark.openmm

WALKERS, FRAMES = 150, 60


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A work folder as a worker would make it, with trajectories on a torus with three wells."""
    monkeypatch.chdir(tmp_path)
    data = simulate(WALKERS, FRAMES, seed=9)
    for walker in range(WALKERS):
        x, y = data.values[data.owner == walker].T
        np.savez(tmp_path / f"features_{walker}.npz", x=x[:, None], y=y)
    return tmp_path


def features() -> list[File]:
    return [fake_file(f"features_{walker}.npz", str(walker)) for walker in range(WALKERS)]


def regions() -> list[Region]:
    found = []
    for name, (x, y) in WELL_REGIONS.items():
        sides = {"x": np.degrees(x), "y": np.degrees(y)}
        ranges = [
            Range(side, float((at - 50 + 180) % 360 - 180), float((at + 50 + 180) % 360 - 180)) for side, at in sides.items()
        ]
        found.append(Region(name, ranges))
    return found


def test_a_model_is_built_as_the_command_says(folder: Path) -> None:
    job = call_command(
        build_msm, features=features(), angles=["x", "y"], regions=regions(), lag_time=15, num_seeds=7, samples=10
    )
    assert [staged.name for staged in job.files] == [f"features_{walker}.npz" for walker in range(WALKERS)]
    assert main(list(job.argv)) == 0
    assert {output.pattern for output in job.outputs.values()} == {"model.json", "model.npz"}
    shape = build_msm.signature.out.members["model"]
    model: Model = shape.load(json.loads((folder / "model.json").read_text(encoding="utf-8")))
    assert (model.trajectories, model.frames) == (WALKERS, WALKERS * (FRAMES + 1))
    assert model.simulated_ns == pytest.approx(WALKERS * FRAMES * 0.2e-3)
    assert [(0 <= seed.trajectory < WALKERS, 0 <= seed.frame <= FRAMES) for seed in model.seeds] == [(True, True)] * 7
    timescales, populations = exact()
    assert model.timescales_ns[0].value / 0.2e-3 == pytest.approx(timescales[0], rel=0.3)
    for region, truth in zip(model.regions, populations, strict=True):
        assert region.population is not None
        assert region.population.error is not None
        assert abs(region.population.value - truth) < 4 * region.population.error + 0.01
    matrices = np.load(folder / "model.npz")
    assert matrices["transitions"].sum(axis=1) == pytest.approx(np.ones(len(matrices["connected"])))
    again = (folder / "model.json").read_bytes()
    assert main(list(job.argv)) == 0
    assert (folder / "model.json").read_bytes() == again


def test_a_report_has_macrostates_and_pictures(folder: Path) -> None:
    pytest.importorskip("deeptime", reason="needs the package deeptime (an extra)")
    pytest.importorskip("matplotlib", reason="needs the package matplotlib (an extra)")
    common = {"features": features(), "angles": ["x", "y"], "regions": regions(), "lag_time": 15, "samples": 8}
    assert main(list(call_command(build_msm, **common).argv)) == 0
    (folder / "models_0.json").write_bytes((folder / "model.json").read_bytes())
    job = call_command(report, **common, models=[fake_file("model.json", "m")])
    assert main(list(job.argv)) == 0
    summary: Summary = report.signature.out.members["summary"].load(
        json.loads((folder / "summary.json").read_text(encoding="utf-8"))
    )
    assert {macrostate.name for macrostate in summary.macrostates} == set(WELL_REGIONS)
    assert sum(macrostate.population.value for macrostate in summary.macrostates) == pytest.approx(1)
    for macrostate in summary.macrostates:
        well = np.array(WELL_REGIONS[macrostate.name])
        assert np.abs(np.angle(np.exp(1j * (np.radians(macrostate.centre) - well)))).max() < 0.6
    for output in job.outputs.values():
        assert (folder / output.pattern).stat().st_size > 1000


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (["--angles", "x", "z"], "no feature 'z'"),
        (["--lag", "500"], "longer than the lag"),
        (["--features", "nowhere.npz"], "nowhere.npz"),
        (["--region", "left", "x", "0"], "its lowest and its highest"),
        (["--cluster-distance", "0.001"], "larger cluster distance"),
    ],
)
def test_what_cannot_be_is_said_in_one_line(change: list[str], message: str, folder: Path) -> None:
    argv = ["build", "--features", *(f"features_{walker}.npz" for walker in range(WALKERS)), "--angles", "x", "y"]
    argv += ["--frame-ps", "0.2", "--lag", "10", "--cluster-distance", "0.5", *change]
    done = subprocess.run(
        [sys.executable, "-m", "copernicus.modules.msm.program", *argv], cwd=folder, capture_output=True, text=True, check=False
    )
    assert done.returncode != 0
    assert message in done.stderr.splitlines()[-1]
    assert "Traceback" not in done.stderr


def test_a_server_without_numpy_can_load_the_functions() -> None:
    code = (
        "import sys; sys.modules.update(dict.fromkeys(['numpy', 'scipy', 'openmm', 'deeptime', 'matplotlib']));"
        "import copernicus.modules.msm.functions, copernicus.modules.openmm.functions"
    )
    subprocess.run([sys.executable, "-c", code], check=True)
