"""The harness of network partitions: a small sample, and one bug that it must catch."""

from __future__ import annotations

import pytest
from tests.proof.running import DEADLINE_S, go


@pytest.mark.timeout(DEADLINE_S)
@pytest.mark.usefixtures("long_form")
def test_what_partitions_leave_is_whole(request: pytest.FixtureRequest) -> None:
    status, result = go("partitions", "--round", "short", "--count", "3", "--seed", str(request.config.getoption("--seed")))
    assert result["findings"] == []
    assert result["partitions"] == 4
    assert status == 0


@pytest.mark.timeout(DEADLINE_S)
@pytest.mark.usefixtures("long_form")
def test_a_request_that_takes_effect_twice_is_found() -> None:
    status, result = go("partitions", "--bug", "idempotency pruned early")
    assert status == 1
    assert result["duplicated"] > 0
