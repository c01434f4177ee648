"""What a person's transaction wrote is put back to what stood there before it, as a transaction of its own."""

from __future__ import annotations

from typing import Any

from copernicus.dataflow import building, facts as f, tree
from copernicus.dataflow.answers import look_again_below
from copernicus.dataflow.claims import Spot
from copernicus.dataflow.evaluating import is_struck
from copernicus.dataflow.network import ROOT, Network, Place
from copernicus.dataflow.taking_back import Before, SavedLink, Undoing, shape, top_of
from copernicus.dataflow.transaction import Transaction
from copernicus.errors import Refused

STAYS = "Modules and functions stay known, work that was done anew stays done, and errors stay forgotten."
"""What an undo does not turn back, as it is told."""


def take_back(tx: Transaction, undoing: Undoing) -> list[str]:
    """Put back what a transaction wrote; return what is told. `Refused` when that is impossible.

    Whether a later transaction is in the way has been found out before (`Undoing.clash`). What the machine derives follows
    as from any other change.
    """
    network, before = tx.network, undoing.before
    assert undoing.network.seq == network.seq, "something has happened since the log was read"
    if undoing.is_upgrade:
        raise Refused(f"Transaction {undoing.seq} upgraded functions.", "The way back is to install the old version.")
    _refuse_other_functions(network, undoing.seq, before)
    _refuse_those_that_are_back(network, undoing.seq, before)
    told: list[str] = []
    records = [spot for spot in before.records if spot[0] in network.instances and _shape(network, spot) == -1]
    tx.do(f.TookBack(undoing.seq))
    _drop_links(tx, before)
    for id in undoing.claim.made:
        if id in network.instances:
            building.remove_instance(tx, network.instances[id])
    _rename(tx, dict(before.names))
    _restore_instances(tx, before)
    _restore_values(tx, before, records)
    ids = {one.made.id for one in before.instances}
    outside = [link for one in before.instances for link in one.links if link.source.instance not in ids]
    for link in (*before.links, *outside):
        told += _restore_link(tx, link)
    _restore_results(tx, before)
    told += _hold_what_would_cost(tx, before)
    for id, is_held in before.held.items():
        if id in network.instances and network.instances[id].is_held != is_held:
            tx.do(f.Held(id, is_held))
            look_again_below(tx, network.instances[id])
    if len(tx.facts) == 1:
        raise Refused(f"Transaction {undoing.seq} left nothing that could be taken back.", STAYS)
    return told


def _refuse_other_functions(network: Network, seq: int, before: Before) -> None:
    schemas = {id: schema for id, schema in before.schemas.items() if id in network.instances}
    changed = [schema.name for id, schema in schemas.items() if network.instances[id].function != schema]
    changed += [one.schema.name for one in before.instances if network.functions[one.schema.name] != one.schema]
    if changed:
        raise Refused(f"Transaction {seq} cannot be taken back: {changed[0]} is another version now.")


def _drop_links(tx: Transaction, before: Before) -> None:
    """Remove the connections that were not there before."""
    stood = {(link.place, link.source) for link in before.links}
    for id, path in before.values:
        instance = tx.network.instances.get(id)
        for one, source in list(instance.links["in"].items()) if instance is not None else ():
            place = Place(id, "in", one)
            if one[: len(path)] == path[: len(one)] and (place, source) not in stood:
                tx.will_change(place)
                tx.do(f.Disconnected(*place))


def _rename(tx: Transaction, names: dict[int, str]) -> None:
    """Give instances their names back; two that have each other's go through a third."""
    network = tx.network
    names = {id: name for id, name in names.items() if id in network.instances and network.instances[id].name != name}
    while names:
        there = network.instances[ROOT].children
        free = [id for id, name in names.items() if there.get(name) not in names]
        id = free[0] if free else next(iter(names))
        others = (f"{names[id]}_{n}" for n in range(len(there) + 1))
        name = names[id] if free else next(name for name in others if name not in there)
        building.rename_instance(tx, network.instances[id], name)
        if free:
            del names[id]


def _refuse_those_that_are_back(network: Network, seq: int, before: Before) -> None:
    """An instance that was removed and brought back by another undo, and the undo of that, is there once only."""
    back = next((one.made.id for one in before.instances if one.made.id in network.instances), None)
    if back is not None:
        raise Refused(f"Transaction {seq} removed {network.path_of(back)}, which is there again: another undo brought it back.")


