"""Children as their controller sees them, and what it says about them."""

from __future__ import annotations

import copy
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, Generic, TypeVar, cast

from copernicus.dataflow.calls import ChildSet, ChildStart, ChildView
from copernicus.errors import ModuleError, WrongType
from copernicus.model.types import Type, fits
from copernicus.plugin.memory import Memory
from copernicus.plugin.wires import Result, Wire

if TYPE_CHECKING:
    from copernicus.plugin.module import Function

R = TypeVar("R")


class Child(Generic[R]):
    """A child as its controller sees it. What is said about it takes effect after the call."""

    # A process keeps it from call to call, so module code must not be able to leave anything with it.
    __slots__ = ("_family", "_function", "_out", "_view")

    def __init__(self, view: ChildView, function: Function[..., R], family: Family[R]) -> None:
        self._view, self._function, self._family = view, function, family
        self._out: R | None = None

    @property
    def _plan(self) -> Plan:
        plan = self._family.plan
        assert plan is not None
        return plan

    def __repr__(self) -> str:
        return f"<child {self.name}: {self._view.function}>"

    @property
    def name(self) -> str:
        """Its name."""
        return self._view.name

    @property
    def out(self) -> R:
        """Its outputs as they are now; what is not there yet has its default, else is an empty list or None."""
        if self._out is None:
            self._out = cast(R, self._function.signature.out.load_record(self._view.outputs))
            self._plan.opened.append(self)
        return self._out

    @property
    def partial(self) -> R:
        """What it has of its outputs so far, as of the last checkpoint of its job, if it is followed; the rest as in `out`.

        They are provisional: the next ones take their place. One that is used in an answer stays.
        """
        return cast(R, self._function.signature.out.load_record(copy.deepcopy(self._view.partial)))

    @property
    def wire(self) -> R:
        """Its outputs as sources of connections: they connect where `out` copies."""
        return cast(R, Result(self.name, self._function.signature.out))

    @property
    def runs(self) -> int:
        """How often it has come to an end (with what outputs it has now)."""
        return self._view.runs

    @property
    def is_running(self) -> bool:
        """Whether a call or a job of it is under way or queued."""
        return self._view.is_running

    @property
    def is_done(self) -> bool:
        """Whether its outputs come from its present inputs."""
        return self._view.is_done

    @property
    def is_held(self) -> bool:
        """Whether it is held."""
        return self._view.is_held

    @property
    def error(self) -> str:
        """Its error, or ""."""
        return self._view.error

    @property
    def core_s(self) -> float:
        """Core-seconds spent in it."""
        return self._view.core_s

    def set(self, **inputs: Any) -> None:
        """Set some of its inputs; a wire connects."""
        self._plan.set(self.name, self._function, inputs)

    def hold(self, why: str) -> None:
        """Hold it, with the reason that people will read."""
        self._plan.hold(self.name, why)

    def resume(self) -> None:
        """Let it go on, if it is held."""
        self._plan.resume(self.name, self._view.is_held)

    def follow(self, is_wanted: bool = True) -> None:
        """See its provisional outputs from now on (`partial`): the controller is called with each checkpoint of its jobs."""
        self._plan.follow(self.name, is_wanted, self._view.is_followed)

    def remove(self) -> None:
        """Remove it, with all its work."""
        self._plan.remove(self.name)


class Family(Generic[R]):
    """The children of one function that a process keeps, in the order in which they were made."""

    def __init__(self, function: Function[..., R], memory: Memory) -> None:
        self.function = function
        self.plan: Plan | None = None
        self.children: dict[str, Child[R]] = {}
        for view in memory.children.values():
            if view.function == function.name:
                self.put(view)

    def put(self, view: ChildView) -> None:
        """A child is new, or other than it was."""
        child = self.children.get(view.name)
        if child is None:
            self.children[view.name] = Child(view, self.function, self)
        else:
            child._view, child._out = view, None

    def drop(self, name: str) -> None:
        """A child is no longer there."""
        del self.children[name]


def family_of(memory: Memory, function: Function[..., R], plan: Plan) -> Family[R]:
    """Return the children of `function`, made once and kept up to date by the memory; `plan` hears what is said to them."""
    family = memory.families.get(function.name)
    if family is None or family.function.signature is not function.signature:
        family = memory.families[function.name] = Family(function, memory)
    family.plan = plan
    return family


