"""The job book as projects use it, and the workers that wait for what they put there."""

from __future__ import annotations

import asyncio

from tests.unit.leasing import HEARTBEAT_S, Rig, bundle, report, scenario

from copernicus.model.jobs import StagedFile
from copernicus.model.values import FileRef
from copernicus.server.storage.abc import DropProject, Unit
from copernicus.wire import messages as m

CHECKPOINT = (StagedFile("state.cpt", FileRef("c" * 64, 7)),)


# --- what projects ask of the job book


@scenario
async def test_a_superseded_job_is_stopped_and_ends_as_cancelled(rig: Rig) -> None:
    rig.blobs.add("c" * 64)
    queued, blocked = await rig.want("a"), await rig.want("b", why="input is being remade")
    for key in "ab":
        await rig.change(rig.dispatch.jobs.supersede, "p", key)
    assert [rig.state(queued[0]), rig.state(blocked[0])] == ["cancelled", "cancelled"]
    (job,) = await rig.want("c")
    (leased,) = await rig.lease()
    await rig.change(rig.dispatch.jobs.supersede, "p", "c")
    rig.restart()
    assert (await rig.beat("w", leased)).stop == [job]
    await rig.exchange("w", report(leased, "interrupted", checkpoint=CHECKPOINT))
    assert (rig.state(job), rig.project.ends) == ("cancelled", [])
    assert await rig.want("c") == [job], "wanted again it goes on from its checkpoint"
    (again,) = await rig.lease()
    assert (again.attempt, again.checkpoint) == (2, CHECKPOINT)


@scenario
async def test_a_superseded_job_that_finishes_first_is_filed(rig: Rig) -> None:
    (job,) = await rig.want("a")
    (leased,) = await rig.lease()
    await rig.change(rig.dispatch.jobs.supersede, "p", "a")
    await rig.exchange("w", report(leased))
    assert (rig.state(job), rig.project.ends[0][0]) == ("done", "finished")


@scenario
async def test_wanting_again_joins_what_stands_and_takes_over_its_priority(rig: Rig) -> None:
    (job,) = await rig.want("a", why="held")
    assert await rig.want("a", priority=7) == [job]
    record = rig.dispatch.jobs.record(job)
    assert record is not None
    assert (record.state, record.why, record.description.priority) == ("queued", "", 7)
    (leased,) = await rig.lease()
    await rig.change(rig.dispatch.jobs.supersede, "p", "a")
    assert await rig.want("a") == [job]
    assert (await rig.beat("w", leased)).stop == []
    await rig.exchange("w", report(leased))
    assert await rig.want("a") == [job]
    assert rig.state(job) == "done"


@scenario
async def test_a_failed_job_that_is_cleared_has_a_fresh_budget(rig: Rig) -> None:
    (job,) = await rig.want("a")
    (leased,) = await rig.lease()
    await rig.exchange("w", report(leased, "failed", error="no such atom"), cores=0)
    assert rig.state(job) == "failed"
    await rig.change(rig.dispatch.jobs.clear, "p", "a")
    (again,) = await rig.lease()
    assert (again.job, again.attempt) == (job, 2)


@scenario
async def test_what_is_held_while_it_runs_is_not_started_again(rig: Rig) -> None:
    (job,) = await rig.want("a")
    (leased,) = await rig.lease()
    await rig.change(rig.dispatch.jobs.block, "p", "a", "held")
    rig.restart()
    assert (await rig.beat("w", leased)).stop == [], "it goes on"
    await rig.exchange("w", report(leased, "interrupted"), cores=0)
    assert rig.state(job) == "blocked"
    await rig.change(rig.dispatch.jobs.block, "p", "a", "")
    (again,) = await rig.lease()
    await rig.change(rig.dispatch.jobs.block, "p", "a", "held")
    await rig.change(rig.dispatch.jobs.block, "p", "a", "")
    await rig.exchange("w", report(again, "interrupted"), cores=0)
    assert rig.state(job) == "queued"


@scenario
async def test_a_longer_job_goes_on_from_where_the_shorter_one_is(rig: Rig) -> None:
    rig.blobs |= {"c" * 64, "d" * 64}
    at_end = (StagedFile("state.cpt", FileRef("d" * 64, 7)),)
    (short,) = await rig.want("short", until=("1",))
    (leased,) = await rig.lease()
    await rig.exchange("w", report(leased, checkpoint=at_end), cores=0)
    assert rig.state(short) == "done"
    await rig.want("long", until=("2",), extends=("short",))
    rig.restart()
    (longer,) = await rig.lease()
    assert (longer.attempt, longer.checkpoint, longer.description.arguments) == (1, at_end, ("2",))
    await rig.change(rig.dispatch.jobs.supersede, "p", "long")
    await rig.want("longest", until=("3",), extends=("long", "short"))
    (waiting,) = (row for row in rig.dispatch.jobs.rows() if row.state == "blocked")
    assert waiting.why == f"job {longer.job} is being stopped; this one goes on from there"
    rig.restart()
    assert await rig.lease("v") == []
    await rig.exchange("w", report(longer, "interrupted", checkpoint=CHECKPOINT), cores=0)
    (longest,) = await rig.lease("v")
    assert (longest.job, longest.checkpoint) == (waiting.job, CHECKPOINT)
    assert await rig.want("long", until=("2",), extends=("short",)) == [longer.job]
    (returned,) = await rig.lease("w")
    assert (returned.attempt, returned.checkpoint) == (2, CHECKPOINT), "its own is where it had come to"


