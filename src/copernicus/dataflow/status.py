"""What is read off the facts and never stored: held, busy, stale, and why a job may not start."""

from __future__ import annotations

from copernicus.dataflow.network import ROOT, Instance, Network, Place
from copernicus.dataflow.views import NOWHERE, lacks_input, source_of


def is_retired(network: Network, instance: Instance) -> bool:
    """Whether this is an index beyond the present width of its scatter."""
    return instance.index is not None and instance.index >= (network.instances[instance.parent].width or 0)


def why_held(network: Network, instance: Instance) -> str:
    """Why an instance does nothing now: it, or something around it, is held or retired ("": it is not)."""
    for one in network.ancestors(instance):
        if one.is_held:
            return "held" if one is instance else f"{network.path_of(one.id)} is held"
        if one.held_why:
            return f"held by {network.path_of(one.parent)}: {one.held_why}"
        if is_retired(network, one):
            return f"retired: {network.path_of(one.parent)} has only {network.instances[one.parent].width or 0} indices now"
    return ""


def is_pending(network: Network, instance: Instance) -> bool:
    """Whether an instance has inputs to look at that it has not looked at, held or not."""
    if instance.is_evaluated:
        return instance.touched > instance.key_seen
    if instance.function.kind == "controller":
        return instance.touched > instance.seen and not instance.error
    return False


def is_busy_itself(network: Network, instance: Instance) -> bool:
    """Whether the instance's own work is going on or about to begin (children apart)."""
    if why_held(network, instance):
        return False
    if instance.is_evaluated and instance.key and not instance.error and network.evaluations[instance.key].state == "open":
        return True
    return is_pending(network, instance) and not lacks_input(network, instance)


def own_error(network: Network, instance: Instance) -> str:
    """The error of this very instance, "" for none."""
    if instance.error:
        return instance.error
    if instance.is_evaluated and instance.key:
        return network.evaluations[instance.key].error
    return ""


def first_error(network: Network, instance: Instance) -> str:
    """The first error at or below an instance, with its path when it is below; "" for none."""
    for one in network.subtree(instance):
        error = own_error(network, one)
        if error and not is_retired(network, one):
            return error if one is instance else f"{network.path_of(one.id)}: {error}"
    return ""


def stale_source(network: Network, place: Place, seen: set[Place] | None = None) -> Instance | None:
    """Return an evaluated instance that is being made anew and that `place` shows, directly or through others, or None.

    Staleness passes through connections and evaluated functions and ends at controllers.
    """
    seen = set() if seen is None else seen
    if place in seen:
        return None
    seen.add(place)
    source = source_of(network, place)
    if source is not None:
        return None if source is NOWHERE else stale_source(network, source, seen)
    instance = network.instances[place.instance]
    if place.side == "out" and instance.is_evaluated:
        return _remade(network, instance, seen)
    if place.side == "out" and instance.function.kind == "scatter":
        parts = [Place(place.instance, "out", (*place.path, index)) for index in range(instance.width or 0)]
    else:
        depth = len(place.path)
        parts = [
            Place(place.instance, place.side, path)
            for path in instance.links.get(place.side, ())
            if len(path) > depth and path[:depth] == place.path
        ]
    return next((stale for part in parts if (stale := stale_source(network, part, seen))), None)


def _remade(network: Network, instance: Instance, seen: set[Place]) -> Instance | None:
    if not instance.stood:
        return None
    if instance.stood != instance.key or instance.touched > instance.key_seen or instance.error:
        return instance
    return stale_input(network, instance, seen)


def stale_input(network: Network, instance: Instance, seen: set[Place] | None = None) -> Instance | None:
    """Return what makes the inputs of an instance stale, or None."""
    seen = set() if seen is None else seen
    places = (Place(instance.id, "in", (field.name,)) for field in instance.function.inputs)
    return next((stale for place in places if (stale := stale_source(network, place, seen))), None)


def is_stale(network: Network, place: Place) -> bool:
    """Whether what `place` shows does not come from the present inputs of whoever makes it."""
    return stale_source(network, place) is not None


def why_blocked(network: Network, instances: set[int]) -> str:
    """Why a job that these instances want must not be started ("": it may)."""
    why = ""
    for id in sorted(instances):
        instance = network.instances[id]
        held = why_held(network, instance)
        if held:
            why = held
            continue
        stale = stale_input(network, instance)
        if stale is None:
            return ""
        why = f"an input is being made anew by {network.path_of(stale.id)}"
    return why


def depth_of(network: Network, instance: Instance) -> int:
    """How many instances are around this one (1 at the top)."""
    return sum(1 for _ in network.ancestors(instance)) if instance.id != ROOT else 0
