"""What is read off the facts and never stored: held, busy, stale, and why a job may not start."""

from __future__ import annotations

from copernicus.dataflow.network import Instance, Network, Place
from copernicus.dataflow.views import NOWHERE, linked_parts, missing_input, source_of
from copernicus.model.counts import counted


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
            width = counted(network.instances[one.parent].width or 0, "index", "indices")
            return f"retired: {network.path_of(one.parent)} has only {width} now"
    return ""


def is_retired_within(network: Network, instance: Instance) -> bool:
    """Whether this is, or is inside, an index beyond the present width of its scatter."""
    return any(is_retired(network, one) for one in network.ancestors(instance))


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
    pending = is_pending(network, instance) and instance.function.name not in network.outdated
    if instance.is_evaluated and instance.key and not instance.error and network.evaluations[instance.key].state == "open":
        # A job goes on while its inputs change; a pure function is only asked for what belongs to the present ones.
        if instance.function.kind == "pure" and instance.function.name in network.outdated:
            return False  # there is nobody to ask
        return instance.function.kind == "command" or not pending or not missing_input(network, instance)
    return pending and not missing_input(network, instance)


def own_error(network: Network, instance: Instance) -> str:
    """The error of this very instance, "" for none; that it is outdated counts before what it did last."""
    return network.outdated.get(instance.function.name) or clearable_error(network, instance)


def clearable_error(network: Network, instance: Instance) -> str:
    """The error of this very instance that a person can clear: of its evaluation or call."""
    if instance.error:
        return instance.error
    if instance.is_evaluated and instance.key:
        return network.evaluations[instance.key].error
    return ""


def first_error(network: Network, instance: Instance) -> str:
    """The first error at or below an instance, with its path when it is below; "" for none."""
    stack = [instance]
    while stack:
        one = stack.pop()
        if is_retired(network, one):
            continue
        error = own_error(network, one)
        if error:
            return error if one is instance else f"{network.path_of(one.id)}: {error}"
        stack.extend(network.instances[id] for id in reversed(one.children.values()))
    return ""


def stale_source(network: Network, place: Place) -> Instance | None:
    """Return an evaluated instance that is being made anew and that `place` shows, or None.

    Staleness passes through connections and evaluated functions (`is_remade` carries it) and ends at controllers.
    """
    while (source := source_of(network, place)) is not None:
        if source is NOWHERE:
            return None
        place = source
    instance = network.instances[place.instance]
    if place.side == "out" and instance.is_evaluated:
        return instance if instance.is_remade else None
    if place.side == "out" and instance.function.kind == "scatter":
        parts = [Place(place.instance, "out", (*place.path, index)) for index in range(instance.width or 0)]
    else:
        parts = linked_parts(instance, place)
    return next((stale for part in parts if (stale := stale_source(network, part))), None)


def stale_input(network: Network, instance: Instance) -> Instance | None:
    """Return what makes the inputs of an instance stale, or None."""
    places = (Place(instance.id, "in", (field.name,)) for field in instance.function.inputs)
    return next((stale for place in places if (stale := stale_source(network, place))), None)


def find_remade(network: Network, instance: Instance) -> bool:
    """Find whether the output of an evaluated instance is stale, given the marks of those that it reads."""
    if not instance.stood:
        return False
    return is_remade_itself(instance) or stale_input(network, instance) is not None


def is_remade_itself(instance: Instance) -> bool:
    """Whether the output of an evaluated instance does not come from its inputs as they stand."""
    return bool(instance.stood != instance.key or instance.touched > instance.key_seen or instance.error)


def is_stale(network: Network, place: Place) -> bool:
    """Whether what `place` shows does not come from the present inputs of whoever makes it."""
    return stale_source(network, place) is not None


def what_blocks(network: Network, instances: set[int]) -> tuple[str, int]:
    """Why a job that these instances want must not be started ("": it may), and which instance makes an input of it anew."""
    why, maker = "", 0
    for id in sorted(instances):
        instance = network.instances[id]
        held = why_held(network, instance)
        if held:
            why, maker = held, 0
            continue
        stale = stale_input(network, instance)
        if stale is None:
            return "", 0
        # The first in the chain is what people can do something about.
        while not is_remade_itself(stale) and (before := stale_input(network, stale)) is not None:
            stale = before
        why, maker = f"an input is being made anew by {network.path_of(stale.id)}", stale.id
    return why, maker
