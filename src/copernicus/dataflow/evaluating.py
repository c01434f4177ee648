"""Evaluated instances: finding the key, taking a result that stands, beginning, joining, superseding, filing."""

from __future__ import annotations

from typing import Any

import msgspec
from blake3 import blake3

from copernicus.dataflow import facts as f
from copernicus.dataflow import tree
from copernicus.dataflow.network import Evaluation, Instance, Place
from copernicus.dataflow.status import is_retired, why_blocked, why_held
from copernicus.dataflow.transaction import DescribeJob, EvaluatePure, SupersedeJob, Transaction, WantJob
from copernicus.dataflow.views import inputs_of, lacks_input
from copernicus.errors import WrongType
from copernicus.model.functions import FunctionSchema
from copernicus.model.jobs import JobDescription
from copernicus.model.types import decode
from copernicus.model.values import to_json

_encoder = msgspec.json.Encoder(order="deterministic")


def hash_of(content: Any) -> str:
    """The hash by which equal content is recognised (32 hex digits)."""
    return blake3(_encoder.encode(content)).hexdigest(length=16)


def consider_evaluated(tx: Transaction, instance: Instance) -> None:
    """Begin what an evaluated instance has to do now, if anything."""
    network = tx.network
    if why_held(network, instance):
        if is_retired(network, instance):
            leave(tx, instance)
        return
    if instance.touched > instance.key_seen:
        if lacks_input(network, instance):
            return
        schema = instance.function
        if schema.kind == "pure":
            inputs, _ = inputs_of(network, instance)
            take(tx, instance, hash_of(["pure", schema.name, schema.version, inputs]), None, inputs)
        elif not instance.in_flight:
            tx.to_ask[instance.id] = None
        return
    if instance.key and network.evaluations[instance.key].state == "done":
        stand(tx, instance)


def ask_for_job(tx: Transaction, instance: Instance) -> None:
    """Ask a command's function for the job that its present inputs mean."""
    instance.in_flight = tx.seen
    inputs, _ = inputs_of(tx.network, instance)
    tx.effects.append(DescribeJob(instance.id, instance.function.name, inputs, tx.seen))


def leave(tx: Transaction, instance: Instance) -> None:
    """A retired index wants nothing; when its scatter grows again, it looks at its inputs anew."""
    evaluation = tx.network.evaluations.get(instance.key)
    if evaluation and evaluation.state == "open" and instance.function.kind == "command":
        others = [id for id in evaluation.wanted if id != instance.id and not is_retired(tx.network, tx.network.instances[id])]
        if not others:
            tx.effects.append(SupersedeJob(instance.key))
            instance.touched = tx.seq


def describe_key(schema: FunctionSchema, instance: Instance, description: JobDescription) -> str:
    """The key of a command: what its job would do, and whose it is unless the function is deterministic."""
    content = msgspec.to_builtins(description.content())
    return hash_of([content, 0 if schema.is_deterministic else instance.id])


def take(
    tx: Transaction, instance: Instance, base: str, description: JobDescription | None, inputs: dict[str, Any] | None = None
) -> None:
    """Make the key `base` the present one of an instance, with all that follows from that."""
    network, old = tx.network, instance.key
    strikes = network.strikes.get(base, 0)
    key = f"{base}~{strikes}" if strikes else base
    if key not in network.evaluations:
        tx.do(f.Begun(key, instance.id, description))
    tx.do(f.Took(instance.id, key, tx.seq))
    evaluation = network.evaluations[key]
    if old and old != key:
        former = network.evaluations[old]
        if former.state == "open" and not former.wanted and instance.function.kind == "command":
            tx.effects.append(SupersedeJob(old))
    tx.to_recheck[instance.id] = None
    tx.ended[instance.id] = None
    if evaluation.state == "done":
        stand(tx, instance)
    elif evaluation.state == "open":
        begin(tx, instance, evaluation, description, inputs)


def begin(
    tx: Transaction,
    instance: Instance,
    evaluation: Evaluation,
    description: JobDescription | None,
    inputs: dict[str, Any] | None,
) -> None:
    """Ask for an open evaluation to be done; asking again only updates priority and resources."""
    if description is not None:
        blocked = why_blocked(tx.network, evaluation.wanted)
        path = tx.network.path_of(instance.id)
        tx.effects.append(WantJob(evaluation.key, instance.id, path, description, blocked))
    else:
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
    tx.to_recheck[instance.id] = None


def described(tx: Transaction, instance: Instance, seen: int, description: JobDescription | None, error: str) -> None:
    """A command's function has answered. An answer for inputs that have changed since is thrown away."""
    if instance.in_flight != seen:
        return
    instance.in_flight = 0
    tx.consider(instance)
    if instance.touched > seen or why_held(tx.network, instance):
        return
    if description is None:
        tx.do(f.ErrorSet(instance.id, error or "the function gave no job", tx.seq))
        tx.ended[instance.id] = None
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
    maker = network.instances.get(evaluation.instance)
    schema = maker.function if maker is not None else None
    if outputs is not None and schema is not None:
        try:
            outputs = check_outputs(schema, outputs)
        except WrongType as problem:
            outputs, error = None, f"The result does not fit {schema.name}: {problem}"
    tx.do(f.Filed(key, outputs, error if outputs is None else "", **origin))
    for id in sorted(evaluation.wanted):
        instance = network.instances[id]
        tx.ended[id] = None
        tx.to_recheck[id] = None
        tx.consider(instance)
        if outputs is not None and not why_held(network, instance):
            stand(tx, instance)
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
