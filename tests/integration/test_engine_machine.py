"""The engine under random edits, answers, job ends and crashes, in any order, beside the reference model.

`COPERNICUS_HISTORIES` says how many histories are lived, `COPERNICUS_STEPS` how long each is; a longer run than usual begins
at a seed of its own, or at `COPERNICUS_SEED`.
"""

from __future__ import annotations

import os
from random import SystemRandom

import pytest
from tests.integration.many_histories import live_many
from tests.unit.coverage import rare
from tests.unit.histories import STEPS

IS_SHORT = "COPERNICUS_HISTORIES" not in os.environ
HISTORIES = int(os.environ.get("COPERNICUS_HISTORIES", "20000"))
LENGTH = int(os.environ.get("COPERNICUS_STEPS", str(STEPS)))


@pytest.mark.timeout(3600 if IS_SHORT else 0)
def test_the_engine_means_what_the_reference_means(capsys: pytest.CaptureFixture[str]) -> None:
    first = int(os.environ.get("COPERNICUS_SEED", "0" if IS_SHORT else str(SystemRandom().randrange(10**9))))
    tally = live_many(first, HISTORIES, LENGTH)
    with capsys.disabled():
        print(f"\n{tally.table()}\n{tally.told(first)}")
    assert not tally.failures, str(tally.failures[0])
    assert not rare(tally), "what hardly happens is hardly proved"
