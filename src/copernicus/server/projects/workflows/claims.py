"""Which places of a file's network have a writer already: two for one place are refused before anything is done."""

from __future__ import annotations

from typing import Any

from copernicus.dataflow.network import Place
from copernicus.dataflow.paths import APPEND, Member
from copernicus.errors import Refused, TooLarge
from copernicus.server.projects.workflows.declarations import Spot

MOST_ELEMENTS = 4_000_000


class Room:
    """How many more elements the arrays of one file may have: an index says more than it takes to write it."""

    def __init__(self) -> None:
        self.left = MOST_ELEMENTS

    def take(self, count: int) -> None:
        """Take room for `count` elements; raise `TooLarge` when there is none."""
        self.left -= count
        if self.left < 0:
            raise TooLarge(f"The arrays of a workflow file have at most {MOST_ELEMENTS} elements in all.")


class Claims:
    """Leaves that a file sets or connects. `Place.instance` is a number of the file's own choice."""

    def __init__(self, room: Room) -> None:
        self._room = room
        self._taken: dict[Place, Spot] = {}
        self._around: dict[Place, Spot] = {}
        self._lengths: dict[Place, int] = {}

    def chosen(self, place: Place, data: Any = None) -> Place:
        """Return `place` with each `[+]` replaced by the index after the highest so far."""
        path: tuple[Member, ...] = ()
        for member in place.path:
            path = (*path, self._lengths.get(Place(*place[:2], path), 0) if member == APPEND else member)
        return Place(*place[:2], path)

    def connect(self, place: Place, spot: Spot, text: str) -> None:
        """Claim the place for a connection; raise `Refused` when it, a part of it, or what is around it has a writer."""
        self._claim(place, spot, text)

    def set(self, place: Place, data: Any, spot: Spot, text: str) -> None:
        """Claim all scalars of a value; holes in it are free."""
        if isinstance(data, list):
            self._measure(place, len(data))
            for index, item in enumerate(data):
                self.set(Place(*place[:2], (*place.path, index)), item, spot, text)
        elif isinstance(data, dict) and "blob" not in data:
            for name, item in data.items():
                self.set(Place(*place[:2], (*place.path, name)), item, spot, text)
        elif data is not None:
            self._claim(place, spot, text)

    def _claim(self, place: Place, spot: Spot, text: str) -> None:
        before = self._taken.get(place) or self._around.get(place)
        for depth in range(1, len(place.path)):
            before = before or self._taken.get(Place(*place[:2], place.path[:depth]))
        if before is not None:
            raise Refused(f"{text} has two sources; the other is in line {before.line}.", "Keep one of them.")
        self._taken[place] = spot
        for depth in range(1, len(place.path)):
            part = Place(*place[:2], place.path[:depth])
            self._around.setdefault(part, spot)
            member = place.path[depth]
            if isinstance(member, int):
                self._measure(part, member + 1)

    def _measure(self, place: Place, length: int) -> None:
        before = self._lengths.get(place, 0)
        if length > before:
            self._room.take(length - before)
            self._lengths[place] = length
