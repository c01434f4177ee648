"""Module functions in plain Python: jobs described, controllers called, children that end when a test says so."""

from __future__ import annotations

import copy
import itertools
import json
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field
from typing import Any, Generic, ParamSpec, TypeVar

from copernicus.blobs.hashing import hash_bytes
from copernicus.dataflow.calls import ChildView, ControllerAnswer, ControllerCall
from copernicus.dataflow.tree import is_same
from copernicus.errors import ModuleError, UnknownPath
from copernicus.model.jobs import JobDescription
from copernicus.plugin.evaluation import control, describe
from copernicus.plugin.files import File, read_blobs_with
from copernicus.plugin.memory import Memory
from copernicus.plugin.module import Function, Module, functions_by_name
from copernicus.plugin.values import Values

P = ParamSpec("P")
R = TypeVar("R")

_contents: dict[str, bytes] = {}
_numbers = itertools.count(1)


def fake_file(name: str, content: str | bytes = "") -> File:
    """Return a file with this name and content, which functions under test can read."""
    data = content.encode() if isinstance(content, str) else content
    blob = hash_bytes(data)
    _contents[blob] = data
    read_blobs_with(_read)
    return File(blob, len(data), name)


def _read(blob: str) -> bytes:
    try:
        return _contents[blob]
    except KeyError:
        raise UnknownPath(f"There is no fake file with the hash {blob}.") from None


def call_command(function: Function[P, R], /, *arguments: P.args, **inputs: P.kwargs) -> JobDescription:
    """Return the job of a command for these inputs; raise whatever its code raises."""
    return describe(function, _dumped(function, function.signature.bind(arguments, inputs, "call_command", function.name)))


def _dumped(function: Function[..., Any], given: Mapping[str, Any]) -> dict[str, Any]:
    """What the engine would hand over: given values and the defaults of the others, as plain JSON."""
    values = {one.name: one.default for one in function.schema.inputs if one.default is not None}
    for name, value in given.items():
        shape = function.signature.input_shapes.get(name)
        if shape is None:
            raise ModuleError(f"{function.name} has no input {name!r}.")
        values[name] = shape.dump(value, name)
    return {name: value for name, value in values.items() if value is not None}


@dataclass
class FakeChild:
    """A child of a fake instance: what its controller asked for, and what a test made of it."""

    name: str
    function: str
    inputs: dict[str, Any] = field(default_factory=dict)
    connections: dict[str, str] = field(default_factory=dict)
    outputs: dict[str, Any] = field(default_factory=dict)
    runs: int = 0
    is_done: bool = False
    held: str = ""
    error: str = ""
    core_s: float = 0.0
    news: set[str] = field(default_factory=set)
    id: int = 0
    is_followed: bool = False
    partial: dict[str, Any] = field(default_factory=dict)

    def __setattr__(self, name: str, value: Any) -> None:
        object.__setattr__(self, name, value)
        touched = self.__dict__.get("_touched")
        if touched is not None:
            touched[self.name] = None

    def join(self, touched: dict[str, None]) -> None:
        """Enter this child in `touched` now, and whenever something of it is set."""
        self.__dict__["_touched"] = touched
        touched[self.name] = None

    def view(self) -> ChildView:
        """The child as the controller sees it."""
        return ChildView(
            name=self.name, function=self.function, outputs=dict(self.outputs), runs=self.runs,
            is_running=not (self.is_done or self.held or self.error), is_done=self.is_done, is_held=bool(self.held),
            error=self.error, core_s=self.core_s, has_ended="ended" in self.news, was_updated="updated" in self.news,
            has_failed="failed" in self.news, id=self.id, is_followed=self.is_followed,
            was_glimpsed="glimpsed" in self.news, partial=dict(self.partial) if self.is_followed else {},
        )  # fmt: skip


