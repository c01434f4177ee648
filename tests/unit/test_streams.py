"""Who may bring what of a running attempt, how much of it is kept, and when a follower hears of it."""

from __future__ import annotations

import asyncio

import pytest
from tests.unit.leasing import HEARTBEAT_S, Rig, bundle, report, scenario

from copernicus.errors import NotAllowed
from copernicus.model.jobs import LeasedJob
from copernicus.server.dispatch import streams as module
from copernicus.wire import messages as m


async def bring(rig: Rig, worker: str, *pieces: m.Piece, wait_s: float = 0.0) -> list[m.Wanted]:
    request = m.StreamRequest(worker, list(pieces), wait_s=wait_s)
    return (await rig.dispatch.streams.exchange(request, bundle(worker))).wanted


async def follow(rig: Rig, job: int, seen: m.FollowReply | None = None, wait_s: float = 0.0) -> m.FollowReply:
    offsets = {piece.file: piece.offset + len(piece.data) for piece in seen.pieces} if seen else {}
    request = m.FollowRequest("named", str(job), seen.attempt if seen else 0, offsets, seen.state if seen else "", wait_s)
    return await rig.dispatch.streams.follow(job, request)


def piece(job: LeasedJob, data: bytes, offset: int = 0, file: str = "stdout") -> m.Piece:
    return m.Piece(job.job, job.attempt, file, offset, data, offset + len(data))


@scenario
async def test_a_worker_is_asked_only_while_somebody_follows(rig: Rig) -> None:
    (job,) = await rig.want("a")
    (leased,) = await rig.lease()
    assert await bring(rig, "w", piece(leased, b"unasked")) == []
    asked = asyncio.ensure_future(bring(rig, "w", wait_s=20.0))
    await asyncio.sleep(0)
    first = await follow(rig, job)
    assert await asked == [m.Wanted(job, 1)]
    waiting = asyncio.ensure_future(follow(rig, job, first, wait_s=20.0))
    await asyncio.sleep(0)
    assert await bring(rig, "w", piece(leased, b"one\n")) == [m.Wanted(job, 1, {"stdout": 4})]
    assert (await waiting).pieces == [m.StreamPiece("stdout", 0, b"one\n")]
    rig.now += module.FOLLOWED_FOR_S + 1
    assert await bring(rig, "w", piece(leased, b"two\n", 4)) == []
    assert rig.dispatch.streams.kept_bytes() == 0


@scenario
async def test_a_piece_of_an_earlier_attempt_or_of_another_worker_is_not_taken(rig: Rig) -> None:
    (job,) = await rig.want("a")
    (first,) = await rig.lease("w")
    await follow(rig, job)
    await rig.wait(HEARTBEAT_S + 10)
    (second,) = await rig.lease("v")
    reply = await follow(rig, job)
    assert (reply.attempt, reply.state) == (2, "leased")
    assert await bring(rig, "w", piece(first, b"late")) == []
    assert await bring(rig, "w", piece(second, b"stolen")) == []
    assert (await follow(rig, job)).pieces == []
    assert await bring(rig, "v", piece(second, b"right")) == [m.Wanted(job, 2, {"stdout": 5})]
    assert [one.data for one in (await follow(rig, job)).pieces] == [b"right"]
    await rig.exchange("v", report(second, "interrupted"), cores=0)
    (third,) = await rig.lease("v")
    assert await bring(rig, "v", piece(second, b"of the same worker, and late", 5)) == [m.Wanted(job, 3)]
    seen = m.FollowReply(job, "run", "leased", 2, pieces=[m.StreamPiece("stdout", 0, b"right")])
    assert (await follow(rig, job, seen)).attempt == 3, "nothing came to the attempt that is over"
    assert await bring(rig, "v", piece(third, b"third")) == [m.Wanted(job, 3, {"stdout": 5})]
    with pytest.raises(NotAllowed):
        await rig.dispatch.streams.exchange(m.StreamRequest("v", [piece(second, b"forged")]), bundle("thief"))


@scenario
async def test_a_follower_sees_the_rest_of_an_attempt_then_the_next_one_then_the_end(rig: Rig) -> None:
    (job,) = await rig.want("a")
    (first,) = await rig.lease()
    await follow(rig, job)
    await bring(rig, "w", piece(first, b"first"))
    await rig.exchange("w", report(first, "interrupted"), cores=0)
    seen = await follow(rig, job, m.FollowReply(job, "run", "leased", 1))
    assert (seen.attempt, seen.state, [one.data for one in seen.pieces]) == (1, "queued", [b"first"])
    (second,) = await rig.lease()
    await bring(rig, "w", piece(second, b"second"))
    await rig.exchange("w", report(second), cores=0)
    seen = await follow(rig, job, seen)
    assert (seen.attempt, [one.data for one in seen.pieces], seen.is_over) == (2, [b"second"], False)
    seen = await follow(rig, job, seen)
    assert (seen.state, seen.pieces, seen.is_over) == ("done", [], True)


@scenario
async def test_an_attempt_that_was_over_too_soon_is_shown_by_its_last_lines(rig: Rig) -> None:
    (job,) = await rig.want("a")
    (leased,) = await rig.lease()
    await rig.exchange("w", report(leased, stdout_tail="all of it", stderr_tail=" "), cores=0)
    seen = await follow(rig, job)
    assert seen.pieces == [m.StreamPiece("stdout", 0, b"all of it\n")]
    assert (await follow(rig, job, seen)).is_over


@scenario
async def test_what_is_kept_of_a_thousand_jobs_is_bounded(rig: Rig) -> None:
    jobs = await rig.want(*(f"key {n}" for n in range(1000)))
    rig.announce("w", 1000)
    leased = [job for _ in range(4) for job in (await rig.exchange("w", cores=1000, most=250)).jobs]
    for job in jobs:
        await follow(rig, job)
    assert len(await bring(rig, "w")) == 1000
    for offset in (0, 100_000):
        for number, job in enumerate(leased):
            await bring(rig, "w", *(piece(job, bytes(100_000), offset, name) for name in ("stdout", "stderr")))
            if number % 100 == 0:
                assert rig.dispatch.streams.kept_bytes() <= module.TOTAL_BYTES
    assert module.TOTAL_BYTES // 2 < rig.dispatch.streams.kept_bytes() <= module.TOTAL_BYTES
    rig.now += module.FOLLOWED_FOR_S + 1
    rig.dispatch.tick()
    assert rig.dispatch.streams.kept_bytes() == 0


@scenario
async def test_closing_answers_all_who_wait(rig: Rig) -> None:
    (job,) = await rig.want("a")
    first = await follow(rig, job)
    waiting = [asyncio.ensure_future(one) for one in (follow(rig, job, first, wait_s=30.0), bring(rig, "w", wait_s=30.0))]
    await asyncio.sleep(0)
    rig.dispatch.close()
    assert (await waiting[0]).state == "queued"  # type: ignore[union-attr]
    assert await waiting[1] == []
