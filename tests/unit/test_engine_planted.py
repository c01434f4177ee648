"""Bugs planted into the engine: the witness that watches it must notice each of them, and so must random histories."""

from __future__ import annotations

import pytest
from tests.unit.drive import Drive
from tests.unit.histories import STEPS, Tally, live
from tests.unit.plants import PLANTS

ENOUGH = 2_000
"""Within so many histories each bug must be found: a tenth of those that are lived each time."""

ENDLESS = {"a_circle_is_accepted"}
"""With these a step may never come to its end, which is noticed by whoever waits for it."""


@pytest.mark.parametrize("name", PLANTS)
def test_the_witness_notices(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    scenario, bug = PLANTS[name]
    scenario(Drive())
    bug(monkeypatch)
    with pytest.raises((AssertionError, KeyError, RecursionError)):
        scenario(Drive())


@pytest.mark.parametrize("name", [name for name in PLANTS if name not in ENDLESS])
def test_random_histories_notice(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    PLANTS[name][1](monkeypatch)
    tally = Tally()
    while not tally.failures and tally.histories < ENOUGH:
        live(tally.histories, STEPS, tally)
    assert tally.failures, f"{tally.histories} histories, {tally.steps} steps, and it was not noticed"
