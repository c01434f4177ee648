"""What follows from a change: connections followed, instances looked at, jobs blocked, children that have ended."""

from __future__ import annotations

from collections import deque

from copernicus.dataflow import facts as f
from copernicus.dataflow.answers import look_again_below
from copernicus.dataflow.building import make_instance
from copernicus.dataflow.controlling import await_children, call_controller, consider_controller
from copernicus.dataflow.courses import earlier_keys
from copernicus.dataflow.evaluating import ask_for_job, consider_evaluated
from copernicus.dataflow.network import ROOT, Instance, Network, Place
from copernicus.dataflow.status import find_remade, first_error, is_busy_itself, what_blocks, why_held
from copernicus.dataflow.transaction import BlockJob, StopJob, Transaction, WantJob
from copernicus.dataflow.views import evaluated_readers, length_of


def settle(tx: Transaction) -> None:
    """Carry a transaction to its end: afterwards nothing more follows from it but effects."""
    looked_at: dict[int, None] = {}
    while tx.changed or tx.to_consider:
        tx.follow()
        while tx.to_consider and not tx.changed:
            id, _ = tx.to_consider.popitem(last=False)
            instance = tx.network.instances.get(id)
            if instance is not None:
                looked_at[id] = None
                _consider(tx, instance)
        if not tx.changed and not tx.to_consider:
            _end_children(tx, looked_at)
            looked_at = {}
    _mark_remade(tx)
    to_ask = [tx.network.instances[id] for id in tx.to_ask if id in tx.network.instances]
    for instance in to_ask:
        await_children(tx, instance)
    for instance in to_ask:
        ask = ask_for_job if instance.is_evaluated else call_controller
        ask(tx, instance)


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
    for index in range(before, width):
        id = scatter.children.get(f"{short}_{index}")
        if id is None:
            make_instance(tx, scatter.function.base, f"{short}_{index}", scatter, index=index)
        else:
            look_again_below(tx, network.instances[id])
    for index in range(width, before):
        look_again_below(tx, network.instances[scatter.children[f"{short}_{index}"]])
    # One element serves every reader; beyond that, only who reads the elements that came or went has news.
    is_whole = min(before, width) <= 1
    parts = [()] if is_whole else [(index,) for index in range(min(before, width), max(before, width))]
    outputs = scatter.function.outputs
    tx.changed += [Place(scatter.id, "out", (field.name, *part)) for field in outputs for part in parts]


def refresh_busy(network: Network, instance: Instance) -> list[Instance]:
    """Bring `is_busy` of an instance, and of all around it, up to date; return those for whom it flipped."""
    flipped: list[Instance] = []
    while instance.id != ROOT:
        is_busy = instance.busy_children > 0 or is_busy_itself(network, instance)
        if is_busy == instance.is_busy:
            break
        around = network.instances[instance.parent]
        network.derive(instance, "is_busy", is_busy)
        network.derive(around, "busy_children", around.busy_children + (1 if is_busy else -1))
        flipped.append(instance)
        instance = around
    return flipped


def _end_children(tx: Transaction, looked_at: dict[int, None]) -> None:
    """Bring busy marks up to date, and record which children of controllers have come to their end."""
    network = tx.network
    instances = [network.instances[id] for id in looked_at if id in network.instances]
    for instance in instances:
        refresh_busy(network, instance)
    children: dict[int, int] = {}
    for instance in instances:
        within = list(network.ancestors(instance))
        for depth, one in enumerate(reversed(within)):
            if one.has_news and not one.is_busy:
                children[one.id] = depth
    # From the inside out: a controller that is told now is busy, and so is all around it.
    for id in sorted(children, key=lambda id: -children[id]):
        child = network.instances[id]
        if not child.is_busy and not why_held(network, child):
            tx.do(f.Ended(id, first_error(network, child)))
            around = network.instances[child.parent]
            tx.touch(around, is_input=False)
            refresh_busy(network, around)


def _mark_remade(tx: Transaction) -> None:
    """Bring the marks of stale outputs up to date, and tell the job book of jobs that must wait now, or no longer."""
    network = tx.network
    queue, keys = deque(tx.to_recheck), dict[str, None]()
    tx.to_recheck = {}
    while queue:
        instance = network.instances.get(queue.popleft())
        if instance is None or not instance.is_evaluated:
            continue
        evaluation = network.evaluations.get(instance.key)
        if evaluation is not None and evaluation.state == "open" and evaluation.function.kind == "command":
            keys[instance.key] = None
        is_remade = find_remade(network, instance)
        if is_remade != instance.is_remade:
            network.derive(instance, "is_remade", is_remade)
            places = [Place(instance.id, "out", (field.name,)) for field in instance.function.outputs]
            queue.extend(evaluated_readers(network, places))
    for key in keys:
        evaluation = network.evaluations[key]
        if not evaluation.wanted:
            continue
        why, needs = what_blocks(network, evaluation.wanted)
        if key in tx.wants:
            instance, description = tx.wants[key]
            extends = earlier_keys(network, instance, evaluation)
            tx.effects.append(WantJob(key, instance.id, network.path_of(instance.id), description, why, extends, needs))
        elif why != evaluation.why_blocked:
            tx.effects.append(BlockJob(key, why, needs))
        network.derive(evaluation, "why_blocked", why)
        wanting = [network.instances[id] for id in evaluation.wanted]
        if not tx.to_stop.keys().isdisjoint(evaluation.wanted) and all(why_held(network, one) for one in wanting):
            tx.effects.append(StopJob(key))
