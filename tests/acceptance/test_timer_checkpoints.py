"""Checkpoints on a timer: a worker is killed, and the next attempt goes on from what the server had by then."""

from __future__ import annotations

import pytest
from tests.acceptance.counting import Counting, Follower, of_file

from copernicus.testing.system import System

SEVEN = b"7"  # what the program writes into its checkpoint then


@pytest.fixture
def counting(system: System) -> Counting:
    return Counting(system)


def test_after_a_worker_is_killed_the_job_goes_on_from_the_last_timer_checkpoint(counting: Counting) -> None:
    system = counting.system
    first = counting.worker("--checkpoint-every", "0.05")
    follower = Follower(system, "c")
    counting.count(7)
    system.until(lambda: "counted 7" in follower.lines, what="the program has counted")
    system.until(lambda: SEVEN in blobs(system), what="the checkpoint with it has come over")
    system.until(
        lambda: "last checkpoint came 0 s ago" in system.cpcc("why", "1").stdout, what="one is in the book that is newer"
    )
    first.kill()
    counting.worker()
    counting.count(9, is_end=True)
    assert follower.end() == 0
    assert of_file(follower.lines, "stdout") == [
        "begins at 0", *(f"counted {n}" for n in range(1, 8)), "begins at 7", "counted 8", "counted 9", "ends at 9",
    ]  # fmt: skip
    numbers = system.folder / "got"
    system.cpcc("getf", "-f", str(numbers), "c:out.numbers")
    assert numbers.read_text().splitlines() == [str(n) for n in range(1, 10)], "the outputs so far came with the checkpoint"


def blobs(system: System) -> set[bytes]:
    """The content of all small files that the server has."""
    found = (system.projects / "blobs").glob("??/*")
    return {path.read_bytes() for path in found if path.stat().st_size < 100}