@scenario
async def test_a_job_that_waited_in_vain_is_found_where_its_predecessor_is(rig: Rig) -> None:
    rig.blobs.add("c" * 64)
    await rig.want("one")
    (one,) = await rig.lease()
    await rig.change(rig.dispatch.jobs.supersede, "p", "one")
    (two,) = await rig.want("two", extends=("one",))
    await rig.change(rig.dispatch.jobs.supersede, "p", "two")
    (three,) = await rig.want("three", extends=("two", "one"))
    assert (rig.state(two), rig.state(three)) == ("cancelled", "blocked")
    await rig.want("three", extends=("two", "one"), priority=3)
    await rig.change(rig.dispatch.jobs.block, "p", "three", "held")
    await rig.exchange("w", report(one, "interrupted", checkpoint=CHECKPOINT), cores=0)
    assert rig.state(three) == "blocked", "it is held still"
    await rig.change(rig.dispatch.jobs.block, "p", "three", "")
    (leased,) = await rig.lease()
    assert (leased.job, leased.checkpoint) == (three, CHECKPOINT)
    await rig.change(rig.dispatch.jobs.supersede, "p", "three")
    await rig.want("two", extends=("one",))
    (again,) = await rig.lease("v")
    assert (again.job, again.checkpoint) == (two, CHECKPOINT)


@scenario
async def test_whoever_waits_for_a_lost_worker_goes_on_from_the_last_that_was_heard(rig: Rig) -> None:
    rig.blobs.add("c" * 64)
    await rig.want("one")
    (first,) = await rig.lease()
    await rig.exchange("w", report(first, "interrupted", checkpoint=CHECKPOINT), cores=0)
    await rig.lease()
    await rig.change(rig.dispatch.jobs.supersede, "p", "one")
    (two,) = await rig.want("two", extends=("one",))
    await rig.wait(HEARTBEAT_S + 10)
    (leased,) = await rig.lease("v")
    assert (leased.job, leased.checkpoint) == (two, CHECKPOINT)


@scenario
async def test_a_forgotten_project_leaves_nothing(rig: Rig) -> None:
    await rig.want("a", "b", project="q")
    (leased,) = await rig.lease(cores=1)
    unit = Unit()
    rig.dispatch.jobs.forget(unit, "q")
    unit.add(DropProject("q"))
    await rig.book.submit(unit)
    assert (await rig.beat("w", leased)).stop == [leased.job]
    assert rig.dispatch.jobs.worker_rows()[0].jobs == 1, "its program may run for a moment"
    assert (await rig.exchange("w", report(leased))).verdicts[0].verdict == "stale"
    assert rig.dispatch.jobs.worker_rows()[0].jobs == 0
    rig.restart()
    assert rig.dispatch.jobs.rows() == []
    assert await rig.want("new") == [3], "numbers are not used again"


@scenario
async def test_a_worker_that_says_nothing_of_a_forgotten_job_has_it_no_more(rig: Rig) -> None:
    """Also one that is lost: else it would stand in the list for ever."""
    await rig.want("a", project="q")
    await rig.lease("alive")
    await rig.want("b", project="q")
    await rig.lease("lost")
    unit = Unit()
    rig.dispatch.jobs.forget(unit, "q")
    unit.add(DropProject("q"))
    await rig.book.submit(unit)
    await rig.wait(2 * HEARTBEAT_S, ("alive", []))
    assert {row.offer.worker: row.jobs for row in rig.dispatch.jobs.worker_rows()} == {"alive": 0, "lost": 0}
    await rig.wait(600, ("alive", []))
    assert [row.offer.worker for row in rig.dispatch.jobs.worker_rows()] == ["alive"]


@scenario
async def test_ended_jobs_are_a_line_in_memory_and_whole_in_the_store(rig: Rig) -> None:
    (job,) = await rig.want("a")
    (leased,) = await rig.lease()
    await rig.exchange("w", report(leased))
    assert rig.dispatch.jobs.get(job) is None
    assert rig.dispatch.jobs._settling == {}
    assert rig.dispatch.jobs.find("p", "a") == rig.book.job(job)
    assert rig.dispatch.jobs.counts("p") == {"done": 1}


# --- long polls


@scenario
async def test_a_waiting_worker_gets_a_job_in_the_same_group_in_which_it_was_made(rig: Rig) -> None:
    rig.announce()
    poll = asyncio.ensure_future(rig.exchange(wait_s=30.0))
    await asyncio.sleep(0)
    groups = []
    commit = rig.book._commit
    rig.book._commit = lambda: (groups.append(len(rig.book._group)), commit())  # type: ignore[method-assign, assignment]
    await rig.want("a")
    assert [job.job for job in (await poll).jobs] == [1]
    assert groups == [2]


@scenario
async def test_a_poll_of_a_dead_connection_gets_nothing(rig: Rig) -> None:
    rig.announce("dead")
    rig.announce("alive")
    request = m.ExchangeRequest("dead", 2, 10, wait_s=30.0)
    dead = asyncio.ensure_future(rig.dispatch.exchange(request, bundle("dead"), lambda: False))
    alive = asyncio.ensure_future(rig.exchange("alive", wait_s=30.0))
    await asyncio.sleep(0)
    await rig.want("a")
    assert [job.job for job in (await alive).jobs] == [1]
    dead.cancel()


@scenario
async def test_the_newer_of_two_polls_of_a_worker_counts(rig: Rig) -> None:
    rig.announce()
    older = asyncio.ensure_future(rig.exchange(wait_s=30.0))
    await asyncio.sleep(0)
    newer = asyncio.ensure_future(rig.exchange(wait_s=30.0))
    assert (await older).jobs == []
    await rig.want("a")
    assert len((await newer).jobs) == 1
