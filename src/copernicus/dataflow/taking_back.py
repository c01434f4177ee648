"""Undo: what a person's transaction wrote is found in the log, with what stood there before, and put back."""

from __future__ import annotations

from copy import deepcopy
from typing import Any

import msgspec

from copernicus.dataflow import facts as f, tree
from copernicus.dataflow.claims import Claim, Spot
from copernicus.dataflow.network import ROOT, Instance, Network, Place
from copernicus.dataflow.paths import Member
from copernicus.dataflow.views import read
from copernicus.model.functions import FunctionSchema

BY_PEOPLE = frozenset(("EditsRequested", "UndoRequested", "ProjectLoaded"))
"""Causes of records that a person asked for."""


class Done(msgspec.Struct, frozen=True):
    """A person's transaction: `undoes` is the one that it took back (None: it is no undo)."""

    seq: int
    time: float
    actor: str
    undoes: int | None = None


class Clash(msgspec.Struct, frozen=True):
    """Why a transaction cannot be taken back: a later one, and what of it is in the way."""

    done: Done
    fact: f.Fact


class SavedLink(msgspec.Struct, frozen=True):
    """A connection as it was, and what it showed."""

    place: Place
    source: Place
    shown: Any = None


class Saved(msgspec.Struct, frozen=True):
    """An instance as it was."""

    made: f.Made
    schema: FunctionSchema
    back: f.Restored
    width: int | None
    held_why: str
    note: f.Noted
    values: dict[str, dict[str, Any]]
    links: list[SavedLink]
    key: str = ""
    stood: str = ""


class Before(msgspec.Struct):
    """What stood where a transaction wrote, before it.

    `values` are what places held themselves, `links` the connections at or around them, `shapes` what there was on the way to
    them where that was changed: the length of an array, -1 for a record, None for nothing. `records` are those on the way that
    were left to be. `schemas` are the functions of those instances.
    """

    values: dict[Spot, Any] = {}
    links: list[SavedLink] = []
    shapes: dict[Spot, int | None] = {}
    records: list[Spot] = []
    schemas: dict[int, FunctionSchema] = {}
    names: dict[int, str] = {}
    held: dict[int, bool] = {}
    instances: list[Saved] = []


def is_undone(undos: dict[int, int], seq: int) -> bool:
    """Whether a transaction is taken back; `undos` has for each undo which transaction it took back."""
    return any(target == seq and not is_undone(undos, by) for by, target in undos.items() if by > seq)


class Undoing:
    """Reads a log, record by record, for what is to be taken back: `seq`, whose record must come with the others.

    `network` is the project as it stood after the last record that was read; it may be given as it stood before `seq`.
    """

    def __init__(self, seq: int, network: Network | None = None) -> None:
        self.seq, self.network = seq, network or Network()
        self.done: Done | None = None
        self.claim, self.before = Claim(), Before()
        self.is_upgrade = False
        self._names: dict[int, str] = {}
        self._later: list[tuple[Done, Claim, f.Fact | None]] = []
        self._needed: set[int] = set()

    def read(self, data: bytes) -> None:
        """Take up one record."""
        record = f.decode_record(data)
        is_asked = record.cause in BY_PEOPLE and record.seq >= self.seq
        claim = self._claim(record) if is_asked else None
        if claim is not None and record.seq > self.seq:
            self._later.append((_done(record), claim, self.claim.clash(self.network, claim, self._needed)))
        elif claim is not None:
            self.done, self.claim = _done(record), claim
            self.is_upgrade = any(isinstance(fact, f.Adopted) for fact in record.facts)
            self.before = _before(self.network, claim)
            links = [*self.before.links, *(link for one in self.before.instances for link in one.links)]
            self._needed = {top_of(self.network, link.source.instance) for link in links} - claim.removed.keys()
        for fact in record.facts:
            if isinstance(fact, f.Removed) and record.seq >= self.seq:
                self._names[fact.id] = self.network.path_of(fact.id)
            self.network.do(fact, record.seq, record.time)
        self.network.seq = record.seq
        if record.seq == self.seq:
            # Whoever makes an array longer later has not written here; only what was changed is changed back.
            shapes = self.before.shapes
            self.before.shapes = {spot: was for spot, was in shapes.items() if self._shape(spot) != was}
            self.before.records = [spot for spot, was in shapes.items() if was == -1 and spot not in self.before.shapes]

    def _shape(self, spot: Spot) -> int | None:
        instance = self.network.instances.get(spot[0])
        return None if instance is None else shape(tree.read(instance.values["in"], spot[1]))

    def _claim(self, record: f.Record) -> Claim:
        """What a record wrote, each fact read as it stood before that fact."""
        claim, network = Claim(), self.network
        network.journal = []
        for fact in record.facts:
            claim.read(network, fact)
            network.do(fact, record.seq, record.time)
        network.roll_back(0)
        network.journal = None
        return claim

    def name(self, id: int) -> str:
        """The path of an instance, as it is or last was."""
        return self.network.path_of(id) if id in self.network.instances else self._names.get(id, f"instance {id}")

    def clash(self) -> Clash | None:
        """The first later transaction that is in the way. One that is taken back, and what took it back, are not."""
        undos = self.network.undos
        standing = [
            (done, claim, fact)
            for done, claim, fact in self._later
            if not is_undone(undos, done.seq) and not (done.undoes is not None and done.undoes > self.seq)
        ]
        for done, _, fact in standing:
            if fact is not None:
                return Clash(done, fact)
        return self._taken_name([(done, claim) for done, claim, _ in standing])

    def _taken_name(self, standing: list[tuple[Done, Claim]]) -> Clash | None:
        """Who has a name that is needed again."""
        names = {one.made.name for one in self.before.instances if one.made.parent == ROOT} | set(self.before.names.values())
        there = self.network.instances[ROOT].children
        for done, claim in standing:
            named: list[f.Made | f.Renamed] = [*claim.made.values(), *claim.renamed.values()]
            for fact in named:
                if fact.name in names and there.get(fact.name) == fact.id and fact.id not in self.claim.made:
                    return Clash(done, fact)
        return None


