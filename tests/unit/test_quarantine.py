"""Suspicions and quarantine: who is at fault when workers die, what of it survives a restart, and what people may do."""

from __future__ import annotations

import asyncio

import pytest
from tests.unit.leasing import HEARTBEAT_S, Rig, bundle, report, scenario

from copernicus.errors import NoSpace, Refused, UnknownPath
from copernicus.model.jobs import LeasedJob
from copernicus.wire import messages as m

HOST = "host-bad"


async def lose(rig: Rig, worker: str = "bad", jobs: int = 1) -> list[int]:
    """A worker takes jobs, and is not heard of any more; return the jobs."""
    taken = await rig.lease(worker, jobs)
    await rig.wait(HEARTBEAT_S + 10)
    rig.dispatch.workers.drop(worker)
    return [job.job for job in taken]


async def finish(rig: Rig, leased: list[LeasedJob], worker: str) -> None:
    for job in leased:
        await rig.exchange(worker, report(job), cores=0)


async def lose_and_do_elsewhere(rig: Rig, times: int) -> None:
    """So many jobs, one after the other, are lost on one host and then done on another."""
    for number in range(times):
        await rig.want(f"job {rig.now} {number}")
        (lost,) = await lose(rig)
        leased = await rig.lease("good")
        assert [job.job for job in leased] == [lost]
        await finish(rig, leased, "good")


def quarantined(rig: Rig) -> list[str]:
    return [row.host for row in rig.quarantine.listing().hosts]


@scenario
async def test_a_host_on_which_several_jobs_come_to_nothing_that_others_do_gets_no_more(rig: Rig) -> None:
    await lose_and_do_elsewhere(rig, 2)
    rig.restart()
    assert quarantined(rig) == []
    await lose_and_do_elsewhere(rig, 1)
    (row,) = rig.quarantine.listing().hosts
    assert (row.host, row.who) == (HOST, "")
    assert "jobs 1, 2, 3" in row.why
    rig.restart()
    (job,) = await rig.want("another")
    assert await rig.lease("bad") == []
    assert rig.dispatch.jobs.worker_rows()[0].quarantine == row.why
    lines = rig.dispatch.jobs.explain(job)
    assert any("Nearest is worker bad on host-bad: it is in quarantine because 3 times in a row" in line for line in lines)
    assert [one.job for one in await rig.lease("good")] == [job]


@scenario
async def test_what_a_host_has_finished_since_speaks_for_it(rig: Rig) -> None:
    await lose_and_do_elsewhere(rig, 2)
    (job,) = await rig.want("done there")
    await finish(rig, await rig.lease("bad again"), "bad again")
    assert quarantined(rig) == []
    rig.dispatch.workers.drop("bad again")
    await rig.want("on the same host")
    leased = await rig.lease("bad")
    await finish(rig, leased, "bad")
    await lose_and_do_elsewhere(rig, 2)
    assert (rig.state(job), quarantined(rig)) == ("done", [])


@scenario
async def test_jobs_that_were_lost_together_are_one_setback(rig: Rig) -> None:
    await rig.want("a", "b", "c", "d")
    assert len(await lose(rig, jobs=4)) == 4
    await finish(rig, await rig.lease("good", cores=4), "good")
    assert rig.dispatch.jobs.counts("p") == {"done": 4}
    assert quarantined(rig) == []


@scenario
async def test_a_poisoned_job_takes_the_blame_for_all_that_were_lost_with_it(rig: Rig) -> None:
    """Three hosts lose three poisoned jobs, with innocent ones that are then done elsewhere."""
    for _ in range(3):
        (poison,) = await rig.want(f"poison {rig.now}")
        for host in ("bad", "worse", "worst"):
            await rig.want(f"innocent {rig.now}")
            assert poison in await lose(rig, host, jobs=2)
        assert rig.state(poison) == "failed"
        while leased := await rig.lease("good"):
            await finish(rig, leased, "good")
        rig.dispatch.workers.drop("good")
    assert rig.dispatch.jobs.counts("p") == {"failed": 3, "done": 9}
    assert quarantined(rig) == []
    assert rig.book.disk.hosts == {}, "nothing is held against anybody any more"


@scenario
async def test_a_suspected_job_is_tried_on_another_host_while_there_is_one_that_can_run_it(rig: Rig) -> None:
    (job,) = await rig.want("a")
    await lose(rig)
    rig.announce("good")
    assert await rig.lease("bad") == [], "another host can run it"
    (leased,) = (await rig.exchange("good")).jobs
    assert leased.job == job
    await rig.wait(HEARTBEAT_S + 10, ("bad", []))
    assert [one.job for one in await rig.lease("bad")] == [job], "no other host is left"
    await rig.wait(HEARTBEAT_S + 10)
    record = rig.dispatch.jobs.record(job)
    assert record is not None
    assert (record.state, record.program_failures) == ("failed", 0)
    assert "attempt 2: worker good on host-good" in record.why


@scenario
async def test_a_lost_worker_that_speaks_again_had_not_died(rig: Rig) -> None:
    (job,) = await rig.want("a")
    (leased,) = await rig.lease("bad")
    for _ in range(3):
        await rig.wait(HEARTBEAT_S + 10)
        await rig.beat("bad", leased)
        (leased,) = (await rig.exchange("bad")).jobs
    record = rig.dispatch.jobs.record(job)
    assert record is not None
    assert (record.state, record.lost_workers, record.attempt) == ("leased", 0, 4)
    assert rig.book.disk.hosts == {}


