"""Lending: workers that this server has nothing for do other servers' jobs. Whatever a worker says of such a job is passed on.

To the owner of a job, a worker that is lent is a worker, under the name `WORKER@LENDER`. Own queue first, then the peers in
their order; a worker never waits at two queues. See decision 19.
"""

from __future__ import annotations

import asyncio
import logging
from collections import defaultdict
from collections.abc import Callable

from msgspec.structs import replace

from copernicus.errors import CopernicusError, NotAllowed
from copernicus.model.jobs import LeasedJob, Report, StopReason
from copernicus.server.access.identity import Identity
from copernicus.server.peers.borrowed import FIRST, Book, Borrowed, number_of
from copernicus.server.peers.link import Link
from copernicus.server.peers.news import News
from copernicus.server.peers.outbox import Outbox
from copernicus.server.peers.ports import Loanable, Loans, Own
from copernicus.server.peers.room import PeerRoom
from copernicus.server.storage.abc import BookStore, PeerRecord, Unit
from copernicus.wire import messages as m

MOST_HOPS = 4
ASK_S, HOP_S = 12.0, 2.0
"""How long an owner is waited for; a server further on waits less, so that the way back is not over first."""
BEAT_S = 2.0
WAKE_S = 0.02
UNCLAIMED_BEATS = 3
KEPT_S = 30 * 24 * 3600.0
_log = logging.getLogger(__name__)


