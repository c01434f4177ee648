"""Views: which source a place shows, what is to be read there, and who reads it.

A connected place holds nothing. Two kinds of connections need no fact, because they follow from what a scatter is: the
inputs of its indices are elements of its own arrays, and elements of its outputs are outputs of its indices.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from copernicus.dataflow import tree
from copernicus.dataflow.network import Instance, Network, Place
from copernicus.dataflow.paths import Member, show_path
from copernicus.model.types import Type

NOWHERE = Place(-1, "", ())
"""The source of a place that shows nothing: an index whose element is not there yet."""


def source_of(network: Network, place: Place) -> Place | None:
    """Return the place that `place` shows, or None when it holds its own value (or is put together from parts)."""
    instance = network.instances[place.instance]
    links = instance.links.get(place.side)
    if links:
        for length in range(1, len(place.path) + 1):
            source = links.get(place.path[:length])
            if source is not None:
                return Place(source.instance, source.side, source.path + place.path[length:])
    if place.side == "in" and instance.index is not None:
        return _element(network, instance, place)
    if place.side == "out" and instance.function.kind == "scatter" and len(place.path) > 1:
        name, index = place.path[0], place.path[1]
        if not isinstance(index, int) or not 0 <= index < (instance.width or 0):
            return NOWHERE
        return Place(index_of(network, instance, index).id, "out", (name, *place.path[2:]))
    return None


def index_of(network: Network, scatter: Instance, index: int) -> Instance:
    """The instance of one index of a scatter."""
    return network.instances[scatter.children[index_name(scatter, index)]]


def index_name(scatter: Instance, index: int) -> str:
    """The name of one index: the base function's name and the number."""
    return f"{scatter.function.base.rpartition('::')[2]}_{index}"


def _element(network: Network, instance: Instance, place: Place) -> Place:
    parent, name = network.instances[instance.parent], place.path[0]
    if name in parent.function.whole:
        return Place(parent.id, "in", place.path)
    length = length_of(network, Place(parent.id, "in", (name,)))
    index = instance.index
    assert index is not None
    if length is None:
        return NOWHERE
    if index < length and length > 1:
        return Place(parent.id, "in", (name, index, *place.path[1:]))
    return Place(parent.id, "in", (name, 0, *place.path[1:])) if length == 1 else NOWHERE


def length_of(network: Network, place: Place) -> int | None:
    """The length of the array at `place`, or None when it is unset."""
    while (source := source_of(network, place)) is not None:
        if source is NOWHERE:
            return None
        place = source
    instance = network.instances[place.instance]
    if place.side == "out" and instance.function.kind == "scatter" and len(place.path) == 1:
        return instance.width
    # An array is at least as long as its connected elements say: connecting makes room for them.
    own = tree.read(instance.values[place.side], place.path)
    return len(own) if isinstance(own, list) else None


def read(network: Network, place: Place) -> Any:
    """Return the value that `place` shows (plain JSON data, not to be changed), or None."""
    while (source := source_of(network, place)) is not None:
        if source is NOWHERE:
            return None
        place = source
    instance = network.instances[place.instance]
    if place.side == "out" and instance.function.kind == "scatter" and len(place.path) == 1:
        if instance.width is None:
            return None
        return [read(network, Place(place.instance, "out", (*place.path, index))) for index in range(instance.width)]
    own = tree.read(instance.values[place.side], place.path)
    if (place.side, place.path) not in instance.parts:
        return own
    # A composite of which parts are connected: put together, parts that are absent left out.
    holder: dict[str, Any] = {"": tree.copied(own)}
    for part in linked_parts(instance, place):
        tree.write(holder, ("", *part.path[len(place.path) :]), read(network, part))
    return holder.get("")


def linked_parts(instance: Instance, place: Place) -> list[Place]:
    """The connected places inside `place`."""
    if (place.side, place.path) not in instance.parts:
        return []
    depth = len(place.path)
    paths = [path for path in instance.links[place.side] if len(path) > depth and path[:depth] == place.path]
    return [Place(place.instance, place.side, path) for path in paths]


