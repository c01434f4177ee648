"""What a controller is told: everything, or the difference to what it was told before, at the cost of what changed.

While somebody may have been told all up to `seen` (`Instance.is_told`), or is being told (`in_flight`), each change of
what a controller sees is noted in its `news` under (instance, field, element): one of its own inputs, an output of a
child, or (field "") a child itself. Notes are derived, so a roll-back takes them back; after a restart there are none, and
the first call carries everything.
"""

from __future__ import annotations

from typing import Any

from copernicus.dataflow.calls import ChildView, ControllerCall
from copernicus.dataflow.network import Instance, Network, Place
from copernicus.dataflow.notebook import EVERYTHING, GONE
from copernicus.dataflow.status import own_error
from copernicus.dataflow.tree import conform
from copernicus.dataflow.views import NOWHERE, inputs_of, length_of, read, source_of
from copernicus.model.functions import Field

Parts = dict[str, set[int | None]]


def forget_news(network: Network, controller: Instance) -> None:
    """Let the next call carry everything."""
    network.derive(controller, "is_told", False)
    network.derive(controller, "news", {})


def tell(network: Network, controller: Instance, seq: int) -> ControllerCall:
    """Return the call of a controller that sees everything up to `seq`: the difference if it can be one."""
    if controller.is_told and EVERYTHING not in controller.news:
        return _difference(network, controller, seq)
    network.derive(controller, "news", {})
    inputs, _ = inputs_of(network, controller)
    return ControllerCall(
        instance=controller.id,
        function=controller.function.name,
        seen=seq,
        seed=_seed(controller),
        inputs=inputs,
        changed=_changed(controller) if controller.seen else list(inputs),
        outputs=_fields(network, controller, "out", controller.function.outputs),
        state=_fields(network, controller, "state", controller.function.state),
        children=[_view(network, child, controller.seen) for child in network.children(controller)],
        spent_core_s=controller.core_s,
    )


def _difference(network: Network, controller: Instance, seq: int) -> ControllerCall:
    mine: Parts = {}
    changed: dict[int, Parts] = {}
    removed: list[str] = []
    for id, name, index in controller.news:
        field = str(name)
        if id == controller.id:
            mine.setdefault(field, set()).add(index)
        elif id in network.instances:
            parts = changed.setdefault(id, {})
            if field:
                parts.setdefault(field, set()).add(index)
        elif index == GONE:
            removed.append(field)
    inputs, lengths = _told(network, Place(controller.id, "in", ()), controller.function.inputs, mine)
    return ControllerCall(
        instance=controller.id,
        function=controller.function.name,
        seen=seq,
        seed=_seed(controller),
        inputs=inputs,
        changed=_changed(controller),
        outputs={},
        state={},
        # Ids grow, so that children come in the order in which they were made.
        children=[_view(network, network.instances[id], controller.seen, changed[id]) for id in sorted(changed)],
        spent_core_s=controller.core_s,
        base=controller.seen,
        lengths=lengths,
        removed=removed,
    )


def _seed(controller: Instance) -> int:
    return (controller.id * 1_000_003 + controller.seen) % 2**31


def _changed(controller: Instance) -> list[str]:
    fields = controller.function.inputs
    return [field.name for field in fields if controller.heard.get(field.name, 0) > controller.seen]


def _fields(network: Network, instance: Instance, side: str, fields: tuple[Field, ...]) -> dict[str, Any]:
    """What stands in some fields, as a copy that does not change with the network; absent ones are left out."""
    found = {field.name: conform(field.kind, read(network, Place(instance.id, side, (field.name,)))) for field in fields}
    return {name: value for name, value in found.items() if value is not None}


def _told(
    network: Network, side: Place, fields: tuple[Field, ...], parts: Parts
) -> tuple[dict[str, Any], dict[str, int]]:  # fmt: skip
    """The fields and elements of `parts` as they are now, and how long the arrays are of which elements are told."""
    values: dict[str, Any] = {}
    lengths: dict[str, int] = {}
    for field in fields:
        indices = parts.get(field.name)
        if indices is None:
            continue
        place, name = Place(side.instance, side.side, (field.name,)), field.name
        length = None if None in indices or field.default is not None else length_of(network, place)
        told = sorted(index for index in indices if index is not None and index < (length or 0))
        parts_of_it = [Place(side.instance, side.side, (name, index)) for index in told]
        if length is None or 2 * len(told) > length + 2 or any(_is_composed(network, part) for part in parts_of_it):
            value = read(network, place)
            values[name] = conform(field.kind, field.default if value is None else value)
            continue
        lengths[name] = length
        for part in parts_of_it:
            values[f"{name}[{part.path[1]}]"] = conform(field.kind.element, read(network, part))
    return values, lengths


def _is_composed(network: Network, place: Place) -> bool:
    """Whether an element is put together from connected parts: absent ones are seen only where the array is looked at."""
    while (source := source_of(network, place)) is not None:
        if source is NOWHERE:
            return False
        place = source
    return (place.side, place.path) in network.instances[place.instance].parts


def _view(network: Network, child: Instance, seen: int, parts: Parts | None = None) -> ChildView:
    """A child as its controller sees it; of one that it knows already only the `parts` of its outputs."""
    has_ended = child.ended > seen
    is_held = bool(child.is_held or child.held_why)
    error = own_error(network, child) or ("" if child.is_busy else child.ended_error)
    lengths: dict[str, int] = {}
    if parts is None or child.made > seen:
        outputs = _fields(network, child, "out", child.function.outputs)
    else:
        outputs, lengths = _told(network, Place(child.id, "out", ()), child.function.outputs, parts)
    return ChildView(
        name=child.name,
        function=child.function.name,
        outputs=outputs,
        runs=child.runs,
        is_running=child.is_busy,
        is_done=child.runs > 0 and not child.is_busy and not error,
        is_held=is_held,
        error=error,
        core_s=child.core_s,
        has_ended=has_ended and not child.ended_error,
        was_updated=child.updated > seen,
        has_failed=has_ended and bool(child.ended_error),
        id=child.id,
        lengths=lengths,
        is_followed=child.is_followed,
        was_glimpsed=child.glimpsed > seen,
    )
