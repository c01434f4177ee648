"""Snapshots: all that a network stores, as bytes, so that a log need not be folded from its first record.

What is derived is not in a snapshot, just as it is not in the log: `engine.Resumed` finds it anew. A snapshot never says more
than the log up to its record does, so that it may be thrown away at any time.
"""

from __future__ import annotations

from typing import Any

import msgspec
from blake3 import blake3

from copernicus.dataflow.instances import ORIGIN, Evaluation, Instance, Place
from copernicus.dataflow.network import Network
from copernicus.dataflow.paths import Member
from copernicus.errors import CorruptData
from copernicus.model.functions import FunctionSchema

Path = tuple[Member, ...]


class _Saved(msgspec.Struct, array_like=True, frozen=True, gc=False):
    """Base of what a snapshot is made of."""


class _Instance(_Saved, frozen=True):
    """An instance; `function` is a number in the list of schemas. `values` has no outputs where `stood` has the same."""

    id: int
    name: str
    parent: int
    function: int
    index: int | None
    made: int
    children: dict[str, int]
    values: dict[str, dict[str, Any]]
    changed: dict[str, dict[Member, int]]
    elements: list[tuple[str, Member, int | None, int]]
    links: list[tuple[str, Path, int, str, Path]]
    readers: list[tuple[str, Member, list[tuple[int, str, Path, Path]]]]
    plain: tuple[Any, ...]


class _Evaluation(_Saved, frozen=True):
    """An evaluation; `function` is a number in the list of schemas."""

    key: str
    instance: int
    function: int
    course: str
    until: tuple[str, ...]
    outputs: dict[str, Any]
    wanted: list[int]
    plain: tuple[Any, ...]


class _Network(_Saved, frozen=True):
    """A network."""

    seq: int
    head: str
    next_id: int
    schemas: list[FunctionSchema]
    functions: dict[str, int]
    imported: dict[str, int]
    strikes: dict[str, int]
    undos: dict[int, int]
    courses: dict[str, dict[int, list[str]]]
    moves: dict[int, dict[int, int]]
    evaluations: list[_Evaluation]
    instances: list[_Instance]


OF_INSTANCE = (
    "is_held", "held_why", "width", "key", "key_seen", "stood", "stood_at", "renewed", "seen", "runs", "ended", "ended_error",
    "is_followed", "glimpsed", "has_news", "error", "note", "warning", "core_s", "since",
)  # fmt: skip
OF_EVALUATION = ("state", "error", "filed", *ORIGIN)
FORMAT = blake3(
    repr([(kind.__name__, kind.__struct_fields__) for kind in (_Instance, _Evaluation, _Network)]).encode()
    + repr((OF_INSTANCE, OF_EVALUATION)).encode()
).hexdigest(length=8)
"""Changes with what a snapshot is made of: one of another format cannot be read."""

_encode = msgspec.msgpack.Encoder().encode
_decode = msgspec.msgpack.Decoder(_Network).decode


def encode(network: Network) -> bytes:
    """Return all that a network stores; equal networks that came from the same log give equal bytes."""
    schemas: dict[int, int] = {}
    listed: list[FunctionSchema] = []

    def number(schema: FunctionSchema) -> int:
        if id(schema) not in schemas:
            schemas[id(schema)] = len(listed)
            listed.append(schema)
        return schemas[id(schema)]

    functions = {name: number(schema) for name, schema in network.functions.items()}
    evaluations = [_save_evaluation(one, number(one.function)) for one in network.evaluations.values()]
    instances = [_save_instance(network, one, number(one.function)) for one in network.instances.values()]
    return _encode(
        _Network(
            network.seq, network.head, network.next_id, listed, functions, network.imported, network.strikes, network.undos,
            network.courses, network.moves, evaluations, instances,
        )
    )  # fmt: skip


def decode(data: bytes) -> Network:
    """Return the network whose snapshot this is; raise `CorruptData` when it is none, or one of another format."""
    try:
        saved = _decode(data)
        return _load(saved)
    except (msgspec.MsgspecError, LookupError, ValueError) as error:
        raise CorruptData(f"This is no snapshot of a network: {error}.") from None


def _save_evaluation(one: Evaluation, function: int) -> _Evaluation:
    plain = tuple([getattr(one, name) for name in OF_EVALUATION])
    return _Evaluation(one.key, one.instance, function, one.course, one.until, one.outputs, sorted(one.wanted), plain)


def _save_instance(network: Network, one: Instance, function: int) -> _Instance:
    values = {side: fields for side, fields in one.values.items() if fields or (side == "out" and one.stood)}
    if _shows_what_stood(network, one):
        del values["out"]
    return _Instance(
        one.id, one.name, one.parent, function, one.index, one.made, one.children, values,
        {side: stamps for side, stamps in one.changed.items() if stamps},
        [(*place, at) for place, at in one.elements.items()],
        [(side, path, *source) for side, links in one.links.items() for path, source in links.items()],
        [(*what, [(*place, path) for place, path in readers.items()]) for what, readers in one.readers.items()],
        tuple([getattr(one, name) for name in OF_INSTANCE]),
    )  # fmt: skip


def _shows_what_stood(network: Network, one: Instance) -> bool:
    """Whether its outputs are those of the evaluation that stood; they are held once then, here and in memory."""
    evaluation = network.evaluations.get(one.stood) if one.stood else None
    out = one.values["out"]
    if evaluation is None or out.keys() != evaluation.outputs.keys():
        return False
    return all(out[field] is value for field, value in evaluation.outputs.items())


def _load(saved: _Network) -> Network:
    network = Network()
    network.seq, network.head, network.next_id = saved.seq, saved.head, saved.next_id
    network.functions = {name: saved.schemas[number] for name, number in saved.functions.items()}
    network.imported, network.strikes, network.undos = saved.imported, saved.strikes, saved.undos
    network.courses, network.moves = saved.courses, saved.moves
    for evaluation in saved.evaluations:
        network.evaluations[evaluation.key] = _load_evaluation(evaluation, saved.schemas[evaluation.function])
    network.instances.clear()
    for instance in saved.instances:
        network.instances[instance.id] = _load_instance(network, instance, saved.schemas[instance.function])
    return network


def _load_evaluation(saved: _Evaluation, schema: FunctionSchema) -> Evaluation:
    one = Evaluation(saved.key, saved.instance, schema, saved.course, saved.until)
    for name, value in zip(OF_EVALUATION, saved.plain, strict=True):
        setattr(one, name, value)
    one.outputs, one.wanted = saved.outputs, set(saved.wanted)
    return one


def _load_instance(network: Network, saved: _Instance, schema: FunctionSchema) -> Instance:
    one = Instance(saved.id, saved.name, saved.parent, schema, saved.index, saved.made)
    for name, value in zip(OF_INSTANCE, saved.plain, strict=True):
        setattr(one, name, value)
    one.children = saved.children
    one.values.update(saved.values)
    if "out" not in saved.values and one.stood:
        one.values["out"] = dict(network.evaluations[one.stood].outputs)
    one.changed.update(saved.changed)
    one.elements = {(side, field, index): at for side, field, index, at in saved.elements}
    for side, path, id, source_side, source_path in saved.links:
        one.links[side][path] = Place(id, source_side, source_path)
        for depth in range(1, len(path)):
            inside = side, path[:depth]
            one.parts[inside] = one.parts.get(inside, 0) + 1
    for side, field, readers in saved.readers:
        one.readers[side, field] = {Place(id, where, path): source for id, where, path, source in readers}
    return one