def version_of(network: Network, place: Place, known: dict[Place, int]) -> int:
    """The sequence number at which what `place` shows last changed, seen through connections; never too low.

    `known` remembers what was found for places that are put together from many.
    """
    newest = 0
    while True:
        newest = max(newest, stamp_of(network.instances[place.instance], place))
        source = source_of(network, place)
        if source is NOWHERE:
            # It shows nothing now. When that began is known where the array is.
            instance = network.instances[place.instance]
            place = Place(instance.parent, "in", place.path[:1]) if place.side == "in" else Place(*place[:2], place.path[:1])
            return max(newest, version_of(network, place, known))
        if source is None:
            break
        place = source
    if place not in known and _has_parts(network, place):
        instance = network.instances[place.instance]
        parts = linked_parts(instance, place)
        if place.side == "out" and instance.function.kind == "scatter":
            parts = [_below(place, index) for index in range(instance.width or 0)]
        known[place] = max((version_of(network, part, known) for part in parts), default=0)
    return max(newest, known.get(place, 0))


def stamp_of(instance: Instance, place: Place) -> int:
    """The sequence number at which what an instance itself holds at `place`, or is connected there, last changed; never too
    low."""
    side, field = place.side, place.path[0]
    if len(place.path) > 1 and isinstance(place.path[1], int) and (side, field, None) in instance.elements:
        elements = instance.elements
        return max(elements[side, field, None], elements.get((side, field, place.path[1]), 0))
    return instance.changed[side].get(field, 0)


def readers_of(network: Network, place: Place) -> Iterator[Place]:
    """The places that show `place`, a part of it, or something that it is a part of: one connection further."""
    instance = network.instances[place.instance]
    if not place.path:
        return
    for destination, source_path in list(instance.readers.get((place.side, place.path[0]), {}).items()):
        shorter = min(len(source_path), len(place.path))
        if source_path[:shorter] == place.path[:shorter]:
            yield Place(destination.instance, destination.side, destination.path + place.path[len(source_path) :])
    if place.side == "out" and instance.index is not None:
        yield Place(instance.parent, "out", (place.path[0], instance.index, *place.path[1:]))
    elif place.side == "in" and instance.function.kind == "scatter":
        yield from _index_inputs(network, instance, place)


def evaluated_readers(network: Network, places: list[Place]) -> list[int]:
    """The evaluated instances that show something of `places` in an input, over any number of connections."""
    found: list[int] = []
    stack, seen = list(places), set[Place]()
    while stack:
        place = stack.pop()
        if place in seen:
            continue
        seen.add(place)
        if place.side == "in" and network.instances[place.instance].is_evaluated:
            found.append(place.instance)
        # Somebody may be connected to that very input, too.
        stack.extend(readers_of(network, place))
    return found


def _index_inputs(network: Network, scatter: Instance, place: Place) -> Iterator[Place]:
    name, rest = place.path[0], place.path[1:]
    if name in scatter.function.whole or not rest:
        readers, path = list(scatter.children.values()), (name, *rest)
    else:
        # Element 0 of an array of one serves every index. Who loses its element reads nothing now, and keeps its key.
        index, path = rest[0], (name, *rest[1:])
        if index == 0 and length_of(network, Place(scatter.id, "in", (name,))) == 1:
            readers = list(scatter.children.values())
        else:
            readers = [scatter.children.get(index_name(scatter, index), -1)]  # type: ignore[arg-type]
    yield from (Place(child, "in", path) for child in readers if child >= 0)


def inputs_of(network: Network, instance: Instance) -> tuple[dict[str, Any], str]:
    """Return all inputs as plain JSON (defaults filled in, absent ones left out), and the first required one that is absent.

    The inputs are as the function declares them, and a copy: they do not change with the network.
    """
    inputs: dict[str, Any] = {}
    for field in instance.function.inputs:
        value = read(network, Place(instance.id, "in", (field.name,)))
        value = tree.conform(field.kind, field.default if value is None else value)
        if value is not None:
            inputs[field.name] = value
    return inputs, missing_input(network, instance)


