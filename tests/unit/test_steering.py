"""What people do to single jobs, and what becomes of jobs that are to stop."""

from __future__ import annotations

from collections.abc import Awaitable, Callable

import pytest
from tests.unit.leasing import Rig, bundle, report, scenario

from copernicus.errors import Refused, UnknownPath
from copernicus.model.jobs import LeasedJob, StagedFile
from copernicus.model.values import FileRef
from copernicus.server.storage.abc import JobRecord
from copernicus.wire import messages as m

CHECKPOINT = (StagedFile("state.cpt", FileRef("c" * 64, 7)),)


def record(rig: Rig, job: int) -> JobRecord:
    found = rig.dispatch.jobs.record(job)
    assert found is not None
    return found


async def stop(rig: Rig, job: int, request_id: str = "") -> str:
    return (await rig.steering.stop(m.StopJobRequest("named", job, request_id), "ada")).note


async def rerun(rig: Rig, job: int) -> str:
    return (await rig.steering.rerun(m.RerunJobRequest("named", job), "ada")).note


async def command_failed(rig: Rig, job: int) -> str:
    return (await rig.steering.command_failed(m.CommandFailedRequest("named", job), "ada")).note


async def give_back(rig: Rig, leased: LeasedJob, outcome: str = "interrupted") -> None:
    rig.blobs.add("c" * 64)
    await rig.exchange("w", report(leased, outcome, checkpoint=CHECKPOINT), cores=0)


@scenario
async def test_an_order_that_is_refused_breaks_nothing_off(rig: Rig) -> None:
    (job,) = await rig.want("a")
    (leased,) = await rig.lease("w")
    await rig.exchange("w", report(leased), cores=0)
    broken: list[Exception] = []
    rig.dispatch.when_broken = broken.append
    for order in (stop, rerun, command_failed):
        with pytest.raises(Refused):
            await order(rig, job)
    assert broken == [], "the server throws its memory away, and refuses everybody for a moment"


# --- stop


@scenario
async def test_a_stopped_job_ends_as_failed_when_its_worker_has_heard_and_keeps_its_checkpoint(rig: Rig) -> None:
    (job,) = await rig.want("a")
    (leased,) = await rig.lease()
    assert await stop(rig, job) == f"Job {job} is asked to stop; its worker hears of it within 40 s."
    assert [row.why for row in rig.dispatch.jobs.rows()] == ["asked to stop by ada"]
    rig.restart()
    assert (await rig.beat("w", leased)).why == {job: "stopped"}
    await give_back(rig, leased)
    assert (rig.state(job), rig.project.ends) == ("failed", [("failed", job, "stopped by ada")])
    assert record(rig, job).attempts[-1].outcome == "interrupted"
    assert "fresh budget" in await rerun(rig, job)
    (again,) = await rig.lease()
    assert (again.attempt, again.checkpoint) == (2, CHECKPOINT)
    assert (await rig.beat("w", again)).stop == []


@pytest.mark.parametrize("why", ["", "an input is being made anew"])
def test_a_job_that_nobody_has_is_stopped_at_once(why: str) -> None:
    @scenario
    async def at_once(rig: Rig) -> None:
        (job,) = await rig.want("a", why=why)
        assert await stop(rig, job, "once") == await stop(rig, job, "once")
        assert (rig.state(job), rig.project.ends) == ("failed", [("failed", job, "stopped by ada")])
        assert await rig.lease() == []
        rig.restart()
        assert await stop(rig, job, "once") == f"Job {job} is stopped."

    at_once()


@pytest.mark.parametrize(("outcome", "state"), [("finished", "done"), ("retry", "failed"), ("failed", "failed")])
def test_how_a_job_ends_that_is_to_stop(outcome: str, state: str) -> None:
    @scenario
    async def ends(rig: Rig) -> None:
        (job,) = await rig.want("a")
        (leased,) = await rig.lease()
        await stop(rig, job)
        await give_back(rig, leased, outcome)
        assert rig.state(job) == state
        if state == "failed":
            assert record(rig, job).why == "stopped by ada"

    ends()


