"""Conflicts: a list of edits is refused once when somebody else wrote what it writes since an edit was put on it."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple, get_args

from copernicus.dataflow import facts as f
from copernicus.dataflow.edits import find_instance
from copernicus.dataflow.engine import Event
from copernicus.dataflow.network import Network, Place
from copernicus.dataflow.paths import Member, parse_path
from copernicus.errors import Conflict, CopernicusError, UsageError
from copernicus.model import edits as e
from copernicus.server.projects.past import Past
from copernicus.server.projects.wording import ago, happened
from copernicus.wire.messages import ApplyRequest

BY_THE_MACHINE = frozenset(kind.__name__ for kind in get_args(Event) if "actor" not in kind.__struct_fields__)
"""Causes of records that no person asked for."""
SHOWN = 5
NAME = "_name"
"""Stands for the name of an instance: nothing else that is written overlaps with it, but that the instance is another one."""
HINT = "Nothing was changed. The same commit again means that you have seen this, and goes through."


class Writing(NamedTuple):
    """What an edit writes (a whole instance: no members), and since when nobody else should have written it."""

    place: Place
    since: int


async def refuse_conflicts(past: Past, request: ApplyRequest, who: str, now: float) -> None:
    """Raise `Conflict` when somebody else wrote what `request` writes since it was put on the list.

    When this returns, nothing has happened to the project since it looked, as long as the caller does not wait.
    """
    edits, stamps = request.edits, request.stamps
    if len(stamps) != len(edits):
        raise UsageError(f"There are {len(edits)} edits, but {len(stamps)} stamps.", "Give one for each edit, or none.")
    seq = past.network.seq
    if stamps and max(stamps) > seq:
        why = f"Project {request.project} is not the one that it was when you made your list: it was replaced or restored."
        raise Conflict(why, HINT, seq)
    looked_until = 0
    while True:
        seq = past.network.seq
        writings = [one for one in _writings(past.network, edits, stamps) if _may_be_written(past.network, one)]
        found = await _others(past, writings, who, looked_until) if writings else []
        if found:
            raise Conflict(_words(past.network, found, now), HINT, seq)
        if past.network.seq == seq:
            return
        looked_until = seq


def _writings(network: Network, edits: Sequence[e.Edit], stamps: Sequence[int]) -> list[Writing]:
    found: dict[Place, int] = {}
    renamed: dict[str, str] = {}
    for edit, since in zip(edits, stamps, strict=True):
        match edit:
            case e.RenameInstance(path=text, name=name):
                renamed[name.replace("-", "_")] = renamed.get(text, text)
                text = f"{text}:in.{NAME}"
            case e.SetText(path=text) | e.SetValue(path=text) | e.SetFile(path=text) | e.Unset(path=text):
                pass
            case e.Connect(destination=text) | e.Disconnect(destination=text) | e.RemoveInstance(path=text):
                pass
            case _:
                continue
        try:
            path = parse_path(text)
            names = (*parse_path(renamed.get(path.names[0], path.names[0])).names, *path.names[1:])
            place = Place(find_instance(network, names).id, "in", path.members)
        except (CopernicusError, IndexError):
            continue  # the list makes it, or it is refused
        # Of the same place the newest counts: who has put it on the list again has looked again.
        found[place] = max(since, found.get(place, 0))
    return [Writing(place, since) for place, since in found.items()]


def _may_be_written(network: Network, writing: Writing) -> bool:
    """Whether anything that overlaps changed since, as far as can be told without the log."""
    place, since = writing
    instance = network.instances[place.instance]
    changed = instance.changed["in"]
    if instance.made > since or (place.path and changed.get(place.path[0], 0) > since):
        return True
    return not place.path and (
        any(at > since for at in changed.values()) or any(_stamp(network, one) > since for one in _readers(network, place))
    )


def _readers(network: Network, place: Place) -> list[Place]:
    """What is connected to an instance: removing it writes there, too."""
    if place.path:
        return []
    return [destination for readers in network.instances[place.instance].readers.values() for destination in readers]


def _stamp(network: Network, place: Place) -> int:
    return network.instances[place.instance].changed[place.side].get(place.path[0], 0)


async def _others(past: Past, writings: list[Writing], who: str, looked_until: int) -> list[tuple[f.Record, f.Fact]]:
    """What others wrote: for each writing the newest fact that overlaps."""
    network, found = past.network, []
    open_writings = list(writings)
    ids = {one.place.instance for one in writings}
    ids |= {reader.instance for one in writings for reader in _readers(network, one.place)}
    oldest = max(looked_until, min(one.since for one in writings))
    async for record in past.records(oldest, lambda: ids):
        if record.actor == who or record.cause in BY_THE_MACHINE:
            continue
        for writing in list(open_writings):
            fact = next((fact for fact in record.facts if _overlaps(fact, writing.place)), None)
            if fact is not None and record.seq > writing.since:
                found.append((record, fact))
                open_writings.remove(writing)
        if not open_writings:
            break
    return found


def _overlaps(fact: f.Fact, place: Place) -> bool:
    """Whether a fact wrote `place`, a part of it, or something that it is a part of."""
    match fact:
        case f.Made():
            return fact.id == place.instance
        case f.Connected() if fact.source == place.instance and not place.path:
            return True
        case f.Shortened() if fact.id == place.instance and len(place.path) > len(fact.path):
            index = place.path[len(fact.path)]
            return _is_prefix(fact.path, place.path) and isinstance(index, int) and index >= fact.length
        case f.Wrote() | f.Connected() | f.Disconnected() | f.Shortened() if fact.id == place.instance and fact.side == "in":
            return _is_prefix(fact.path, place.path) or _is_prefix(place.path, fact.path)
    return False


def _is_prefix(one: tuple[Member, ...], other: tuple[Member, ...]) -> bool:
    return other[: len(one)] == one


def _words(network: Network, found: list[tuple[f.Record, f.Fact]], now: float) -> str:
    def name(id: int) -> str:
        return network.path_of(id) if id in network.instances else f"instance {id}"

    lines = [f"{happened(fact, name)} by {one.actor} {ago(now - one.time)} (transaction {one.seq})" for one, fact in found]
    lines = list(dict.fromkeys(lines))
    more = f"; and {len(lines) - SHOWN} more" if len(lines) > SHOWN else ""
    return f"Since you made your list, {'; '.join(lines[:SHOWN])}{more}."
