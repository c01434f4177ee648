"""Leases, reports, silence and restarts: who may change a job, how often, and what follows."""

from __future__ import annotations

import asyncio

import pytest
from tests.unit.leasing import HEARTBEAT_S, Rig, bundle, report, scenario

from copernicus.errors import NoSpace, NotAllowed
from copernicus.model.jobs import Execution, JobDescription, Output, Resources, StagedFile
from copernicus.model.values import FileRef
from copernicus.server.storage.abc import JobRecord, Unit
from copernicus.server.storage.costs import Cost
from copernicus.wire import messages as m

CHECKPOINT = (StagedFile("state.cpt", FileRef("c" * 64, 7)),)


# --- leases and reports


@scenario
async def test_a_job_goes_out_comes_back_and_ends_once(rig: Rig) -> None:
    (job,) = await rig.want("a")
    (leased,) = await rig.lease()
    assert (leased.job, leased.attempt, leased.project, rig.state(job)) == (job, 1, "named", "leased")
    reply = await rig.exchange("w", report(leased, outputs={"x": 1}))
    assert [verdict.verdict for verdict in reply.verdicts] == ["accepted"]
    again = await rig.exchange("w", report(leased, outputs={"x": 2}))
    assert [verdict.verdict for verdict in again.verdicts] == ["stale"]
    assert rig.project.ends == [("finished", job, "{'x': 1}")]
    assert rig.state(job) == "done"
    assert rig.dispatch.jobs.find("p", "a").attempts[0].core_s == 2.0


@scenario
async def test_an_attempt_is_kept_with_all_that_is_needed_to_run_it_again(rig: Rig) -> None:
    (job,) = await rig.want("a", resources=Resources(gpus=2), seed=7)
    rig.announce("w", gpus=2, site="the lab")
    (leased,) = (await rig.exchange("w")).jobs
    execution = Execution(("/bin/true",), "f" * 64, {"GMX_MAXBACKUP": "-1"}, 10, 20)
    await rig.exchange("w", report(leased, execution=execution, version="1.5"), cores=0)
    rig.restart()
    record = rig.dispatch.jobs.record(job)
    assert record is not None
    (row,) = record.attempts
    assert (row.worker, row.hostname, row.site, row.platform, row.version) == ("w", "host-w", "the lab", "smp", "1.5")
    assert (row.core_s, row.gpus, row.gpu_s, row.execution) == (2.0, 2, 4.0, execution)
    assert record.description.seed == 7
    assert list(rig.dispatch.jobs.costs("p")) == [(job, 1, (Cost("the lab", 1, 2.0, 4.0, 10, 20),))]


@scenario
async def test_only_the_current_attempt_of_its_own_worker_counts(rig: Rig) -> None:
    (job,) = await rig.want("a")
    (first,) = await rig.lease("w")
    await rig.wait(HEARTBEAT_S + 10)
    (second,) = await rig.lease("v")
    assert (second.job, second.attempt) == (job, 2)
    late = await rig.exchange("w", report(first))
    stolen = await rig.exchange("w", report(second))
    assert [reply.verdicts[0].verdict for reply in (late, stolen)] == ["stale", "stale"]
    assert (await rig.beat("w", first)).stop == [job]
    assert (await rig.beat("v", second)).stop == []
    assert rig.project.ends == []
    assert (await rig.exchange("v", report(second))).verdicts[0].verdict == "accepted"


@scenario
async def test_an_earlier_attempt_counts_no_more_for_the_same_worker_either(rig: Rig) -> None:
    (job,) = await rig.want("a")
    (first,) = await rig.lease()
    await rig.wait(HEARTBEAT_S + 10)
    (second,) = await rig.lease()
    assert (await rig.exchange("w", report(first), cores=0)).verdicts[0].verdict == "stale"
    assert (await rig.beat("w", first)).stop == [job]
    await rig.wait(HEARTBEAT_S + 10, ("w", [first]))
    assert rig.state(job) == "queued", "beats for an earlier attempt do not renew the lease of the current one"
    assert second.attempt == 2


@scenario
async def test_the_same_request_again_gives_the_same_answer_and_one_effect(rig: Rig) -> None:
    await rig.want("a", "b", "c")
    (one, two) = await rig.lease()
    first = await rig.exchange("w", report(one), cores=1, request_id="twice")
    again = await rig.exchange("w", report(one), cores=1, request_id="twice")
    assert first == again
    assert [job.attempt for job in first.jobs] == [1]
    rig.restart()
    assert await rig.exchange("w", report(one), cores=1, request_id="twice") == m.ExchangeReply(
        first.jobs, [], first.verdicts, is_unknown_worker=True
    )
    assert rig.project.ends == []
    stranger = await rig.dispatch.exchange(m.ExchangeRequest("v", 0, 0, [report(two)], request_id="twice"), bundle("v"))
    assert stranger.verdicts[0].verdict == "stale", "another worker's request id is another request"