class Lending:
    """What workers say to this server, about its own jobs and those of others. Belongs to one event loop.

    `has_blob` says whether a whole blob is here; `clock` is the wall clock.
    """

    def __init__(
        self,
        room: PeerRoom,
        own: Own,
        loans: Loans,
        book: Book,
        outbox: Outbox,
        news: News,
        store: BookStore,
        has_blob: Callable[[str], bool],
        clock: Callable[[], float],
        monotonic: Callable[[], float],
    ) -> None:
        self._room, self._own, self._loans, self._store, self._has_blob = room, own, loans, store, has_blob
        self.book, self.outbox, self.news = book, outbox, news
        self._clock, self._monotonic = clock, monotonic
        self._id = room.trust.own
        self._waiting: dict[str, int] = defaultdict(int)
        self._seen: dict[int, float] = {}
        self._waking: asyncio.TimerHandle | None = None
        news.when_newer = self.look_again

    def load(self) -> None:
        """Read the book anew, after the workers' leases have been: each attempt gets its whole time again."""
        self.book.load()
        self._seen.clear()
        for row in self.book:
            if row.report is None:
                self._loans.hold(row.worker, row.number, row.lease)

    def name_at_owner(self, worker: str) -> str:
        """The name under which an owner knows a worker of this server."""
        return lent_name(self._id, worker)

    @property
    def heartbeat_s(self) -> float:
        """The interval that suits every server whose jobs workers may get."""
        links = (self._room.links.of(peer.id) for peer in self._room.trust.agreed())
        return min([self._own.heartbeat_s, *(link.heartbeat_s for link in links if link is not None and link.heartbeat_s > 0)])

    def lent(self, owner: str) -> tuple[int, int]:
        """How many jobs, and cores, this server's workers have of a peer's now."""
        rows = [row for row in self.book.of_owner(owner) if row.report is None]
        return len(rows), sum(row.lease.cores for row in rows)

    # --- what workers say

    def announce(self, request: m.AnnounceRequest, identity: Identity) -> m.AnnounceReply:
        """A worker introduces itself; one that a peer brings bears the peer's name. Raise `NotAllowed`, and as `Dispatch`."""
        offer = request.offer
        if identity.kind == "peer":
            is_named = offer.worker.endswith(f"@{identity.serial[:8]}") and len(offer.worker) < 500
            if not is_named or not offer.via or offer.via[-1] != identity.serial or len(offer.via) > MOST_HOPS:
                raise NotAllowed("This worker is not one of that server.")
        elif offer.via:
            request = m.AnnounceRequest(replace(offer, via=()))
        return replace(self._own.announce(request, identity), heartbeat_s=self.heartbeat_s)

    async def exchange(
        self, request: m.ExchangeRequest, identity: Identity, is_open: Callable[[], bool] = lambda: True
    ) -> m.ExchangeReply:
        """Take reports and give jobs: of this server's own queue, else of the peers'; wait for either up to `wait_s`."""
        foreign = [report for report in request.reports if report.job >= FIRST]
        if not foreign and self._room.trust.is_alone:
            return await self._own.exchange(request, identity, is_open)
        unit = Unit()
        verdicts = [self._file(unit, report, request.worker, identity) for report in foreign]
        filed = self._store.submit(unit)
        own = [report for report in request.reports if report.job < FIRST]
        try:
            reply = await self._own.exchange(replace(request, reports=own, wait_s=0.0), identity, is_open)
        finally:
            await filed
        if verdicts:
            self.outbox.wake_all()
            reply = replace(reply, verdicts=[*reply.verdicts, *verdicts])
        is_full = request.free_cores < 1 or request.most_jobs < 1
        if reply.jobs or reply.is_unknown_worker or is_full:
            return reply
        asking = replace(request, reports=[], blobs=[], request_id="" if own else request.request_id)
        found = await self._look(asking, identity, is_open)
        return replace(found, verdicts=reply.verdicts) if found is not None else reply

    async def _look(
        self, request: m.ExchangeRequest, identity: Identity, is_open: Callable[[], bool]
    ) -> m.ExchangeReply | None:  # fmt: skip
        """Ask the peers; then wait at the own queue, and ask again when there is news."""
        loop = asyncio.get_running_loop()
        ends_at = loop.time() + min(request.wait_s, self._own.heartbeat_s / 2)
        while True:
            version = self.news.version
            found = await self._borrow(request, identity)
            left_s = ends_at - loop.time()
            if found is not None or left_s <= 0 or not is_open():
                return found
            if version != self.news.version:
                await asyncio.sleep(WAKE_S)
                continue
            self._waiting[request.worker] += 1
            try:
                reply = await self._own.exchange(replace(request, wait_s=left_s), identity, is_open)
            finally:
                self._waiting[request.worker] -= 1
                if not self._waiting[request.worker]:
                    del self._waiting[request.worker]
            if reply.jobs or reply.is_unknown_worker or version == self.news.version:
                return reply

    def look_again(self) -> None:
        """Jobs may wait somewhere: those that wait here ask again, soon."""
        if self._waking is None and self._waiting:
            self._waking = asyncio.get_running_loop().call_later(WAKE_S, self._wake)

    def _wake(self) -> None:
        self._waking = None
        for worker in list(self._waiting):
            self._loans.wake(worker)

    async def heartbeat(self, request: m.HeartbeatRequest, identity: Identity) -> m.HeartbeatReply:
        """Renew leases, here and at the owners'. A beat is passed on when it comes, and never made up."""
        foreign = [beat for beat in request.beats if beat.job >= FIRST]
        own = replace(request, beats=[beat for beat in request.beats if beat.job < FIRST]) if foreign else request
        reply = replace(await self._own.heartbeat(own, identity), heartbeat_s=self.heartbeat_s)
        why, passed = dict(reply.why), defaultdict[str, list[tuple[Borrowed, m.Beat]]](list)
        for beat in foreign:
            row = self._row(beat.job, beat.attempt, request.worker, identity)
            if row is None or not self._room.trust.is_agreed(row.owner):
                why[beat.job] = "unwanted"
            elif row.report is None:
                self._loans.hold(row.worker, row.number, row.lease)
                self._seen[row.number] = self._monotonic()
                passed[row.owner].append((row, beat))
        for stops in await asyncio.gather(*(self._beat(owner, beats, identity) for owner, beats in passed.items())):
            why |= stops
        return replace(reply, stop=list(why), why=why)

    async def _beat(self, owner: str, beats: list[tuple[Borrowed, m.Beat]], identity: Identity) -> dict[int, StopReason]:
        """Pass beats of one worker on, and return what the owner wants stopped, by the numbers here; nothing without a link."""
        link, worker = self._room.links.of(owner), beats[0][0].worker
        if link is None:
            return {}
        said = [m.Beat(row.lease.job, row.lease.attempt, beat.progress) for row, beat in beats]
        try:
            async with asyncio.timeout(max(BEAT_S, self.heartbeat_s / 8)):  # the worker itself does not wait for long
                reply = await link.call(m.HeartbeatRequest(self.name_at_owner(worker), said), self._patience(worker))
                if reply.is_unknown_worker:
                    await self._introduce(link, worker, identity)
        except (CopernicusError, TimeoutError) as error:
            _log.debug("server %s was not told that worker %s lives: %s", owner, worker, error)
            return {}
        numbers = {row.lease.job: row.number for row, _ in beats}
        return {numbers[job]: reply.why.get(job) or "unwanted" for job in reply.stop if job in numbers}

    async def checkpoint(self, request: m.CheckpointRequest, identity: Identity) -> m.CheckpointReply:
        """Take the checkpoint of another server's job in; it is delivered with the reports, the newest one only."""
        row = self._row(request.job, request.attempt, request.worker, identity)
        if row is None or row.report is not None:
            return m.CheckpointReply("stale")
        unit = Unit()
        if row.checkpoint is not None and 0 < request.number <= row.checkpoint.number:
            await self._store.submit(unit)
            return m.CheckpointReply("accepted")  # a newer one has come before it
        kept = replace(row, checkpoint=_joined(row.checkpoint, replace(request, job=row.lease.job, worker="")))
        missing = next((file for file in kept.brought() if not self._has_blob(file.blob)), None)
        if missing is not None:
            return m.CheckpointReply("refused", f"The file {missing.name[:80]} has not been received.")
        self.book.put(unit, kept)
        await self._store.submit(unit)
        self.outbox.wake(row.owner)
        return m.CheckpointReply("accepted")

    async def farewell(self, request: m.FarewellRequest, identity: Identity) -> m.Done:
        """A worker ends: the owners hear that what it still had of theirs is interrupted."""
        unit = Unit()
        for row in self.book.of_worker(request.worker, identity.key):
            if row.report is None:
                self._interrupt(unit, row, "the worker left")
        if unit.changes:
            await self._store.submit(unit)
            self.outbox.wake_all()
        return await self._own.farewell(request, identity)

    # --- time

    def tick(self) -> None:
        """Called every few seconds: what no worker claims goes back to its owner; what is long forgotten is dropped."""
        unit, now = Unit(), self._monotonic()
        for row in self.book:
            if not self._room.trust.is_agreed(row.owner) or self._clock() - row.at > KEPT_S:
                self._loans.release(row.worker, row.number)
                self.book.drop(unit, row)
            elif row.report is None and self._loans.is_gone(row.worker):
                self._loans.release(row.worker, row.number)  # the owner misses it by itself; it may come back
                self._seen.pop(row.number, None)
            elif row.report is None and now - self._seen.setdefault(row.number, now) > UNCLAIMED_BEATS * self._own.heartbeat_s:
                self._interrupt(unit, row, "the worker does not have it")
        self._seen = {number: at for number, at in self._seen.items() if self.book.get(number) is not None}
        if unit.changes:
            self._store.submit(unit)
            self.outbox.wake_all()

    # --- inside

    def _row(self, number: int, attempt: int, worker: str, identity: Identity) -> Borrowed | None:
        """What a worker speaks of, if it is its own."""
        row = self.book.get(number)
        is_own = row is not None and (row.worker, row.bundle, row.lease.attempt) == (worker, identity.key, attempt)
        return row if is_own else None

    def _file(self, unit: Unit, report: Report, worker: str, identity: Identity) -> m.Verdict:
        """An attempt is over, says its worker: so it is kept until the owner has been told."""
        row = self._row(report.job, report.attempt, worker, identity)
        if row is None:
            return m.Verdict(report.job, report.attempt, "stale")
        if row.report is not None:
            return m.Verdict(report.job, report.attempt, "accepted")
        kept = replace(row, report=replace(report, job=row.lease.job))
        missing, why = next((file for file in kept.brought() if not self._has_blob(file.blob)), None), ""
        if missing is not None:
            why = f"The file {missing.name[:80]} that the report names has not been received."
            again = replace(report, job=row.lease.job, outcome="retry", error=why, outputs={}, checkpoint=())
            kept = replace(row, report=again)
        self.book.put(unit, kept)
        self._loans.release(row.worker, row.number)
        return m.Verdict(report.job, report.attempt, "refused" if missing is not None else "accepted", why)

    def _interrupt(self, unit: Unit, row: Borrowed, why: str) -> None:
        report = Report(row.lease.job, row.lease.attempt, "interrupted", error=why)
        self.book.put(unit, replace(row, report=report))
        self._loans.release(row.worker, row.number)

    async def _borrow(self, request: m.ExchangeRequest, identity: Identity) -> m.ExchangeReply | None:
        """Ask the peers for jobs for a worker, in their order, until one has any."""
        for peer in self._room.trust.agreed():
            link = self._room.links.of(peer.id)
            if link is None:
                continue
            try:
                jobs = await self._ask(peer, link, request, identity)
            except CopernicusError as error:
                _log.info("server %s was asked for jobs in vain: %s", peer.id, error)
                continue
            if jobs is not None:
                return jobs
        return None

    async def _ask(
        self, peer: PeerRecord, link: Link, request: m.ExchangeRequest, identity: Identity
    ) -> m.ExchangeReply | None:  # fmt: skip
        loan = self._loan(peer.id, request.worker, identity)
        if loan is None or (peer.is_only_when_idle and not loan.is_idle):
            return None
        free = request.free_cores
        if peer.cores is not None:
            free = min(free, peer.cores - self.lent(peer.id)[1])
        if free < 1:
            return None
        if link.offers.get(request.worker) != replace(loan.offer, time_left_s=None):
            await self._introduce(link, request.worker, identity)
        name, limit_s = self.name_at_owner(request.worker), self._patience(request.worker)
        asked = m.ExchangeRequest(name, free, request.most_jobs, request_id=request.request_id)
        reply = await link.call(asked, limit_s)
        if reply.is_unknown_worker:  # it has been started anew
            await self._introduce(link, request.worker, identity)
            reply = await link.call(asked, limit_s)
        jobs = _fitting(reply.jobs, free, request.most_jobs)
        return await self._take(peer.id, jobs, reply.blobs, request.worker, identity) if jobs else None

    def _loan(self, owner: str, worker: str, identity: Identity) -> Loanable | None:
        held = {row.number for row in self.book.of_worker(worker, identity.key) if row.owner == owner}
        loan = self._loans.look(worker, held)
        if loan is None or len(loan.offer.via) >= MOST_HOPS or owner in loan.offer.via:
            return None
        return loan

    async def _introduce(self, link: Link, worker: str, identity: Identity) -> None:
        loan = self._loan(link.peer, worker, identity)
        if loan is not None:
            offer = replace(loan.offer, worker=self.name_at_owner(worker), via=(*loan.offer.via, self._id))
            await link.call(m.AnnounceRequest(offer), self._patience(worker))
            link.offers[worker] = replace(loan.offer, time_left_s=None)

    async def _take(
        self, owner: str, jobs: list[LeasedJob], blobs: list[m.InlineBlob], worker: str, identity: Identity
    ) -> m.ExchangeReply | None:  # fmt: skip
        """Write down what was borrowed, before the worker has it."""
        unit, given, now = Unit(), list[LeasedJob](), self._clock()
        for lease in jobs:
            number = number_of(owner, lease.job, lease.attempt)
            row = self.book.get(number)
            if row is None:
                self.book.put(unit, Borrowed(number, owner, lease, worker, identity.key, now))
            elif row.report is not None or (row.worker, row.bundle) != (worker, identity.key):
                continue
            self._loans.hold(worker, number, lease)
            given.append(replace(lease, job=number))
        await self._store.submit(unit)
        return m.ExchangeReply(given, blobs) if given else None

    def _patience(self, worker: str) -> float:
        return ASK_S - HOP_S * min(MOST_HOPS, worker.count("@"))


def _joined(old: m.CheckpointRequest | None, new: m.CheckpointRequest) -> m.CheckpointRequest:
    """What is to be told when a checkpoint follows one that waits: what it does not bring stays as it was."""
    if old is None:
        return new
    return replace(new, files=new.files or old.files, outputs=new.outputs or old.outputs)


def lent_name(lender: str, worker: str) -> str:
    """The name under which a worker of the server `lender` is known at owners."""
    return f"{worker}@{lender[:8]}"


def _fitting(jobs: list[LeasedJob], free_cores: int, most: int) -> list[LeasedJob]:
    """Those that fit: an owner's answer is no order."""
    found, left = list[LeasedJob](), free_cores
    for lease in jobs[:most]:
        if 1 <= lease.cores <= left:
            found.append(lease)
            left -= lease.cores
    return found
