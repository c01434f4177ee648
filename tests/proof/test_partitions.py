"""The harness of network partitions: a small sample, and one bug that it must catch."""

from __future__ import annotations

import json
import subprocess
import sys
from typing import Any

import pytest
from tests.house.source import ROOT

DEADLINE_S = 300.0


def go(*flags: str) -> tuple[int, dict[str, Any]]:
    """Run the part; return its exit status and its result."""
    command = [sys.executable, "-m", "tests.proof.partitions", "--json", *flags]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=DEADLINE_S, check=False)
    lines = done.stdout.splitlines()
    assert lines, done.stderr
    result: dict[str, Any] = json.loads(lines[-1])
    if result["skipped"]:
        pytest.skip(result["skipped"])
    return done.returncode, result


@pytest.mark.timeout(DEADLINE_S)
@pytest.mark.usefixtures("long_form")
def test_what_partitions_leave_is_whole(request: pytest.FixtureRequest) -> None:
    status, result = go("--round", "short", "--count", "3", "--seed", str(request.config.getoption("--seed")))
    assert result["findings"] == []
    assert result["partitions"] == 4
    assert status == 0


@pytest.mark.timeout(DEADLINE_S)
@pytest.mark.usefixtures("long_form")
def test_a_request_that_takes_effect_twice_is_found() -> None:
    status, result = go("--bug", "idempotency pruned early")
    assert status == 1
    assert result["duplicated"] > 0
