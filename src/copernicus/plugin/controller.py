"""Controllers: what a call sees, what it says shall be, and the difference that goes back."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from contextvars import ContextVar
from dataclasses import replace
from typing import TYPE_CHECKING, Any, Generic, NoReturn, ParamSpec, TypeVar, cast

from copernicus.dataflow.calls import ChildHold, ChildView, ControllerAnswer, ControllerCall
from copernicus.errors import CopernicusError, ModuleError
from copernicus.model.types import fits
from copernicus.plugin.children import Child, Plan, family_of
from copernicus.plugin.memory import Memory
from copernicus.plugin.shapes import Shape
from copernicus.plugin.values import Values, differences
from copernicus.plugin.wires import Wire

if TYPE_CHECKING:
    from copernicus.plugin.module import Function

P = ParamSpec("P")
R = TypeVar("R")
Out = TypeVar("Out")
State = TypeVar("State")

# The functions that this process knows, for `Call.function`.
known_functions: ContextVar[Mapping[str, Function[..., Any]]] = ContextVar("known_functions")


class CallFailed(CopernicusError):
    """Raised by `Call.fail`: nothing of the call is applied."""

    code = "module"


class Call(Generic[Out, State]):
    """One call of a controller.

    out           its outputs: change them
    state         its memory: change it
    changed       names of the inputs that are newer than what the last call had seen
    seed          for random numbers; the same call has the same seed
    spent_core_s  core-seconds spent in all its children
    """

    def __init__(self, request: ControllerCall, function: Function[..., Any], memory: Memory | None = None) -> None:
        signature = function.signature
        memory = memory or Memory(request)
        self._memory = memory
        self._function = function
        self._plan = Plan(memory)
        self.out: Out = cast(Out, _opened(signature.out, memory.outputs))
        self.state: State = cast(State, _opened(signature.state, memory.state) if signature.state else None)
        self.changed = frozenset(request.changed)
        self.seed = request.seed
        self.spent_core_s = request.spent_core_s
        self._note: str | None = None
        self._warning: str | None = None

    def start(self, name: str, function: Function[P, R], /, *arguments: P.args, **inputs: P.kwargs) -> Child[R]:
        """Make a child, or set the inputs of the one that has this name; a wire connects."""
        given = function.signature.bind(arguments, inputs, f"Child {name}", function.name)
        view = self._plan.start(name, function, given)
        family = family_of(self._memory, function, self._plan)
        return family.children.get(name) or Child(view, function, family)

    def children(self, function: Function[..., R]) -> dict[str, Child[R]]:
        """Return the children that are instances of `function` by name, those made in this call included."""
        plan, family = self._plan, family_of(self._memory, function, self._plan)
        found = dict(family.children)
        for name in plan.removes:
            found.pop(name, None)
        for name, view in plan.made.items():
            if view.function == function.name:
                found[name] = Child(view, function, family)
        return found

    def ended(self, function: Function[..., R]) -> list[Child[R]]:
        """Return the children of `function` that came to an end since the last call."""
        return self._those(function, lambda view: view.has_ended)

    def updated(self, function: Function[..., R]) -> list[Child[R]]:
        """Return the children of `function` whose outputs changed since the last call."""
        return self._those(function, lambda view: view.was_updated)

    def failed(self, function: Function[..., R]) -> list[Child[R]]:
        """Return the children of `function` that failed since the last call."""
        return self._those(function, lambda view: view.has_failed)

    def glimpsed(self, function: Function[..., R]) -> list[Child[R]]:
        """Return the followed children of `function` whose provisional outputs (`partial`) are newer than at the last call."""
        return self._those(function, lambda view: view.was_glimpsed)

    def _those(self, function: Function[..., R], is_wanted: Callable[[ChildView], bool]) -> list[Child[R]]:
        children = family_of(self._memory, function, self._plan).children
        names = [name for name in self._memory.news if name in children and name not in self._plan.removes]
        return [children[name] for name in names if is_wanted(children[name]._view)]

    def input(self, name: str) -> Any:
        """Return the controller's own input `name` as a wire, to be connected to children."""
        shape = self._function.signature.input_shapes.get(name)
        if shape is None:
            raise ModuleError(f"{self._function.name} has no input {name!r}.")
        return Wire(f"self:in.{name}", shape.type)

    def function(self, name: str, *, like: Function[P, R]) -> Function[P, R]:
        """Return the function called `name` (`module::function`), which takes and gives what `like` does.

        Raises `ModuleError` when there is no such function here, or when it does not fit.
        """
        known = known_functions.get({})
        found = known.get("::".join(part for part in name.split(":") if part))
        if found is None:
            raise ModuleError(f"There is no function {name}.", "`cpcc list-modules` shows the modules that are here.")
        difference = _difference(found, like)
        if difference:
            raise ModuleError(f"{found.name} cannot stand for {like.name}: {difference}.")
        return replace(like, schema=found.schema)

    def note(self, text: str) -> None:
        """Say how things stand; shown beside the instance."""
        self._note = text

    def warn(self, text: str) -> None:
        """Set the instance's warning; "" takes it away."""
        self._warning = text

    def fail(self, message: str) -> NoReturn:
        """Put the instance into error. Nothing of this call is applied."""
        raise CallFailed(message)

    def answer(self) -> ControllerAnswer:
        """Return what the call has said: only what differs."""
        memory, signature, plan = self._memory, self._function.signature, self._plan
        outputs, shorter = differences(signature.out.members, self.out, memory.outputs, "out")
        lengths = {f"out.{field}": length for field, length in shorter.items()}
        state: dict[str, Any] = {}
        if signature.state is not None:
            state, shorter = differences(signature.state.members, self.state, memory.state, "state")
            lengths |= {f"state.{field}": length for field, length in shorter.items()}
        return ControllerAnswer(
            outputs=outputs,
            state=state,
            starts=list(plan.starts.values()),
            sets=list(plan.sets.values()),
            holds=[ChildHold(name, why) for name, why in plan.holds.items()],
            resumes=list(plan.resumes),
            removes=list(plan.removes),
            note=self._note,
            warning=self._warning,
            lengths=lengths,
            follows=plan.follows,
        )

    def close(self) -> None:
        """The call has ended: what it changed in place of what it was shown is forgotten."""
        self._plan.close()


def _opened(shape: Shape, values: Values) -> Any:
    """Return kept values as their dataclass, which module code may change: they stay as they are."""
    return shape.load_record(values.plain, kept=values.arrays(shape.members))


def _difference(found: Function[..., Any], like: Function[..., Any]) -> str:
    for field in like.schema.inputs:
        offered = found.schema.input(field.name)
        if offered is None:
            return f"it has no input {field.name}"
        if fits(field.kind, offered.kind):
            return f"input {field.name}: {fits(field.kind, offered.kind)}"
    for field in like.schema.outputs:
        given = found.schema.output(field.name)
        if given is None:
            return f"it has no output {field.name}"
        if fits(given.kind, field.kind):
            return f"output {field.name}: {fits(given.kind, field.kind)}"
    for field in found.schema.inputs:
        if field.is_required and like.schema.input(field.name) is None:
            return f"it also needs the input {field.name}"
    return ""
