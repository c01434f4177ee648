"""The book of the simulated server: the tables of the store in memory behind the real group writer, on a disk that takes time.

What was not applied when the server dies is lost. A crash may fall before a group is applied, or after it and before anybody
is told. Answers are pruned by the rule of the real book.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from functools import partial
from typing import Any, Protocol

from tests.proof.simulation import threads
from tests.proof.simulation.world import World

from copernicus.errors import CopernicusError, NoSpace
from copernicus.server.storage.abc import RememberAnswer, Unit
from copernicus.server.storage.groups import GroupWriter
from copernicus.server.storage.memory import MemoryBook
from copernicus.server.storage.sqlite.book import _PRUNE_EVERY_S, ANSWERS_KEPT_S, NEWEST_KEPT

PLACES: dict[str, Any] = {
    "copernicus.server.storage.groups.Thread": threads.Thread,
    "copernicus.server.storage.groups.SimpleQueue": threads.SimpleQueue,
}


class Witness(Protocol):
    """Who is told of what becomes durable."""

    def committed(self, units: list[Unit], book: SimulatedBook) -> None:
        """These units have become durable together."""


class Disk:
    """What outlives the server: `tables`, how long a sync takes, whether it is full, and whether the server dies at one."""

    def __init__(self) -> None:
        self.tables = MemoryBook().disk
        self.answered_at: dict[tuple[str, str], float] = {}
        self.sync_s = 0.005
        self.is_full = False
        self.dies: str = ""
        """"before" or "after": the server is killed at its next commit, then."""
        self.die: Callable[[], None] = lambda: None


class SimulatedBook(MemoryBook):
    """A `BookStore` whose group commit is the real one."""

    def __init__(self, world: World, disk: Disk, witness: Witness) -> None:
        super().__init__(disk.tables)
        self._world, self._drive, self._witness = world, disk, witness
        self._pruned_at = 0.0
        self._groups = GroupWriter(self._write, lambda: None, "book writer")

    def submit(self, unit: Unit) -> asyncio.Future[None]:
        """See `BookStore.submit`."""
        for change in unit.changes:
            if isinstance(change, RememberAnswer):
                place = change.request_id, change.who
                self._answers[place] = change.answer
                unit.then(partial(self._forget_answer, place))
        return self._groups.submit(unit)

    def _forget_answer(self, place: tuple[str, str]) -> None:
        self._answers.pop(place, None)

    def when_refused(self, action: Callable[[CopernicusError], None]) -> None:
        """See `BookStore.when_refused`."""
        self._groups.when_refused(action)

    async def recover(self) -> None:
        """See `BookStore.recover`."""
        if self._drive.is_full:  # as the server finds when it tries
            raise NoSpace("The disk is full.", "Make room.")
        await self._groups.recover()
        self._answers.clear()

    def close(self) -> None:
        """See `BookStore.close`."""

    def _write(self, units: list[Unit]) -> None:
        """In the writer's thread: all units, or none."""
        drive = self._drive
        if not any(unit.changes for unit in units):
            return
        threads.sleep(self._world.chance.expovariate(1.0 / drive.sync_s))
        if drive.dies == "before":
            self._die()
        if drive.is_full:
            raise NoSpace("The disk is full.", "Make room.")
        for unit in units:
            for change in unit.changes:
                self.disk.apply(change)
                if isinstance(change, RememberAnswer):
                    self._prune(change)
        self._witness.committed(units, self)
        if drive.dies == "after":
            self._die()

    def _die(self) -> None:
        self._drive.dies = ""
        self._world.after(0.0, self._drive.die)
        threads.sleep(1.0)

    def _prune(self, change: RememberAnswer) -> None:
        answered_at = self._drive.answered_at
        answered_at[change.request_id, change.who] = change.at
        if change.at - self._pruned_at > _PRUNE_EVERY_S:
            self._pruned_at = change.at
            older = list(answered_at.items())[:-NEWEST_KEPT]
            for place in [place for place, at in older if at < change.at - ANSWERS_KEPT_S]:
                del answered_at[place]
                self.disk.answers.pop(place, None)
