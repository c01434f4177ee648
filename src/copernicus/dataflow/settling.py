"""What follows from a change: connections followed, instances looked at, jobs blocked, children that have ended."""

from __future__ import annotations

from copernicus.dataflow import facts as f
from copernicus.dataflow.building import make_instance
from copernicus.dataflow.controlling import call_controller, consider_controller
from copernicus.dataflow.evaluating import ask_for_job, consider_evaluated
from copernicus.dataflow.network import ROOT, Instance, Network, Place
from copernicus.dataflow.status import first_error, is_busy_itself, why_blocked, why_held
from copernicus.dataflow.transaction import BlockJob, Transaction
from copernicus.dataflow.views import length_of, readers_of


def settle(tx: Transaction) -> None:
    """Carry a transaction to its end: afterwards nothing more follows from it but effects."""
    looked_at: dict[int, None] = {}
    while tx.changed or tx.to_consider or tx.ended:
        _follow(tx)
        while tx.to_consider and not tx.changed:
            id = next(iter(tx.to_consider))
            del tx.to_consider[id]
            instance = tx.network.instances.get(id)
            if instance is not None:
                looked_at[id] = None
                _consider(tx, instance)
        if not tx.changed and not tx.to_consider:
            _end_children(tx, looked_at)
            looked_at = {}
    _block_jobs(tx)
    for id in tx.to_ask:
        instance = tx.network.instances.get(id)
        if instance is not None:
            ask = ask_for_job if instance.is_evaluated else call_controller
            ask(tx, instance)


def _follow(tx: Transaction) -> None:
    """Follow connections from every place that changed to all that read it."""
    network, seen = tx.network, set()
    while tx.changed:
        place = tx.changed.pop()
        if place in seen or place.instance not in network.instances:
            continue
        seen.add(place)
        instance = network.instances[place.instance]
        if place.side == "in":
            if instance.function.kind != "network":
                tx.touch(instance)
        elif place.side == "out":
            around = network.instances[instance.parent] if instance.id != ROOT else None
            if around is not None and around.function.kind == "controller":
                tx.touch(around)
        tx.changed.extend(readers_of(network, place))


def _consider(tx: Transaction, instance: Instance) -> None:
    if instance.is_evaluated:
        consider_evaluated(tx, instance)
    elif instance.function.kind == "scatter":
        _adjust_width(tx, instance)
    elif instance.function.kind == "controller":
        consider_controller(tx, instance)


def _adjust_width(tx: Transaction, scatter: Instance) -> None:
    """A scatter is as wide as its longest array; indices are made once and retire when it shrinks."""
    network, whole = tx.network, scatter.function.whole
    names = [field.name for field in scatter.function.inputs if field.name not in whole]
    lengths = [n for name in names if (n := length_of(network, Place(scatter.id, "in", (name,)))) is not None]
    if not lengths or max(lengths) == scatter.width:
        return
    before, width = scatter.width or 0, max(lengths)
    tx.do(f.Widened(scatter.id, width))
    short = scatter.function.base.rpartition("::")[2]
    for index in range(width):
        id = scatter.children.get(f"{short}_{index}")
        if id is None:
            make_instance(tx, scatter.function.base, f"{short}_{index}", scatter, index=index)
        elif index >= before:
            _reconsider_below(tx, network.instances[id])
    for index in range(width, before):
        _reconsider_below(tx, network.instances[scatter.children[f"{short}_{index}"]])
    tx.changed += [Place(scatter.id, "out", (field.name,)) for field in scatter.function.outputs]


def _reconsider_below(tx: Transaction, instance: Instance) -> None:
    for one in tx.network.subtree(instance):
        tx.consider(one)
        tx.to_recheck[one.id] = None


def refresh_busy(network: Network, instance: Instance) -> bool:
    """Bring `is_busy` of one instance, and the count of who is around it, up to date; say whether it flipped."""
    is_busy = instance.busy_children > 0 or is_busy_itself(network, instance)
    if is_busy == instance.is_busy:
        return False
    instance.is_busy = is_busy
    network.instances[instance.parent].busy_children += 1 if is_busy else -1
    return True


def _end_children(tx: Transaction, looked_at: dict[int, None]) -> None:
    """Bring busy marks up to date, and record which children of controllers have come to their end."""
    network = tx.network
    candidates: dict[int, None] = dict(tx.ended)
    for id in [*looked_at, *tx.ended]:
        instance = network.instances.get(id)
        while instance is not None and instance.id != ROOT:
            if not refresh_busy(network, instance):
                break
            candidates[instance.id] = None
            instance = network.instances[instance.parent]
    tx.ended = {}
    done: set[int] = set()
    for id in candidates:
        child = _child_of_controller(network, network.instances.get(id))
        if child is not None and child.id not in done and not child.is_busy and not why_held(network, child):
            done.add(child.id)
            if _has_worked(network, child):
                tx.do(f.Ended(child.id, first_error(network, child)))
                tx.touch(network.instances[child.parent])


def _child_of_controller(network: Network, instance: Instance | None) -> Instance | None:
    while instance is not None and instance.id != ROOT:
        around = network.instances[instance.parent]
        if around.function.kind == "controller":
            return instance
        instance = around
    return None


def _has_worked(network: Network, child: Instance) -> bool:
    """Whether anything in it was evaluated or called: what only waits for inputs has not ended."""
    return any(one.key or one.seen or one.error for one in network.subtree(child))


def _block_jobs(tx: Transaction) -> None:
    """Tell the job book of jobs that must wait now, or no longer, because something before them is made anew or held."""
    network = tx.network
    stack = [id for id in tx.to_recheck if id in network.instances]
    reached: set[int] = set()
    keys: dict[str, None] = {}
    while stack:
        id = stack.pop()
        if id in reached:
            continue
        reached.add(id)
        instance = network.instances[id]
        evaluation = network.evaluations.get(instance.key)
        if evaluation is not None and evaluation.state == "open" and instance.function.kind == "command":
            keys[instance.key] = None
        if instance.stood or not instance.is_evaluated:
            stack += _evaluated_readers(network, instance)
    tx.to_recheck = {}
    for key in keys:
        wanted = network.evaluations[key].wanted
        if wanted:
            tx.effects.append(BlockJob(key, why_blocked(network, wanted)))


def _evaluated_readers(network: Network, instance: Instance) -> list[int]:
    found: list[int] = []
    stack = [Place(instance.id, "out", (field.name,)) for field in instance.function.outputs]
    seen: set[Place] = set()
    while stack:
        place = stack.pop()
        if place in seen:
            continue
        seen.add(place)
        reader = network.instances[place.instance]
        if place.side == "in" and reader.is_evaluated:
            found.append(reader.id)
        elif not (place.side == "in" and reader.function.kind == "controller"):
            stack.extend(readers_of(network, place))
    return found
