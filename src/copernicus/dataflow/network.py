"""The state of a project: instances, connections, evaluations. `do` is the only way in which it changes.

Facts are stored, never judged: replaying a log and running live go through the same `do`. While `journal` is a list,
each change leaves there how it is taken back, so that a refusal, a check and a failed commit are the same roll-back.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any, NamedTuple

from copernicus.dataflow import facts as f
from copernicus.dataflow import tree
from copernicus.dataflow.paths import Member
from copernicus.errors import CorruptData
from copernicus.model.functions import FunctionSchema
from copernicus.model.types import Type

ROOT = 0
Undo = Callable[[], None]


class Place(NamedTuple):
    """A place in the network: instance id, side, members."""

    instance: int
    side: str
    path: tuple[Member, ...]


class Instance:
    """A function used in a project. What is stored comes from facts; `touched`, `in_flight`, `is_busy`,
    `busy_children` and `awaited` (see `views.lacks_input`) are derived and never logged.
    """

    __slots__ = (
        "awaited", "busy_children", "changed", "children", "core_s", "ended", "ended_error", "error", "function", "held_why",
        "id", "in_flight", "index", "is_busy", "is_held", "key", "key_seen", "links", "made", "name", "note", "parent",
        "readers", "runs", "seen", "since", "stood", "touched", "values", "warning", "width",
    )  # fmt: skip

    def __init__(self, id: int, name: str, parent: int, function: FunctionSchema, index: int | None, made: int) -> None:
        self.id, self.name, self.parent, self.function, self.index, self.made = id, name, parent, function, index, made
        self.children: dict[str, int] = {}
        self.values: dict[str, dict[str, Any]] = {"in": {}, "out": {}, "state": {}}
        self.changed: dict[str, dict[str, int]] = {"in": {}, "out": {}, "state": {}}
        self.links: dict[str, dict[tuple[Member, ...], Place]] = {"in": {}, "out": {}}
        self.readers: dict[tuple[str, Member], dict[Place, tuple[Member, ...]]] = {}
        self.is_held, self.held_why = False, ""
        self.width: int | None = None
        self.key, self.key_seen, self.stood = "", 0, ""
        self.seen, self.runs, self.ended, self.ended_error = 0, 0, 0, ""
        self.error, self.note, self.warning = "", "", ""
        self.core_s, self.since = 0.0, 0.0
        self.touched, self.in_flight, self.is_busy, self.busy_children = made, 0, False, 0
        self.awaited: Place | None = None

    @property
    def is_evaluated(self) -> bool:
        """Whether outputs follow from inputs."""
        return self.function.kind in ("command", "pure")


class Evaluation:
    """What an evaluated instance does for one key. `state` is "open", "done" or "failed"."""

    __slots__ = (
        "attempt", "core_s", "error", "filed", "instance", "job", "key", "outputs", "state", "version", "wanted", "worker",
    )  # fmt: skip

    def __init__(self, key: str, instance: int) -> None:
        self.key, self.instance, self.state = key, instance, "open"
        self.outputs: dict[str, Any] = {}
        self.error, self.core_s, self.filed = "", 0.0, 0
        self.job: int | None = None
        self.attempt, self.worker, self.version = 0, "", ""
        self.wanted: set[int] = set()


_PROJECT = FunctionSchema("project", "network")


class Network:
    """One project's network. `seq` is the number of the last record, `head` its hash."""

    def __init__(self) -> None:
        self.seq, self.head, self.time, self.next_id = 0, "", 0.0, 1
        self.functions: dict[str, FunctionSchema] = {}
        self.imported: dict[str, int] = {}
        self.instances: dict[int, Instance] = {ROOT: Instance(ROOT, "", -1, _PROJECT, None, 0)}
        self.evaluations: dict[str, Evaluation] = {}
        self.strikes: dict[str, int] = {}
        self.journal: list[Undo] | None = None
        self.cascade = 0
        """Steps since the last job end or user's edit; derived, never logged."""
        self._at = 0

    # --- looking -------------------------------------------------------------------------------------------------

    def children(self, instance: Instance) -> Iterator[Instance]:
        """The instances inside `instance`, in the order in which they were made."""
        return (self.instances[id] for id in instance.children.values())

    def subtree(self, instance: Instance) -> Iterator[Instance]:
        """`instance` and all instances below it, from the top down."""
        stack = [instance]
        while stack:
            one = stack.pop()
            yield one
            stack.extend(self.instances[id] for id in reversed(one.children.values()))

    def ancestors(self, instance: Instance) -> Iterator[Instance]:
        """`instance` and what is around it, from the inside out, without the project itself."""
        while instance.id != ROOT:
            yield instance
            instance = self.instances[instance.parent]

    def path_of(self, id: int) -> str:
        """The path of an instance, in names."""
        return ":".join(reversed([one.name for one in self.ancestors(self.instances[id])]))

    def fields(self, instance: Instance, side: str) -> dict[str, Type]:
        """The fields of one side with their types."""
        schema = instance.function
        members = schema.inputs if side == "in" else schema.outputs if side == "out" else schema.state
        return {field.name: field.kind for field in members}

    # --- the one mutator -----------------------------------------------------------------------------------------

    def do(self, fact: f.Fact, seq: int, time: float) -> None:
        """Store one fact that belongs to record `seq`."""
        self._at, self.time = seq, time
        _DO[type(fact)](self, fact)

    def replay(self, record: f.Record, hash_of_record: str) -> None:
        """Fold one record; raise `CorruptData` when it does not follow the one before."""
        if record.seq != self.seq + 1 or record.previous != self.head:
            raise CorruptData(f"Record {record.seq} of the log does not follow record {self.seq}.")
        for fact in record.facts:
            self.do(fact, record.seq, record.time)
        self.seq, self.head = record.seq, hash_of_record

    def mark_touched(self, instance: Instance, seq: int) -> None:
        """Something that `instance` reads changed at `seq`. Derived, but taken back with the rest."""
        self._assign(instance, "touched", seq)

    def roll_back(self, mark: int) -> None:
        """Take back all changes since the journal had `mark` entries."""
        assert self.journal is not None
        while len(self.journal) > mark:
            self.journal.pop()()

    def _undo(self, *actions: Undo) -> None:
        if self.journal is not None:
            self.journal.extend(actions)

    def _assign(self, target: Any, name: str, value: Any) -> None:
        before = getattr(target, name)
        if self.journal is not None:
            self.journal.append(lambda: setattr(target, name, before))
        setattr(target, name, value)

    def _put(self, mapping: dict[Any, Any], key: Any, value: Any) -> None:
        if self.journal is not None:
            if key in mapping:
                before = mapping[key]
                self.journal.append(lambda: mapping.__setitem__(key, before))
            else:
                self.journal.append(lambda: mapping.pop(key))
        mapping[key] = value

    def _drop(self, mapping: dict[Any, Any], key: Any) -> Any:
        # Puts the whole mapping back in its order: which child or field comes first is something people see.
        if self.journal is not None:
            before = dict(mapping)

            def restore() -> None:
                mapping.clear()
                mapping.update(before)

            self.journal.append(restore)
        return mapping.pop(key)

    def _stamp(self, instance: Instance, side: str, field: Member) -> None:
        self._put(instance.changed[side], field, self._at)

    # --- one small function for each fact ------------------------------------------------------------------------

    def _imported(self, fact: f.Imported) -> None:
        self._put(self.imported, fact.module, self._at)

    def _declared(self, fact: f.Declared) -> None:
        self._put(self.functions, fact.schema.name, fact.schema)

    def _made(self, fact: f.Made) -> None:
        instance = Instance(fact.id, fact.name, fact.parent, self.functions[fact.function], fact.index, self._at)
        instance.is_held, instance.since = fact.is_held, self.time
        self._put(self.instances, fact.id, instance)
        self._put(self.instances[fact.parent].children, fact.name, fact.id)
        self._assign(self, "next_id", max(self.next_id, fact.id + 1))

    def _removed(self, fact: f.Removed) -> None:
        instance = self._drop(self.instances, fact.id)
        around = self.instances[instance.parent]
        self._drop(around.children, instance.name)
        if instance.is_busy:
            self._assign(around, "busy_children", around.busy_children - 1)
        if instance.key:
            self._unwant(instance)

    def _connected(self, fact: f.Connected) -> None:
        destination, source = Place(fact.id, fact.side, fact.path), Place(fact.source, fact.source_side, fact.source_path)
        instance = self.instances[fact.id]
        self._put(instance.links[fact.side], fact.path, source)
        readers = self.instances[fact.source].readers.setdefault((fact.source_side, fact.source_path[0]), {})
        self._put(readers, destination, fact.source_path)
        self._undo(*tree.write(instance.values[fact.side], fact.path, None))
        self._stamp(instance, fact.side, fact.path[0])

    def _disconnected(self, fact: f.Disconnected) -> None:
        instance = self.instances[fact.id]
        source = self._drop(instance.links[fact.side], fact.path)
        if source.instance in self.instances:
            readers = self.instances[source.instance].readers[source.side, source.path[0]]
            self._drop(readers, Place(fact.id, fact.side, fact.path))
        self._stamp(instance, fact.side, fact.path[0])

    def _wrote(self, fact: f.Wrote) -> None:
        instance = self.instances[fact.id]
        self._undo(*tree.write(instance.values[fact.side], fact.path, fact.value))
        self._stamp(instance, fact.side, fact.path[0])

    def _shortened(self, fact: f.Shortened) -> None:
        instance = self.instances[fact.id]
        self._undo(*tree.cut(instance.values[fact.side], fact.path, fact.length))
        self._stamp(instance, fact.side, fact.path[0])

    def _widened(self, fact: f.Widened) -> None:
        instance = self.instances[fact.id]
        self._assign(instance, "width", fact.width)
        for field in instance.function.outputs:
            self._stamp(instance, "out", field.name)

    def _held(self, fact: f.Held) -> None:
        self._assign(self.instances[fact.id], "is_held", fact.is_held)
        self._assign(self.instances[fact.id], "since", self.time)

    def _held_by_controller(self, fact: f.HeldByController) -> None:
        self._assign(self.instances[fact.id], "held_why", fact.why)
        self._assign(self.instances[fact.id], "since", self.time)

    def _begun(self, fact: f.Begun) -> None:
        self._put(self.evaluations, fact.key, Evaluation(fact.key, fact.id))

    def _unwant(self, instance: Instance) -> None:
        wanted = self.evaluations[instance.key].wanted
        wanted.discard(instance.id)
        self._undo(lambda: wanted.add(instance.id))

    def _took(self, fact: f.Took) -> None:
        instance = self.instances[fact.id]
        if instance.key != fact.key:
            if instance.key:
                self._unwant(instance)
            self._assign(instance, "key", fact.key)
            self._assign(instance, "since", self.time)
            wanted = self.evaluations[fact.key].wanted
            wanted.add(instance.id)
            self._undo(lambda: wanted.discard(instance.id))
        self._assign(instance, "key_seen", fact.seen)
        if instance.error:
            self._assign(instance, "error", "")

    def _filed(self, fact: f.Filed) -> None:
        evaluation = self.evaluations[fact.key]
        self._assign(evaluation, "state", "done" if fact.outputs is not None else "failed")
        self._assign(evaluation, "outputs", fact.outputs or {})
        for name in ("error", "core_s", "job", "attempt", "worker", "version"):
            self._assign(evaluation, name, getattr(fact, name))
        self._assign(evaluation, "filed", self._at)
        maker = self.instances.get(evaluation.instance)
        if maker is not None:
            self._assign(maker, "since", self.time)
            for one in self.ancestors(maker):
                self._assign(one, "core_s", one.core_s + fact.core_s)

    def _stood(self, fact: f.Stood) -> None:
        instance = self.instances[fact.id]
        new, old = self.evaluations[fact.key].outputs, instance.values["out"]
        for field in {**old, **new}:
            if not tree.is_same(old.get(field), new.get(field)):
                self._stamp(instance, "out", field)
        self._put(instance.values, "out", dict(new))
        self._assign(instance, "stood", fact.key)
        self._assign(instance, "since", self.time)

    def _reopened(self, fact: f.Reopened) -> None:
        self._assign(self.evaluations[fact.key], "state", "open")
        self._assign(self.evaluations[fact.key], "error", "")

    def _struck(self, fact: f.Struck) -> None:
        self._put(self.strikes, fact.base, self.strikes.get(fact.base, 0) + 1)

    def _seen(self, fact: f.Seen) -> None:
        self._assign(self.instances[fact.id], "seen", fact.seq)

    def _reset(self, fact: f.Reset) -> None:
        instance = self.instances[fact.id]
        for side in ("out", "state"):
            for field in instance.values[side]:
                self._stamp(instance, side, field)
            self._put(instance.values, side, {})
        self._assign(instance, "seen", 0)
        self._assign(instance, "made", self._at)

    def _error_set(self, fact: f.ErrorSet) -> None:
        instance = self.instances[fact.id]
        self._assign(instance, "error", fact.error)
        self._assign(instance, "key_seen" if instance.is_evaluated else "seen", fact.seen)
        self._assign(instance, "since", self.time)

    def _error_cleared(self, fact: f.ErrorCleared) -> None:
        instance = self.instances[fact.id]
        self._assign(instance, "error", "")
        self._assign(instance, "since", self.time)

    def _noted(self, fact: f.Noted) -> None:
        instance = self.instances[fact.id]
        if fact.note is not None:
            self._assign(instance, "note", fact.note)
        if fact.warning is not None:
            self._assign(instance, "warning", fact.warning)

    def _ended(self, fact: f.Ended) -> None:
        instance = self.instances[fact.id]
        self._assign(instance, "ended", self._at)
        self._assign(instance, "ended_error", fact.error)
        self._assign(instance, "runs", instance.runs + 1)


_DO: dict[type[Any], Callable[[Network, Any], None]] = {
    f.Imported: Network._imported, f.Declared: Network._declared, f.Made: Network._made, f.Removed: Network._removed,
    f.Connected: Network._connected, f.Disconnected: Network._disconnected, f.Wrote: Network._wrote,
    f.Shortened: Network._shortened, f.Widened: Network._widened, f.Held: Network._held,
    f.HeldByController: Network._held_by_controller, f.Begun: Network._begun, f.Took: Network._took,
    f.Filed: Network._filed, f.Stood: Network._stood, f.Reopened: Network._reopened, f.Struck: Network._struck,
    f.Seen: Network._seen, f.Reset: Network._reset, f.ErrorSet: Network._error_set, f.ErrorCleared: Network._error_cleared,
    f.Noted: Network._noted, f.Ended: Network._ended,
}  # fmt: skip
