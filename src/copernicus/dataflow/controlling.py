"""Controllers: one call for all that is newer, and its answer applied as one transaction."""

from __future__ import annotations

from copernicus.dataflow import facts as f
from copernicus.dataflow.answers import apply_answer
from copernicus.dataflow.calls import ControllerAnswer
from copernicus.dataflow.network import Instance
from copernicus.dataflow.news import forget_news, tell
from copernicus.dataflow.status import why_held
from copernicus.dataflow.transaction import StartCall, Transaction
from copernicus.dataflow.views import missing_input
from copernicus.errors import CopernicusError

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


def await_children(tx: Transaction, instance: Instance) -> None:
    """Whoever a controller is told of as being at work has news for it when it comes to rest, even with nothing done."""
    network = tx.network
    if instance.function.kind != "controller":
        return
    ids = sorted({what[0] for what in instance.news}) if instance.is_told else list(instance.children.values())
    for id in ids:
        child = network.instances.get(id)
        if child is not None and child.parent == instance.id and child.is_busy and not child.has_news:
            tx.do(f.Awaited(id))


def call_controller(tx: Transaction, instance: Instance) -> None:
    """Call a controller for everything as it stands now, unless that has come to nothing meanwhile."""
    network = tx.network
    if missing_input(network, instance) or instance.error or why_held(network, instance):
        return
    call = tell(network, instance, tx.seen)
    network.derive(instance, "in_flight", tx.seen)
    network.depths[instance.id] = instance.depth + 1
    network.derive(instance, "depth", 0)
    tx.effects.append(StartCall(call))


def call_forgotten(tx: Transaction, instance: Instance, seen: int) -> None:
    """Call a controller again, with everything: whoever was called had lost what the difference is to."""
    if instance.in_flight != seen:
        return
    network = tx.network
    network.derive(instance, "in_flight", 0)
    network.derive(instance, "depth", max(instance.depth, network.depths.pop(instance.id, 1) - 1))
    forget_news(network, instance)
    tx.to_ask[instance.id] = None


def call_ended(tx: Transaction, instance: Instance, seen: int, answer: ControllerAnswer) -> None:
    """Apply a controller's answer; one that cannot be applied, or says so itself, is the controller's error."""
    if instance.in_flight != seen:
        return
    network = tx.network
    network.derive(instance, "in_flight", 0)
    tx.depth = network.depths.pop(instance.id, 0)
    tx.consider(instance)
    mark = tx.mark()
    error = answer.error
    is_told = instance.is_told  # what a call that failed was told is told again
    if not error:
        try:
            network.derive(instance, "is_told", True)
            apply_answer(tx, instance, answer)
        except CopernicusError as problem:
            tx.roll_back(mark)
            is_told = False  # whoever answered believes that the answer stands
            error = f"The answer of {instance.function.name} cannot be applied: {problem}"
    if error:
        if not is_told:
            forget_news(network, instance)
        tx.do(f.ErrorSet(instance.id, error, instance.seen))
        return
    tx.do(f.Seen(instance.id, seen))


def glimpse(tx: Transaction, key: str) -> None:
    """Let controllers that follow a child see that a job inside of it has newer provisional outputs."""
    network = tx.network
    evaluation = network.evaluations.get(key)
    for id in sorted(evaluation.wanted) if evaluation is not None and evaluation.state == "open" else ():
        for one in network.ancestors(network.instances[id]):
            if one.is_followed and one.glimpsed < tx.seq:
                tx.do(f.Glimpsed(one.id))
                tx.touch(network.instances[one.parent], is_input=False)
