"""The state of a project: instances, connections, evaluations. `do` is the only way in which it changes.

Facts are stored, never judged: replaying a log and running live go through the same `do`. While `journal` is a list,
each change leaves there how it is taken back, so that a refusal, a check and a failed commit are the same roll-back.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from copernicus.dataflow import facts as f, tree
from copernicus.dataflow.instances import ORIGIN, ROOT, Evaluation, Instance, Place
from copernicus.dataflow.notebook import GONE, Notebook
from copernicus.dataflow.paths import Member
from copernicus.dataflow.population import Population
from copernicus.dataflow.stamps import Stamps
from copernicus.errors import CorruptData
from copernicus.model.functions import FunctionSchema

__all__ = ["ROOT", "Evaluation", "Instance", "Network", "Place"]


class Network(Notebook, Stamps, Population):
    """One project's network. `seq` is the number of the last record, `head` its hash."""

    def __init__(self) -> None:
        super().__init__()
        self.seq, self.head, self.next_id = 0, "", 1
        self.functions: dict[str, FunctionSchema] = {}
        self.imported: dict[str, int] = {}
        self.evaluations: dict[str, Evaluation] = {}
        self.strikes: dict[str, int] = {}
        self.undos: dict[int, int] = {}
        """For each record that took one back: which."""
        self.courses: dict[str, dict[int, list[str]]] = {}
        """Of each course, and each instance, the keys that it has had, unless one of them was struck since."""
        self.moves: dict[int, dict[int, int]] = {}
        """For each record by which the project came out of an archive: which job of before has which number since."""
        self.outdated: dict[str, str] = {}
        """Functions whose instances cannot go on with the modules that are installed, and why; derived."""
        self.depths: dict[int | str, int] = {}
        """How long the cascade is that led to each question under way (by instance, or key); derived."""
        self._time = 0.0
        self._unordered: dict[int, Instance] = {}

    def job_now(self, job: int | None, seq: int) -> int | None:
        """The number here of a job that record `seq` names, None when it has no record here."""
        for at, numbers in self.moves.items():
            if at > seq and job is not None:
                job = numbers.get(job)
        return job

    # --- the one mutator -----------------------------------------------------------------------------------------

    def do(self, fact: f.Fact, seq: int, time: float) -> None:
        """Store one fact that belongs to record `seq`."""
        self._at, self._time = seq, time
        _DO[type(fact)](self, fact)

    def replay(self, record: f.Record, hash_of_record: str) -> None:
        """Fold one record; raise `CorruptData` when it does not follow the one before."""
        if record.seq != self.seq + 1 or record.previous != self.head:
            raise CorruptData(f"Record {record.seq} of the log does not follow record {self.seq}.")
        for fact in record.facts:
            self.do(fact, record.seq, record.time)
        self.seq, self.head = record.seq, hash_of_record

    def roll_back(self, mark: int) -> None:
        """Take back all changes since the journal had `mark` entries."""
        super().roll_back(mark)
        for instance in self._unordered.values():
            children = sorted(instance.children.items(), key=lambda child: child[1])
            instance.children.clear()
            instance.children.update(children)
        self._unordered = {}

    # --- one small function for each fact ------------------------------------------------------------------------

    def _imported(self, fact: f.Imported) -> None:
        self._put(self.imported, fact.module, self._at)

    def _declared(self, fact: f.Declared) -> None:
        self._put(self.functions, fact.schema.name, fact.schema)

    def _adopted(self, fact: f.Adopted) -> None:
        self._put(self.functions, fact.schema.name, fact.schema)
        for instance in self.instances.values():
            if instance.function.name == fact.schema.name:
                self._assign(instance, "function", fact.schema)

    def _upgraded(self, fact: f.Upgraded) -> None:
        instance = self.instances[fact.id]
        if instance.key:
            self._assign(instance, "key_seen", self._at)
        if instance.seen:
            self._assign(instance, "seen", self._at)

    def _made(self, fact: f.Made) -> None:
        instance = Instance(fact.id, fact.name, fact.parent, self.functions[fact.function], fact.index, self._at)
        instance.is_held, instance.since = fact.is_held, self._time
        self._put(self.instances, fact.id, instance)
        around = self.instances[fact.parent]
        self._put(around.children, fact.name, fact.id)
        if fact.id < self.next_id:  # one that is back takes its place among the others
            self._assign(around, "children", dict(sorted(around.children.items(), key=lambda child: child[1])))
        self._note_child(instance)
        self._assign(self, "next_id", max(self.next_id, fact.id + 1))

    def _removed(self, fact: f.Removed) -> None:
        instance = self._drop(self.instances, fact.id)
        around = self.instances[instance.parent]
        # Which child comes first is something people see, so a roll-back puts them in their order again.
        self._undo(lambda: self._unordered.__setitem__(around.id, around))
        self._drop(around.children, instance.name)
        self.note(around, instance.id, instance.name, GONE)
        if instance.is_busy:
            self._assign(around, "busy_children", around.busy_children - 1)
        if instance.key:
            self._unwant(instance)

    def _renamed(self, fact: f.Renamed) -> None:
        instance = self.instances[fact.id]
        around = self.instances[instance.parent]
        # In its place among the others: which child comes first is something people see.
        children = {fact.name if id == fact.id else name: id for name, id in around.children.items()}
        self._assign(around, "children", children)
        self._assign(instance, "name", fact.name)

    def _took_back(self, fact: f.TookBack) -> None:
        self._put(self.undos, self._at, fact.seq)

    def _restored(self, fact: f.Restored) -> None:
        instance = self.instances[fact.id]
        for name in ("seen", "runs", "ended", "ended_error", "has_news", "core_s", "error"):
            self._assign(instance, name, getattr(fact, name))

    def _connected(self, fact: f.Connected) -> None:
        destination, source = Place(fact.id, fact.side, fact.path), Place(fact.source, fact.source_side, fact.source_path)
        instance = self.instances[fact.id]
        self._put(instance.links[fact.side], fact.path, source)
        self._count_parts(instance, fact.side, fact.path, 1)
        readers, side_and_field = self.instances[fact.source].readers, (fact.source_side, fact.source_path[0])
        if side_and_field not in readers:
            self._put(readers, side_and_field, {})
        self._put(readers[side_and_field], destination, fact.source_path)
        self._stamp(instance, fact.side, fact.path)
        self._undo(*tree.write(instance.values[fact.side], fact.path, None))

    def _count_parts(self, instance: Instance, side: str, path: tuple[Member, ...], more: int) -> None:
        for depth in range(1, len(path)):
            count = instance.parts.get((side, path[:depth]), 0) + more
            if count:
                self._put(instance.parts, (side, path[:depth]), count)
            else:
                self._drop(instance.parts, (side, path[:depth]))

    def _disconnected(self, fact: f.Disconnected) -> None:
        instance = self.instances[fact.id]
        source = self._drop(instance.links[fact.side], fact.path)
        self._count_parts(instance, fact.side, fact.path, -1)
        if source.instance in self.instances:
            side_and_field, readers = (source.side, source.path[0]), self.instances[source.instance].readers
            self._drop(readers[side_and_field], Place(fact.id, fact.side, fact.path))
            if not readers[side_and_field]:
                self._drop(readers, side_and_field)
        self._stamp(instance, fact.side, fact.path)

    def _wrote(self, fact: f.Wrote) -> None:
        instance = self.instances[fact.id]
        self._stamp(instance, fact.side, fact.path)
        self._undo(*tree.write(instance.values[fact.side], fact.path, fact.value))

    def _shortened(self, fact: f.Shortened) -> None:
        instance = self.instances[fact.id]
        values = instance.values[fact.side]
        before = len(tree.read(values, fact.path) or ())
        self._undo(*tree.cut(values, fact.path, fact.length))
        self._stamp_end(instance, fact.side, fact.path, fact.length, before)

    def _widened(self, fact: f.Widened) -> None:
        instance = self.instances[fact.id]
        narrowest = min(fact.width, instance.width or 0)
        self._assign(instance, "width", fact.width)
        for field in instance.function.outputs:
            self._stamp_end(instance, "out", (field.name,), narrowest)
        if fact.width == 0:
            self._news(instance)

    def _held(self, fact: f.Held) -> None:
        self._assign(self.instances[fact.id], "is_held", fact.is_held)
        self._assign(self.instances[fact.id], "since", self._time)

    def _held_by_controller(self, fact: f.HeldByController) -> None:
        self._assign(self.instances[fact.id], "held_why", fact.why)
        self._assign(self.instances[fact.id], "since", self._time)

    def _begun(self, fact: f.Begun) -> None:
        until = fact.description.until if fact.description is not None else ()
        evaluation = Evaluation(fact.key, fact.id, self.instances[fact.id].function, fact.course, until)
        self._put(self.evaluations, fact.key, evaluation)

    def _unwant(self, instance: Instance) -> None:
        if self.watch is not None:
            self.watch.keys.setdefault(instance.id, instance.key)
        wanted = self.evaluations[instance.key].wanted
        wanted.discard(instance.id)
        self._undo(lambda: wanted.add(instance.id))

    def _took(self, fact: f.Took) -> None:
        instance = self.instances[fact.id]
        if instance.key != fact.key:
            if instance.key:
                self._unwant(instance)
            elif self.watch is not None:
                self.watch.keys.setdefault(instance.id, "")
            self._assign(instance, "key", fact.key)
            self._assign(instance, "since", self._time)
            self._news(instance)
            evaluation = self.evaluations[fact.key]
            wanted = evaluation.wanted
            wanted.add(instance.id)
            self._undo(lambda: wanted.discard(instance.id))
            if evaluation.course:
                self._remember_course(evaluation, instance.id)
        self._assign(instance, "key_seen", fact.seen)
        if instance.error:
            self._assign(instance, "error", "")

    def _remember_course(self, evaluation: Evaluation, id: int) -> None:
        if evaluation.course not in self.courses:
            self._put(self.courses, evaluation.course, {})
        taken = self.courses[evaluation.course]
        if evaluation.key not in taken.get(id, []):
            self._put(taken, id, [*taken.get(id, []), evaluation.key])

    def _left(self, fact: f.Left) -> None:
        instance = self.instances[fact.id]
        self._unwant(instance)
        self._assign(instance, "key", "")
        self._assign(instance, "key_seen", 0)

    def _renewed(self, fact: f.Renewed) -> None:
        self._assign(self.instances[fact.id], "renewed", self._at)

    def _news(self, instance: Instance) -> None:
        for one in self.ancestors(instance):
            if not one.has_news and self.instances[one.parent].function.kind == "controller":
                self._assign(one, "has_news", True)

    def _filed(self, fact: f.Filed) -> None:
        evaluation = self.evaluations[fact.key]
        self._assign(evaluation, "state", "done" if fact.outputs is not None else "failed")
        self._assign(evaluation, "outputs", fact.outputs or {})
        for name in ("error", *ORIGIN):
            self._assign(evaluation, name, getattr(fact, name))
        self._assign(evaluation, "filed", self._at)
        for id in evaluation.wanted:
            self._news(self.instances[id])
            self._note_child(self.instances[id])
        maker = self.instances.get(evaluation.instance)
        if maker is not None:
            self._assign(maker, "since", self._time)
            for one in self.ancestors(maker):
                self._assign(one, "core_s", one.core_s + fact.core_s)

    def _stood(self, fact: f.Stood) -> None:
        instance = self.instances[fact.id]
        new, old = self.evaluations[fact.key].outputs, instance.values["out"]
        for field in {**old, **new}:
            if not tree.is_same(old.get(field), new.get(field)):
                self._stamp(instance, "out", (field,))
        self._put(instance.values, "out", dict(new))
        self._assign(instance, "stood", fact.key)
        self._assign(instance, "stood_at", self._at)
        self._assign(instance, "since", self._time)

    def _reopened(self, fact: f.Reopened) -> None:
        evaluation = self.evaluations[fact.key]
        self._assign(evaluation, "state", "open")
        self._assign(evaluation, "error", "")
        for id in evaluation.wanted:
            self._note_child(self.instances[id])

    def _struck(self, fact: f.Struck) -> None:
        strikes = self.strikes.get(fact.base, 0)
        evaluation = self.evaluations.get(f"{fact.base}~{strikes}" if strikes else fact.base)
        if evaluation is not None and evaluation.course:
            taken = self.courses.get(evaluation.course, {})
            for id in [id for id, keys in taken.items() if evaluation.key in keys]:
                self._drop(taken, id)
        self._put(self.strikes, fact.base, self.strikes.get(fact.base, 0) + 1)

    def _seen(self, fact: f.Seen) -> None:
        instance = self.instances[fact.id]
        self._assign(instance, "seen", fact.seq)
        if instance.news:
            self._assign(instance, "news", {what: at for what, at in instance.news.items() if at > fact.seq})
        self._news(instance)

    def _reset(self, fact: f.Reset) -> None:
        instance = self.instances[fact.id]
        for side in ("out", "state"):
            for field in instance.values[side]:
                self._stamp(instance, side, (field,))
            self._put(instance.values, side, {})
        self._assign(instance, "seen", 0)
        self._assign(instance, "renewed", self._at)
        for name, value in (("is_told", False), ("news", {}), ("state_bytes", None)):
            self._assign(instance, name, value)

    def _error_set(self, fact: f.ErrorSet) -> None:
        instance = self.instances[fact.id]
        self._assign(instance, "error", fact.error)
        self._assign(instance, "key_seen" if instance.is_evaluated else "seen", fact.seen)
        self._assign(instance, "since", self._time)
        self._news(instance)

    def _error_cleared(self, fact: f.ErrorCleared) -> None:
        instance = self.instances[fact.id]
        self._assign(instance, "error", "")
        self._assign(instance, "renewed", self._at)
        self._assign(instance, "since", self._time)

    def _noted(self, fact: f.Noted) -> None:
        instance = self.instances[fact.id]
        if fact.note is not None:
            self._assign(instance, "note", fact.note)
        if fact.warning is not None:
            self._assign(instance, "warning", fact.warning)

    def _discarded(self, fact: f.Discarded) -> None:
        self._assign(self.evaluations[fact.key], "state", "gone")
        self._assign(self.evaluations[fact.key], "outputs", {})

    def _purged(self, fact: f.Purged) -> None:
        """What is given up are earlier versions, which are not held here."""

    def _loaded(self, fact: f.Loaded) -> None:
        numbers = dict(fact.jobs)
        for evaluation in self.evaluations.values():
            if evaluation.job is not None:
                self._assign(evaluation, "job", numbers.get(evaluation.job))
        self._put(self.moves, self._at, numbers)

    def _ended(self, fact: f.Ended) -> None:
        instance = self.instances[fact.id]
        self._assign(instance, "ended", self._at)
        self._assign(instance, "ended_error", fact.error)
        self._assign(instance, "runs", instance.runs + 1)
        self._assign(instance, "has_news", False)

    def _awaited(self, fact: f.Awaited) -> None:
        self._assign(self.instances[fact.id], "has_news", True)


