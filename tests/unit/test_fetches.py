"""Files that are wanted of running attempts: asked of the right worker, taken from nobody else."""

from __future__ import annotations

import asyncio

import pytest
from tests.unit.leasing import Rig, bundle, report, scenario

from copernicus.errors import Unavailable
from copernicus.model.values import FileRef
from copernicus.server.dispatch import fetches as module
from copernicus.wire import messages as m

FILE = FileRef("f" * 64, 5, "traj.xtc")


async def stream(rig: Rig, worker: str, *brought: m.FileBrought, wait_s: float = 0.0) -> list[m.FileWanted]:
    return (await rig.dispatch.streams.exchange(m.StreamRequest(worker, [], list(brought), wait_s), bundle(worker))).files


async def fetch(rig: Rig, job: int, name: str = "one", wait_s: float = 0.0) -> m.FileBrought | None:
    record = rig.dispatch.jobs.record(job)
    assert record is not None
    return await rig.dispatch.streams.fetches.fetch(record, "traj*", -1, name, wait_s)


@scenario
async def test_a_waiting_worker_is_asked_and_its_answer_ends_the_waiting(rig: Rig) -> None:
    rig.blobs.add(FILE.blob)
    (job,) = await rig.want("a")
    await rig.lease("w")
    poll = asyncio.ensure_future(stream(rig, "w", wait_s=20.0))
    await asyncio.sleep(0)
    waiting = asyncio.ensure_future(fetch(rig, job, wait_s=20.0))
    assert await poll == [m.FileWanted(f"{job}.1 one", job, 1, "traj*", -1)]
    assert await stream(rig, "w", m.FileBrought(f"{job}.1 one", FILE)) == []
    assert (await waiting) == m.FileBrought(f"{job}.1 one", FILE)
    assert await fetch(rig, job) == m.FileBrought(f"{job}.1 one", FILE), "the same one again"
    assert await fetch(rig, job, "two") is None
    assert [one.fetch for one in await stream(rig, "w")] == [f"{job}.1 two"]
    rig.now += module.ASKED_FOR_S + 1
    assert await stream(rig, "w") == []


@scenario
async def test_only_the_current_attempt_brings_a_file_and_only_one_that_is_here(rig: Rig) -> None:
    (job, other) = await rig.want("a", "b")
    (first,) = await rig.lease("w", 1)
    await rig.lease("v", 1)
    assert await fetch(rig, job) is None
    await stream(rig, "w", m.FileBrought(f"{job}.1 one", FILE), m.FileBrought("nobody's", FILE))
    assert await fetch(rig, job) is None, "its content is not here"
    rig.blobs.add(FILE.blob)
    await stream(rig, "v", m.FileBrought(f"{job}.1 one", FILE))
    assert await fetch(rig, job) is None, "another worker's"
    await rig.exchange("w", report(first, "interrupted"), cores=0)
    (second,) = await rig.lease("w", 1)
    assert second.attempt == 2
    assert await fetch(rig, job) is None
    assert [one.attempt for one in await stream(rig, "w", m.FileBrought(f"{job}.1 one", FILE))] == [2]
    assert await fetch(rig, job) is None, "the attempt before"
    assert await stream(rig, "w", m.FileBrought(f"{job}.2 one", None, "no such file")) == []
    assert await fetch(rig, job) == m.FileBrought(f"{job}.2 one", None, "no such file")
    assert rig.state(other) == "leased"


@scenario
async def test_only_so_many_are_fetched_at_a_time(rig: Rig) -> None:
    (job,) = await rig.want("a")
    await rig.lease("w", 1)
    for number in range(module.MOST_ASKED):
        await fetch(rig, job, str(number))
    with pytest.raises(Unavailable):
        await fetch(rig, job, "too many")
