"""Server, workers and network on a virtual clock: no fault of a few hundred histories breaks a promise, and planted bugs do."""

from __future__ import annotations

import pytest
from tests.proof.simulation.__main__ import find, live
from tests.proof.simulation.bugs import PLANTS
from tests.proof.simulation.life import simulated


def test_promises_hold_whatever_fails(request: pytest.FixtureRequest, is_long: bool) -> None:
    first = request.config.getoption("--seed")
    with simulated():
        for seed in range(first, first + (5000 if is_long else 100)):
            _, found = live(seed)
            assert found is None, f"replay it: python -m tests.proof.simulation --seed {seed} --seeds 1 --trace"


@pytest.mark.parametrize("bug", PLANTS)
def test_a_planted_bug_is_found_as_what_it_is(bug: str) -> None:
    found = find(bug)
    assert found is not None
    assert found[1].name in PLANTS[bug][1]
