"""Power cuts: one life is recorded, the power fails at many moments of it, and what each cut leaves is opened and judged.

python -m tests.proof.cuts [--seed S] [--minutes M] [--planted] [--json]      many lives
python -m tests.proof.cuts LIFE [--cut NUMBER] [--bug NAME]                   one life again, or one cut of it
"""

from __future__ import annotations

import argparse
import asyncio
import random
import shutil
import sys
import tempfile
from collections import Counter, defaultdict
from collections.abc import Iterator
from contextlib import nullcontext
from dataclasses import dataclass, field
from pathlib import Path
from unittest.mock import patch

from tests.integration.keeping_office import KeepingOffice
from tests.proof.bookkeeping import Prefixes, Rows, read_rows
from tests.proof.bugs import PLANTS
from tests.proof.disk import Disk, Named, Platter, lay_out
from tests.proof.life import BLOBS, BOOK, Life, Promises, PromisingBook
from tests.proof.part import Result, main
from tests.proof.recorder import SHARED_INDEX, recording

from copernicus.blobs.folder import BlobFolder
from copernicus.errors import CopernicusError
from copernicus.server.projects.holdings import Held, LogIndex, job_holds, network_holds
from copernicus.server.projects.live import LiveProject
from copernicus.server.storage.abc import Unit
from copernicus.server.storage.sqlite.book import SqliteBook

STEPS, CUTS, SECOND_EVERY = 14, 50, 3
LIVES = 42
"""Of the short form: 2,100 cuts."""
IN_MEMORY = Path("/dev/shm")


@dataclass(frozen=True)
class Finding:
    """Something that must not be, after cut `cut` of life `seed`."""

    kind: str
    what: str
    seed: int
    cut: int

    @property
    def replay(self) -> str:
        """The command that does the same again."""
        return f"python -m tests.proof.cuts {self.seed} --cut {self.cut}"

    def __str__(self) -> str:
        return f"{self.kind}: {self.what}\n  replay: {self.replay}"


@dataclass
class Tally:
    """What was tried."""

    lives: int = 0
    cuts: int = 0
    second_cuts: int = 0
    events: int = 0
    units: int = 0
    unacknowledged: int = 0
    deeds: Counter[str] = field(default_factory=Counter)
    findings: list[Finding] = field(default_factory=list)

    def __str__(self) -> str:
        done = ", ".join(f"{name} {count}" for name, count in sorted(self.deeds.items()))
        return (
            f"{self.cuts} cuts of {self.lives} lives, {self.second_cuts} of them twice"
            f" ({self.events} events on the disk, {self.units} units; {done});"
            f" {self.unacknowledged} cuts had kept a unit that nobody was told of; {len(self.findings)} findings"
        )


class Recorded:
    """One life, from its seed: what the disk was told, and what was promised."""

    def __init__(self, seed: int, folder: Path, steps: int = STEPS) -> None:
        self.seed, self.disk = seed, Disk()
        self.promises = Promises(self.disk)
        self.failure = ""
        folder.mkdir()
        names = random.Random(seed)  # of temporary files and projects: so that a replay is the same to the last byte
        with recording(self.disk, folder), patch("secrets.token_hex", lambda count: names.randbytes(count).hex()):
            life = Life(folder, self.promises, random.Random(seed))
            try:
                asyncio.run(life.live(steps))
            except Exception as error:  # a bug may show before the power fails; what the disk saw until then is judged as well
                self.failure = f"{type(error).__name__}: {error}"
            finally:
                life.book.close()  # type: ignore[attr-defined]
        self.now, self.end = life.now, len(self.disk.events)
        self.prefixes = Prefixes(self.promises.units)
        self.removals: dict[str, list[int]] = defaultdict(list)
        for index, event in enumerate(self.disk.events):
            if isinstance(event, Named) and event.file is None:
                self.removals[event.path].append(index)

    def moments(self, count: int) -> list[int]:
        """After how many events the power fails: anywhere, and more often where something was just promised."""
        chance = random.Random(self.seed * 7919)
        told = [unit.at for unit in self.promises.units if unit.at is not None] + [at for _, at in self.promises.blobs]
        return sorted(
            chance.choice(told) if told and chance.random() < 0.3 else chance.randint(0, self.end) for _ in range(count)
        )

    def lefts(self, count: int) -> Iterator[tuple[int, int, dict[str, bytes | None]]]:
        """Yield number, moment and what is left of the disk, for each cut."""
        platter, taken = Platter(), 0
        for cut, moment in enumerate(self.moments(count)):
            for event in self.disk.events[taken:moment]:
                platter.take(event)
            taken = moment
            yield cut, moment, platter.after_cut(random.Random(self.seed * 1_000_003 + cut))


