"""A restored book: what was given out after it was copied is never accepted, and its numbers are never given again."""

from __future__ import annotations

import copy

from tests.unit.leasing import Rig, report, scenario

FLOOR = 5_000


def restore(rig: Rig, backup: object) -> None:
    """Go on with a copy of the book, as if it had been restored from a backup."""
    rig.book.disk = copy.deepcopy(backup)  # type: ignore[assignment]
    rig.book.disk.attempt_floor = FLOOR
    rig.restart()
    rig.dispatch.fence()


@scenario
async def test_what_was_given_out_after_the_backup_is_refused_and_done_again(rig: Rig) -> None:
    (job,) = await rig.want("a")
    backup = copy.deepcopy(rig.book.disk)
    (late,) = await rig.lease("w")
    restore(rig, backup)
    assert (await rig.exchange("w", report(late), cores=0)).verdicts[0].verdict == "stale"
    (again,) = await rig.lease("w")
    assert (again.job, again.attempt) == (job, FLOOR + 1), "an attempt number that was given is not given again"
    assert (await rig.exchange("w", report(late), cores=0)).verdicts[0].verdict == "stale"
    assert (await rig.exchange("w", report(again), cores=0)).verdicts[0].verdict == "accepted"
    assert rig.state(job) == "done"


@scenario
async def test_a_job_number_that_comes_again_is_another_job(rig: Rig) -> None:
    backup = copy.deepcopy(rig.book.disk)
    (first,) = await rig.want("of the time after the backup")
    (late,) = await rig.lease("w")
    restore(rig, backup)
    (second,) = await rig.want("another one")
    assert first == second, "the book cannot know which numbers were given after it was copied"
    (other,) = await rig.lease("w")
    assert (await rig.exchange("w", report(late), cores=0)).verdicts[0].verdict == "stale"
    assert rig.state(second) == "leased"
    assert (await rig.beat("w", late)).stop == [late.job]
    assert (await rig.beat("w", other)).stop == []


@scenario
async def test_an_attempt_that_was_under_way_at_the_backup_ends_with_it(rig: Rig) -> None:
    """Its worker may have delivered it since; and the job may have been given to somebody else."""
    (job,) = await rig.want("a")
    (under_way,) = await rig.lease("w")
    restore(rig, rig.book.disk)
    assert rig.state(job) == "queued"
    assert (await rig.beat("w", under_way)).stop == [job]
    assert (await rig.exchange("w", report(under_way), cores=0)).verdicts[0].verdict == "stale"
    record = rig.dispatch.jobs.record(job)
    assert record is not None
    assert (record.attempts[-1].outcome, record.lost_workers) == ("restored", 0)
    (again,) = await rig.lease("w")
    assert again.attempt == FLOOR + 1
    rig.restart()
    rig.dispatch.fence()
    assert rig.state(job) == "leased", "an attempt of this epoch goes on over a restart"
