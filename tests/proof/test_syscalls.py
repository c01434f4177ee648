"""The harness of failing system calls: a small sample, and one bug that it must catch."""

from __future__ import annotations

import pytest
from tests.proof.running import DEADLINE_S, go


@pytest.mark.timeout(DEADLINE_S)
@pytest.mark.usefixtures("long_form")
def test_what_failing_calls_leave_is_whole() -> None:
    status, result = go("syscalls", "--fault", "server fdatasync EIO 1", "server accept4 EMFILE 1", "worker fsync EIO 1")
    assert result["findings"] == []
    assert result["syscall_faults"] == 3
    assert status == 0


@pytest.mark.timeout(DEADLINE_S)
@pytest.mark.usefixtures("long_form")
def test_a_failed_commit_that_is_acknowledged_is_found() -> None:
    status, result = go("syscalls", "--bug", "acknowledge in spite of a failed commit", "--fault", "server fdatasync EIO 1")
    assert status == 1
    assert result["lost"] > 0
