"""Views: which source a place shows, what is to be read there, and who reads it.

A connected place holds nothing. Two kinds of connections need no fact, because they follow from what a scatter is: the
inputs of its indices are elements of its own arrays, and elements of its outputs are outputs of its indices.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from copernicus.dataflow import tree
from copernicus.dataflow.network import Instance, Network, Place

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
        assert isinstance(index, int)
        if index >= (instance.width or 0):
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
    own = tree.read(instance.values[place.side], place.path)
    length = len(own) if isinstance(own, list) else None
    depth = len(place.path)
    for path in instance.links.get(place.side, ()):
        if len(path) > depth and path[:depth] == place.path and isinstance(path[depth], int):
            length = max(length or 0, path[depth] + 1)  # type: ignore[operator]
    return length


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
    depth = len(place.path)
    inner = [p for p in instance.links.get(place.side, ()) if len(p) > depth and p[:depth] == place.path]
    if not inner:
        return own
    # A composite of which parts are connected: put together, parts that are absent left out.
    holder: dict[str, Any] = {"": _copy(own)}
    for path in sorted(inner, key=lambda path: tuple(map(str, path))):
        value = read(network, Place(place.instance, place.side, path))
        if value is not None or isinstance(path[-1], int):
            tree.write(holder, ("", *path[depth:]), value)
    return holder.get("")


def _copy(value: Any) -> Any:
    if isinstance(value, list):
        return [_copy(item) for item in value]
    if isinstance(value, dict):
        return {name: _copy(item) for name, item in value.items()}
    return value


def version_of(network: Network, place: Place) -> int:
    """The sequence number at which the field that `place` belongs to last changed, seen through connections.

    It is never too low; for an element of an array it may be that of a sibling.
    """
    instance = network.instances[place.instance]
    field = place.path[0]
    newest = instance.changed[place.side].get(field, 0)  # type: ignore[arg-type]
    sources = [s for path, s in instance.links.get(place.side, {}).items() if path[0] == field]
    if place.side == "in" and instance.index is not None:
        sources.append(Place(instance.parent, "in", (field,)))
    if place.side == "out" and instance.function.kind == "scatter":
        sources += [Place(index_of(network, instance, i).id, "out", (field,)) for i in range(instance.width or 0)]
    return max([newest, *(version_of(network, source) for source in sources)])


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
    """Return all inputs as plain JSON (defaults filled in, absent ones left out), and the first required one that is absent."""
    inputs: dict[str, Any] = {}
    missing = ""
    for field in instance.function.inputs:
        value = read(network, Place(instance.id, "in", (field.name,)))
        if value is None:
            value = field.default
        if not missing:
            kind = field.kind if field.is_required else field.kind.optional
            missing = tree.what_is_absent(kind, value, field.name)
        if value is not None:
            inputs[field.name] = value
    return inputs, missing


def lacks_input(network: Network, instance: Instance) -> bool:
    """Whether something required is absent.

    Of an array with holes, such as the outputs of a scatter whose jobs end one by one, the last hole is remembered: while
    it is one, the others need not be looked at. Otherwise each end would cost as much as there are elements.
    """
    if instance.awaited is not None and _is_hole(network, instance.awaited):
        return True
    instance.awaited = None
    for field in instance.function.inputs:
        place = Place(instance.id, "in", (field.name,))
        value = read(network, place)
        if value is None:
            value = field.default
        kind = field.kind if field.is_required else field.kind.optional
        if tree.what_is_absent(kind, value, field.name):
            if kind.kind == "array" and not kind.element.is_optional and isinstance(value, list):
                holes = (index for index in reversed(range(len(value))) if value[index] is None)
                instance.awaited = next((Place(*place[:2], (*place.path, index)) for index in holes), None)
            return True
    return False


def _is_hole(network: Network, place: Place) -> bool:
    length, index = length_of(network, Place(*place[:2], place.path[:-1])), place.path[-1]
    return length is not None and isinstance(index, int) and index < length and read(network, place) is None
