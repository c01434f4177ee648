"""Networks: functions are called with wires instead of values, and what they are put together to is written down."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Mapping
from contextvars import ContextVar
from typing import Any, NoReturn, TypeVar

from copernicus.errors import ModuleError, WrongType
from copernicus.model.functions import InnerConnection, InnerInstance
from copernicus.model.types import Type, fits
from copernicus.plugin.places import caller, refuse
from copernicus.plugin.shapes import Shape
from copernicus.plugin.signatures import Signature

F = TypeVar("F", bound=Callable[..., Any])


class Wire:
    """Stands for a value that will come: it can be handed on, its members and elements named; nothing else."""

    __slots__ = ("_kind", "_path")
    _kind: Type
    _path: str

    def __init__(self, path: str, kind: Type) -> None:
        self._path, self._kind = path, kind

    def __repr__(self) -> str:
        return f"<wire {self._path}: {self._kind}>"

    def __getattr__(self, name: str) -> Wire:
        if name.startswith("__"):
            raise AttributeError(name)
        member = self._kind.field(name) if self._kind.kind == "record" else None
        if member is None:
            known = ", ".join(field for field, _ in self._kind.fields)
            raise refuse(
                caller(),
                f"{self._path} is a {self._kind}, known only later: it has no {name!r}.",
                f"Its members: {known}." if known else "Look at values in a command, a pure function or a controller.",
            )
        return Wire(f"{self._path}.{name}", member)

    def __getitem__(self, index: Any) -> Wire:
        if self._kind.kind != "array" or not isinstance(index, int) or index < 0:
            raise refuse(caller(), f"{self._path} is a {self._kind}: [{index!r}] of it is unknown.")
        return Wire(f"{self._path}[{index}]", self._kind.element)

    def _refuse(self, *_: Any) -> NoReturn:
        raise refuse(
            caller(),
            f"{self._path} is a wire: its value is known only when the network runs.",
            "Conditions, loops and arithmetic belong into a pure function, a command or a controller.",
        )

    __bool__ = __iter__ = __len__ = __contains__ = __int__ = __float__ = __index__ = _refuse
    __add__ = __radd__ = __sub__ = __rsub__ = __mul__ = __rmul__ = __truediv__ = __rtruediv__ = _refuse
    __floordiv__ = __rfloordiv__ = __mod__ = __rmod__ = __pow__ = __rpow__ = __neg__ = __pos__ = __abs__ = _refuse
    __lt__ = __le__ = __gt__ = __ge__ = __str__ = __format__ = __call__ = _refuse
    __eq__ = __ne__ = _refuse
    __hash__ = None  # type: ignore[assignment]


class Result:
    """What a call inside a network returns: the outputs of an instance as wires."""

    __slots__ = ("_name", "_out")
    _name: str
    _out: Shape

    def __init__(self, name: str, out: Shape) -> None:
        self._name, self._out = name, out

    def __repr__(self) -> str:
        return f"<outputs of {self._name}>"

    def __getattr__(self, name: str) -> Wire:
        if name.startswith("__"):
            raise AttributeError(name)
        member = self._out.members.get(name)
        if member is None:
            raise refuse(caller(), f"{self._name} has no output {name!r}.", f"Its outputs: {', '.join(self._out.members)}.")
        return Wire(f"{self._name}:out.{name}", member.type)


@dataclasses.dataclass
class Tracing:
    """The network that is being put together."""

    function: str
    instances: dict[str, InnerInstance] = dataclasses.field(default_factory=dict)
    connections: list[InnerConnection] = dataclasses.field(default_factory=list)

    def call(self, name: str, function: str, signature: Signature, given: Mapping[str, Any], where: str) -> Result:
        """Add an instance of `function` with the given inputs."""
        if name in self.instances:
            raise refuse(
                where,
                f"The network {self.function} has two instances called {name}.",
                f'Name one of them: {name}.named("other_name")(…).',
            )
        values = {}
        for field, value in given.items():
            constant = self._place(signature.input_shapes[field], value, f"{name}:in.{field}", where)
            if constant is not None:
                values[field] = constant
        self.instances[name] = InnerInstance(name, function, values)
        return Result(name, signature.out)

    def finish(self, result: Any, out: Shape, where: str) -> None:
        """Connect what the network returned with its outputs."""
        for name, shape in out.members.items():
            value = getattr(result, name)
            constant = None if value is None else self._place(shape, value, f"self:out.{name}", where)
            if constant is not None and constant != []:
                raise refuse(
                    where,
                    f"The output {name} of the network {self.function} is a constant.",
                    "Outputs of a network come from its instances or its inputs.",
                )

    def _place(self, shape: Shape, value: Any, destination: str, where: str) -> Any:
        is_wired = False

        def divert(part: Any, place: str, kind: Type) -> bool:
            nonlocal is_wired
            if isinstance(part, Result):
                raise refuse(where, f"{place} gets all of {part!r}; name the output that is meant.")
            if not isinstance(part, Wire):
                return False
            difference = fits(part._kind, kind)
            if difference:
                raise refuse(where, f"{part._path} does not fit {place}: {difference}.")
            self.connections.append(InnerConnection(part._path, place))
            is_wired = True
            return True

        try:
            constant = shape.dump(value, destination, divert)
        except WrongType as error:
            raise refuse(where, error.message, error.hint) from None
        return None if is_wired and not _has_leaf(constant) else constant


def _has_leaf(constant: Any) -> bool:
    if isinstance(constant, list):
        return any(_has_leaf(item) for item in constant)
    if isinstance(constant, dict):
        return any(_has_leaf(item) for item in constant.values())
    return constant is not None


_tracing: ContextVar[Tracing | None] = ContextVar("tracing", default=None)


def tracing() -> Tracing | None:
    """Return the network that is being put together just now, if one is."""
    return _tracing.get()


def trace(name: str, python: Callable[..., Any], signature: Signature) -> Tracing:
    """Call `python` once with wires and return the network it puts together; raise `ModuleError` with file and line."""
    network = Tracing(name)
    wires = {field: Wire(f"self:in.{field}", shape.type) for field, shape in signature.input_shapes.items()}
    token = _tracing.set(network)
    try:
        result = python(**wires)
    finally:
        _tracing.reset(token)
    if isinstance(result, Result):
        missing = [field for field in signature.out.members if field not in result._out.members]
        if missing:
            raise ModuleError(f"{signature.where}: {result!r}, returned by {name}, lack {', '.join(missing)}.")
    elif not signature.out.is_record(result):
        raise refuse(signature.where, f"The network {name} returned {result!r}, not what its result type says.")
    network.finish(result, signature.out, signature.where)
    return network