class Judge:
    """Opens what a cut left with the server's own code, and finds what must not be."""

    def __init__(self, life: Recorded, moment: int, folder: Path, disk: Disk) -> None:
        self.life, self.moment, self.folder = life, moment, folder
        self.promises, self.began_at = Promises(disk), len(disk.events)
        self.found: list[tuple[str, str]] = []
        self.has_more = False
        self.rows: Rows = {}

    async def judge(self) -> None:
        """Fill `found`."""
        told = [
            index for index, unit in enumerate(self.life.promises.units, 1) if unit.at is not None and unit.at <= self.moment
        ]
        self._judge_blobs()
        book = PromisingBook(self.folder / BOOK, self.promises, 4)
        try:
            self._judge_rows(max(told, default=0))
            await self._come_up(book)
        except CopernicusError as error:
            self.found.append(("unreadable", str(error)))
        finally:
            book.close()

    def _judge_rows(self, told: int) -> None:
        """Everything acknowledged is there; every other unit wholly, or not at all."""
        self.rows, integrity = read_rows(self.folder / BOOK)
        count = self.life.prefixes.units_in(self.rows)
        self._compare(count, told, integrity, "")
        self.has_more = count is not None and count > told

    def _compare(self, count: int | None, told: int, integrity: str, when: str) -> None:
        if integrity != "ok":
            self.found.append(("corrupt", f"{integrity}{when}"))
        if count is None:
            self.found.append(("torn", f"the book holds no whole number of units{when}"))
        elif count < told:
            self.found.append(("lost", f"{told} units were acknowledged, {count} are there{when}"))

    def judge_second_cut(self, chance: random.Random) -> None:
        """The power failed again while the server came up: nothing of what it had found is gone."""
        platter, events = Platter(), self.promises.disk.events
        moment, folder = chance.randint(self.began_at, len(events)), self.folder.with_suffix(".second")
        for event in events[:moment]:
            platter.take(event)
        lay_out(platter.after_cut(chance), folder)
        try:
            book = SqliteBook(folder / BOOK)
            rows, integrity = read_rows(folder / BOOK)
            book.close()
        except CopernicusError as error:
            self.found.append(("unreadable", f"{error} (second cut)"))
            return
        told = sum(unit.at is not None and unit.at <= moment for unit in self.promises.units)
        self._compare(Prefixes(self.promises.units, self.rows).units_in(rows), told, integrity, " (second cut)")
        shutil.rmtree(folder)

    def _judge_blobs(self) -> None:
        """What is visible is whole; what was said to be stored is there."""
        folder = BlobFolder(self.folder / BLOBS)
        for blob in folder.blobs():
            try:
                folder.verify(blob)
            except CopernicusError as error:
                self.found.append(("short blob", f"a visible blob is not whole: {error}"))
        for blob, at in self.life.promises.blobs:
            removals = self.life.removals.get(f"{BLOBS}/{blob[:2]}/{blob}", ())
            if at <= self.moment and not folder.has(blob) and not any(at <= index < self.moment for index in removals):
                self.found.append(("lost blob", f"{blob[:12]}… was stored and is gone"))

    async def _come_up(self, book: PromisingBook) -> None:
        """The rooms fold the logs (each record names the hash of the one before), and what rows refer to is there."""
        office = KeepingOffice(self.folder / BLOBS)
        office.book, office.now = book, self.life.now  # type: ignore[assignment]
        list(book.jobs())
        await office.come_up()
        for project in office.projects.live():
            for held in _held(office, project):
                if not office.folder.has(held.file.blob) or office.folder.size(held.file.blob) != held.file.size:
                    self.found.append(("missing blob", f"{held.kind} of {project.row.name} needs {held.file.blob[:12]}…"))
        await book.submit(Unit())
        await office.projects.close()


