"""Outputs of jobs that have not ended, as they were with the last checkpoint; and where a place's output comes from."""

from __future__ import annotations

from typing import Any

import msgspec

from copernicus.dataflow.calls import ControllerCall
from copernicus.dataflow.network import Network, Place
from copernicus.dataflow.views import source_of
from copernicus.server.projects.states import States
from copernicus.wire import messages as m


def producer_of(network: Network, place: Place) -> Place | None:
    """Return the output of a command that an output shows, None when it shows none."""
    source: Place | None = place
    while source is not None:
        place, source = source, source_of(network, source)
    instance = network.instances.get(place.instance)
    is_found = instance is not None and place.side == "out" and instance.function.kind == "command" and place.path
    return place if is_found else None


def provisional_at(network: Network, states: States, place: Place) -> m.ProvisionalValue | None:
    """Return what an output was with the last checkpoint of the job that makes it, None when there is no such thing."""
    producer = producer_of(network, place) if place.side == "out" else None
    job = states.job_of(network.instances[producer.instance]) if producer is not None else None
    if producer is None or job is None or job.provisional is None:
        return None
    found = job.provisional
    value: Any = found.outputs
    for member in producer.path:
        if isinstance(value, list) and isinstance(member, int) and 0 <= member < len(value):
            value = value[member]
        elif isinstance(value, dict) and isinstance(member, str):
            value = value.get(member)
        else:
            return None
    return m.ProvisionalValue(value, job.id, found.attempt, found.at, found.progress) if value is not None else None


def partial_outputs(network: Network, states: States, child: int) -> dict[str, Any]:
    """Return what an instance has of its outputs so far, by field."""
    instance = network.instances.get(child)
    places = [Place(child, "out", (field.name,)) for field in instance.function.outputs] if instance is not None else []
    found = {str(place.path[0]): provisional_at(network, states, place) for place in places}
    return {name: provisional.value for name, provisional in found.items() if provisional is not None}


def with_partial(call: ControllerCall, network: Network, states: States) -> ControllerCall:
    """Return a controller's call with the provisional outputs of the children that it follows."""
    if not any(view.is_followed for view in call.children):
        return call
    children = [
        msgspec.structs.replace(view, partial=partial_outputs(network, states, view.id)) if view.is_followed else view
        for view in call.children
    ]
    return msgspec.structs.replace(call, children=children)
