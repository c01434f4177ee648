"""Room that is gathered, time that is left and files that are near, as dispatch knows them."""

from __future__ import annotations

import asyncio

from tests.unit.leasing import HEARTBEAT_S, Rig, bundle, report, scenario

from copernicus.model.jobs import Resources, StagedFile
from copernicus.model.values import FileRef
from copernicus.wire import messages as m

WIDE = Resources(cores_min=4, cores_max=4)


def why(rig: Rig, job: int) -> str:
    return "\n".join(rig.dispatch.jobs.explain(job))


@scenario
async def test_a_wide_job_gathers_cores_while_narrow_ones_wait_behind_it(rig: Rig) -> None:
    await rig.want("n1", "n2", "n3", "n4")
    narrow = await rig.lease("w", cores=4)
    (wide,) = await rig.want("wide", resources=WIDE)
    (late,) = await rig.want("late")
    reply = await rig.exchange("w", report(narrow[0]), cores=1)
    assert reply.jobs == []
    assert "Worker w is reserved for it" in why(rig, wide)
    await rig.change(rig.dispatch.jobs.rename, "p", 1, "wide", "another-name")
    await rig.want("wide", resources=WIDE, priority=1)
    assert "Worker w is reserved for it" in why(rig, wide), "its name and its priority do not count for that"
    assert "1 of 4 cores free, 4 needed" in why(rig, wide)
    assert f"what it has free is reserved for job {wide}" in why(rig, late)
    (urgent,) = await rig.want("urgent", priority=1)
    assert (await rig.exchange("w", cores=1)).jobs == [], "its own priority is 1 now, too"
    await rig.change(rig.dispatch.jobs.supersede, "p", "urgent")
    assert rig.state(urgent) == "cancelled"
    reply = await rig.exchange("w", *(report(job) for job in narrow[1:]), cores=4)
    assert [job.job for job in reply.jobs] == [wide]
    assert len(rig.dispatch.jobs.queue.reservations) == 0


@scenario
async def test_another_worker_that_has_the_room_gets_the_wide_job_and_the_first_goes_on(rig: Rig) -> None:
    await rig.want("n1", "n2", "n3", "n4")
    narrow = await rig.lease("w", cores=4)
    (wide,) = await rig.want("wide", resources=WIDE)
    (late,) = await rig.want("late")
    poll = asyncio.ensure_future(rig.exchange("w", cores=1, wait_s=30.0))
    await rig.exchange("w", report(narrow[0]), cores=0)
    await asyncio.sleep(0)
    rig.announce("v", 4)
    assert [job.job for job in (await rig.exchange("v", cores=4)).jobs] == [wide]
    assert [job.job for job in (await poll).jobs] == [late], "its poll is looked at again"


@scenario
async def test_a_worker_that_goes_or_is_lost_gathers_no_more(rig: Rig) -> None:
    for name, gone in (("w", True), ("v", False)):
        await rig.want(f"{name}1", f"{name}2")
        narrow = await rig.lease(name)
        (wide,) = await rig.want(f"{name}-wide", resources=Resources(cores_min=2, cores_max=2))
        await rig.exchange(name, report(narrow[0]), cores=1)
        assert rig.dispatch.jobs.queue.reservations.of_job(wide) == name
        if gone:
            await rig.dispatch.farewell(m.FarewellRequest(name, "SIGTERM"), bundle(name))
        else:
            await rig.wait(HEARTBEAT_S + 10)
        assert rig.dispatch.jobs.queue.reservations.of_job(wide) == ""
        rig.announce("big", 8)
        await rig.exchange("big", cores=8)


@scenario
async def test_nothing_is_begun_that_cannot_end_in_the_time_left(rig: Rig) -> None:
    (long,) = await rig.want("long", resources=Resources(wall_time_s=600.0))
    (stops,) = await rig.want("stops", resources=Resources(wall_time_s=600.0), checkpoint=("state.cpt",))
    (unknown,) = await rig.want("unknown")
    rig.announce("w", 8, time_left_s=700.0)
    rig.now += 101
    assert [job.job for job in (await rig.exchange("w", cores=8)).jobs] == [stops, unknown]
    assert "it would not end in the time left: 599 s, needed: 600 s" in why(rig, long)
    rig.announce("v", 8, time_left_s=700.0)
    assert [job.job for job in (await rig.exchange("v", cores=8)).jobs] == [long]


@scenario
async def test_a_job_goes_to_a_worker_that_has_read_its_file(rig: Rig) -> None:
    def reading(blob: str) -> tuple[StagedFile, ...]:
        return (StagedFile("in.tpr", FileRef(blob * 64, 100_000)),)

    await rig.want("a0", files=reading("a"))
    (leased,) = await rig.lease("w", cores=1)
    (other,) = await rig.want("b1", files=reading("b"))
    (near,) = await rig.want("a1", files=reading("a"))
    reply = await rig.exchange("w", report(leased), cores=1)
    assert [job.job for job in reply.jobs] == [near]
    assert [job.job for job in await rig.lease("v", cores=1)] == [other]