@scenario
async def test_a_job_that_is_to_stop_fails_too_when_its_worker_is_lost(rig: Rig) -> None:
    (job,) = await rig.want("a")
    await rig.lease()
    await stop(rig, job)
    await rig.wait(130.0)
    assert (rig.state(job), rig.project.ends) == ("failed", [("failed", job, "stopped by ada")])


@scenario
async def test_what_is_to_stop_and_is_given_a_fresh_start_before_its_worker_hears_goes_on(rig: Rig) -> None:
    (job,) = await rig.want("a")
    (leased,) = await rig.lease()
    await stop(rig, job)
    await rerun(rig, job)
    assert (await rig.beat("w", leased)).stop == []
    await give_back(rig, leased)
    assert rig.state(job) == "queued"


# --- hold now


@scenario
async def test_a_job_that_is_held_now_comes_back_blocked_with_its_checkpoint(rig: Rig) -> None:
    (job,) = await rig.want("a")
    (leased,) = await rig.lease()
    await rig.change(rig.dispatch.jobs.block, "p", "a", "held")
    assert (await rig.beat("w", leased)).stop == []
    await rig.change(rig.dispatch.jobs.stop_now, "p", "a")
    rig.restart()
    assert (await rig.beat("w", leased)).why == {job: "held"}
    await give_back(rig, leased)
    assert (rig.state(job), record(rig, job).program_failures, rig.project.ends) == ("blocked", 0, [])
    await rig.change(rig.dispatch.jobs.block, "p", "a", "")
    (again,) = await rig.lease()
    assert (again.attempt, again.checkpoint) == (2, CHECKPOINT)


@scenario
async def test_what_may_work_again_before_its_worker_hears_goes_on(rig: Rig) -> None:
    await rig.want("a")
    (leased,) = await rig.lease()
    await rig.change(rig.dispatch.jobs.block, "p", "a", "held")
    await rig.change(rig.dispatch.jobs.stop_now, "p", "a")
    await rig.change(rig.dispatch.jobs.block, "p", "a", "")
    assert (await rig.beat("w", leased)).stop == []


# --- a fresh start, and an attempt that counts as lost


@scenario
async def test_a_fresh_start_forgets_failures_and_lost_workers(rig: Rig) -> None:
    (job,) = await rig.want("a")
    for _ in range(3):
        (leased,) = await rig.lease()
        await rig.exchange("w", report(leased, "retry", error="no luck"), cores=0)
    assert record(rig, job).program_failures == 3
    await rerun(rig, job)
    assert record(rig, job).program_failures == 0
    for _ in range(4):
        (leased,) = await rig.lease()
        await rig.exchange("w", report(leased, "retry", error="no luck"), cores=0)
    assert rig.state(job) == "failed"
    assert await rerun(rig, job) == f"Job {job} has a fresh budget of attempts and is queued."
    assert (await rig.lease())[0].attempt == 8


@scenario
async def test_an_attempt_that_is_declared_lost_counts_no_more(rig: Rig) -> None:
    (job,) = await rig.want("a")
    (leased,) = await rig.lease()
    assert await command_failed(rig, job) == f"Attempt 1 at job {job} counts as lost; the job is queued."
    assert (await rig.beat("w", leased)).stop == [job]
    assert (await rig.exchange("w", report(leased), cores=0)).verdicts[0].verdict == "stale"
    (second,) = await rig.lease("v")
    assert second.attempt == 2
    row = record(rig, job).attempts[0]
    assert (row.outcome, row.error) == ("worker lost", "declared lost by ada")
    await command_failed(rig, job)
    await rig.lease("u")
    await command_failed(rig, job)
    assert rig.state(job) == "failed", "three lost workers are enough, whoever says so"


