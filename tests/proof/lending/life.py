"""Histories of an owner and a lender: real rooms, a link that loses and repeats, servers and workers that are killed.

Judged by what must hold for borrowed attempts: none is given to two workers, nothing accepted is lost, nothing counts twice,
nobody beats for a worker that did not, own jobs go first; and when the faults stop, everything is done.
"""

from __future__ import annotations

import random
from collections.abc import Callable
from types import SimpleNamespace
from typing import Any, cast

from tests.unit.leasing import HEARTBEAT_S, Rig, bundle

from copernicus.errors import CopernicusError, Unreachable
from copernicus.model.jobs import Report
from copernicus.server.access.identity import Identity
from copernicus.server.dispatch.loans import Loans
from copernicus.server.peers.borrowed import FIRST, Book
from copernicus.server.peers.lending import Lending, lent_name
from copernicus.server.peers.link import Link
from copernicus.server.peers.news import News
from copernicus.server.peers.outbox import Outbox
from copernicus.server.storage.abc import PeerRecord
from copernicus.wire import messages as m

OWNER, LENDER = "a" * 64, "b" * 64
PEER = Identity("peer", "peer", "lender", projects=None, serial=LENDER)
STEPS, LAST_ROUNDS = 60, 400


class Killed(BaseException):
    """The lender ends here."""


class Violation(Exception):
    """A promise is broken; `name` says which."""

    def __init__(self, name: str, what: str) -> None:
        super().__init__(f"{name}: {what}")
        self.name = name


class Manual(Outbox):
    """Delivers when it is told to."""

    def wake(self, owner: str) -> None:
        """The history says when."""

    async def deliver(self, link: Link) -> None:
        rows = self._due(OWNER)
        if rows:
            await self._send(link, rows)


class Wire:
    """The link as the lender sees it: `chance` of what befalls a message."""

    def __init__(self, life: Life) -> None:
        self.peer, self.offers, self.heartbeat_s, self.is_open = OWNER, dict[str, Any](), HEARTBEAT_S, True
        self._life = life

    async def call(self, request: Any, timeout_s: float = 0.0) -> Any:
        life, fate = self._life, self._life.fate()
        if fate < 0.1:
            raise Unreachable("lost on the way there")
        reply = await life.at_owner(request)
        if fate < 0.2:
            reply = await life.at_owner(request)
        if fate > 0.97:
            raise Killed
        if fate > 0.88:
            raise Unreachable("lost on the way back")
        return reply