class Plan:
    """What a call has said about its children so far, one entry per child."""

    def __init__(self, memory: Memory) -> None:
        self.known: Mapping[str, ChildView] = memory.children
        self.made: dict[str, ChildView] = {}
        self.opened: list[Child[Any]] = []
        """Children whose outputs were looked at: module code may change what it got, and the next call must not see that."""
        self.starts: dict[str, ChildStart] = {}
        self.sets: dict[str, ChildSet] = {}
        self.holds: dict[str, str] = {}
        self.resumes: dict[str, None] = {}
        self.removes: dict[str, None] = {}
        self.follows: dict[str, bool] = {}

    def close(self) -> None:
        """The call has ended."""
        for child in self.opened:
            child._out = None

    def start(self, name: str, function: Function[..., Any], given: Mapping[str, Any]) -> ChildView:
        """Make a child, or set the inputs of the one of this name; raise `ModuleError` when that is another function."""
        view = self.known.get(name) or self.made.get(name)
        if view is not None and view.function != function.name:
            raise ModuleError(f"The child {name} is a {view.function}, not a {function.name}.", "Give it another name.")
        inputs, connections = _inputs(name, function, given)
        before = self.starts.get(name)
        if before is not None:
            inputs, connections = _merged(before, inputs, connections)
        self.starts[name] = ChildStart(name, function.name, inputs, connections)
        self.removes.pop(name, None)
        if view is None:
            view = self.made[name] = ChildView(name, function.name)
        return view

    def set(self, name: str, function: Function[..., Any], given: Mapping[str, Any]) -> None:
        """Set inputs of a child; raise `ModuleError` for one that its function does not have."""
        for field in given:
            if field not in function.signature.input_shapes:
                known = ", ".join(function.signature.input_shapes)
                raise ModuleError(f"{function.name} has no input {field!r}.", f"Its inputs: {known}.")
        inputs, connections = _inputs(name, function, given, keep_none=True)
        if name in self.starts:
            before = self.starts[name]
            self.starts[name] = ChildStart(name, before.function, *_merged(before, inputs, connections))
        elif name in self.sets:
            self.sets[name] = ChildSet(name, *_merged(self.sets[name], inputs, connections))
        else:
            self.sets[name] = ChildSet(name, inputs, connections)

    def hold(self, name: str, why: str) -> None:
        """Hold a child, with the reason."""
        self.resumes.pop(name, None)
        self.holds[name] = why

    def resume(self, name: str, is_held: bool) -> None:
        """Let a child go on, if it is held."""
        self.holds.pop(name, None)
        if is_held:
            self.resumes[name] = None

    def follow(self, name: str, is_wanted: bool, is_followed: bool) -> None:
        """Follow a child, or no longer."""
        self.follows.pop(name, None)
        if is_wanted != is_followed:
            self.follows[name] = is_wanted

    def remove(self, name: str) -> None:
        """Remove a child, whatever was said about it before."""
        said: tuple[dict[str, Any], ...] = (self.starts, self.sets, self.holds, self.resumes, self.follows)
        for part in said:
            part.pop(name, None)
        if name in self.known:
            self.removes[name] = None
        else:
            self.made.pop(name, None)


def _merged(
    before: ChildStart | ChildSet, inputs: dict[str, Any], connections: dict[str, str]
) -> tuple[dict[str, Any], dict[str, str]]:
    fields = {*inputs, *(place.partition("[")[0].partition(".")[0] for place in connections)}
    kept = {
        place: source for place, source in before.connections.items() if place.partition("[")[0].partition(".")[0] not in fields
    }
    old = {field: value for field, value in before.inputs.items() if field not in fields}
    return {**old, **inputs}, {**kept, **connections}


def _inputs(
    child: str, function: Function[..., Any], given: Mapping[str, Any], keep_none: bool = False
) -> tuple[dict[str, Any], dict[str, str]]:
    inputs: dict[str, Any] = {}
    connections: dict[str, str] = {}

    def divert(part: Any, place: str, kind: Type) -> bool:
        if isinstance(part, Result):
            raise ModuleError(f"{child}: {place} gets all of {part!r}; name the output that is meant.")
        if not isinstance(part, Wire):
            return False
        difference = fits(part._kind, kind)
        if difference:
            raise ModuleError(f"{part._path} does not fit the input {place} of {child}: {difference}.")
        connections[place] = part._path
        return True

    for field, value in given.items():
        wires_before = len(connections)
        try:
            data = function.signature.input_shapes[field].dump(value, field, divert)
        except WrongType as error:
            raise ModuleError(f"Child {child}: input {error.message}", error.hint) from None
        if data is not None or (keep_none and len(connections) == wires_before):
            inputs[field] = data
    return inputs, connections
