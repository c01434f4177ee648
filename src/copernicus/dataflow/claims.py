"""What a person's transaction wrote, read off its facts: the part that is theirs, not what followed from it."""

from __future__ import annotations

from copernicus.dataflow import facts as f, tree
from copernicus.dataflow.network import ROOT, Network
from copernicus.dataflow.paths import Member

Spot = tuple[int, tuple[Member, ...]]
"""A place among the inputs of an instance that a user made: id, members."""


class Claim:
    """What one transaction wrote: `places`; `tails` of arrays that grew or were cut, from an index on; instances `made`,
    `removed` and `renamed` at the top; marks of `held` instances; `sources` that it connected.

    The rule is ownership: inputs of instances at the top, these instances themselves and held marks are people's and
    nobody else's, so that a fact about one of them in a person's record was asked for. Everything else has followed.
    """

    def __init__(self) -> None:
        self.places: dict[Spot, f.Fact] = {}
        self.tails: dict[Spot, tuple[int, f.Fact]] = {}
        self.made: dict[int, f.Made] = {}
        self.removed: dict[int, f.Removed] = {}
        self.renamed: dict[int, f.Renamed] = {}
        self.held: dict[int, f.Held] = {}
        self.sources: dict[int, f.Connected] = {}

    def read(self, network: Network, fact: f.Fact) -> None:
        """Take up one fact, which `network` has not stored yet."""
        match fact:
            case f.Made(parent=parent) if parent == ROOT:
                self.made[fact.id] = fact
            case f.Removed() if network.instances[fact.id].parent == ROOT:
                self.removed[fact.id] = fact
            case f.Renamed():
                self.renamed[fact.id] = fact
            case f.Held():
                self.held[fact.id] = fact
            case f.Wrote() | f.Connected() | f.Disconnected() | f.Shortened() if fact.side == "in":
                if network.instances[fact.id].parent == ROOT:
                    self._read_place(network, fact)

    def _read_place(self, network: Network, fact: f.Wrote | f.Connected | f.Disconnected | f.Shortened) -> None:
        values = network.instances[fact.id].values["in"]
        if isinstance(fact, f.Shortened):
            self._tail(fact.id, fact.path, fact.length, fact)
            return
        self.places[fact.id, fact.path] = fact
        if isinstance(fact, f.Connected):
            self.sources[fact.source] = fact
        for depth, member in enumerate(fact.path):
            if isinstance(member, int):
                array = tree.read(values, fact.path[:depth])
                length = len(array) if isinstance(array, list) else 0
                if member >= length:
                    self._tail(fact.id, fact.path[:depth], length, fact)

    def _tail(self, id: int, array: tuple[Member, ...], length: int, fact: f.Fact) -> None:
        known = self.tails.get((id, array))
        if known is None or length < known[0]:
            self.tails[id, array] = length, fact

    def touched(self) -> set[int]:
        """The instances at the top whose inputs it wrote."""
        return {id for id, _ in (*self.places, *self.tails)}

    def facts(self) -> list[f.Fact]:
        """What was asked for, one fact for each thing."""
        tails = [fact for _, fact in self.tails.values() if isinstance(fact, f.Shortened)]
        inside = {*self.made, *self.removed}
        places = [fact for (id, _), fact in self.places.items() if id not in inside]
        held = [fact for id, fact in self.held.items() if id not in inside]
        return [*self.made.values(), *self.removed.values(), *self.renamed.values(), *places, *tails, *held]

    # --- two of them -------------------------------------------------------------------------------------------------

    def clash(self, network: Network, later: Claim, needed: set[int]) -> f.Fact | None:
        """What `later` wrote that must not be, if this is to be taken back; None: nothing.

        `network` stands before the later one; `needed` are instances at the top that taking this back connects to.
        """
        found: f.Fact
        for id, found in later.removed.items():
            held = {_top(network, one) for one in self.held if one in network.instances}
            if id in self.made or id in self.touched() or id in self.renamed or id in held or id in needed:
                return found
        for source, connected in later.sources.items():
            if _top(network, source) in self.made:
                return connected
        for id, fact_held in later.held.items():
            if id in self.held or _top(network, id) in self.made:
                return fact_held
        for id, renamed in later.renamed.items():
            if id in self.renamed or id in self.made:
                return renamed
        for (id, path), found in later.places.items():
            if self._is_written(id, path):
                return found
        for (id, array), (length, found) in later.tails.items():
            if self._is_written(id, (*array, length)) or self._is_below(id, array, length):
                return found
        return None

    def _is_written(self, id: int, path: tuple[Member, ...]) -> bool:
        """Whether a place overlaps with what this wrote."""
        return (
            id in self.made
            or any(one == id and _overlap(mine, path) for one, mine in self.places)
            or any(one == id and _is_beyond(path, array, length) for (one, array), (length, _) in self.tails.items())
        )

    def _is_below(self, id: int, array: tuple[Member, ...], length: int) -> bool:
        """Whether this wrote elements of an array from an index on, or changed where it ends."""
        return (id, array) in self.tails or any(one == id and _is_beyond(mine, array, length) for one, mine in self.places)


def _is_beyond(path: tuple[Member, ...], array: tuple[Member, ...], length: int) -> bool:
    """Whether a place is an array, around it, or in an element of it from an index on."""
    if len(path) <= len(array):
        return array[: len(path)] == path
    member = path[len(array)]
    return path[: len(array)] == array and isinstance(member, int) and member >= length


def _overlap(one: tuple[Member, ...], other: tuple[Member, ...]) -> bool:
    shorter = min(len(one), len(other))
    return one[:shorter] == other[:shorter]


def _top(network: Network, id: int) -> int:
    """The instance at the top that an instance is, or is in."""
    instance = network.instances.get(id)
    while instance is not None and instance.parent > ROOT:
        instance = network.instances[instance.parent]
    return instance.id if instance is not None else id
