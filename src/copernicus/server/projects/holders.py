"""Holders: the places that hold what a place shows, and the connections through which it is seen there."""

from __future__ import annotations

from collections.abc import Iterator
from typing import NamedTuple

from copernicus.dataflow.network import Network, Place
from copernicus.dataflow.views import NOWHERE, linked_parts, source_of


class Holder(NamedTuple):
    """A place on the way from one that shows something to where it is held.

    `links` are the connected places that were passed, the nearest first; `is_last`: it holds what is shown itself.
    """

    place: Place
    links: tuple[Place, ...]
    is_last: bool


def holders(network: Network, place: Place, *, with_retired: bool = False) -> Iterator[Holder]:
    """Follow a place to where it is held, over any number of connections; of what is put together, follow every part.

    `with_retired` follows indices as well that a scatter has no longer.
    """
    stack: list[tuple[Place, tuple[Place, ...]]] = [(place, ())]
    while stack:
        place, links = stack.pop()
        source = source_of(network, place)
        if source is NOWHERE:
            yield Holder(place, links, True)
            continue
        if source is not None:
            yield Holder(place, links, False)
            link = link_of(network, place)
            stack.append((source, (*links, link) if link else links))
            continue
        yield Holder(place, links, True)
        instance = network.instances[place.instance]
        parts = [(part, links) for part in linked_parts(instance, place)]
        if place.side == "out" and instance.function.kind == "scatter" and len(place.path) == 1:
            width = len(instance.children) if with_retired else instance.width or 0
            ids = list(instance.children.values())[:width]  # indices are made in their order, and never go
            parts += [(Place(id, "out", place.path), links) for id in ids]
        stack += reversed(parts)


def link_of(network: Network, place: Place) -> Place | None:
    """The connected place by which `place` is a view; None when it is one by the nature of a scatter."""
    found = network.instances[place.instance].links.get(place.side, {})
    prefixes = (place.path[:length] for length in range(1, len(place.path) + 1))
    return next((Place(*place[:2], path) for path in prefixes if path in found), None)