def _done(record: f.Record) -> Done:
    undoes = next((fact.seq for fact in record.facts if isinstance(fact, f.TookBack)), None)
    return Done(record.seq, record.time, record.actor, undoes)


def top_of(network: Network, id: int) -> int:
    """The instance at the top that an instance is, or is in."""
    instance = network.instances[id]
    while instance.parent > ROOT:
        instance = network.instances[instance.parent]
    return instance.id


# --- what stood before ------------------------------------------------------------------------------------------------


def _before(network: Network, claim: Claim) -> Before:
    before = Before()
    gone = {*claim.made, *claim.removed}
    for id, path in _places(network, claim):
        if id in gone:
            continue
        instance = network.instances[id]
        before.schemas[id] = instance.function
        before.values[id, path] = deepcopy(tree.read(instance.values["in"], path))
        for link in _links(network, instance, path):
            if link not in before.links:
                before.links.append(link)
        for depth in range(1, len(path)):
            before.shapes[id, path[:depth]] = shape(tree.read(instance.values["in"], path[:depth]))
    for id in claim.removed:
        if id in network.instances:
            before.instances += [_saved(network, one) for one in network.subtree(network.instances[id])]
    before.names = {id: network.instances[id].name for id in claim.renamed if id in network.instances and id not in gone}
    before.held = {id: network.instances[id].is_held for id in claim.held if id in network.instances}
    return before


def _places(network: Network, claim: Claim) -> list[Spot]:
    """The places, with the elements that an array had beyond where it was changed; none that is inside another."""
    spots = dict.fromkeys(claim.places)
    for (id, array), (length, _) in claim.tails.items():
        if id in network.instances:
            own = tree.read(network.instances[id].values["in"], array)
            spots |= dict.fromkeys((id, (*array, index)) for index in range(length, len(own) if isinstance(own, list) else 0))
            if (id, array) not in spots:
                spots[id, (*array, length)] = None
    inside = {(id, path) for id, path in spots if any((id, path[:depth]) in spots for depth in range(1, len(path)))}
    return sorted(spot for spot in spots if spot not in inside)


def shape(value: Any) -> int | None:
    """What there is on the way to a place."""
    return len(value) if isinstance(value, list) else -1 if isinstance(value, dict) else None


def _links(network: Network, instance: Instance, path: tuple[Member, ...]) -> list[SavedLink]:
    """The connections at a place, inside it, and around it."""
    return [
        _link(network, Place(instance.id, "in", one), source)
        for one, source in instance.links["in"].items()
        if one[: len(path)] == path[: len(one)]
    ]


def _link(network: Network, place: Place, source: Place) -> SavedLink:
    kind = tree.type_at(network.fields(network.instances[place.instance], place.side), place.path, "")
    return SavedLink(place, source, deepcopy(tree.conform(kind, read(network, place))))


def _saved(network: Network, one: Instance) -> Saved:
    is_controller = one.function.kind == "controller"
    sides = ("in", "out", "state") if is_controller else ("in",)
    ends = [(Place(one.id, side, path), source) for side, links in one.links.items() for path, source in links.items()]
    return Saved(
        f.Made(one.id, one.name, one.parent, one.function.name, one.is_held, one.index),
        one.function,
        f.Restored(
            one.id, one.seen, one.runs, one.ended, one.ended_error, one.has_news, one.core_s, one.error if is_controller else ""
        ),
        one.width,
        one.held_why,
        f.Noted(one.id, one.note or None, one.warning or None),
        {side: deepcopy(one.values[side]) for side in sides if one.values[side]},
        [_link(network, place, source) for place, source in ends],
        one.key,
        one.stood,
    )
