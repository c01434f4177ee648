"""`cpcc log -f`: a job is followed while it runs, through a restart of the server and a change of the attempt."""

from __future__ import annotations

import pytest
from tests.acceptance.counting import Counting, Follower, of_file

from copernicus.testing.system import System


@pytest.fixture
def counting(system: System) -> Counting:
    return Counting(system)


def test_a_job_is_followed_over_a_restart_and_a_new_attempt_to_its_end(counting: Counting) -> None:
    system = counting.system
    first = counting.worker()
    follower = Follower(system, "c")
    counting.count(3)
    system.until(lambda: "counted 3" in follower.lines, what="what is printed is seen")
    system.until(lambda: "logged 3" in follower.lines, what="a watched file is seen")

    system.kill_server()
    counting.count(5)
    system.until(lambda: "Waiting for the server" in follower.told, what="the follower has noticed")
    system.start()
    system.until(lambda: "counted 5" in follower.lines, what="it goes on after the restart")

    first.terminate()
    system.until(lambda: "is queued" in follower.told, what="the end of the attempt is told")
    counting.worker()
    counting.count(8, is_end=True)
    assert follower.end() == 0
    printed = of_file(follower.lines, "stdout")
    assert printed == [
        "begins at 0", *(f"counted {n}" for n in range(1, 6)),
        "begins at 5", *(f"counted {n}" for n in range(6, 9)), "ends at 8",
    ]  # fmt: skip
    assert of_file(follower.lines, "count.log") == [f"logged {n}" for n in (*range(1, 6), *range(6, 9))]
    assert "attempt 1 on" in follower.told
    assert "attempt 2 on" in follower.told
    assert follower.told.endswith("is done\n")


def test_a_job_that_has_ended_shows_its_last_lines(counting: Counting) -> None:
    counting.count(2, is_end=True)
    counting.system.worker("-n", "1")
    counting.system.until(lambda: counting.system.ask("get", "c:out.numbers"), what="the job has ended")
    done = counting.system.cpcc("log", "-f", "1")
    assert done.stdout.splitlines() == ["begins at 0", "counted 1", "counted 2", "ends at 2"]
    assert "job 1 is done" in done.stderr
