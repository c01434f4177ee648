"""Lending, one rule at a time: how far workers are lent, what waits to be delivered."""

from __future__ import annotations

import asyncio
from types import SimpleNamespace
from typing import Any, cast

import pytest
from tests.proof.lending.life import LENDER, Life
from tests.unit.leasing import bundle

from copernicus.errors import NotAllowed
from copernicus.model.jobs import LeasedJob, StagedFile
from copernicus.model.values import FileRef
from copernicus.server.access.identity import Identity
from copernicus.server.peers import lending
from copernicus.server.peers.borrowed import FIRST, number_of
from copernicus.server.peers.lending import MOST_HOPS
from copernicus.wire import messages as m

STATE = (StagedFile("state.cpt", FileRef("c" * 64, 7)),)


def calm() -> Life:
    """An owner with a job, a lender, and no faults."""
    life = Life(1)
    life.is_calm = True
    return life


async def taken(life: Life) -> LeasedJob:
    """A worker of the lender has a job of the owner."""
    await life.want(life.owner, 1)
    life.lender.announce("w", 1)
    reply = await life.lending.exchange(m.ExchangeRequest("w", 1, 1, request_id="ask"), bundle("w"))
    (job,) = reply.jobs
    return job


def test_a_checkpoint_that_waits_keeps_what_the_next_one_does_not_bring() -> None:
    async def scenario() -> None:
        life = calm()
        job = await taken(life)
        told: list[Any] = []

        async def at_owner(request: Any) -> Any:
            told.append(request)
            return m.CheckpointReply("accepted")

        async def push(link: Any, file: FileRef) -> None:
            told.append(file)

        life.at_owner = at_owner  # type: ignore[method-assign]
        life.outbox._files = cast(Any, SimpleNamespace(push=push))
        for number, files, outputs in ((1, STATE, {"x": 1}), (2, (), {"x": 2}), (3, (), {})):
            said = m.CheckpointRequest("w", job.job, job.attempt, files, outputs, number=number)
            assert (await life.lending.checkpoint(said, bundle("w"))).verdict == "accepted"
        await life.outbox._send_checkpoint(cast(Any, life.wire), next(iter(life.lending.book)))
        file, said = told
        assert file == STATE[0].file, "first the file, then what names it"
        assert (said.number, said.files, said.outputs) == (3, STATE, {"x": 2})
        assert said.job < FIRST

    asyncio.run(scenario())


def test_a_worker_hears_in_time_from_its_server_though_the_owner_says_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    async def scenario() -> None:
        life = calm()
        job = await taken(life)
        monkeypatch.setattr(lending, "BEAT_S", 0.01)
        monkeypatch.setattr(life.lender.dispatch, "heartbeat_s", 0.01)
        never = asyncio.Event()

        async def at_owner(request: Any) -> Any:
            await never.wait()

        life.at_owner = at_owner  # type: ignore[method-assign]
        reply = await life.lending.heartbeat(m.HeartbeatRequest("w", [m.Beat(job.job, job.attempt)]), bundle("w"))
        assert reply.stop == []

    asyncio.run(asyncio.wait_for(scenario(), 30))


@pytest.mark.parametrize("hops", [MOST_HOPS - 1, MOST_HOPS])
def test_a_worker_is_lent_on_over_so_many_servers_and_no_further(hops: int) -> None:
    async def scenario() -> None:
        life = calm()
        await life.want(life.owner, 1)
        via = tuple(f"{number}" * 64 for number in range(hops))
        brought = Identity("peer", "peer", serial=via[-1], projects=None)
        name = f"w@{via[-1][:8]}"
        offer = m.AnnounceRequest(_offer(life, name, via))
        life.lending.announce(offer, brought)
        reply = await life.lending.exchange(m.ExchangeRequest(name, 1, 1, request_id="ask"), brought)
        assert len(reply.jobs) == (hops < MOST_HOPS)

    asyncio.run(scenario())


@pytest.mark.parametrize("name", ["w", "w@otherone"])
def test_a_peer_speaks_in_its_own_name_only(name: str) -> None:
    async def scenario() -> None:
        life = calm()
        with pytest.raises(NotAllowed):
            life.lending.announce(m.AnnounceRequest(_offer(life, name, (LENDER,))), Identity("peer", "peer", serial=LENDER))

    asyncio.run(scenario())


def _offer(life: Life, name: str, via: tuple[str, ...]) -> Any:
    from msgspec.structs import replace

    life.lender.announce("pattern", 1)
    worker = life.lender.dispatch.workers.get("pattern")
    assert worker is not None
    assert worker.offer is not None
    return replace(worker.offer, worker=name, via=via)


def test_the_number_of_an_attempt_is_its_own_and_always_the_same() -> None:
    numbers = {number_of(owner, job, attempt) for owner in ("a", "b") for job in range(100) for attempt in range(100)}
    assert len(numbers) == 20_000
    assert min(numbers) >= FIRST
    assert max(numbers) < 2**53, "exact in JSON"
    assert number_of("a", 1, 2) == number_of("a", 1, 2)
