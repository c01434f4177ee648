"""An owner and a lender under faults: no history breaks a promise, and planted bugs are found as what they are."""

from __future__ import annotations

import pytest
from tests.proof.lending.__main__ import find, live
from tests.proof.lending.plants import PLANTS

HISTORIES, LONG = 100, 5000


def test_no_history_breaks_a_promise(request: pytest.FixtureRequest, is_long: bool) -> None:
    first = request.config.getoption("--seed")
    for seed in range(first, first + (LONG if is_long else HISTORIES)):
        assert live(seed) is None, f"python -m tests.proof.lending --seed {seed} --minutes 0.001"


@pytest.mark.parametrize("bug", PLANTS)
def test_a_planted_bug_is_found_as_what_it_is(bug: str) -> None:
    found = find(bug)
    assert found is not None
    assert found[1].name in PLANTS[bug][1]
