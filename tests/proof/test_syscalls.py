"""The harness of failing system calls: a small sample, and one bug that it must catch."""

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
    command = [sys.executable, "-m", "tests.proof.syscalls", "--json", *flags]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=DEADLINE_S, check=False)
    lines = done.stdout.splitlines()
    assert lines, done.stderr
    result: dict[str, Any] = json.loads(lines[-1])
    if result["skipped"]:
        pytest.skip(result["skipped"])
    return done.returncode, result


@pytest.mark.timeout(DEADLINE_S)
@pytest.mark.usefixtures("long_form")
def test_what_failing_calls_leave_is_whole() -> None:
    status, result = go("--fault", "server fdatasync EIO 1", "server accept4 EMFILE 1", "worker fsync EIO 1")
    assert result["findings"] == []
    assert result["syscall_faults"] == 3
    assert status == 0


@pytest.mark.timeout(DEADLINE_S)
@pytest.mark.usefixtures("long_form")
def test_a_failed_commit_that_is_acknowledged_is_found() -> None:
    status, result = go("--bug", "acknowledge in spite of a failed commit", "--fault", "server fdatasync EIO 1")
    assert status == 1
    assert result["lost"] > 0