def missing_input(network: Network, instance: Instance) -> str:
    """Return a required input (or part of one) that is absent, "" when all are there.

    It is looked for where one was absent the last time, so that an array that fills up element by element is not read
    from its beginning for each of them.
    """
    if instance.missing is None:
        found = _find_missing(network, instance)
        network.derive(instance, "absent", found or instance.absent)
        network.derive(instance, "missing", show_path("", "", found).removeprefix("."))
    return instance.missing or ""


def _find_missing(network: Network, instance: Instance) -> tuple[Member, ...]:
    last = instance.absent
    for field in sorted(instance.function.inputs, key=lambda field: field.name != (last[0] if last else "")):
        place = Place(instance.id, "in", (field.name,))
        kind = field.kind if field.is_required else field.kind.optional
        found = _absent(network, place, place, kind, last[1:] if last and last[0] == field.name else ())
        if found is None and not field.is_required and read(network, place) is None and _awaits_element(network, place):
            found = place.path
        if found is not None:
            return found
    return ()


def _awaits_element(network: Network, place: Place) -> bool:
    """Whether `place` shows an element that is still to come of an array that has others: then even a reader waits that
    could do without.
    """
    while True:
        instance, name = network.instances[place.instance], place.path[0]
        scatter = network.instances.get(instance.parent)
        if place.side == "in" and instance.index is not None and scatter and name not in scatter.function.whole:
            field, length = scatter.function.input(str(name)), length_of(network, Place(scatter.id, "in", (name,))) or 0
            if length and field and (instance.index >= length > 1 or not field.kind.element.is_optional):
                return True
        source = source_of(network, place)
        if source is None or source is NOWHERE:
            return False
        place = source


def _absent(
    network: Network, shown: Place, place: Place, kind: Type, first: tuple[Member, ...]
) -> tuple[Member, ...] | None:  # fmt: skip
    """Return the path of something absent in `place`, seen at `shown`, or None; look at the members `first` first."""
    while (source := source_of(network, place)) is not None:
        if source is NOWHERE:
            return None if kind.is_optional else shown.path
        place = source
    if not _has_parts(network, place):
        value = tree.read(network.instances[place.instance].values[place.side], place.path)
        return _absent_in(kind, value, shown.path)
    if kind.kind == "array":
        length = length_of(network, place)
        if length is None:
            return None if kind.is_optional else shown.path
        start = first[0] if first and isinstance(first[0], int) and first[0] < length else 0
        for step in range(length):
            index = (start + step) % length
            found = _absent(network, _below(shown, index), _below(place, index), kind.element, () if step else first[1:])
            if found is not None:
                return found
        return None
    return _absent_in(kind, read(network, place), shown.path)


def _below(place: Place, member: Member) -> Place:
    return Place(place.instance, place.side, (*place.path, member))


def _has_parts(network: Network, place: Place) -> bool:
    """Whether what stands at `place`, which has no source itself, is put together from parts that have."""
    instance = network.instances[place.instance]
    if place.side == "out" and instance.function.kind == "scatter":
        return len(place.path) == 1
    return (place.side, place.path) in instance.parts


def _absent_in(kind: Type, value: Any, path: tuple[Member, ...]) -> tuple[Member, ...] | None:
    if value is None:
        return None if kind.is_optional else path
    if kind.kind == "array":
        if kind.element.kind not in ("array", "record"):
            return (*path, value.index(None)) if not kind.element.is_optional and None in value else None
        for index, item in enumerate(value):
            found = _absent_in(kind.element, item, (*path, index))
            if found is not None:
                return found
    elif kind.kind == "record":
        for name, member in kind.fields:
            found = _absent_in(member, value.get(name), (*path, name))
            if found is not None:
                return found
    return None
