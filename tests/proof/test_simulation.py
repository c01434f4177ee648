"""Server, workers and network on a virtual clock: no fault of many histories breaks a promise, and planted bugs are found."""

from __future__ import annotations

import pytest
from tests.proof.simulation import scenarios
from tests.proof.simulation.__main__ import find, live, replay
from tests.proof.simulation.bugs import PLANTS
from tests.proof.simulation.life import simulated


def test_promises_hold_whatever_fails(request: pytest.FixtureRequest, is_long: bool) -> None:
    first = request.config.getoption("--seed")
    with simulated():
        for seed in range(first, first + (5000 if is_long else 20)):
            _, found = live(seed)
            assert found is None, f"replay it: {replay(seed)}"


def test_a_seed_is_a_history() -> None:
    with simulated():
        one, other = (live(7, is_traced=True)[0] for _ in range(2))
    assert one.world.history == other.world.history
    assert len(one.world.history) > 100


@pytest.mark.parametrize("name", scenarios.SCENARIOS)
def test_a_scenario_is_survived(name: str, request: pytest.FixtureRequest) -> None:
    with simulated():
        scenarios.survive(name, request.config.getoption("--seed"))


@pytest.mark.parametrize("bug", PLANTS)
def test_a_planted_bug_is_found_as_what_it_is(bug: str) -> None:
    found = find(bug)
    assert found is not None
    assert found[1].name in PLANTS[bug].names
