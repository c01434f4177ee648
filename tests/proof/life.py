"""A server's rooms live on a disk that may lose power: what they do, drawn from a seed, and what was promised to whom."""

from __future__ import annotations

import asyncio
import random
from asyncio import Future
from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass, field
from pathlib import Path

from tests.integration.keeping_office import KeepingOffice
from tests.proof.disk import Disk

from copernicus.blobs.folder import BlobFolder
from copernicus.blobs.hashing import hash_bytes
from copernicus.model import edits as e
from copernicus.model.values import FileRef
from copernicus.server.storage.abc import Change, Unit
from copernicus.server.storage.sqlite.book import SqliteBook
from copernicus.wire import messages as m

SPOOL, BLOBS, BOOK = "spool", "blobs", "projects/book.sqlite"


@dataclass
class Promise:
    """A unit that was handed to the book; `at`: how many events the disk had seen when it was said to be durable."""

    changes: list[Change]
    at: int | None = None


@dataclass
class Promises:
    """All units in their order, and the blobs that were said to be stored, with the same kind of moment."""

    disk: Disk
    units: list[Promise] = field(default_factory=list)
    blobs: list[tuple[str, int]] = field(default_factory=list)
    deeds: Counter[str] = field(default_factory=Counter)

    def kept(self, unit: Promise) -> None:
        """A unit was said to be durable."""
        unit.at = len(self.disk.events)


class PromisingBook(SqliteBook):
    """The real book; what is handed to it is noted, and when it was acknowledged."""

    def __init__(self, path: Path, promises: Promises, checkpoint_pages: int) -> None:
        self.promises, self.checkpoint_pages = promises, checkpoint_pages
        super().__init__(path)

    def submit(self, unit: Unit) -> Future[None]:
        """Note, and hand on."""
        if unit.changes:
            promise = Promise(list(unit.changes))
            self.promises.units.append(promise)
            unit.then(lambda: self.promises.kept(promise))
        return super().submit(unit)

    def _commit(self, units: list[Unit]) -> None:
        if self._writer is not None:
            self._writer.wal_autocheckpoint(self.checkpoint_pages)  # small, so that many cuts fall into checkpoints
        super()._commit(units)


class OrderlyFolder(BlobFolder):
    """The real blob folder; it deletes in an order that a replay repeats."""

    def remove_doomed(self, blobs: Iterable[str]) -> int:
        """Remove, in the order of the hashes."""
        return super().remove_doomed(sorted(blobs))