class FakeInstance(Generic[R]):
    """An instance of a controller, in memory: answers are applied as the engine would, children do what the test says.

    `modules` are those whose functions the controller finds by name. All values are plain JSON (see `model.values`);
    `out` and `state` give them as the controller's dataclasses. Like an instance of a server it is told everything in its
    first call, and then what is new.
    """

    def __init__(self, function: Function[..., R], /, *, modules: Sequence[Module] = (), seed: int = 1, **inputs: Any) -> None:
        self.function = function
        self.functions = functions_by_name(modules)
        self._seed = seed
        self._sequence = 0
        self._begin_anew()
        self._next_id = 1
        self.inputs = _dumped(function, inputs)
        self.changed = set(self.inputs)
        self.outputs: dict[str, Any] = {}
        self.state_values: dict[str, Any] = {}
        self.children: dict[str, FakeChild] = {}
        self.note = ""
        self.warning = ""
        self.error = ""

    def _begin_anew(self) -> None:
        """Be an instance of which nobody keeps anything."""
        self._project = f"fake {next(_numbers)}"
        self._memory: Memory | None = None
        self._touched: dict[str, None] = {}
        self._removed: list[str] = []

    @property
    def out(self) -> R:
        """Its outputs."""
        out: R = self.function.signature.out.load_record(self.outputs)
        return out

    @property
    def state(self) -> Any:
        """Its memory."""
        shape = self.function.signature.state
        return shape.load_record(self.state_values) if shape is not None else None

    def set(self, **inputs: Any) -> None:
        """Change inputs; None takes a value away."""
        dumped = {name: value for name, value in _dumped(self.function, inputs).items() if name in inputs}
        for name in inputs:
            if not is_same(dumped.get(name), self.inputs.get(name)):
                self.changed.add(name)
        self.inputs = {**{name: value for name, value in self.inputs.items() if name not in inputs}, **dumped}

    def end(self, name: str, **outputs: Any) -> None:
        """Let a child end with these outputs (Python values, checked where its function is known)."""
        child = self._child(name)
        child.outputs.update(self._dumped(child, outputs))
        child.runs += 1
        child.is_done, child.error, child.partial = True, "", {}
        child.news |= {"ended", "updated"} if outputs else {"ended"}

    def glimpse(self, name: str, **outputs: Any) -> None:
        """Let a child's job have these provisional outputs with a checkpoint; the controller hears of it if it follows it."""
        child = self._child(name)
        child.partial = self._dumped(child, outputs)
        if child.is_followed:
            child.news.add("glimpsed")

    def _dumped(self, child: FakeChild, outputs: Mapping[str, Any]) -> dict[str, Any]:
        function = self.functions.get(child.function)
        dumped: dict[str, Any] = {}
        for output, value in outputs.items():
            shape = function.signature.out.members.get(output) if function is not None else None
            if function is not None and shape is None:
                raise ModuleError(f"{child.function} has no output {output!r}.")
            dumped[output] = shape.dump(value, output) if shape is not None else _plain(value)
        return dumped

    def fail(self, name: str, error: str) -> None:
        """Let a child fail."""
        child = self._child(name)
        child.is_done, child.error = False, error
        child.news.add("failed")

    def going(self) -> list[str]:
        """Return the children that have something to do: neither done, nor failed, nor held."""
        return [name for name, child in self.children.items() if not (child.is_done or child.error or child.held)]

    def clear_error(self, name: str) -> None:
        """Let a child that failed try again."""
        self._child(name).error = ""

    def facts(self) -> dict[str, Any]:
        """Return all that is known of the instance, as plain JSON."""
        children = [{**asdict(child), "news": sorted(child.news)} for child in self.children.values()]
        own = {name: getattr(self, name) for name in ("inputs", "outputs", "state_values", "note", "warning")}
        facts: dict[str, Any] = json.loads(json.dumps({**own, "changed": sorted(self.changed), "children": children}))
        return facts

    def restarted(self) -> FakeInstance[R]:
        """Return the same instance as another process would find it: made anew from its facts."""
        again: FakeInstance[R] = copy.copy(self)
        facts = self.facts()
        for name in ("inputs", "outputs", "state_values", "note", "warning"):
            setattr(again, name, facts[name])
        again.changed = set(facts["changed"])
        again._begin_anew()
        again.children = {one["name"]: FakeChild(**{**one, "news": set(one["news"])}) for one in facts["children"]}
        for child in again.children.values():
            child.join(again._touched)
        return again

    def answer(self) -> ControllerAnswer:
        """Return what the controller says when told everything, without applying it; raise whatever its code raises."""
        return control(self.functions, self.function, copy.deepcopy(self.request()))

    def call(self) -> ControllerAnswer:
        """Call the controller for all that is newer than the last call had seen, and apply what it answers.

        Raises whatever its code raises; then nothing is applied, and the next call sees the same again.
        """
        memory = self._memory
        if memory is None:
            request = self.request()
            memory = Memory(copy.deepcopy(request))
        else:
            request = self._difference()
            memory.hear(copy.deepcopy(request))
        answer = control(self.functions, self.function, request, memory)
        memory.said(copy.deepcopy(answer))
        memory.seen = request.seen
        self._memory = memory
        self._sequence += 1
        self.changed.clear()
        self._removed.clear()
        for name in self._touched:
            if name in self.children:
                self.children[name].news.clear()
        # What a child had to say is no longer news; that it has none any more need not be told.
        self._touched.clear()
        self._apply(copy.deepcopy(answer))
        return answer

    def request(self) -> ControllerCall:
        """Return the call that would be made now, with everything in it."""
        return ControllerCall(
            instance=1, function=self.function.name, seen=self._sequence + 1, seed=self._seed + self._sequence,
            inputs=dict(self.inputs), changed=sorted(self.changed), outputs=dict(self.outputs),
            state=dict(self.state_values), children=[child.view() for child in self.children.values()],
            spent_core_s=sum(child.core_s for child in self.children.values()), project=self._project,
        )  # fmt: skip

    def _difference(self) -> ControllerCall:
        """Return the call that would be made now, with what is new in it."""
        touched = [self.children[name] for name in self._touched if name in self.children]
        return ControllerCall(
            instance=1, function=self.function.name, seen=self._sequence + 1, seed=self._seed + self._sequence,
            inputs={name: self.inputs.get(name) for name in sorted(self.changed)}, changed=sorted(self.changed), outputs={},
            state={}, children=[child.view() for child in sorted(touched, key=lambda child: child.id)],
            spent_core_s=sum(child.core_s for child in self.children.values()), base=self._sequence,
            removed=list(self._removed), project=self._project,
        )  # fmt: skip

    def _child(self, name: str) -> FakeChild:
        if name not in self.children:
            raise UnknownPath(f"There is no child {name}; there are {', '.join(self.children) or 'none'}.")
        return self.children[name]

    def _apply(self, answer: ControllerAnswer) -> None:
        for side, values, changes in (("out", self.outputs, answer.outputs), ("state", self.state_values, answer.state)):
            lengths = {key.partition(".")[2]: n for key, n in answer.lengths.items() if key.startswith(f"{side}.")}
            Values(values).apply(changes, lengths)
        for name in answer.removes:
            if self.children.pop(name, None) is not None:
                self._removed.append(name)
        for start in answer.starts:
            if start.name not in self.children:
                child = self.children[start.name] = FakeChild(start.name, start.function, id=self._next_id)
                child.join(self._touched)
                self._next_id += 1
            _give(self.children[start.name], start.inputs, start.connections)
        for change in answer.sets:
            _give(self._child(change.name), change.inputs, change.connections)
        for hold in answer.holds:
            self._child(hold.name).held = hold.why
        for name in answer.resumes:
            self._child(name).held = ""
        for name, is_followed in answer.follows.items():
            self._child(name).is_followed = is_followed
        self.note = self.note if answer.note is None else answer.note
        self.warning = self.warning if answer.warning is None else answer.warning


def _give(child: FakeChild, inputs: Mapping[str, Any], connections: Mapping[str, str]) -> None:
    before = dict(child.inputs), dict(child.connections)
    _write(child.inputs, inputs)
    for name in inputs:
        child.connections.pop(name, None)
    child.connections.update(connections)
    if (child.inputs, child.connections) != before:
        child.is_done, child.error = False, ""


def _write(values: dict[str, Any], written: Mapping[str, Any]) -> None:
    for name, value in written.items():
        if value is None:
            values.pop(name, None)
        else:
            values[name] = value


def _plain(value: Any) -> Any:
    if isinstance(value, File):
        return {"blob": value.blob, "size": value.size, "name": value.name}
    if isinstance(value, list | tuple):
        return [_plain(item) for item in value]
    return value