@scenario
async def test_a_repeated_request_finds_the_answer_that_is_not_durable_yet(rig: Rig) -> None:
    await rig.want("a", "b")
    rig.announce()
    replies = await asyncio.gather(*(rig.exchange(cores=1, request_id="same") for _ in range(3)))
    assert replies[0] == replies[1] == replies[2]
    assert [job.job for job in replies[0].jobs] == [1]


@scenario
async def test_what_follows_from_a_report_is_given_to_its_reporter_at_once(rig: Rig) -> None:
    await rig.want("a")
    (leased,) = await rig.lease("w")
    rig.announce("v")
    poll = asyncio.ensure_future(rig.exchange("v", wait_s=30.0))
    await asyncio.sleep(0)

    def follow(unit: Unit, job: JobRecord) -> None:
        rig.dispatch.jobs.want(unit, "p", 1, "next", "b", JobDescription("true"), "")

    rig.project.then = follow
    reply = await rig.exchange("w", report(leased))
    assert [job.path for job in reply.jobs] == ["next"]
    assert not poll.done()
    rig.dispatch.close()
    assert (await poll).jobs == []


@scenario
async def test_another_bundle_cannot_speak_for_a_worker(rig: Rig) -> None:
    await rig.want("a")
    (leased,) = await rig.lease("w")
    request = m.ExchangeRequest("w", 0, 0, [report(leased)])
    with pytest.raises(NotAllowed):
        await rig.dispatch.exchange(request, bundle("thief"))
    rig.restart()
    with pytest.raises(NotAllowed):
        await rig.dispatch.exchange(request, bundle("thief"))


@scenario
async def test_a_report_that_names_a_missing_file_is_refused_and_the_job_tried_again(rig: Rig) -> None:
    (job,) = await rig.want("a", outputs={"traj": Output("file", "*.xtc")})
    (leased,) = await rig.lease()
    file = {"blob": "b" * 64, "size": 3, "name": "a.xtc"}
    reply = await rig.exchange("w", report(leased, outputs={"traj": file}), cores=0)
    assert reply.verdicts[0].verdict == "refused"
    assert (rig.state(job), rig.project.ends) == ("queued", [])
    rig.blobs.add("b" * 64)
    (second,) = await rig.lease()
    reply = await rig.exchange("w", report(second, outputs={"traj": file}))
    assert (reply.verdicts[0].verdict, rig.state(job)) == ("accepted", "done")


@scenario
async def test_refused_outputs_make_the_job_failed(rig: Rig) -> None:
    (job,) = await rig.want("a")
    (leased,) = await rig.lease()
    rig.project.refuse = "x is not a number"
    await rig.exchange("w", report(leased))
    record = rig.dispatch.jobs.record(job)
    assert record is not None
    assert (record.state, record.why) == ("failed", "x is not a number")


@scenario
async def test_bundle_and_reservation_decide_which_projects_a_worker_serves(rig: Rig) -> None:
    (mine,) = await rig.want("a", project="p")
    (other,) = await rig.want("a", project="q")
    rig.announce("w", 4, project="other")
    assert [job.job for job in (await rig.exchange("w", cores=4)).jobs] == [other]
    assert "works for project other only" in " ".join(rig.dispatch.jobs.explain(mine))


@scenario
async def test_a_fault_in_the_middle_of_a_decision_is_told_and_leaves_nothing_durable(rig: Rig) -> None:
    (job,) = await rig.want("a")
    (leased,) = await rig.lease()
    broken: list[Exception] = []
    rig.dispatch.when_broken = broken.append

    def fail(unit: Unit, record: JobRecord) -> None:
        raise KeyError("a mistake")

    rig.project.then = fail
    with pytest.raises(KeyError):
        await rig.exchange("w", report(leased))
    assert len(broken) == 1
    rig.dispatch.load()
    rig.project.then = lambda unit, record: None
    assert rig.state(job) == "leased"
    assert (await rig.exchange("w", report(leased))).verdicts[0].verdict == "accepted"


# --- how attempts end


