"""Who is given up and who is not, when several things fail at once."""

from __future__ import annotations

import asyncio

import pytest
from tests.unit.leasing import HEARTBEAT_S, Rig, bundle, scenario

from copernicus.errors import NoSpace
from copernicus.server.storage.abc import Unit
from copernicus.wire import messages as m


@scenario
async def test_nothing_is_given_to_a_worker_that_has_left_while_its_connection_looks_open(rig: Rig) -> None:
    rig.announce("w")
    poll = asyncio.ensure_future(rig.exchange("w", wait_s=60.0))
    await asyncio.sleep(0)
    await rig.dispatch.farewell(m.FarewellRequest("w", "SIGTERM"), bundle("w"))
    (job,) = await rig.want("a")
    assert (await poll).jobs == []
    assert rig.state(job) == "queued", "nobody would ever miss that worker"


@scenario
async def test_a_poll_that_comes_again_is_given_jobs_once(rig: Rig) -> None:
    rig.announce("w")
    first = asyncio.ensure_future(rig.exchange("w", most=1, request_id="poll", wait_s=60.0))
    await asyncio.sleep(0)
    queued = asyncio.ensure_future(rig.want("a", "b"))
    await asyncio.sleep(0)
    again = await rig.exchange("w", most=1, request_id="poll", wait_s=60.0)
    assert len([*(await first).jobs, *again.jobs]) == 1
    assert sorted(rig.state(job) for job in await queued) == ["leased", "queued"]


@scenario
async def test_what_comes_late_of_a_worker_that_has_left_does_not_bring_it_back(rig: Rig) -> None:
    rig.announce("w")
    await rig.dispatch.farewell(m.FarewellRequest("w", "SIGTERM"), bundle("w"))
    reply = await rig.beat("w")
    assert reply.is_unknown_worker
    assert [worker.name for worker in rig.dispatch.workers] == []


@scenario
async def test_what_came_while_the_server_stood_still_for_a_moment_is_read_first(rig: Rig) -> None:
    (job,) = await rig.want("a")
    leased = await rig.lease()
    await rig.wait(HEARTBEAT_S * 0.7)
    rig.now += HEARTBEAT_S * 0.4  # shorter than a lease; a sign of life came in that time, and waits to be read
    rig.dispatch.tick()
    await rig.beat("w", *leased)
    rig.now += HEARTBEAT_S / 20
    rig.dispatch.tick()
    assert rig.state(job) == "leased", "it was heard in time"
    for _ in range(8):  # a server that is always late still gives up who is silent
        rig.now += HEARTBEAT_S * 0.2
        rig.dispatch.tick()
    await rig.book.submit(Unit())
    assert rig.state(job) == "queued"


@scenario
async def test_a_worker_that_was_lost_when_the_disk_was_full_is_lost_again_later(rig: Rig) -> None:
    (job,) = await rig.want("a")
    await rig.lease()
    await rig.wait(HEARTBEAT_S - 10)
    rig.book.fail_with = NoSpace("full")
    with pytest.raises(NoSpace):
        await rig.wait(20)
    await rig.book.recover()
    rig.dispatch.load()
    assert rig.state(job) == "leased", "that it was lost is not in the book"
    await rig.wait(HEARTBEAT_S + 10)
    assert rig.state(job) == "queued"