class Life(KeepingOffice):
    """The projects' and the job room, retention, a real book and a real blob folder under `root`."""

    def __init__(self, root: Path, promises: Promises, chance: random.Random) -> None:
        super().__init__(root / BLOBS)
        self.folder = self.blobs = OrderlyFolder(root / BLOBS)  # type: ignore[assignment]
        self.root, self.promises, self.chance = root, promises, chance
        self.checkpoint_pages = chance.choice((4, 12, 40))
        self.requests: list[tuple[m.ApplyRequest, m.ApplyReply]] = []
        self.works: list[str] = []
        self.others: list[str] = []
        self.contents = self.steps = 0
        self.book = self._open()  # type: ignore[assignment]

    def _open(self) -> PromisingBook:
        return PromisingBook(self.root / BOOK, self.promises, self.checkpoint_pages)

    async def settle(self) -> None:
        """Wait until nothing follows any more from what was done."""
        while any(live._tasks or live.young for live in self.projects.live()):
            await self.book.submit(Unit())
            await asyncio.sleep(0)
        await self.book.submit(Unit())

    async def restart(self) -> None:
        """The server is stopped and started in peace: the book's log of writes is folded into it and deleted."""
        await self.settle()
        await self.projects.close()
        self.book.close()  # type: ignore[attr-defined]
        self.book = self._open()  # type: ignore[assignment]
        await self.come_up()
        await self.settle()

    def file(self, content: str) -> FileRef:
        """Store a content in one of the ways in which contents come, and note that it was said to be stored."""
        data = content.encode()
        blob = hash_bytes(data)
        match self.chance.randrange(4):
            case 0:
                self.folder.put_bytes(data)
            case 1:
                half = len(data) // 2
                received = self.folder.received(blob)
                if received < len(data):
                    self.folder.append(blob, len(data), 0, [data[:half]])
                    self.folder.append(blob, len(data), half, [data[half:]])
            case 2:
                self.folder.put_stream(blob, [data[:1000], data[1000:]])
            case 3:
                (self.root / SPOOL).mkdir(exist_ok=True)
                spooled = self.root / SPOOL / f"f{self.steps}"
                spooled.write_bytes(data)
                self.folder.put_file(spooled, is_moved=True)
        self.stored(blob)
        return FileRef(blob, len(data), "file")

    def stored(self, blob: str) -> None:
        """A blob was said to be stored."""
        self.promises.blobs.append((blob, len(self.promises.disk.events)))

    def content(self) -> str:
        """Something that no other file holds, or now and then something that one holds already."""
        if self.contents and self.chance.random() < 0.15:
            number = self.chance.randrange(self.contents)
        else:
            number = self.contents = self.contents + 1
        return f"content {number} " * random.Random(number).choice((1, 60, 400, 900))

    # --- what is done

    async def live(self, steps: int) -> None:
        """Come up and do so many things."""
        await self.come_up()
        await self.new_work()
        deeds = [self.new_work] * 2 + [self.set_numbers] * 3 + [self.set_file] * 3 + [self.end_job] * 5 + [
            self.ask_again, self.other_project, self.sweep, self.restart, self.let_go,
        ]  # fmt: skip
        for self.steps in range(steps):
            self.now += 60.0
            deed = self.chance.choice(deeds)
            self.promises.deeds[deed.__name__] += 1
            await deed()
            await self.settle()
        await self.projects.close()

    async def ask(self, *edits: e.Edit) -> None:
        """A request with an id of its own."""
        request = m.ApplyRequest("p", list(edits), request_id=f"request-{self.steps}-{len(self.requests)}")
        self.requests.append((request, await self.projects.apply(request, "ada")))

    async def new_work(self) -> None:
        """An instance with a job."""
        name = f"w{len(self.works)}"
        self.works.append(name)
        file = self.file(self.content())
        await self.ask(e.MakeInstance("t::work", name), e.SetFile(f"{name}:in.conf", file), e.Activate(name))

    async def set_numbers(self) -> None:
        """Several users want something in the same moment: one group."""
        count = self.chance.randint(1, 5)
        names = self.chance.sample(self.works, min(count, len(self.works)))
        await asyncio.gather(*(self.ask(e.SetValue(f"{name}:in.n", self.chance.randrange(1000))) for name in names))

    async def set_file(self) -> None:
        """Another file for an instance."""
        await self.ask(e.SetFile(f"{self.chance.choice(self.works)}:in.conf", self.file(self.content())))

    async def end_job(self) -> None:
        """A job brings results, or a checkpoint."""
        waiting = [job.path for job in self.jobs.open_jobs() if job.state == "queued"]
        if waiting:
            kind = self.chance.choice(("traj", "traj", "checkpoint"))
            await self.bring(self.chance.choice(waiting), **{kind: self.content()})

    async def ask_again(self) -> None:
        """A client that lost the answer sends its request again: the answer is the same, and nothing happens."""
        if self.requests:
            request, reply = self.chance.choice(self.requests[-5:])
            before = len(self.promises.units)
            assert await self.projects.apply(request, "ada") == reply
            assert len(self.promises.units) == before

    async def other_project(self) -> None:
        """Another project begins, or goes."""
        if self.others:
            await self.projects.remove_project(self.others.pop(), "ada", f"remove-{self.steps}")
        else:
            name = f"other{self.steps}"
            self.others.append(name)
            await self.projects.start_project(name, "ada", f"start-{self.steps}")
            request = m.ApplyRequest(name, [e.MakeInstance("t::work", "w"), e.SetValue("w:in.n", 5)], request_id=f"in-{name}")
            await self.projects.apply(request, "ada")

    async def let_go(self) -> None:
        """A result is not wanted any more, since what it came from changed."""
        await self.ask(
            e.SetValue(f"{self.works[0]}:in.n", self.steps), e.SetFile(f"{self.works[0]}:in.conf", self.file("same"))
        )

    async def sweep(self) -> None:
        """Weeks pass, and what nobody needs is deleted."""
        self.requests.clear()  # nobody waits so long to ask again
        await self.days(31)