@scenario
async def test_a_job_that_makes_its_worker_silent_every_time_ends_all_the_same(rig: Rig) -> None:
    (job,) = await rig.want("a")
    for _ in range(30):
        if rig.state(job) == "failed":
            return
        leased = await rig.lease("bad")
        await rig.wait(HEARTBEAT_S + 10)
        await rig.beat("bad", *leased)
    raise AssertionError("it goes on for ever")


@scenario
async def test_a_worker_whose_time_was_over_is_no_suspect(rig: Rig) -> None:
    (job,) = await rig.want("a")
    for attempt in range(1, 6):
        rig.announce("bad", time_left_s=HEARTBEAT_S / 2)
        (leased,) = (await rig.exchange("bad")).jobs
        assert leased.attempt == attempt
        await rig.wait(HEARTBEAT_S + 10)
    record = rig.dispatch.jobs.record(job)
    assert record is not None
    assert (record.state, record.lost_workers) == ("queued", 0)
    assert rig.book.disk.hosts == {}


@scenario
async def test_what_a_worker_cannot_do_uses_up_no_retries_and_is_tried_elsewhere(rig: Rig) -> None:
    """A full disk, a program that is gone: jobs after jobs come to nothing at once, and all of them are done elsewhere."""
    rig.announce("good")
    for number in range(3):
        (job,) = await rig.want(f"job {number}")
        (leased,) = await rig.lease("bad")
        await rig.exchange("bad", report(leased, "failed", error="No space left", is_workers_fault=True), cores=0)
        record = rig.dispatch.jobs.record(job)
        assert record is not None
        assert (record.state, record.program_failures, record.attempts[-1].outcome) == ("queued", 0, "worker failed")
        await finish(rig, (await rig.exchange("good")).jobs, "good")
        assert rig.state(job) == "done"
    (row,) = rig.quarantine.listing().hosts
    assert (row.host, "No space left" in row.why) == (HOST, True)


@scenario
async def test_what_no_worker_can_do_fails_with_evidence(rig: Rig) -> None:
    (job,) = await rig.want("a")
    for worker in ("w1", "w2", "w3"):
        (leased,) = await rig.lease(worker)
        await rig.exchange(worker, report(leased, "retry", error=f"{worker} is full", is_workers_fault=True), cores=0)
    assert rig.state(job) == "failed"
    assert all(f"worker {worker} on host-{worker}, {worker} is full" in rig.project.ends[0][2] for worker in ("w1", "w2", "w3"))
    assert quarantined(rig) == []


@scenario
async def test_a_person_puts_a_host_in_quarantine_and_takes_it_out(rig: Rig) -> None:
    await rig.want("a", "b")
    (leased,) = await rig.lease("bad", cores=1)
    add = m.AddQuarantineRequest("bad", "once", "its fan is broken")
    first = await rig.quarantine.add(add, "ada")
    assert await rig.quarantine.add(add, "ada") == first, "the same request again"
    assert (await rig.exchange("bad", cores=1)).jobs == []
    late = await rig.exchange("bad", report(leased), cores=2)
    assert (late.verdicts[0].verdict, late.jobs) == ("accepted", []), "what it has it may deliver"
    rig.restart()
    (row,) = rig.quarantine.listing().hosts
    assert (row.host, row.who, row.why, row.workers) == (HOST, "ada", "ada wanted it: its fan is broken", [])
    with pytest.raises(Refused):
        await rig.quarantine.add(m.AddQuarantineRequest(HOST), "ada")
    await rig.quarantine.release(m.ReleaseQuarantineRequest(HOST), "ada")
    assert (quarantined(rig), rig.book.disk.hosts) == ([], {})
    assert len(await rig.lease("bad")) == 1
    with pytest.raises(Refused):
        await rig.quarantine.release(m.ReleaseQuarantineRequest("bad"), "ada")
    with pytest.raises(UnknownPath):
        await rig.quarantine.add(m.AddQuarantineRequest("nobody"), "ada")


@scenario
async def test_who_waits_for_a_job_gets_one_when_its_host_is_released(rig: Rig) -> None:
    rig.announce("bad")
    await rig.quarantine.add(m.AddQuarantineRequest("bad"), "ada")
    await rig.want("a")
    poll = asyncio.ensure_future(rig.exchange("bad", wait_s=30.0))
    await asyncio.sleep(0)
    await rig.quarantine.release(m.ReleaseQuarantineRequest("bad"), "ada")
    assert [job.job for job in (await asyncio.wait_for(poll, 10)).jobs] == [1]


@scenario
async def test_what_the_disk_refused_is_not_held_against_a_host(rig: Rig) -> None:
    rig.announce("bad")
    rig.book.fail_with = NoSpace("full")
    with pytest.raises(NoSpace):
        await rig.quarantine.add(m.AddQuarantineRequest("bad"), "ada")
    await rig.book.recover()
    rig.dispatch.load()
    assert quarantined(rig) == []


@scenario
async def test_a_host_that_leaves_in_good_order_is_no_suspect(rig: Rig) -> None:
    await rig.want("a")
    await rig.lease("bad")
    await rig.dispatch.farewell(m.FarewellRequest("bad"), bundle("bad"))
    assert rig.book.disk.hosts == {}


@scenario
async def test_a_worker_that_dies_between_its_last_beat_and_the_first_that_would_name_a_job_is_lost_with_it(rig: Rig) -> None:
    (job,) = await rig.want("a")
    await rig.lease()
    rig.now += HEARTBEAT_S / 3  # the beat was on its way when the job came
    await rig.beat("w")
    await rig.wait(2 * HEARTBEAT_S)
    record = rig.dispatch.jobs.record(job)
    assert record is not None
    assert (record.attempts[0].outcome, record.lost_workers) == ("worker lost", 1)
