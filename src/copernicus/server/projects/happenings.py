"""Happenings: what a record of the log did to a place."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any, NamedTuple

from copernicus.dataflow import facts as f, tree
from copernicus.dataflow.network import Place
from copernicus.dataflow.paths import Member
from copernicus.server.projects.past import Result


class Happening(NamedTuple):
    """What happened at `place` (that which was asked about, or a part of it). `event` is as in `wire.Version`.

    `is_whole`: whatever stood there before counts no more.
    """

    event: str
    place: Place
    is_whole: bool
    value: Any = None
    source: Place | None = None
    key: str = ""
    result: Result | None = None


def is_prefix(one: tuple[Member, ...], other: tuple[Member, ...]) -> bool:
    """Whether `one` is `other`, or around it."""
    return other[: len(one)] == one


def happenings(record: f.Record, place: Place, results: Mapping[str, Result]) -> Iterator[Happening]:
    """What a record did to `place`, in order; `results` holds those that became outputs in it, by key."""
    facts, side, path = record.facts, place.side, place.path
    kept: f.Fact | None = None
    for position, fact in enumerate(facts):
        if getattr(fact, "id", None) != place.instance:
            continue
        match fact:
            case f.Wrote() if fact is kept:
                continue  # it went with the connection that ended
            case f.Wrote() if fact.side == side:
                yield from _written("unset" if fact.value is None else "set", place, fact.path, fact.value)
            case f.Disconnected() if fact.side == side:
                following = facts[position + 1] if position + 1 < len(facts) else None
                value = None
                if isinstance(following, f.Wrote) and _at(following) == _at(fact):
                    kept, value = following, following.value
                yield from _written("disconnected", place, fact.path, value)
            case f.Connected() if fact.side == side:
                source = Place(fact.source, fact.source_side, fact.source_path)
                for one in _written("connected", place, fact.path, None):
                    rest = path[len(fact.path) :] if is_prefix(fact.path, path) else ()
                    yield one._replace(source=source._replace(path=source.path + rest))
            case f.Shortened() if fact.side == side:
                yield from _shortened(place, fact)
            case f.Stood() if side == "out":
                result = results.get(fact.key)
                outputs = result.fact.outputs if result is not None else None
                yield Happening("result", place, True, tree.read(outputs, path), key=fact.key, result=result)
            case f.Removed():
                yield Happening("removed", place, True)
            case f.Reset() if side in ("out", "state"):
                yield Happening("forgotten", place, True)
            case f.Widened() if side == "out" and len(path) == 1:
                yield Happening("widened", place, False, fact.width)


def first_made(record: f.Record) -> set[int]:
    """The instances that were made in a record; not those that an undo brought back."""
    made = {fact.id for fact in record.facts if isinstance(fact, f.Made)}
    return made - {fact.id for fact in record.facts if isinstance(fact, f.Restored)}


def _at(fact: f.Wrote | f.Disconnected) -> Place:
    return Place(fact.id, fact.side, fact.path)


def _written(event: str, place: Place, path: tuple[Member, ...], value: Any) -> Iterator[Happening]:
    if is_prefix(path, place.path):
        value = tree.read({"": value}, ("", *place.path[len(path) :]))
        if event == "set" and value is None:
            event = "unset"
        yield Happening(event, place, True, value)
    elif is_prefix(place.path, path):
        yield Happening(event, place._replace(path=path), False, value)


def _shortened(place: Place, fact: f.Shortened) -> Iterator[Happening]:
    if is_prefix(place.path, fact.path):
        yield Happening("shortened", place._replace(path=fact.path), False, fact.length)
    elif is_prefix(fact.path, place.path):
        index = place.path[len(fact.path)]
        if isinstance(index, int) and index >= fact.length:
            yield Happening("unset", place, True)
