"""Markov models against exact answers: three wells on a torus, two states, and another library's estimator."""

from __future__ import annotations

import pytest

np = pytest.importorskip("numpy", reason="needs the package numpy (an extra)")
pytest.importorskip("scipy", reason="needs the package scipy (an extra)")

from tests.unit.three_wells import REGION_HALF_WIDTH_DEGREES, WELL_REGIONS, exact, simulate  # noqa: E402

from copernicus.modules.msm.analysis import Analysis, AnalysisSettings  # noqa: E402
from copernicus.modules.msm.features import Region, Trajectories  # noqa: E402
from copernicus.modules.msm.model import cluster, count_transitions, estimate, least_counted  # noqa: E402
from copernicus.modules.msm.reversible import reversible_estimate  # noqa: E402

pytestmark = pytest.mark.openmm


def well_regions() -> list[Region]:
    def around(angle: float) -> tuple[float, float]:
        low, high = np.degrees(angle) + np.array([-1, 1]) * REGION_HALF_WIDTH_DEGREES
        return (float((low + 180) % 360 - 180), float((high + 180) % 360 - 180))

    return [Region(name, (("x", *around(x)), ("y", *around(y)))) for name, (x, y) in WELL_REGIONS.items()]


def test_the_three_wells_come_out_as_the_generator_says() -> None:
    timescales, populations = exact()
    data = simulate(walkers=400, frames=120, seed=1)
    analysis = Analysis(data, AnalysisSettings(cluster_distance=0.3, lag=20, samples=30, seed=1))
    found, raw, slow = analysis.region_populations(well_regions())
    for population, truth in zip(found, populations, strict=True):
        assert abs(population.value - truth) < 3.5 * population.error + 0.01
        assert population.low < population.value < population.high
    # The start was uniform: the raw parts are off by many error bars, which is what the model is for.
    assert max(abs(one - truth) for one, truth in zip(raw, populations, strict=True)) > 0.05
    for one, truth in zip(slow[:2], timescales, strict=False):
        assert abs(one.value - truth) < 3.5 * one.error + 0.05 * truth


def test_error_bars_are_as_large_as_the_errors() -> None:
    """Over twelve independent data sets the deviations from the truth, in units of the error bars, spread about as 1."""
    _, populations = exact()
    settings = AnalysisSettings(cluster_distance=0.7, lag=20, samples=20, seed=3)
    deviations = []
    for seed in range(12):
        found, _, _ = Analysis(simulate(120, 60, seed), settings).region_populations(well_regions())
        deviations += [(one.value - truth) / one.error for one, truth in zip(found, populations, strict=True)]
    assert 0.5 < np.sqrt(np.mean(np.square(deviations))) < 1.8


def test_two_states_have_the_timescale_of_their_rates() -> None:
    counts = np.array([[900.0, 100.0], [100.0, 300.0]])
    model = estimate(counts, lag=5)
    assert model.stationary == pytest.approx([1000 / 1400, 400 / 1400])
    assert model.timescales(2)[0] == pytest.approx(-5 / np.log(1 - 0.1 - 0.25))
    assert np.isnan(model.timescales(2)[1])


def test_the_estimate_is_reversible_and_the_one_of_another_library() -> None:
    tools = pytest.importorskip("deeptime.markov.tools.estimation", reason="needs the package deeptime (an extra)")
    random = np.random.default_rng(5)
    counts = np.ceil(random.exponential(3.0, (30, 30)) * (random.random((30, 30)) < 0.3)) + np.diag(np.ones(29), 1)
    counts[-1, 0] = 1
    transitions, stationary = reversible_estimate(counts)
    flux = stationary[:, None] * transitions
    assert np.abs(flux - flux.T).max() < 1e-14
    other, weights = tools.transition_matrix(counts, reversible=True, return_statdist=True, maxerr=1e-13, maxiter=10**6)
    assert np.abs(transitions - other).max() < 1e-6
    assert np.abs(stationary - weights).max() < 1e-8


def test_states_that_nothing_returns_from_are_left_out() -> None:
    counts = np.array([[5.0, 1.0, 0.0, 1.0], [2.0, 5.0, 0.0, 0.0], [0.0, 1.0, 5.0, 0.0], [0.0, 0.0, 0.0, 9.0]])
    model = estimate(counts, lag=1)
    assert model.connected.tolist() == [0, 1]
    assert model.weights()[2:].tolist() == [0.0, 0.0]
    with pytest.raises(ValueError, match="fewer than two states"):
        estimate(np.diag([3.0, 4.0]), lag=1)


def test_centres_are_apart_and_every_point_is_near_one() -> None:
    points = np.random.default_rng(7).random((500, 2))
    states, count = cluster(points, 0.2)
    centres: list[int] = []
    for number, point in enumerate(points):  # the definition, word by word
        if all(np.linalg.norm(point - points[centre]) > 0.2 for centre in centres):
            centres.append(number)
    apart = np.linalg.norm(points[:, None] - points[centres][None], axis=-1)
    assert count == len(centres)
    assert states.tolist() == np.argmin(apart, axis=1).tolist()


def test_counts_stay_inside_of_trajectories() -> None:
    values = np.zeros((6, 1))
    data = Trajectories(("x",), (False,), values, np.array([0, 0, 0, 1, 1, 1]), np.array([0, 1, 2, 0, 1, 2]))
    states = np.array([0, 1, 0, 1, 1, 0])
    assert count_transitions(data, states, 2, 1).tolist() == [[0, 1], [2, 1]]
    assert count_transitions(data, states, 2, 2, np.array([1.0, 0.5])).tolist() == [[1.0, 0.0], [0.5, 0.0]]


def test_seeds_are_the_least_visited_states_and_other_frames_each_time() -> None:
    data = simulate(walkers=3, frames=40, seed=4)
    states = np.repeat([0, 1, 2], [100, 20, 3])
    seeds = least_counted(data, states, 3, 2, np.random.default_rng(1))
    found = [states[trajectory * 41 + frame] for trajectory, frame in seeds]
    assert found == [2, 1]
    many = least_counted(data, states, 3, 9, np.random.default_rng(1))
    assert sorted(states[trajectory * 41 + frame] for trajectory, frame in many) == [0, 0, 0, 1, 1, 1, 2, 2, 2]


def test_a_region_of_an_angle_goes_over_the_edge() -> None:
    data = Trajectories(("x",), (True,), np.radians([[170.0], [-170.0], [0.0]]), np.zeros(3, int), np.arange(3))
    assert Region("edge", (("x", 150.0, -150.0),)).contains(data).tolist() == [True, True, False]
    with pytest.raises(ValueError, match="no feature 'z'"):
        Region("none", (("z", 0.0, 1.0),)).contains(data)
