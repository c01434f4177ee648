"""Controllers: one call for all that is newer, and its answer applied as one transaction."""

from __future__ import annotations

from typing import Any

from copernicus.dataflow import facts as f
from copernicus.dataflow.building import (
    connect,
    disconnect,
    inner_place,
    make_instance,
    remove_instance,
    resolve_append,
    type_of,
    writer_of,
)
from copernicus.dataflow.calls import ChildSet, ChildStart, ChildView, ControllerAnswer, ControllerCall
from copernicus.dataflow.network import Instance, Network, Place
from copernicus.dataflow.paths import clean_name, parse_path
from copernicus.dataflow.status import own_error, why_held
from copernicus.dataflow.transaction import StartCall, Transaction
from copernicus.dataflow.tree import conform
from copernicus.dataflow.views import inputs_of, missing_input, read
from copernicus.errors import CopernicusError, Refused, UnknownPath
from copernicus.model.functions import Field
from copernicus.model.types import decode
from copernicus.model.values import to_json

CASCADE_LIMIT = 1000


def consider_controller(tx: Transaction, instance: Instance) -> None:
    """Call a controller when something that it reads is newer than what its last applied call had seen."""
    if instance.in_flight or instance.error or instance.touched <= instance.seen or why_held(tx.network, instance):
        return
    if instance.function.name in tx.network.outdated or missing_input(tx.network, instance):
        return
    if instance.depth >= CASCADE_LIMIT:
        why = f"does not settle: {CASCADE_LIMIT} calls followed from one another without a job's end or a user's edit"
        tx.do(f.ErrorSet(instance.id, why, instance.seen))
        return
    tx.to_ask[instance.id] = None


def call_controller(tx: Transaction, instance: Instance) -> None:
    """Call a controller with everything as it stands now, unless that has come to nothing meanwhile."""
    network = tx.network
    inputs, missing = inputs_of(network, instance)
    if missing or instance.error or why_held(network, instance):
        return
    network.derive(instance, "in_flight", tx.seen)
    network.depths[instance.id] = instance.depth + 1
    network.derive(instance, "depth", 0)
    tx.effects.append(StartCall(_call(network, instance, inputs, tx.seen)))


def _call(network: Network, instance: Instance, inputs: dict[str, Any], seq: int) -> ControllerCall:
    changed = [name for name in inputs if not instance.seen]
    if instance.seen:
        changed = [field.name for field in instance.function.inputs if instance.heard.get(field.name, 0) > instance.seen]
    schema = instance.function
    return ControllerCall(
        instance=instance.id,
        function=instance.function.name,
        seen=seq,
        seed=(instance.id * 1_000_003 + instance.seen) % 2**31,
        inputs=inputs,
        changed=changed,
        outputs=_fields(network, instance, "out", schema.outputs),
        state=_fields(network, instance, "state", schema.state),
        children=[_child(network, child, instance.seen) for child in network.children(instance)],
        spent_core_s=instance.core_s,
    )


def _fields(network: Network, instance: Instance, side: str, fields: tuple[Field, ...]) -> dict[str, Any]:
    """What stands in some fields, as a copy that does not change with the network; absent ones are left out."""
    found = {field.name: conform(field.kind, read(network, Place(instance.id, side, (field.name,)))) for field in fields}
    return {name: value for name, value in found.items() if value is not None}


def _child(network: Network, child: Instance, seen: int) -> ChildView:
    has_ended = child.ended > seen
    is_held = bool(child.is_held or child.held_why)
    error = own_error(network, child) or ("" if child.is_busy else child.ended_error)
    return ChildView(
        name=child.name,
        function=child.function.name,
        outputs=_fields(network, child, "out", child.function.outputs),
        runs=child.runs,
        is_running=child.is_busy,
        is_done=child.runs > 0 and not child.is_busy and not error,
        is_held=is_held,
        error=error,
        core_s=child.core_s,
        has_ended=has_ended and not child.ended_error,
        was_updated=child.updated > seen,
        has_failed=has_ended and bool(child.ended_error),
    )


def call_ended(tx: Transaction, instance: Instance, seen: int, answer: ControllerAnswer) -> None:
    """Apply a controller's answer; one that cannot be applied, or says so itself, is the controller's error."""
    if instance.in_flight != seen:
        return
    tx.network.derive(instance, "in_flight", 0)
    tx.depth = tx.network.depths.pop(instance.id, 0)
    tx.consider(instance)
    mark = tx.mark()
    error = answer.error
    if not error:
        try:
            _apply(tx, instance, answer)
        except CopernicusError as problem:
            tx.roll_back(mark)
            error = f"The answer of {instance.function.name} cannot be applied: {problem}"
    if error:
        tx.do(f.ErrorSet(instance.id, error, instance.seen))
        return
    tx.do(f.Seen(instance.id, seen))


def _apply(tx: Transaction, instance: Instance, answer: ControllerAnswer) -> None:
    network = tx.network
    for side, fields in (("out", answer.outputs), ("state", answer.state)):
        for name, value in fields.items():
            place = Place(instance.id, side, (name,))
            tx.write(place, to_json(decode(type_of(tx, place), value, f"{side}.{name}")))
    for name in answer.removes:
        remove_instance(tx, _own_child(network, instance, name))
    for start in answer.starts:
        name = clean_name(start.name)
        id = instance.children.get(name)
        child = network.instances[id] if id is not None else make_instance(tx, start.function, name, instance)
        if child.function.name != start.function:
            raise Refused(f"{name!r} is already an instance of {child.function.name}, not of {start.function}.")
        _set_inputs(tx, instance, child, start)
    for change in answer.sets:
        _set_inputs(tx, instance, _own_child(network, instance, change.name), change)
    for hold in answer.holds:
        hold_child(tx, _own_child(network, instance, hold.name), hold.why or "held by its controller")
    for name in answer.resumes:
        hold_child(tx, _own_child(network, instance, name), "")
    note = answer.note if answer.note != instance.note else None
    warning = answer.warning if answer.warning != instance.warning else None
    if note is not None or warning is not None:
        tx.do(f.Noted(instance.id, note, warning))


def _own_child(network: Network, instance: Instance, name: str) -> Instance:
    id = instance.children.get(name)
    if id is None:
        raise UnknownPath(f"{network.path_of(instance.id)} has no child {name!r}.")
    return network.instances[id]


def _set_inputs(tx: Transaction, instance: Instance, child: Instance, change: ChildStart | ChildSet) -> None:
    links = child.links["in"]
    for name, value in change.inputs.items():
        place = Place(child.id, "in", (name,))
        kind = type_of(tx, place)
        for path in [path for path in links if path[0] == name]:
            disconnect(tx, Place(child.id, "in", path))
        tx.write(place, to_json(decode(kind, value, f"{child.name}.{name}")))
    for field, text in change.connections.items():
        # A key may go into a field: `others[0]`, `rec.member`.
        place = resolve_append(tx, Place(child.id, "in", parse_path(f"self:in.{field}").members))
        source = inner_place(tx, instance, text)
        while (writer := writer_of(tx, place)) is not None and links[writer.path] != source:
            disconnect(tx, writer)
        connect(tx, source, place)


def look_again_below(tx: Transaction, instance: Instance) -> None:
    """Look at an instance and all below it again: whether they may work has changed."""
    for one in tx.network.subtree(instance):
        tx.consider(one)
        tx.to_recheck[one.id] = None


def hold_child(tx: Transaction, child: Instance, why: str) -> None:
    """Hold a child for its controller, or ("") let it go on."""
    if child.held_why != why:
        tx.do(f.HeldByController(child.id, why))
        look_again_below(tx, child)