def _held(office: KeepingOffice, project: LiveProject) -> Iterator[Held]:
    """Every file that a row refers to. Values that were replaced long ago are let go without a word in the log."""
    index = LogIndex()
    for _, data in office.book.records(project.row.id):
        index.take(data)
    yield from (held for held in index.holds() if held.is_kept)
    yield from network_holds(project.network)
    yield from job_holds(project.network, office.retention.jobs_with_files(project.row.id))


def live_and_cut(seed: int, tally: Tally, cuts: int = CUTS, only: int | None = None, steps: int = STEPS) -> None:
    """Record one life and judge its cuts (or only one of them); stop at the first that finds something."""
    with tempfile.TemporaryDirectory(prefix="power-cuts-", dir=IN_MEMORY if IN_MEMORY.is_dir() else None) as name:
        top = Path(name)
        life = Recorded(seed, top / "life", steps)
        tally.lives += 1
        tally.events += life.end
        tally.units += len(life.promises.units)
        tally.deeds += life.promises.deeds
        if life.failure:
            tally.findings.append(Finding("broken life", life.failure, seed, 0))
        for cut, moment, left in life.lefts(cuts):
            if only is None or cut == only:
                judge = _judged(life, cut, moment, left, top / f"cut{cut}", tally)
                tally.findings += [Finding(kind, what, seed, cut) for kind, what in judge.found]
                if judge.found:
                    return


def _judged(life: Recorded, cut: int, moment: int, left: dict[str, bytes | None], folder: Path, tally: Tally) -> Judge:
    lay_out(left, folder)
    if BOOK in left:
        (folder / f"{BOOK}{SHARED_INDEX}").write_bytes(b"\x5a" * 32768)  # whatever it holds, it counts for nothing
    disk = Disk()
    with recording(disk, folder, left):
        judge = Judge(life, moment, folder, disk)
        asyncio.run(judge.judge())
        if cut % SECOND_EVERY == 0 and not judge.found:
            judge.judge_second_cut(random.Random(life.seed * 1_000_003 + cut))
            tally.second_cuts += 1
    shutil.rmtree(folder)
    tally.cuts += 1
    tally.unacknowledged += judge.has_more
    return judge


def many(first: int, lives: int, cuts: int = CUTS) -> Tally:
    """Go through many lives until something is found."""
    tally = Tally()
    for seed in range(first, first + lives):
        live_and_cut(seed, tally, cuts)
        if tally.findings:
            break
    return tally


def run(asked: argparse.Namespace, result: Result) -> None:
    """The part."""
    tally = Tally()
    if asked.life is not None:
        with PLANTS[asked.bug][0]() if asked.bug else nullcontext():
            live_and_cut(asked.life, tally, asked.cuts, asked.cut)
        file(tally, result)
        return
    first = life = asked.seed * 1000
    while life < first + LIVES if asked.minutes is None else not result.is_over(asked.minutes):
        live_and_cut(life, tally)
        life += 1
        if tally.findings:
            break
    file(tally, result)
    for name in PLANTS if asked.planted else ():
        plant, kinds = PLANTS[name]
        with plant():
            found = many(1, LIVES)
        how = f"after {found.cuts} cuts, as {', '.join(finding.kind for finding in found.findings)}"
        result.plant(name, bool({finding.kind for finding in found.findings} & kinds), how)


def file(tally: Tally, result: Result) -> None:
    """Make the part's result of what was tried."""
    result.counts.update(power_cuts=tally.cuts, second_cuts=tally.second_cuts, lives=tally.lives, disk_events=tally.events)
    print(f"lives from {result.seed * 1000}: {tally}", flush=True)
    for finding in tally.findings:
        result.find(finding.kind, finding.what, finding.replay)


def arguments(made: argparse.ArgumentParser) -> None:
    """The part's own arguments."""
    made.add_argument("life", type=int, nargs="?", default=None, help="only this life")
    made.add_argument("--cut", type=int, default=None, help="only this cut of it")
    made.add_argument("--cuts", type=int, default=CUTS, help="of each life; another number means other moments")
    made.add_argument("--bug", choices=PLANTS, help="plant a bug first")


if __name__ == "__main__":
    sys.exit(main("cuts", __doc__, run, arguments))
