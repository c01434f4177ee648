"""Which process keeps which controller's instance, and up to which call."""

from __future__ import annotations

from collections import Counter, OrderedDict
from dataclasses import dataclass
from typing import Generic, TypeVar

from copernicus.dataflow.calls import ControllerCall
from copernicus.plugin.memory import Key, key_of

HOMES_LIMIT = 100_000
S = TypeVar("S")


@dataclass(slots=True)
class Home(Generic[S]):
    """Where the calls of an instance go, what is kept of it there, and how its last call went.

    deaths  processes that died under the call that is still to be answered
    """

    slot: S
    reading: str = ""
    seen: int = 0
    deaths: int = 0
    took_s: float = 0.0

    def has(self, call: ControllerCall) -> bool:
        """Whether what a call is a difference to is there."""
        return self.seen > 0 and (self.reading, self.seen) == (call.reading, call.base)


class Homes(Generic[S]):
    """The homes of all instances; of very many those that were not called for the longest time are forgotten."""

    def __init__(self, limit: int = HOMES_LIMIT) -> None:
        self._limit = limit
        self._homes: OrderedDict[Key, Home[S]] = OrderedDict()
        self._numbers: Counter[int] = Counter()

    def of(self, call: ControllerCall) -> Home[S] | None:
        """Return the home of a call's instance, or None."""
        home = self._homes.get(key_of(call))
        if home is not None:
            self._homes.move_to_end(key_of(call))
        return home

    def number(self, slot: S) -> int:
        """How many instances live at a slot."""
        return self._numbers[id(slot)]

    def settle(self, call: ControllerCall, slot: S) -> Home[S]:
        """Give an instance a (new) home, where nothing is kept yet; how often its call has died goes with it."""
        key = key_of(call)
        before = self._homes.pop(key, None)
        if before is not None:
            self._numbers[id(before.slot)] -= 1
        home = self._homes[key] = Home(slot, deaths=before.deaths if before else 0)
        self._numbers[id(slot)] += 1
        while len(self._homes) > self._limit:
            _, oldest = self._homes.popitem(last=False)
            self._numbers[id(oldest.slot)] -= 1
        return home

    def answered(self, call: ControllerCall, does_keep: bool, took_s: float) -> None:
        """A call has an answer: what its process keeps now."""
        home = self._homes.get(key_of(call))
        if home is not None:
            home.deaths, home.took_s = 0, took_s
            if does_keep:
                home.reading, home.seen = call.reading, call.seen
            elif not call.base:
                home.seen = 0

    def left(self, slot: S) -> None:
        """What was kept at a slot is gone."""
        for home in self._homes.values():
            if home.slot is slot:
                home.seen = 0

    def took_s(self, project: str, instance: int) -> float:
        """How long the last call of an instance took, in seconds (0: it was not called yet)."""
        home = self._homes.get((project, instance))
        return home.took_s if home is not None else 0.0
