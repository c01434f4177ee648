"""Controllers: what a call sees, what it says shall be, and the difference that goes back."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from contextvars import ContextVar
from dataclasses import replace
from typing import TYPE_CHECKING, Any, Generic, NoReturn, ParamSpec, TypeVar, cast

from copernicus.dataflow.calls import ChildHold, ChildView, ControllerAnswer, ControllerCall
from copernicus.dataflow.tree import is_same
from copernicus.errors import CopernicusError, ModuleError
from copernicus.model.types import fits
from copernicus.plugin.children import Child, Plan
from copernicus.plugin.shapes import Shape
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

    def __init__(self, request: ControllerCall, function: Function[..., Any]) -> None:
        signature = function.signature
        self._request = request
        self._function = function
        self._plan = Plan(request.children)
        self.out: Out = cast(Out, signature.out.load_record(request.outputs))
        self.state: State = cast(State, signature.state.load_record(request.state) if signature.state else None)
        self.changed = frozenset(request.changed)
        self.seed = request.seed
        self.spent_core_s = request.spent_core_s
        self._note: str | None = None
        self._warning: str | None = None

    def start(self, name: str, function: Function[P, R], /, *arguments: P.args, **inputs: P.kwargs) -> Child[R]:
        """Make a child, or set the inputs of the one that has this name; a wire connects."""
        given = function.signature.bind(arguments, inputs, f"Child {name}", function.name)
        return Child(self._plan.start(name, function, given), function, self._plan)

    def children(self, function: Function[..., R]) -> dict[str, Child[R]]:
        """Return the children that are instances of `function` by name, those made in this call included."""
        return {
            name: Child(view, function, self._plan)
            for name, view in self._plan.views.items()
            if view.function == function.name and name not in self._plan.removes
        }

    def ended(self, function: Function[..., R]) -> list[Child[R]]:
        """Return the children of `function` that came to an end since the last call."""
        return self._those(function, lambda view: view.has_ended)

    def updated(self, function: Function[..., R]) -> list[Child[R]]:
        """Return the children of `function` whose outputs changed since the last call."""
        return self._those(function, lambda view: view.was_updated)

    def failed(self, function: Function[..., R]) -> list[Child[R]]:
        """Return the children of `function` that failed since the last call."""
        return self._those(function, lambda view: view.has_failed)

    def _those(self, function: Function[..., R], is_wanted: Callable[[ChildView], bool]) -> list[Child[R]]:
        return [child for child in self.children(function).values() if is_wanted(child._view)]

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
        request, signature, plan = self._request, self._function.signature, self._plan
        outputs = _differences(signature.out, self.out, request.outputs, "out")
        state = _differences(signature.state, self.state, request.state, "state") if signature.state else {}
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
        )


def _differences(shape: Shape, record: Any, before: Mapping[str, Any], where: str) -> dict[str, Any]:
    differing = {}
    for name, member in shape.members.items():
        value = member.dump(getattr(record, name), f"{where}.{name}")
        if not is_same(value, before.get(name)):
            differing[name] = value
    return differing


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
