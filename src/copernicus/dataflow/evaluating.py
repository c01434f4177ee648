"""Evaluated instances: finding the key, taking a result that stands, beginning, joining, superseding, filing."""

from __future__ import annotations

from typing import Any

import msgspec
from blake3 import blake3

from copernicus.dataflow import facts as f, tree
from copernicus.dataflow.network import Evaluation, Instance, Network, Place
from copernicus.dataflow.status import is_pending, is_retired_within, why_held
from copernicus.dataflow.transaction import ClearJob, DescribeJob, EvaluatePure, SupersedeJob, Transaction
from copernicus.dataflow.views import inputs_of, missing_input
from copernicus.errors import WrongType
from copernicus.model.functions import FunctionSchema
from copernicus.model.jobs import JobDescription, course_content
from copernicus.model.types import decode
from copernicus.model.values import to_json

_encoder = msgspec.json.Encoder(order="deterministic")


def hash_of(content: Any) -> str:
    """The hash by which equal content is recognised (32 hex digits)."""
    return blake3(_encoder.encode(content)).hexdigest(length=16)


def is_struck(network: Network, key: str) -> bool:
    """Whether the results of a key are not to be used any more."""
    base, _, strikes = key.partition("~")
    return network.strikes.get(base, 0) != int(strikes or 0)


def consider_evaluated(tx: Transaction, instance: Instance) -> None:
    """Begin what an evaluated instance has to do now, if anything."""
    network = tx.network
    if why_held(network, instance):
        if is_retired_within(network, instance):
            leave(tx, instance)
        return
    is_dirty = instance.id in tx.dirty
    if instance.function.name not in network.outdated and (is_dirty or is_pending(network, instance)):
        if not missing_input(network, instance):
            if instance.function.kind == "pure":
                inputs, _ = inputs_of(network, instance)
                schema = instance.function
                take(tx, instance, hash_of(["pure", schema.name, schema.version, inputs]), None, inputs)
                return
            if not instance.in_flight:
                tx.to_ask[instance.id] = None
        elif is_dirty and instance.key and instance.key_seen == tx.seq:
            # A key of this very step, for inputs that did not stay together.
            former = network.evaluations[instance.key]
            tx.do(f.Left(instance.id))
            supersede(tx, former)
    if can_stand(network, instance):
        stand(tx, instance)


def can_stand(network: Network, instance: Instance) -> bool:
    """Whether the present key has a result that is to be shown. A job's is shown even while its inputs are on the move;
    what a pure function gives is so quickly there that only what belongs to the present inputs counts.
    """
    evaluation = network.evaluations.get(instance.key)
    if evaluation is None or evaluation.state != "done" or instance.stood == instance.key:
        return False
    return instance.function.kind == "command" or not is_pending(network, instance)


def ask_for_job(tx: Transaction, instance: Instance) -> None:
    """Ask a command's function for the job that its present inputs mean, unless that has come to nothing meanwhile."""
    network = tx.network
    inputs, missing = inputs_of(network, instance)
    if missing or why_held(network, instance):
        return
    network.derive(instance, "in_flight", tx.seen)
    network.depths[instance.id] = instance.depth
    network.derive(instance, "depth", 0)
    tx.effects.append(DescribeJob(instance.id, instance.function.name, inputs, tx.seen))


def leave(tx: Transaction, instance: Instance) -> None:
    """An index that retired, or what is in it, wants no unfinished key any more; it looks at its inputs anew later."""
    evaluation = tx.network.evaluations.get(instance.key)
    if evaluation is not None and evaluation.state == "open":
        tx.do(f.Left(instance.id))
        supersede(tx, evaluation)


def supersede(tx: Transaction, evaluation: Evaluation) -> None:
    """Somebody wants this evaluation no more: its job ends when nobody does, or may have to wait for those that still do."""
    if evaluation.state != "open" or evaluation.function.kind != "command":
        return
    if evaluation.wanted:
        tx.recheck(evaluation.wanted)
    else:
        tx.effects.append(SupersedeJob(evaluation.key))
        tx.network.derive(evaluation, "why_blocked", None)


def describe_key(schema: FunctionSchema, instance: Instance, description: JobDescription) -> str:
    """The key of a command: what its job would do, and whose it is unless the function is deterministic."""
    return _hash_job(schema, instance, description.content())


def describe_course(schema: FunctionSchema, instance: Instance, description: JobDescription | None) -> str:
    """What a command's keys have in common that differ only in how long the job runs; "" where nothing says that."""
    if description is None or not description.until:
        return ""
    return _hash_job(schema, instance, course_content(description))


def _hash_job(schema: FunctionSchema, instance: Instance, content: JobDescription) -> str:
    return hash_of([msgspec.to_builtins(content), 0 if schema.is_deterministic else instance.id])


