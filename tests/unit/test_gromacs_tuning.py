"""Which numbers of cores are tried for a simulation, and which pay."""

from __future__ import annotations

import itertools

from hypothesis import given, strategies as st

from copernicus.modules.gromacs.tuning import PAYS, counts_up_to, paying


@given(st.integers(1, 300))
def test_one_core_and_all_are_tried_and_doubled_in_between(cores: int) -> None:
    counts = counts_up_to(cores)
    assert counts[0] == 1
    assert counts[-1] == cores
    assert all(one < two <= 2 * one for one, two in itertools.pairwise(counts))


@given(st.dictionaries(st.integers(1, 64), st.floats(0.01, 1e4), min_size=1))
def test_those_pay_whose_cores_do_nearly_as_much_as_one_does_at_best(speeds: dict[int, float]) -> None:
    best = max(speed / cores for cores, speed in speeds.items())
    assert paying(speeds) == [cores for cores in sorted(speeds) if speeds[cores] / cores >= PAYS * best]
    assert paying(speeds)


def test_a_simulation_that_stops_getting_faster() -> None:
    assert paying({1: 10.0, 2: 19.0, 4: 34.0, 8: 45.0}) == [1, 2, 4]
    assert paying({1: 10.0, 2: 9.0}) == [1]
    assert paying({}) == []
