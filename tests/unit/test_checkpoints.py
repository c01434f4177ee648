"""Checkpoints of running attempts: which are taken, what they replace, and what a failure costs after one."""

from __future__ import annotations

from typing import Any

import pytest
from tests.unit.leasing import HEARTBEAT_S, Rig, bundle, report, scenario

from copernicus.errors import NotAllowed
from copernicus.model.jobs import JobDescription, LeasedJob, Output, StagedFile
from copernicus.model.values import FileRef
from copernicus.wire import messages as m
from copernicus.worker.checkpoints import SHORTEST_S, Timing

FIRST, SECOND = (StagedFile("state.cpt", FileRef(letter * 64, 7, "state.cpt")) for letter in "ab")
TRAJECTORY = {"blob": "c" * 64, "size": 9, "name": "traj.xtc"}
OUTPUTS = {
    "traj": Output("file", "traj*.xtc", is_partial=True),
    "parts": Output("files", "p*", is_partial=True),
    "x": Output("file", "x"),
}


async def take(rig: Rig, leased: LeasedJob, *files: StagedFile, worker: str = "w", **outputs: Any) -> tuple[str, str]:
    request = m.CheckpointRequest(worker, leased.job, leased.attempt, files, outputs, "step 5")
    reply = await rig.dispatch.checkpoints.take(request, bundle(worker))
    return reply.verdict, reply.why


@scenario
async def test_the_next_attempt_goes_on_from_the_last_checkpoint(rig: Rig) -> None:
    rig.blobs |= {FIRST.file.blob, SECOND.file.blob}
    (job,) = await rig.want("a")
    (first,) = await rig.lease()
    assert await take(rig, first, FIRST) == ("accepted", "")
    assert await take(rig, first, SECOND) == ("accepted", "")
    rig.restart()
    await rig.wait(HEARTBEAT_S + 10)
    (second,) = await rig.lease("v")
    assert (second.attempt, second.checkpoint) == (2, (SECOND,))
    assert await take(rig, first, FIRST) == ("stale", "")
    assert await take(rig, second, FIRST) == ("stale", "")
    assert await take(rig, second, FIRST, worker="v") == ("accepted", "")
    await rig.exchange("v", report(second, "interrupted"), cores=0)
    (third,) = await rig.lease("v")
    assert await take(rig, second, SECOND, worker="v") == ("stale", "")
    assert rig.dispatch.jobs.record(job).checkpoint == (FIRST,)
    await rig.exchange("v", report(third), cores=0)
    assert await take(rig, third, SECOND, worker="v") == ("stale", "")


@scenario
async def test_a_checkpoint_that_arrives_after_a_newer_one_changes_nothing(rig: Rig) -> None:
    """Its worker gave up waiting for an answer; the bytes lay in a socket of a server that stood still."""
    rig.blobs |= {FIRST.file.blob, SECOND.file.blob}
    (job,) = await rig.want("a")
    (leased,) = await rig.lease()

    async def tell(number: int, file: StagedFile, leased: LeasedJob = leased) -> str:
        request = m.CheckpointRequest("w", leased.job, leased.attempt, (file,), number=number)
        return (await rig.dispatch.checkpoints.take(request, bundle("w"))).verdict

    assert [await tell(2, SECOND), await tell(1, FIRST), await tell(2, SECOND)] == ["accepted"] * 3
    rig.restart()
    assert await tell(1, FIRST) == "accepted"
    assert rig.dispatch.jobs.record(job).checkpoint == (SECOND,)
    await rig.exchange("w", report(leased, "interrupted"), cores=0)
    (again,) = await rig.lease()
    assert await tell(1, FIRST, again) == "accepted"
    assert rig.dispatch.jobs.record(job).checkpoint == (FIRST,), "another attempt counts anew"