def unstruck(network: Network, base: str) -> str:
    """The key whose results may be used for what `base` stands for."""
    strikes = network.strikes.get(base, 0)
    return f"{base}~{strikes}" if strikes else base


def take(
    tx: Transaction, instance: Instance, base: str, description: JobDescription | None, inputs: dict[str, Any] | None = None
) -> None:
    """Make the key `base` the present one of an instance, with all that follows from that."""
    network, old = tx.network, instance.key
    key = unstruck(network, base)
    if key not in network.evaluations:
        tx.do(f.Begun(key, instance.id, description, describe_course(instance.function, instance, description)))
    tx.do(f.Took(instance.id, key, tx.seq))
    tx.dirty.pop(instance.id, None)
    tx.recheck([instance.id])
    evaluation = network.evaluations[key]
    if old and old != key:
        supersede(tx, network.evaluations[old])
    if evaluation.state == "gone" or (evaluation.state == "failed" and old != key and len(evaluation.wanted) == 1):
        # A failure is no result to come back to, nor is one whose content was deleted.
        reopen(tx, evaluation)
    if evaluation.state == "done":
        stand(tx, instance)
    elif evaluation.state == "open":
        begin(tx, instance, evaluation, description, inputs)


def reopen(tx: Transaction, evaluation: Evaluation) -> None:
    """Give an evaluation that failed, or whose result is gone, a fresh start.

    What a pure function is asked is found by whoever wants it.
    """
    tx.do(f.Reopened(evaluation.key))
    tx.recheck(evaluation.wanted)
    if evaluation.function.kind == "command":
        tx.effects.append(ClearJob(evaluation.key))
        tx.network.derive(evaluation, "why_blocked", None)


def begin(
    tx: Transaction,
    instance: Instance,
    evaluation: Evaluation,
    description: JobDescription | None,
    inputs: dict[str, Any] | None,
) -> None:
    """Ask for an open evaluation to be done; asking again only updates priority and resources."""
    network = tx.network
    if description is not None:
        tx.wants[evaluation.key] = (instance, description)
    else:
        network.depths[evaluation.key] = max(network.depths.get(evaluation.key, 0), instance.depth)
        network.derive(instance, "depth", 0)
        tx.effects.append(EvaluatePure(evaluation.key, instance.function.name, inputs or {}))


def stand(tx: Transaction, instance: Instance) -> None:
    """The result of the present key becomes the output, and readers are told of what differs."""
    if instance.stood == instance.key:
        return
    old = instance.values["out"]
    tx.do(f.Stood(instance.id, instance.key))
    new = instance.values["out"]
    differ = [name for name in {**old, **new} if not tree.is_same(old.get(name), new.get(name))]
    tx.changed += [Place(instance.id, "out", (name,)) for name in differ]
    tx.recheck([instance.id])


def described(tx: Transaction, instance: Instance, seen: int, description: JobDescription | None, error: str) -> None:
    """A command's function has answered. An answer for inputs that have changed since is thrown away."""
    if instance.in_flight != seen:
        return
    tx.network.derive(instance, "in_flight", 0)
    tx.depth = tx.network.depths.pop(instance.id, 0)
    tx.consider(instance)
    if instance.touched > seen or why_held(tx.network, instance):
        return
    if description is None:
        tx.do(f.ErrorSet(instance.id, error or "the function gave no job", tx.seq))
        tx.recheck([instance.id])
        return
    take(tx, instance, describe_key(instance.function, instance, description), description)


def file_result(
    tx: Transaction, key: str, outputs: dict[str, Any] | None, error: str, origin: dict[str, Any]
) -> str:  # fmt: skip
    """File the end of an evaluation; outputs that do not fit the function's are an error, which is returned."""
    network = tx.network
    evaluation = network.evaluations.get(key)
    if evaluation is None or evaluation.state != "open":
        return ""
    schema = evaluation.function
    if outputs is not None:
        try:
            outputs = check_outputs(schema, outputs)
        except WrongType as problem:
            outputs, error = None, f"The result does not fit {schema.name}: {problem}"
    tx.do(f.Filed(key, outputs, error if outputs is None else "", **origin))
    for id in sorted(evaluation.wanted):
        tx.consider(network.instances[id])
    tx.recheck(evaluation.wanted)
    return error if outputs is None else ""


def check_outputs(schema: FunctionSchema, outputs: dict[str, Any]) -> dict[str, Any]:
    """Return outputs as the function's types have them; raise `WrongType` for what does not fit or is missing."""
    for name in outputs:
        if schema.output(name) is None:
            raise WrongType(f"there is no output {name!r}.")
    checked = {}
    for field in schema.outputs:
        value = to_json(decode(field.kind, outputs.get(field.name), field.name))
        if value is not None:
            checked[field.name] = value
        elif field.is_required:
            raise WrongType(f"{field.name} is missing.")
    return checked