@scenario
async def test_what_cannot_be_done_to_a_job_is_refused_with_the_reason(rig: Rig) -> None:
    (job, superseded, other) = (*await rig.want("a", "b"), *await rig.want("c", project="q"))
    (first,) = (lease for lease in await rig.lease(cores=3) if lease.job == job)
    await rig.exchange("w", report(first), cores=0)
    await rig.change(rig.dispatch.jobs.supersede, "p", "b")
    for attempt, said in (
        (stop(rig, job), "is done: there is nothing to stop"),
        (rerun(rig, job), "is done"),
        (command_failed(rig, job), "no attempt at it is under way"),
        (stop(rig, superseded), "is being stopped already"),
        (rerun(rig, superseded), "Nobody wants job"),
    ):
        with pytest.raises(Refused, match=said):
            await attempt
    for attempt in (stop(rig, other), rerun(rig, 99), command_failed(rig, other)):
        with pytest.raises(UnknownPath, match="There is no job"):
            await attempt
    with pytest.raises(UnknownPath, match="There is no project 'none'"):
        await rig.steering.stop(m.StopJobRequest("none", job), "ada")
    await rig.dispatch.farewell(m.FarewellRequest("w"), bundle("w"))
    rig.project.is_wanted = False
    (failed,) = await rig.want("d")
    await stop(rig, failed)
    with pytest.raises(Refused, match="Nobody wants job"):
        await rerun(rig, failed)


@scenario
async def test_what_would_be_is_said_and_nothing_is_changed(rig: Rig) -> None:
    (running, waiting) = await rig.want("a", "b")
    await rig.lease(cores=1)
    before = dict(rig.book.disk.jobs)

    async def would(do: Callable[..., Awaitable[m.Done]], request: type[m.JobCommand], job: int) -> str:
        return (await do(request("named", job, is_check=True), "ada")).note

    steering = rig.steering
    said = await would(steering.stop, m.StopJobRequest, running)
    assert said.startswith("Job 1 would be asked to stop within 40 s, and then end as failed; its last checkpoint stays")
    assert "Job 2 would end as failed" in await would(steering.stop, m.StopJobRequest, waiting)
    said = await would(steering.command_failed, m.CommandFailedRequest, running)
    assert said == "Attempt 1 at job 1 would count as lost; the job would be queued."
    assert await would(steering.rerun, m.RerunJobRequest, running) == "Job 1 would have a fresh budget of attempts."
    with pytest.raises(Refused, match="no attempt at it is under way"):
        await would(steering.command_failed, m.CommandFailedRequest, waiting)
    assert (dict(rig.book.disk.jobs), rig.project.ends) == (before, [])
    await stop(rig, waiting)
    assert "be queued again, from the beginning" in await would(steering.rerun, m.RerunJobRequest, waiting)


# --- all jobs


@scenario
async def test_all_jobs_are_listed_the_newest_first_and_in_parts(rig: Rig) -> None:
    jobs = await rig.want(*"abcde")
    await rig.want("z", project="q")
    (leased,) = await rig.lease(cores=1)
    await rig.exchange("w", report(leased), cores=0)
    await stop(rig, jobs[1])
    (project,) = (row for row in rig.dispatch.jobs.names() if row.name == "named")
    rows, total = rig.dispatch.jobs.page(project, None, (), 0, 3)
    assert ([row.job for row in rows], total) == (jobs[:1:-1], 5)
    rows, total = rig.dispatch.jobs.page(project, None, (), rows[-1].job, 3)
    assert ([(row.job, row.state, row.why) for row in rows], total) == (
        [(jobs[1], "failed", "stopped by ada"), (jobs[0], "done", "")], 5,
    )  # fmt: skip
    assert (rows[1].core_s, rows[1].ended_at, rows[0].ended_at) == (2.0, rig.now, None)
    assert [row.job for row in rig.dispatch.jobs.page(project, None, ("done", "failed"), 0, 9)[0]] == [jobs[1], jobs[0]]
    assert rig.dispatch.jobs.page(project, {7}, (), 0, 9) == ([], 0)