@scenario
async def test_what_the_server_does_not_have_is_refused_and_the_last_one_stays(rig: Rig) -> None:
    rig.blobs.add(FIRST.file.blob)
    (job,) = await rig.want("a", outputs=OUTPUTS)
    (leased,) = await rig.lease()
    await take(rig, leased, FIRST)
    for outputs, files, said in (
        ({}, (SECOND,), "has not been received"),
        ({"traj": TRAJECTORY}, (), "has not been received"),
        ({"traj": 5}, (), "is no file"),
        ({"traj": {"blob": 5}}, (), "is no file"),
        ({"x": TRAJECTORY}, (), "no partial output"),
        ({"nope": TRAJECTORY}, (), "no partial output"),
    ):
        verdict, why = await take(rig, leased, *files, **outputs)
        assert verdict == "refused"
        assert said in why
    record = rig.dispatch.jobs.record(job)
    assert (record.checkpoint, record.provisional) == ((FIRST,), None)
    with pytest.raises(NotAllowed):
        await rig.dispatch.checkpoints.take(m.CheckpointRequest("w", job, 1, (FIRST,)), bundle("thief"))


@scenario
async def test_partial_outputs_stay_over_attempts_and_go_with_the_job(rig: Rig) -> None:
    rig.blobs.add(TRAJECTORY["blob"])  # type: ignore[arg-type]
    (job,) = await rig.want("a", outputs=OUTPUTS)
    (leased,) = await rig.lease()
    assert await take(rig, leased, traj=TRAJECTORY, parts=[TRAJECTORY]) == ("accepted", "")
    assert rig.project.ends == [("glimpsed", job, repr({"traj": TRAJECTORY, "parts": [TRAJECTORY]}))]
    await rig.exchange("w", report(leased, "interrupted"), cores=0)
    rig.restart()
    found = rig.dispatch.jobs.record(job).provisional
    assert (found.attempt, found.progress, found.outputs["traj"]) == (1, "step 5", TRAJECTORY)
    (leased,) = await rig.lease()
    outputs = {"traj": TRAJECTORY, "parts": [], "x": TRAJECTORY}
    await rig.exchange("w", report(leased, outputs=outputs), cores=0)
    assert rig.dispatch.jobs.record(job).provisional is None


@scenario
async def test_failures_with_a_newer_checkpoint_between_them_are_not_in_a_row(rig: Rig) -> None:
    (job,) = await rig.want("a")
    for number in range(6):
        (leased,) = await rig.lease()
        newer = StagedFile("state.cpt", FileRef(f"{number:064}", 7))
        rig.blobs.add(newer.file.blob)
        await take(rig, leased, newer)
        await rig.exchange("w", report(leased, "retry", checkpoint=(newer,)), cores=0)
    assert rig.state(job) == "queued"
    for _ in range(3):
        (leased,) = await rig.lease()
        await take(rig, leased, *leased.checkpoint)  # the same once more is no progress
        await rig.exchange("w", report(leased, "retry"), cores=0)
    assert rig.state(job) == "failed"


def test_when_a_checkpoint_is_due() -> None:
    plain, saving = JobDescription("x"), JobDescription("x", checkpoint=("*.cpt",))
    eager = JobDescription("x", checkpoint=("*.cpt",), checkpoint_every_s=1.0)
    shown = JobDescription("x", outputs=OUTPUTS)
    hourly, never, ending = Timing(), Timing(None), Timing(None, 500.0)
    assert [hourly.next_at(one, 100.0) for one in (plain, saving, eager, shown)] == [None, 3700.0, 100 + SHORTEST_S, 3700.0]
    assert [never.next_at(one, 100.0) for one in (plain, saving, eager)] == [None, None, 100 + SHORTEST_S]
    assert [ending.next_at(saving, at) for at in (100.0, 500.0)] == [500.0, None]
    assert Timing(3600.0, 500.0).next_at(saving, 100.0) == 500.0


def test_how_often_and_what_is_shown_meanwhile_is_not_what_the_job_does() -> None:
    whole = {name: Output(one.kind, one.pattern) for name, one in OUTPUTS.items()}
    described = JobDescription("x", outputs=OUTPUTS, checkpoint_every_s=60.0)
    assert described.content() == JobDescription("x", outputs=whole).content()
