"""What the worker holds, asks for and gives back, without a process or a server."""

from __future__ import annotations

import time
from typing import Any

from copernicus.model.jobs import JobDescription, LeasedJob, Report, Resources
from copernicus.worker.desk import Ask, Desk
from copernicus.worker.partition import BATCH
from copernicus.worker.workload import Ended


class Attempt:
    """Ends when the test says so."""

    def __init__(self, lease: LeasedJob) -> None:
        self.lease = lease
        self.cores = lease.cores
        self.started_at = time.monotonic()
        self.stopped = ""

    def stop(self, reason: str, grace_s: float | None = None) -> None:
        self.stopped = reason

    def check(self, now: float) -> None: ...

    def progress(self) -> str:
        return "half"


def lease(job: int, cores: int = 1, cores_min: int = 1) -> LeasedJob:
    return LeasedJob(job, 1, "p", "x", JobDescription("x", resources=Resources(cores_min)), cores)


def a_desk(cores: int = 2, per_job: int | None = None) -> Desk:
    begin: Any = Attempt
    return Desk(cores, begin, per_job)


def give(desk: Desk, *jobs: LeasedJob) -> None:
    desk.settle(desk.ask(), jobs)


def run(desk: Desk) -> Any:
    attempt = desk.take()
    assert attempt is not None
    return attempt


def end(desk: Desk, attempt: Any) -> None:
    desk.finish(attempt, Ended(Report(attempt.lease.job, 1, "finished")))


def outcomes(desk: Desk) -> dict[int, str]:
    return {ended.report.job: ended.report.outcome for ended in desk.results()}


def test_it_asks_for_free_cores_once_and_for_more_only_after_short_jobs() -> None:
    desk = a_desk(cores=2)
    first = desk.ask()
    assert (first, desk.ask()) == (Ask(2, 2), Ask(0, 0))
    desk.settle(first, [lease(1), lease(2)])
    running = [run(desk), run(desk)]
    assert desk.ask() == Ask(0, 0)
    for attempt in running:
        end(desk, attempt)
    assert desk.ask() == Ask(BATCH, BATCH)
    slow = a_desk(cores=2)
    give(slow, lease(1))
    attempt = run(slow)
    attempt.started_at -= 10
    end(slow, attempt)
    assert slow.ask() == Ask(2, 2)


def test_a_wide_job_waits_while_smaller_ones_pass() -> None:
    desk = a_desk(cores=4)
    give(desk, lease(1, 3), lease(2, 4), lease(3, 1))
    first, second = run(desk), run(desk)
    assert [first.lease.job, second.lease.job] == [1, 3]
    end(desk, first)
    end(desk, second)
    assert run(desk).cores == 4


def test_cores_are_capped_to_what_the_worker_was_told() -> None:
    desk = a_desk(cores=4, per_job=2)
    give(desk, lease(1, 4), lease(2, 4, cores_min=3))
    assert run(desk).cores == 2
    desk = a_desk(cores=4, per_job=2)
    give(desk, lease(2, 4, cores_min=3))
    assert run(desk).cores == 3


def test_the_same_attempt_twice_is_one() -> None:
    desk = a_desk()
    give(desk, lease(1))
    assert desk.settle(Ask(0, 0), [lease(1), lease(2)]) == 1
    attempt = run(desk)
    end(desk, attempt)
    assert desk.settle(Ask(0, 0), [lease(1)]) == 0


def test_jobs_behind_a_long_one_are_given_back() -> None:
    desk = a_desk(cores=1)
    give(desk, lease(1), lease(2), lease(3))
    attempt = run(desk)
    desk.check(attempt.started_at + 0.1)
    assert outcomes(desk) == {}
    desk.check(attempt.started_at + 5)
    assert outcomes(desk) == {2: "interrupted", 3: "interrupted"}
    assert desk.is_due()


def test_what_is_sent_is_not_sent_again_until_it_is_known_to_be_lost() -> None:
    desk = a_desk()
    give(desk, lease(1), lease(2))
    for attempt in (run(desk), run(desk)):
        end(desk, attempt)
    packed = desk.pack(1, 10**6)
    assert [ended.report.job for ended in packed] == [1]
    assert [ended.report.job for ended in desk.pack(9, 10**6)] == [2]
    assert not desk.is_due()
    desk.unpack(packed)
    assert desk.is_due()
    assert desk.accept(1, 1) is packed[0]
    assert desk.accept(1, 1) is None
    assert desk.has_results()


def test_signs_of_life_name_everything_that_is_leased() -> None:
    desk = a_desk(cores=1)
    give(desk, lease(1), lease(2))
    end(desk, run(desk))
    give(desk, lease(3))
    run(desk)
    assert {(beat.job, beat.progress) for beat in desk.beats()} == {(1, ""), (2, "half"), (3, "")}


def test_stopping_and_closing() -> None:
    desk = a_desk(cores=1)
    give(desk, lease(1), lease(2), lease(3))
    attempt = run(desk)
    desk.stop({2: "unwanted"})
    assert (outcomes(desk), attempt.stopped) == ({2: "interrupted"}, "")
    desk.stop({1: "held"})
    assert attempt.stopped == "held"
    desk.close()
    assert outcomes(desk) == {2: "interrupted", 3: "interrupted"}
    assert desk.take() is None
    assert desk.ask() == Ask(0, 0)
    desk.settle(Ask(0, 0), [lease(4)])  # it was on its way
    assert outcomes(desk)[4] == "interrupted"