def _restore_instances(tx: Transaction, before: Before) -> None:
    network = tx.network
    ids = {one.made.id for one in before.instances}
    for one in before.instances:
        if one.made.parent == ROOT:
            building.refuse_taken(tx, one.made.name, network.instances[ROOT])
        tx.do(one.made)
        if one.width is not None:
            tx.do(f.Widened(one.made.id, one.width))
        for side, fields in one.values.items():
            for name, value in fields.items():
                tx.do(f.Wrote(one.made.id, side, (name,), value))
        if one.held_why:
            tx.do(f.HeldByController(one.made.id, one.held_why))
        if one.note.note or one.note.warning:
            tx.do(one.note)
    for one in before.instances:
        for link in one.links:
            if link.source.instance in ids:
                tx.do(f.Connected(*link.place, *link.source))


def _shape(network: Network, spot: Spot) -> int | None:
    return shape(tree.read(network.instances[spot[0]].values["in"], spot[1]))


def _restore_values(tx: Transaction, before: Before, records: list[Spot]) -> None:
    """Put back what places held. `records` are there now and stay: one that loses its last member would go."""
    network = tx.network
    for (id, path), value in before.values.items():
        if id in network.instances:
            own = tree.read(network.instances[id].values["in"], path)
            if value is not None or own is not None:
                tx.write(Place(id, "in", path), value)
    shapes = before.shapes | dict.fromkeys(records, -1)
    for (id, path), was in sorted(shapes.items(), key=lambda one: (one[0][0], len(one[0][1]), one[0][1])):
        if id in network.instances:
            _restore_shape(tx, Place(id, "in", path), was)


def _restore_shape(tx: Transaction, place: Place, was: int | None) -> None:
    """Bring an array to the length, or a record to the emptiness, that it had."""
    own = tree.read(tx.network.instances[place.instance].values["in"], place.path)
    now = shape(own)
    if now == was:
        return
    if was is None:
        if _is_empty(own):
            _write(tx, place, None)
    elif was < 0:
        _write(tx, place, {})
    elif now is not None and now > was:
        tx.shorten(place, was)
    elif was:
        _write(tx, Place(*place[:2], (*place.path, was - 1)), None)
    else:
        _write(tx, place, [])


def _write(tx: Transaction, place: Place, value: Any) -> None:
    tx.will_change(place)
    tx.do(f.Wrote(*place, value))


def _is_empty(value: Any) -> bool:
    if isinstance(value, list):
        return all(_is_empty(item) for item in value)
    return value is None or value == {}


def _restore_link(tx: Transaction, link: SavedLink) -> list[str]:
    """Connect again. Where the source is gone, which only a controller can have removed, the place keeps what it showed."""
    network, place = tx.network, link.place
    if place.instance not in network.instances:
        return []
    if link.source.instance in network.instances:
        building.connect(tx, link.source, place)
        return []
    tx.write(place, link.shown)
    return [f"{building.place_text(tx, place)} keeps what it showed: what it was connected to is gone"]


def _restore_results(tx: Transaction, before: Before) -> None:
    """Instances that are back show the results that they had, and look at their inputs anew."""
    network = tx.network
    for one in before.instances:
        tx.do(one.back)
    # A child with a result ends once more, so that its controller hears of it when it looks at its children again.
    for one in before.instances:
        instance = network.instances[one.made.id]
        evaluation = network.evaluations.get(one.key)
        if evaluation is not None and evaluation.state == "done" and not is_struck(network, one.key):
            tx.do(f.Took(instance.id, one.key, 0))
        shown = network.evaluations.get(one.stood)
        if shown is not None and shown.state == "done":
            tx.do(f.Stood(instance.id, one.stood))
    for one in before.instances:
        instance = network.instances[one.made.id]
        tx.touch(instance)
        if instance.function.kind == "controller":
            for field in instance.function.inputs:
                network.hear(instance, Place(instance.id, "in", (field.name,)), tx.seq)
        tx.changed += [Place(instance.id, "out", (field.name,)) for field in instance.function.outputs]


def _hold_what_would_cost(tx: Transaction, before: Before) -> list[str]:
    """An instance that is back, and whose results were deleted meanwhile, waits for a word before it does them again."""
    network, told = tx.network, list[str]()
    gone: dict[int, list[float]] = {}
    for one in before.instances:
        evaluation = network.evaluations.get(one.key)
        if evaluation is not None and evaluation.state == "gone":
            gone.setdefault(top_of(network, one.made.id), []).append(evaluation.core_s)
    for id, costs in gone.items():
        instance = network.instances[id]
        if not instance.is_held:
            tx.do(f.Held(id, True))
            look_again_below(tx, instance)
        told.append(
            f"{instance.name} is held: {len(costs)} of its results were deleted meanwhile. Making them again costs about"
            f" {sum(costs):.1f} core-seconds: cpcc activate {instance.name}"
        )
    return told
