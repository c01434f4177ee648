"""Making, connecting and removing instances: used by people's edits, controllers' answers, networks and scatters alike."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from copernicus.dataflow import facts as f, tree
from copernicus.dataflow.evaluating import supersede
from copernicus.dataflow.network import ROOT, Instance, Place
from copernicus.dataflow.paths import APPEND, INDEX_LIMIT, Member, parse_path, show_path
from copernicus.dataflow.transaction import RenameJob, Transaction
from copernicus.dataflow.views import evaluated_readers, length_of, linked_parts, read, readers_of
from copernicus.errors import ModuleError, Refused, TooLarge, UnknownPath, WrongType
from copernicus.model.functions import FunctionSchema, InnerInstance
from copernicus.model.types import Type, decode, fits
from copernicus.model.values import to_json


def place_text(tx: Transaction, place: Place) -> str:
    """The path of a place, for messages."""
    return show_path(tx.network.path_of(place.instance), place.side, place.path)


def type_of(tx: Transaction, place: Place) -> Type:
    """The type of a place; `UnknownPath` names the part that does not exist."""
    network = tx.network
    instance = network.instances[place.instance]
    where = f"{network.path_of(place.instance)}:{place.side}"
    return tree.type_at(network.fields(instance, place.side), place.path, where)


def declare(tx: Transaction, name: str, around: tuple[str, ...] = ()) -> FunctionSchema:
    """Keep the schema of a function, and of those inside it, in the project; return it."""
    if name in around:
        raise ModuleError(f"The function {name} contains itself ({' > '.join((*around, name))}).")
    schema = tx.network.functions.get(name)
    installed = tx.catalog.functions.get(name)
    if name in tx.network.outdated:
        raise ModuleError(tx.network.outdated[name])
    if installed is None and schema is not None:
        return schema
    installed = tx.catalog.function(name)
    inner = [installed.base] if installed.kind == "scatter" else [one.function for one in installed.instances]
    for function in dict.fromkeys(inner):
        declare(tx, function, (*around, name))
    if installed != schema:
        tx.do(f.Declared(installed))
    return installed


def make_instance(
    tx: Transaction, function: str, name: str, parent: Instance, *, is_held: bool = False, index: int | None = None
) -> Instance:
    """Make an instance, and what is fixed inside it; `Refused` when the name is taken."""
    network = tx.network
    refuse_taken(tx, name, parent)
    schema = declare(tx, function)
    tx.do(f.Made(network.next_id, name, parent.id, schema.name, is_held, index))
    instance = network.instances[network.next_id - 1]
    tx.touch(instance)
    if schema.kind == "network":
        _fill_network(tx, instance)
    return instance


def refuse_taken(tx: Transaction, name: str, parent: Instance) -> None:
    """Raise `Refused` when there is an instance of this name."""
    if name in parent.children:
        where = f"in {tx.network.path_of(parent.id)}" if parent.id != ROOT else "in this project"
        raise Refused(f"There is already an instance {name!r} {where}.", "Choose another name.")


def rename_instance(tx: Transaction, instance: Instance, name: str) -> None:
    """Give an instance another name; `Refused` when it is taken. Whatever names its path elsewhere is told."""
    network = tx.network
    refuse_taken(tx, name, network.instances[instance.parent])
    tx.do(f.Renamed(instance.id, name))
    for one in network.subtree(instance):
        evaluation = network.evaluations.get(one.key)
        if evaluation is not None and evaluation.state != "done" and one.function.kind == "command":
            tx.effects.append(RenameJob(one.key, one.id, network.path_of(one.id)))
    for evaluation in network.evaluations.values():
        if evaluation.why_blocked and evaluation.wanted:
            tx.recheck(evaluation.wanted)  # the reason may name it


def _fill_network(tx: Transaction, instance: Instance) -> None:
    schema = instance.function
    for inner in schema.instances:
        give_constants(tx, make_instance(tx, inner.function, inner.name, instance), inner)
    for link in schema.connections:
        connect(tx, inner_place(tx, instance, link.source), inner_place(tx, instance, link.destination))


def give_constants(tx: Transaction, instance: Instance, inner: InnerInstance) -> None:
    """Write the constants that a network gives to an instance inside it."""
    for field, value in inner.values.items():
        place = Place(instance.id, "in", (field,))
        tx.write(place, to_json(decode(type_of(tx, place), value, field)))


def inner_place(tx: Transaction, around: Instance, text: str) -> Place:
    """Read a path as it is written inside a network or a controller: `self:in.x`, `child:out.y`."""
    path = parse_path(text)
    if len(path.names) != 1 or not path.members or APPEND in path.members:
        raise UnknownPath(f"{text!r} is not a path inside {around.function.name}.")
    name = path.names[0]
    id = around.id if name == "self" else around.children.get(name)
    if id is None:
        raise UnknownPath(f"{around.function.name} has no instance {name!r} inside.", f"It has: {', '.join(around.children)}.")
    return Place(id, path.side, path.members)


def resolve_append(tx: Transaction, place: Place) -> Place:
    """Replace each `[+]` in a path by the index it means now."""
    members: tuple[Member, ...] = ()
    for member in place.path:
        if member == APPEND:
            member = length_of(tx.network, Place(place.instance, place.side, members)) or 0
        members = (*members, member)
    return Place(place.instance, place.side, members)


def writer_of(tx: Transaction, place: Place) -> Place | None:
    """Return the connected place that overlaps `place` (one path is a prefix of the other), or None."""
    instance = tx.network.instances[place.instance]
    links = instance.links.get(place.side, {})
    for depth in range(1, len(place.path) + 1):
        if place.path[:depth] in links:
            return Place(place.instance, place.side, place.path[:depth])
    return next(iter(linked_parts(instance, place)), None)


def refuse_connected(tx: Transaction, place: Place) -> None:
    """Raise `Refused` when something is connected to `place`, to a part of it, or around it."""
    writer = writer_of(tx, place)
    if writer is not None:
        source = tx.network.instances[writer.instance].links[writer.side][writer.path]
        raise Refused(
            f"{place_text(tx, place)} has a writer: {place_text(tx, source)} is connected to {place_text(tx, writer)}.",
            "Set the source, or disconnect it first.",
        )


def connect(tx: Transaction, source: Place, destination: Place) -> None:
    """Make `destination` a view of `source`; refuse what does not fit, overlaps, or closes a circle without a controller."""
    links = tx.network.instances[destination.instance].links
    if links.get(destination.side, {}).get(destination.path) == source:
        return
    check_connection(tx, source, destination)
    tx.will_change(destination)
    tx.do(f.Connected(*destination, *source))


def check_connection(tx: Transaction, source: Place, destination: Place) -> None:
    """Raise `WrongType`, `TooLarge` or `Refused` for a connection that cannot be."""
    offered, wanted = type_of(tx, source), type_of(tx, destination)
    misfit = fits(offered, wanted)
    if misfit:
        raise WrongType(
            f"{place_text(tx, source)} ({offered}) does not fit {place_text(tx, destination)} ({wanted}): {misfit}."
        )
    if any(isinstance(member, int) and member > INDEX_LIMIT for member in destination.path):
        raise TooLarge(f"{place_text(tx, destination)}: an array has at most {INDEX_LIMIT} elements.")
    refuse_connected(tx, destination)
    _refuse_circle(tx, source, destination)


def _refuse_circle(tx: Transaction, source: Place, destination: Place) -> None:
    """Refuse when `source` shows something of `destination`: searched from both, until one side has come to its end.

    A network is often connected from one end to the other, so one of the two is near an end: cost does not grow with it.
    """
    network, seen, stack = tx.network, set(), [destination]
    before: set[int] = set()
    upstream: Iterator[int] | None = _instances_before(tx, source.instance, before)
    while stack:
        place = stack.pop()
        if upstream is not None and next(upstream, None) is None:
            if destination.instance not in before:
                return
            upstream = None  # whole instances are too coarse to tell; the other side can
        if place in seen:
            continue
        seen.add(place)
        shorter = min(len(place.path), len(source.path))
        if place[:2] == source[:2] and place.path[:shorter] == source.path[:shorter]:
            raise Refused(
                f"Connecting {place_text(tx, source)} to {place_text(tx, destination)} would close a circle.",
                "A circle of connections must contain a controller.",
            )
        function = network.instances[place.instance].function
        stack.extend(readers_of(network, place))
        if place.side == "in" and function.kind == "scatter":
            # Which index reads which element changes with the lengths, so each may read any.
            readers = readers_of(network, Place(place.instance, "in", place.path[:1]))
            stack.extend(one for one in readers if network.instances[one.instance].parent == place.instance)
        if place.side == "in" and function.kind != "network":
            names = _passed_on(network.functions, function, str(place.path[0]))
            stack.extend(Place(place.instance, "out", (name,)) for name in names)


def _instances_before(tx: Transaction, id: int, seen: set[int]) -> Iterator[int]:
    """All instances on which anything of an instance may depend, itself included, in small steps; `seen` collects them."""
    stack = [id]
    while stack:
        instance = tx.network.instances[stack.pop()]
        if instance.id in seen:
            continue
        seen.add(instance.id)
        for links in instance.links.values():
            for place in links.values():
                stack.append(place.instance)
                yield instance.id
        if instance.index is not None:
            stack.append(instance.parent)
        if instance.function.kind == "scatter":
            for child in instance.children.values():
                stack.append(child)
                yield instance.id
        yield instance.id


def _passed_on(functions: dict[str, FunctionSchema], function: FunctionSchema, name: str) -> set[str]:
    """The outputs of a function that depend on its input `name`, otherwise than through a controller."""
    if function.kind == "controller":
        return set()
    if function.kind == "scatter":
        return _passed_on(functions, functions[function.base], name)
    if function.kind != "network":
        return {field.name for field in function.outputs}
    inside = {one.name: functions[one.function] for one in function.instances}
    links = [(_field_of(link.source), _field_of(link.destination)) for link in function.connections]
    reached, stack = set(), [("self", "in", name)]
    while stack:
        place = stack.pop()
        if place in reached:
            continue
        reached.add(place)
        stack += [destination for source, destination in links if source == place]
        if place[0] in inside and place[1] == "in":
            stack += [(place[0], "out", one) for one in _passed_on(functions, inside[place[0]], place[2])]
    return {name for instance, side, name in reached if (instance, side) == ("self", "out")}


def _field_of(text: str) -> tuple[str, str, str]:
    path = parse_path(text)
    return path.names[0], path.side, str(path.members[0])


def disconnect(tx: Transaction, place: Place) -> None:
    """Remove the connection that ends at `place`, which keeps what it showed as its own."""
    tx.follow()  # what changed before must reach who reads it through this connection
    shown: Any = tree.conform(type_of(tx, place), read(tx.network, place))
    tx.do(f.Disconnected(place.instance, place.side, place.path))
    if shown is not None:
        tx.do(f.Wrote(place.instance, place.side, place.path, shown))
    # What stands there is the same as before, so readers need not be told; the instance itself looks at it again.
    instance = tx.network.instances[place.instance]
    tx.touch(instance)
    if instance.function.kind == "controller":
        tx.network.note(instance, instance.id, place.path[0])
    # But it is no longer stale.
    tx.recheck(evaluated_readers(tx.network, [place]))


def remove_instance(tx: Transaction, instance: Instance) -> None:
    """Disconnect an instance and all below it, and remove them; what reads from them keeps its values."""
    network = tx.network
    inside = dict.fromkeys(one.id for one in network.subtree(instance))
    outside = [
        destination
        for id in inside
        for readers in network.instances[id].readers.values()
        for destination in readers
        if destination.instance not in inside
    ]
    for destination in outside:
        disconnect(tx, destination)
    for id in reversed(inside):
        one = network.instances[id]
        for side, links in one.links.items():
            for path in list(links):
                tx.do(f.Disconnected(id, side, path))
        key = one.key
        tx.do(f.Removed(id))
        tx.to_consider.pop(id, None)
        evaluation = network.evaluations.get(key)
        if evaluation is not None:
            supersede(tx, evaluation)
    around = network.instances[instance.parent]
    if around.function.kind == "controller":
        tx.consider(around)