_DO: dict[type[Any], Callable[[Network, Any], None]] = {
    f.Imported: Network._imported, f.Declared: Network._declared, f.Made: Network._made, f.Removed: Network._removed,
    f.Renamed: Network._renamed, f.TookBack: Network._took_back, f.Restored: Network._restored,
    f.Connected: Network._connected, f.Disconnected: Network._disconnected, f.Wrote: Network._wrote,
    f.Shortened: Network._shortened, f.Widened: Network._widened, f.Held: Network._held,
    f.HeldByController: Network._held_by_controller, f.Begun: Network._begun, f.Took: Network._took,
    f.Left: Network._left, f.Renewed: Network._renewed, f.Filed: Network._filed, f.Stood: Network._stood,
    f.Reopened: Network._reopened, f.Struck: Network._struck, f.Seen: Network._seen, f.Reset: Network._reset,
    f.ErrorSet: Network._error_set, f.ErrorCleared: Network._error_cleared, f.Noted: Network._noted, f.Ended: Network._ended,
    f.Discarded: Network._discarded, f.Purged: Network._purged, f.Loaded: Network._loaded,
    f.Adopted: Network._adopted, f.Upgraded: Network._upgraded,
    f.Awaited: Network._awaited, f.Followed: Network._followed, f.Glimpsed: Network._glimpsed,
}  # fmt: skip