class Life:
    """One history, from a seed."""

    def __init__(self, seed: int) -> None:
        self.chance, self.is_calm = random.Random(seed), False
        self.owner, self.lender = Rig(), Rig()
        self.is_cut = False
        self.workers: dict[str, dict[tuple[int, int], str]] = {}
        self.made = 0
        self.given: dict[tuple[int, int], str] = {}
        self.beaten: set[tuple[int, int]] = set()
        self.acknowledged: set[tuple[int, int]] = set()
        self.arrived: set[tuple[int, int]] = set()
        self.wire = Wire(self)
        self.begin()

    def fate(self) -> float:
        return 0.5 if self.is_calm else self.chance.random()

    def begin(self) -> None:
        """The lender's program starts."""
        self.lender.restart()
        rig, peer = self.lender, PeerRecord(OWNER, "", "owner", "h", 1, 2, "trusted", 0.0)
        links = SimpleNamespace(of=lambda id: None if self.is_cut else self.wire)
        trust = SimpleNamespace(own=LENDER, is_alone=False, agreed=lambda: [peer], is_agreed=lambda id: True)
        book = Book(rig.book)
        self.outbox = Manual(book, cast(Any, links), cast(Any, None), rig.book, lambda worker: lent_name(LENDER, worker))
        room = cast(Any, SimpleNamespace(trust=trust, links=links))
        now = lambda: rig.now  # noqa: E731
        self.lending = Lending(
            room, rig.dispatch, Loans(rig.dispatch), book, self.outbox, News(LENDER, 0), rig.book, lambda blob: True, now, now
        )  # fmt: skip
        self.wire.offers.clear()
        self.lending.load()

    async def at_owner(self, request: Any) -> Any:
        """What the owner does with a message, and what may not be said to it."""
        dispatch = self.owner.dispatch
        match request:
            case m.AnnounceRequest():
                return dispatch.announce(request, PEER)
            case m.HeartbeatRequest():
                for beat in request.beats:
                    if (beat.job, beat.attempt) not in self.beaten:
                        raise Violation("made up", f"a beat for job {beat.job}, attempt {beat.attempt}")
                return await dispatch.heartbeat(request, PEER)
            case m.ExchangeRequest():
                self.arrived |= {(report.job, report.attempt) for report in request.reports}
                return await dispatch.exchange(request, PEER, lambda: True)
        raise AssertionError(request)

    # --- what workers do

    def come(self) -> str:
        """A worker comes."""
        self.made += 1
        name = f"w{self.made}"
        self.workers[name] = {}
        return name

    async def ask(self, name: str) -> None:
        """A worker with a free core asks for a job."""
        own_waits = any(job.state == "queued" for job in self.lender.dispatch.jobs.open_jobs())
        self.lender.announce(name, 1)
        id = f"ask {name} {self.chance.random()}"
        reply = await self.lending.exchange(m.ExchangeRequest(name, 1, 1, request_id=id), bundle(name))
        for job in reply.jobs:
            if job.job >= FIRST:
                row = self.lending.book.get(job.job)
                if row is None:
                    raise Violation("not written down", f"number {job.job}")
                key = (row.lease.job, row.lease.attempt)
                if self.given.setdefault(key, name) != name:
                    raise Violation("leased again", f"job {key[0]}, attempt {key[1]} to {self.given[key]} and {name}")
                if own_waits:
                    raise Violation("own queue first", f"job {key[0]} though own jobs wait")
            if self.fate() < 0.9:  # else the answer is lost
                self.workers[name][job.job, job.attempt] = job.path

    async def beat(self, name: str) -> None:
        """A worker says that it lives."""
        held = self.workers[name]
        for number, attempt in held:
            row = self.lending.book.get(number)
            if row is not None:
                self.beaten.add((row.lease.job, attempt))
        beats = [m.Beat(number, attempt) for number, attempt in held]
        try:
            reply = await self.lending.heartbeat(m.HeartbeatRequest(name, beats), bundle(name))
        finally:
            self.beaten.clear()
        for key in [key for key in held if key[0] in reply.stop]:
            del held[key]

    async def finish(self, name: str) -> None:
        """A worker has done a job, and says so until it is answered; or says it twice."""
        held = self.workers[name]
        if not held:
            return
        number, attempt = self.chance.choice(sorted(held))
        row = self.lending.book.get(number)
        report = Report(number, attempt, "finished", {"worker": name}, wall_s=1.0)
        for _ in range(1 if self.fate() < 0.8 else 2):
            reply = await self.lending.exchange(m.ExchangeRequest(name, 0, 0, [report]), bundle(name))
        if number >= FIRST and row is not None and reply.verdicts[0].verdict == "accepted":
            self.acknowledged.add((row.lease.job, attempt))
        del held[number, attempt]

    def die(self, name: str) -> None:
        """A worker is gone."""
        del self.workers[name]

    # --- what happens

    async def want(self, rig: Rig, count: int) -> None:
        await rig.want(*(f"key {self.chance.random()}" for _ in range(count)))

    async def step(self) -> None:
        """Something happens."""
        chance = self.chance
        name = chance.choice(sorted(self.workers)) if self.workers else self.come()
        match chance.choices(range(10), (2, 12, 6, 5, 1, 2, 1, 1, 3, 6))[0]:
            case 0:
                self.come()
            case 1:
                await self.ask(name)
            case 2:
                await self.beat(name)
            case 3:
                await self.finish(name)
            case 4:
                self.die(name)
            case 5:
                self.is_cut = not self.is_cut
            case 6:
                self.begin()
            case 7:
                self.owner_again()
            case 8:
                await self.pass_time(chance.choice((5.0, 30.0, HEARTBEAT_S * 1.2)))
            case 9:
                await self.deliver()

    def owner_again(self) -> None:
        """The owner is killed and comes back; what its project was told stands in the log, which this is."""
        ends = self.owner.project.ends
        self.owner.restart()
        self.owner.project.ends = ends

    async def deliver(self) -> None:
        """The outbox gets its turn."""
        if not self.is_cut:
            try:
                await self.outbox.deliver(cast(Any, self.wire))
            except CopernicusError:
                return

    async def pass_time(self, seconds: float) -> None:
        """Time passes; only those that beat are alive."""
        ends_at = self.owner.now + seconds
        while self.owner.now < ends_at:
            for rig in (self.owner, self.lender):
                rig.now += HEARTBEAT_S / 20
                rig.dispatch.tick()
            self.lending.tick()
            for name in sorted(self.workers):
                if self.is_calm or self.chance.random() < 0.7:
                    await self.beat(name)

    async def survived(self, act: Callable[[], Any]) -> None:
        """Do something; the lender may be killed in the middle of it."""
        try:
            await act()
        except Killed:
            self.begin()

    async def run(self) -> None:
        """Live, and be judged."""
        await self.want(self.owner, 4)
        self.come()
        for number in range(STEPS):
            if number == STEPS // 2:
                await self.want(self.owner, 2)
                await self.want(self.lender, 2)
            await self.survived(self.step)
            self.judge()
        await self.end()

    async def end(self) -> None:
        """The faults stop: everything comes to an end."""
        self.is_calm, self.is_cut = True, False
        self.come()
        for _ in range(LAST_ROUNDS):
            await self.pass_time(HEARTBEAT_S / 4)
            for name in sorted(self.workers):
                await self.finish(name)
                if not self.workers[name]:
                    await self.ask(name)
            await self.deliver()
            self.judge()
            if not any(True for rig in (self.owner, self.lender) for _ in rig.dispatch.jobs.open_jobs()):
                break
        await self.deliver()
        lost = self.acknowledged - self.arrived
        if lost:
            raise Violation("lost", f"accepted, and never told to the owner: {len(lost)} attempts, {sorted(lost)[:5]}")
        if any(True for rig in (self.owner, self.lender) for _ in rig.dispatch.jobs.open_jobs()):
            raise Violation("stuck", "jobs are never done")

    def judge(self) -> None:
        """What holds at any time."""
        finished = [job for end, job, _ in self.owner.project.ends if end == "finished"]
        twice = {job for job in finished if finished.count(job) > 1}
        if twice:
            raise Violation("twice", f"jobs {sorted(twice)}")
        failed = [end for end in self.owner.project.ends if end[0] == "failed" and "workers were lost" not in end[2]]
        if failed:
            raise Violation("ended", f"{failed[0]}")
