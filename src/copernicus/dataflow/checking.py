"""Folding records that nobody here wrote: each fact is checked against what stands, so that no log can do harm.

The fold itself (`engine.fold`) trusts its log. What comes from outside may be anything: circles, arrays of a billion
elements, values that their types do not allow. None of that may reach a network that the server works with.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import Any

import msgspec

from copernicus.dataflow import building, facts as f, tree
from copernicus.dataflow.declaring import MOST_LEVELS, MOST_PARTS, extent_of
from copernicus.dataflow.engine import hash_record
from copernicus.dataflow.network import ROOT, Network, Place
from copernicus.dataflow.paths import INDEX_LIMIT
from copernicus.dataflow.transaction import Catalog, Transaction
from copernicus.errors import CopernicusError, CorruptData
from copernicus.model.functions import FunctionSchema
from copernicus.model.jobs import JobDescription
from copernicus.model.types import Type

_NAME = re.compile(r"[A-Za-z_][A-Za-z0-9_-]{0,199}")
_FUNCTION = re.compile(r"[A-Za-z0-9_.-]{1,200}::[A-Za-z0-9_.-]{1,200}")
_BLOB = re.compile(r"[0-9a-f]{64}")
_SIDES = ("in", "out", "state")
_MOST_TYPE_LETTERS, _MOST_TYPE_LEVELS = 20_000, 64
_COMPOSITES = ("network", "scatter", "controller")


class CheckedFold:
    """Folds records into `network`, each fact looked at first. Raises `CorruptData` at what no Copernicus has written."""

    def __init__(self) -> None:
        self.network = Network()
        self._tx = Transaction(self.network, Catalog([]), 0.0)
        self.network.journal = None
        self._cut_off: list[tuple[int, Place]] = []
        """What a record has removed (its number), and who read it: the same record disconnects or removes them, too."""

    def fold(self, data: bytes) -> f.Record:
        """Fold one record, and return it."""
        try:
            record = f.decode_record(data)
        except (msgspec.DecodeError, RecursionError):
            raise CorruptData(f"What follows record {self.network.seq} of the log is no record.") from None
        network = self.network
        if record.seq != network.seq + 1 or record.previous != network.head:
            raise CorruptData(f"Record {record.seq} of the log does not follow record {network.seq}.")
        self._cut_off = []
        for fact in record.facts:
            try:
                self._check(fact)
                network.do(fact, record.seq, record.time)
            except (
                CopernicusError,
                LookupError,
                TypeError,
                ValueError,
                AttributeError,
                AssertionError,
                RecursionError,
            ) as error:
                what = type(fact).__name__
                raise CorruptData(f"Record {record.seq} of the log cannot be true ({what}: {str(error)[:200]}).") from None
        for id, place in self._cut_off:
            reader = network.instances.get(place.instance)
            if reader is not None and (source := reader.links[place.side].get(place.path)) and source.instance == id:
                raise CorruptData(f"Record {record.seq} of the log cannot be true: it removes what is read.")
        network.seq, network.head = record.seq, hash_record(data)
        return record

    def end(self) -> Network:
        """Check what only the end can show, and return the network."""
        network = self.network
        for instance in network.instances.values():
            if instance.function.kind == "scatter":
                short = instance.function.base.rpartition("::")[2]
                if any(f"{short}_{index}" not in instance.children for index in range(instance.width or 0)):
                    raise CorruptData(f"The log makes {network.path_of(instance.id)} wider than it is.")
            if any(source.instance not in network.instances for links in instance.links.values() for source in links.values()):
                raise CorruptData(f"The log connects {network.path_of(instance.id)} to what is gone.")
        return network

    # --- each fact ---------------------------------------------------------------------------------------------------

    def _check(self, fact: f.Fact) -> None:
        network = self.network
        special = _CHECKS.get(type(fact))
        if special is not None:
            special(self, fact)
            return
        id, key, side = getattr(fact, "id", None), getattr(fact, "key", None), getattr(fact, "side", None)
        _must(id is None or id in network.instances, "there is no such instance")
        _must(key is None or key in network.evaluations, "there is no such evaluation")
        path: tuple[Any, ...] = getattr(fact, "path", ())
        if side is not None and id is not None and path:
            self._type(id, side, path)

    def _type(self, id: int, side: str, path: tuple[Any, ...]) -> Type:
        _must(id in self.network.instances and id != ROOT and side in _SIDES, "there is no such place")
        sound = all(isinstance(one, str) or 0 <= one <= INDEX_LIMIT for one in path)
        _must(sound, "an index beyond all arrays")
        return tree.type_at(self.network.fields(self.network.instances[id], side), path, side)

    def _declared(self, fact: f.Declared) -> None:
        schema, functions = fact.schema, self.network.functions
        _must(bool(_FUNCTION.fullmatch(schema.name)), "no name of a function")
        for field in (*schema.inputs, *schema.outputs, *schema.state):
            _must(bool(_NAME.fullmatch(field.name)) and len(field.type) <= _MOST_TYPE_LETTERS, "no field")
            _must(_is_shallow(field.kind), "a type of too many levels")
            _must(holds(field.kind.optional, field.default), "a default of another type")
        inner = [schema.base] if schema.kind == "scatter" else [one.function for one in schema.instances]
        _must(all(one in functions and not self._contains(one, schema.name) for one in inner), "a function made of itself")
        parts, levels = extent_of(schema, functions.__getitem__, {})
        _must(parts <= MOST_PARTS and levels <= MOST_LEVELS, "a function of too many parts")

    def _contains(self, function: str, name: str) -> bool:
        stack, seen = [function], set[str]()
        while stack:
            one = stack.pop()
            if one == name:
                return True
            schema: FunctionSchema = self.network.functions[one]
            if one not in seen:
                seen.add(one)
                stack += [schema.base] if schema.kind == "scatter" else [part.function for part in schema.instances]
        return False

    def _made(self, fact: f.Made) -> None:
        network = self.network
        parent, schema = network.instances[fact.parent], network.functions[fact.function]
        is_free = fact.id == network.next_id or (ROOT < fact.id < network.next_id and fact.id not in network.instances)
        _must(is_free and bool(_NAME.fullmatch(fact.name)), "no instance")
        _must(fact.name not in parent.children and parent.function.kind in _COMPOSITES, "no place for an instance")
        if parent.function.kind == "scatter":
            name = f"{parent.function.base.rpartition('::')[2]}_{fact.index}"
            _must(fact.index is not None and fact.name == name and schema.name == parent.function.base, "no index")
            _must(fact.index is None or fact.index >= 0, "no index")
        else:
            _must(fact.index is None, "an index without a scatter")

    def _renamed(self, fact: f.Renamed) -> None:
        instance = self.network.instances[fact.id]
        siblings = self.network.instances[instance.parent].children if fact.id != ROOT else {fact.name: ROOT}
        _must(instance.index is None and bool(_NAME.fullmatch(fact.name)) and fact.name not in siblings, "no new name")

    def _removed(self, fact: f.Removed) -> None:
        instance = self.network.instances[fact.id]
        _must(fact.id != ROOT and not instance.children and not any(instance.links.values()), "it is in use")
        self._cut_off += [(fact.id, place) for readers in instance.readers.values() for place in readers]

    def _connected(self, fact: f.Connected) -> None:
        source, place = Place(fact.source, fact.source_side, fact.source_path), Place(fact.id, fact.side, fact.path)
        self._type(*source), self._type(*place)
        _must(bool(source.path and place.path) and "state" not in (source.side, place.side), "no place to connect")
        building.check_connection(self._tx, source, place)

    def _wrote(self, fact: f.Wrote) -> None:
        kind = self._type(fact.id, fact.side, fact.path)
        _must(bool(fact.path) and holds(kind.optional, fact.value), "a value of another type")

    def _shortened(self, fact: f.Shortened) -> None:
        _must(self._type(fact.id, fact.side, fact.path).kind == "array" and fact.length >= 0, "no array")

    def _widened(self, fact: f.Widened) -> None:
        kind = self.network.instances[fact.id].function.kind
        _must(kind == "scatter" and 0 <= fact.width <= INDEX_LIMIT, "no scatter")

    def _begun(self, fact: f.Begun) -> None:
        network = self.network
        _must(network.instances[fact.id].is_evaluated and 0 < len(fact.key) <= 200, "nothing that is evaluated")
        _must(len(fact.course) <= 200, "no course")
        _must(fact.key not in network.evaluations, "it began before")
        if fact.description is not None:
            check_description(fact.description)

    def _filed(self, fact: f.Filed) -> None:
        evaluation = self.network.evaluations[fact.key]
        self._fit(evaluation.function, fact.outputs or {})

    def _stood(self, fact: f.Stood) -> None:
        evaluation = self.network.evaluations[fact.key]
        _must(evaluation.state == "done", "it is not done")
        self._fit(self.network.instances[fact.id].function, evaluation.outputs)

    def _took(self, fact: f.Took) -> None:
        instance, evaluation = self.network.instances[fact.id], self.network.evaluations[fact.key]
        _must(instance.is_evaluated and instance.function.kind == evaluation.function.kind, "another kind of function")

    def _left(self, fact: f.Left) -> None:
        _must(bool(self.network.instances[fact.id].key), "it has no key")

    def _reset(self, fact: f.Reset) -> None:
        _must(self.network.instances[fact.id].function.kind == "controller", "no controller")

    def _fit(self, schema: FunctionSchema, outputs: dict[str, Any]) -> None:
        for name, value in outputs.items():
            field = schema.output(name)
            _must(field is not None and holds(field.kind.optional, value), f"output {name!r} of another type")


_CHECKS: dict[type[Any], Callable[[CheckedFold, Any], None]] = {
    f.Declared: CheckedFold._declared, f.Made: CheckedFold._made, f.Renamed: CheckedFold._renamed,
    f.Removed: CheckedFold._removed, f.Connected: CheckedFold._connected, f.Wrote: CheckedFold._wrote,
    f.Shortened: CheckedFold._shortened, f.Widened: CheckedFold._widened, f.Begun: CheckedFold._begun,
    f.Filed: CheckedFold._filed, f.Stood: CheckedFold._stood, f.Took: CheckedFold._took, f.Left: CheckedFold._left,
    f.Reset: CheckedFold._reset,
}  # fmt: skip


def holds(kind: Type, value: Any) -> bool:
    """Whether a place of type `kind` may hold `value` as it stands in a log: parts may be absent, nothing may be other."""
    if value is None:
        return True
    match kind.kind:
        case "array":
            return isinstance(value, list) and all(holds(kind.element, item) for item in value)
        case "record":
            known = dict(kind.fields)
            return isinstance(value, dict) and all(name in known and holds(known[name], item) for name, item in value.items())
        case "file":
            return isinstance(value, dict) and is_file(value)
        case "float":
            return (isinstance(value, int | float) and not isinstance(value, bool)) or value in ("nan", "inf", "-inf")
        case "int":
            return isinstance(value, int) and not isinstance(value, bool)
        case "bool":
            return isinstance(value, bool)
    return isinstance(value, str)


def _is_shallow(kind: Type) -> bool:
    level = [kind]
    for _ in range(_MOST_TYPE_LEVELS):
        level = [inner for one in level for inner in ([one.item] if one.item else [part for _, part in one.fields])]
        if not level:
            return True
    return False


def is_file(value: dict[str, Any]) -> bool:
    """Whether `value` is a file as JSON has it: blob, size and name."""
    blob, size, name = value.get("blob"), value.get("size"), value.get("name", "file")
    is_sound = isinstance(blob, str) and isinstance(size, int) and not isinstance(size, bool) and size >= 0
    return is_sound and bool(_BLOB.fullmatch(str(blob))) and isinstance(name, str) and len(value) <= 3


def check_description(description: JobDescription) -> None:
    """Raise `CorruptData` for a job whose files would lie outside of its folder, or that asks for what cannot be."""
    staged = [one.name for one in description.files]
    _must(all(map(is_inside, staged)) and len(set(staged)) == len(staged), "a file outside of the job's folder")
    _must(all(_BLOB.fullmatch(one.file.blob) and one.file.size >= 0 for one in description.files), "a file that is none")
    for output in description.outputs.values():
        names = [output.source] if output.source else []
        names += output.pattern.splitlines() if output.kind in ("file", "files", "json") else []
        _must(all(map(is_inside, names)), "an output outside of the job's folder")
    patterns = (*description.checkpoint, *description.watch, *([description.done_when] if description.done_when else []))
    _must(all(map(is_inside, patterns)), "a file outside of the job's folder")
    resources = description.resources
    _must(resources.cores_min >= 1 and resources.gpus >= 0 and abs(description.priority) <= 1000, "resources that cannot be")


def is_inside(name: str) -> bool:
    """Whether a file name stays inside the folder that it is relative to."""
    parts = name.split("/")
    return bool(name) and len(name) <= 1000 and "\0" not in name and not name.startswith("/") and ".." not in parts


def _must(condition: bool, why: str) -> None:
    if not condition:
        raise CorruptData(why)
