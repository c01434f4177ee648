"""A controller's answer, applied: one transaction, all of it or none."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import msgspec

from copernicus.dataflow import facts as f, tree
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
from copernicus.dataflow.calls import ChildSet, ChildStart, ControllerAnswer
from copernicus.dataflow.network import Instance, Network, Place
from copernicus.dataflow.paths import INDEX_LIMIT, Member, clean_name, parse_path
from copernicus.dataflow.transaction import Transaction
from copernicus.errors import Refused, TooLarge, UnknownPath
from copernicus.model.types import decode
from copernicus.model.values import to_json

CHANGES_LIMIT = 100_000
STATE_LIMIT_BYTES = 1024 * 1024
_encoder = msgspec.json.Encoder()


def apply_answer(tx: Transaction, instance: Instance, answer: ControllerAnswer) -> None:
    """Make what a controller says so; raise `CopernicusError` when that cannot be (the caller rolls back)."""
    _refuse_too_many(said_changes(answer))
    before = len(tx.facts)
    _write_values(tx, instance, answer)
    _refuse_too_many(sum(_leaves(fact.value) if isinstance(fact, f.Wrote) else 1 for fact in tx.facts[before:]))
    network = tx.network
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
    for name, is_followed in answer.follows.items():
        child = _own_child(network, instance, name)
        if child.is_followed != is_followed:
            tx.do(f.Followed(child.id, is_followed))
    note = answer.note if answer.note != instance.note else None
    warning = answer.warning if answer.warning != instance.warning else None
    if note is not None or warning is not None:
        tx.do(f.Noted(instance.id, note, warning))


def said_changes(answer: ControllerAnswer) -> int:
    """How many changes an answer asks for: values written, children concerned, and inputs set or connected of them."""
    children: list[ChildStart | ChildSet] = [*answer.starts, *answer.sets]
    inside = sum(len(child.inputs) + len(child.connections) for child in children)
    values: tuple[Any, ...] = (answer.outputs, answer.state, answer.lengths)
    lists = (*values, answer.holds, answer.resumes, answer.removes, answer.follows)
    return sum(map(len, lists)) + len(children) + inside


def _leaves(value: Any) -> int:
    if isinstance(value, list):
        return sum(map(_leaves, value))
    return sum(map(_leaves, value.values())) if isinstance(value, dict) and "blob" not in value else 1


def _refuse_too_many(changes: int) -> None:
    if changes > CHANGES_LIMIT:
        raise TooLarge(
            f"It makes {changes} changes at once; at most {CHANGES_LIMIT} are allowed.",
            "Make them in several calls, or use one scatter for many equal things.",
        )


def _write_values(tx: Transaction, instance: Instance, answer: ControllerAnswer) -> None:
    for key, length in answer.lengths.items():
        side, _, field = key.partition(".")
        values = instance.values[side].get(field) if side in ("out", "state") else None
        if isinstance(values, list) and 0 <= length < len(values):
            with _counted(tx, instance, place := Place(instance.id, side, (field,))):
                tx.shorten(place, length)
    for side, fields in (("out", answer.outputs), ("state", answer.state)):
        for name, value in fields.items():
            place = resolve_append(tx, Place(instance.id, side, _members(name)))
            if any(isinstance(member, int) and member > INDEX_LIMIT for member in place.path):
                raise TooLarge(f"{side}.{name}: an array has at most {INDEX_LIMIT} elements.")
            data = to_json(decode(type_of(tx, place), value, f"{side}.{name}"))
            with _counted(tx, instance, place):
                tx.write(place, data)
    if instance.state_bytes is not None and instance.state_bytes > STATE_LIMIT_BYTES:
        raise TooLarge(
            f"Its state would have {instance.state_bytes} bytes; at most {STATE_LIMIT_BYTES} are allowed.",
            "Keep large things in outputs or in files, and only what is needed to go on in the state.",
        )


def _members(name: str) -> tuple[Member, ...]:
    return parse_path(f"self:out.{name}").members if not name.isidentifier() else (name,)


@contextmanager
def _counted(tx: Transaction, instance: Instance, place: Place) -> Iterator[None]:
    """Keep count of how long the state is, at the cost of what is written."""
    if place.side != "state":
        yield
        return
    state = instance.values["state"]
    if instance.state_bytes is None:
        tx.network.derive(instance, "state_bytes", _bytes(state))
    known, before = instance.state_bytes or 0, _bytes(tree.read(state, place.path))
    yield
    tx.network.derive(instance, "state_bytes", known - before + _bytes(tree.read(state, place.path)))


def _bytes(value: Any) -> int:
    return 0 if value is None else len(_encoder.encode(value))


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
