"""Reuse said aloud: results that were there already, or that another instance is working on."""

from __future__ import annotations

from collections.abc import Collection, Iterator

from copernicus.dataflow import facts as f
from copernicus.dataflow.engine import Outcome
from copernicus.dataflow.network import Instance, Network
from copernicus.dataflow.transaction import DescribeJob
from copernicus.server.projects.past import Past
from copernicus.server.projects.wording import ago

MOST_TOLD = 5
MOST_WAITED_S = 1.0
"""How long a commit may wait for commands to say what their jobs would be."""


async def reused(past: Past, outcome: Outcome, wait_s: float, now: float) -> list[str]:
    """Sentences about what was there already of all that follows from a transaction, as far as commands answer in time."""
    assert outcome.data is not None
    first = f.decode_record(outcome.data)
    own = {fact.id for fact in first.facts if isinstance(fact, f.Took)}
    asked = {effect.id for effect in outcome.effects if isinstance(effect, DescribeJob)}
    await past.project.until_described(asked, min(wait_s, MOST_WAITED_S))
    found: list[list[str]] = []
    async for record in past.records(first.seq - 1, lambda: asked | own):
        found.append(list(reused_by(past, record, own if record.seq == first.seq else asked, now)))
    lines = [line for lines in reversed(found) for line in lines]
    more = [f"{len(lines) - MOST_TOLD} more results were there already."] if len(lines) > MOST_TOLD else []
    return lines[:MOST_TOLD] + more


def reused_by(past: Past, record: f.Record, ids: Collection[int], now: float) -> Iterator[str]:
    """Sentences about the instances that took a key in `record` for which there was a result, or somebody's job.

    `ids`: only when one of these took a key there; what follows from it in the same record is told as well.
    """
    network = past.network
    took = {fact.id: fact.key for fact in record.facts if isinstance(fact, f.Took)}
    if took.keys().isdisjoint(ids):
        return
    stood = {(fact.id, fact.key) for fact in record.facts if isinstance(fact, f.Stood)}
    begun = {fact.key for fact in record.facts if isinstance(fact, f.Begun)}
    for id, key in took.items():
        instance = network.instances.get(id)
        if instance is not None and key not in begun and instance.key == key:
            words = of_instance(past, instance, now) if (id, key) in stood else joined(network, instance)
            if words:
                yield f"{network.path_of(id)}: {words}"


def of_instance(past: Past, instance: Instance, now: float) -> str:
    """Whose result an instance shows, when that was made for another one or at an earlier time; "" when it has none."""
    network = past.network
    evaluation = network.evaluations.get(instance.stood)
    if evaluation is None or evaluation.state != "done":
        return ""
    record = past.record(evaluation.filed)
    when = f", {ago(now - record.time)}" if record is not None else ""
    number = f"job {evaluation.job}" if evaluation.job is not None else "evaluation"
    if evaluation.instance == instance.id:
        return f"the result stands that was there already ({number}{when})"
    return f"the result stands that was made for {_name(network, evaluation.instance)} ({number}{when})"


def joined(network: Network, instance: Instance) -> str:
    """Whose work in progress an instance waits for, "" when it is its own."""
    evaluation = network.evaluations.get(instance.key)
    if evaluation is None or evaluation.state != "open" or evaluation.instance == instance.id:
        return ""
    return f"it waits for the same work, which goes on for {_name(network, evaluation.instance)}"


def _name(network: Network, id: int) -> str:
    return network.path_of(id) if id in network.instances else f"instance {id}, which was removed"