@scenario
async def test_a_program_that_fails_four_times_without_progress_is_given_up(rig: Rig) -> None:
    (job,) = await rig.want("a", resources=Resources(cores_max=8))
    for cores_max in (8, 4, 2):
        (leased,) = await rig.lease(cores=8)
        assert leased.cores == cores_max
        await rig.exchange("w", report(leased, "retry", cores_max=cores_max // 2, exit_status=1), cores=0)
    (leased,) = await rig.lease(cores=8)
    tail = "\n".join(f"line {number}" for number in range(100))
    await rig.exchange("w", report(leased, "retry", error="LINCS warning", exit_status=1, stderr_tail=tail), cores=0)
    assert rig.state(job) == "failed"
    ((end, _, error),) = rig.project.ends
    assert end == "failed"
    assert "Given up after 4 attempts without progress. LINCS warning" in error
    assert "line 99" in error
    assert "line 49" not in error
    assert error.count("line ") == 50


@scenario
async def test_wall_time_does_not_use_up_the_retries_of_the_program(rig: Rig) -> None:
    (job,) = await rig.want("a", resources=Resources(wall_time_s=60))
    for count in (1, 2, 3):
        (leased,) = await rig.lease()
        await rig.exchange("w", report(leased, "retry", is_overtime=True), cores=0)
        record = rig.dispatch.jobs.record(job)
        assert record is not None
        assert (record.state, record.overtimes, record.program_failures) == ("queued", count, 0)
        assert record.attempts[-1].outcome == "wall time"
    for count in (1, 2, 3):
        (leased,) = await rig.lease()
        assert leased.failures == count - 1, "the worker judges by failures, not by the number of the attempt"
        await rig.exchange("w", report(leased, "retry", exit_status=1), cores=0)
    (leased,) = await rig.lease()
    await rig.exchange("w", report(leased, "retry", is_overtime=True), cores=0)
    assert rig.state(job) == "failed", "a job that never gets anywhere must end"
    assert "4 attempts in a row were stopped at the wall time of 60 s" in rig.project.ends[0][2]


@scenario
async def test_progress_gives_a_fresh_budget_and_checkpoints_travel(rig: Rig) -> None:
    (job,) = await rig.want("a")
    for number in range(6):
        rig.blobs.add(str(number) * 64)
        (leased,) = await rig.lease(f"w{number}")
        assert [staged.file.blob for staged in leased.checkpoint] == ([str(number - 1) * 64] if number else [])
        checkpoint = (StagedFile("state.cpt", FileRef(str(number) * 64, 7)),)
        await rig.exchange(f"w{number}", report(leased, "retry", checkpoint=checkpoint), cores=0)
    assert rig.state(job) == "queued"


@scenario
async def test_an_interruption_counts_against_nobody(rig: Rig) -> None:
    rig.blobs.add("c" * 64)
    (job,) = await rig.want("a")
    for attempt in range(1, 8):
        (leased,) = await rig.lease()
        assert leased.attempt == attempt
        await rig.exchange("w", report(leased, "interrupted", checkpoint=CHECKPOINT if attempt == 1 else ()), cores=0)
    record = rig.dispatch.jobs.record(job)
    assert record is not None
    assert (record.state, record.program_failures, record.lost_workers, record.checkpoint) == ("queued", 0, 0, CHECKPOINT)


@scenario
async def test_a_worker_that_leaves_gives_everything_back(rig: Rig) -> None:
    jobs = await rig.want("a", "b")
    leased = await rig.lease()
    await rig.dispatch.farewell(m.FarewellRequest("w", "SIGTERM"), bundle("w"))
    assert [rig.state(job) for job in jobs] == ["queued", "queued"]
    assert rig.dispatch.jobs.worker_rows() == []
    late = await rig.exchange("w")
    assert (late.is_unknown_worker, late.jobs) == (True, []), "a word that was on its way when it left"
    assert await rig.lease("w") == []
    assert rig.dispatch.jobs.worker_rows() == [], "it is not brought back by the answer to that"
    again = await rig.lease("v")
    assert [(job.job, job.attempt) for job in again] == [(job.job, 2) for job in leased]


# --- silence


@scenario
async def test_a_silent_workers_jobs_return_after_the_interval_and_not_before(rig: Rig) -> None:
    (job,) = await rig.want("a")
    leased = await rig.lease()
    await rig.wait(HEARTBEAT_S * 3, ("w", leased))
    assert rig.state(job) == "leased"
    await rig.wait(HEARTBEAT_S - 10)
    assert rig.state(job) == "leased"
    await rig.wait(20)
    assert rig.state(job) == "queued"
    assert rig.dispatch.jobs.worker_rows()[0].is_lost


@scenario
async def test_the_third_lost_worker_fails_a_job_and_the_third_attempt_runs_alone(rig: Rig) -> None:
    poison, innocent = await rig.want("poison", "innocent")
    for name in ("w1", "w2"):
        assert len(await rig.lease(name)) == 2
        await rig.wait(HEARTBEAT_S + 10)
    alone = await rig.lease("w3")
    assert [job.job for job in alone] == [poison], "two losses: suspected, so it runs alone"
    assert (await rig.exchange("w3", cores=1)).jobs == []
    (other,) = await rig.lease("w4")
    await rig.exchange("w4", report(other))
    await rig.wait(HEARTBEAT_S + 10)
    assert rig.state(poison) == "failed"
    assert rig.project.ends[0][:2] == ("finished", innocent)
    assert "worker w1 on host-w1" in rig.project.ends[1][2]
    assert "worker w3 on host-w3" in rig.project.ends[1][2]


@scenario
async def test_after_the_server_itself_stood_still_every_lease_gets_its_time_again(rig: Rig) -> None:
    (job,) = await rig.want("a")
    leased = await rig.lease()
    rig.now += 10 * HEARTBEAT_S  # a stopped process, a closed lid
    rig.dispatch.tick()
    assert rig.state(job) == "leased"
    await rig.wait(HEARTBEAT_S - 10)
    assert (await rig.exchange("w", report(leased[0]))).verdicts[0].verdict == "accepted"


@scenario
async def test_a_lease_that_its_worker_never_heard_of_returns_without_blame(rig: Rig) -> None:
    (job,) = await rig.want("a")
    await rig.lease()
    await rig.wait(HEARTBEAT_S + 10, ("w", []))
    record = rig.dispatch.jobs.record(job)
    assert record is not None
    assert (record.state, record.lost_workers) == ("queued", 0)


@scenario
async def test_a_worker_that_dies_before_its_first_sign_of_life_is_lost(rig: Rig) -> None:
    (job,) = await rig.want("a")
    await rig.lease()
    rig.now += 30.0
    await rig.exchange("w", cores=1)  # the last word that it says, about something else
    await rig.wait(HEARTBEAT_S + 10)
    record = rig.dispatch.jobs.record(job)
    assert record is not None
    assert (record.state, record.lost_workers, record.attempts[-1].outcome) == ("queued", 1, "worker lost")


@scenario
async def test_a_worker_that_speaks_and_gives_no_signs_of_life_keeps_no_lease_for_ever(rig: Rig) -> None:
    (job,) = await rig.want("a")
    await rig.lease()
    for _ in range(30):
        await rig.wait(10.0)
        await rig.exchange("w", cores=0)
    assert rig.state(job) == "queued"


# --- restarts


@scenario
async def test_leases_stand_after_a_restart_and_get_their_whole_time(rig: Rig) -> None:
    (job, _) = await rig.want("a", "b")
    leased = await rig.lease(cores=1)
    await rig.wait(HEARTBEAT_S - 10)
    rig.restart()
    await rig.wait(HEARTBEAT_S - 10)
    assert rig.state(job) == "leased"
    assert (await rig.beat("w", *leased)).is_unknown_worker
    reply = await rig.exchange("w", report(leased[0]))
    assert (reply.verdicts[0].verdict, reply.is_unknown_worker, reply.jobs) == ("accepted", True, [])
    (following,) = await rig.lease()
    assert following.job != job


@scenario
async def test_attempts_and_job_numbers_grow_over_restarts(rig: Rig) -> None:
    await rig.want("a")
    await rig.lease("w")
    rig.restart()
    await rig.wait(HEARTBEAT_S + 10)
    (leased,) = await rig.lease("v")
    assert leased.attempt == 2
    rig.restart()
    assert await rig.want("b") == [2]


@scenario
async def test_a_full_disk_leaves_nothing_behind_after_recovery(rig: Rig) -> None:
    await rig.want("a")
    rig.announce()
    rig.book.fail_with = NoSpace("full")
    with pytest.raises(NoSpace):
        await rig.exchange()
    assert rig.state(1) == "leased", "memory is ahead of the disk"
    await rig.book.recover()
    rig.dispatch.load()
    assert rig.state(1) == "queued"
    assert [job.attempt for job in (await rig.exchange()).jobs] == [1]
