"""Modules and functions as authors declare them."""

from __future__ import annotations

import inspect
import re
import typing
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, make_dataclass, replace
from pathlib import Path
from typing import Any, Concatenate, Generic, ParamSpec, TypeVar, cast, overload

import msgspec

from copernicus.errors import ModuleError
from copernicus.model.functions import Field, FunctionSchema, ModuleSchema
from copernicus.plugin.controller import Call
from copernicus.plugin.external import Program, placed
from copernicus.plugin.jobs import Job
from copernicus.plugin.places import caller, caller_names, definition, refuse
from copernicus.plugin.shapes import Shape
from copernicus.plugin.signatures import Signature, read_signature
from copernicus.plugin.wires import trace, tracing

P = ParamSpec("P")
R = TypeVar("R")
Out = TypeVar("Out")
State = TypeVar("State")

NAME = re.compile(r"^[A-Za-z_][A-Za-z0-9_]*$")


Values = Mapping[str, Any]


@dataclass(frozen=True)
class Conversion:
    """How inputs and state of instances that an earlier version made become those of today: by name, in Python's types."""

    inputs: Callable[[Values], Values] | None = None
    state: Callable[[Values], Any] | None = None


@dataclass(frozen=True)
class Function(Generic[P, R]):
    """A function of a module. Called inside a network it makes an instance there, and returns wires dressed as `R`.

    `python` is the author's own function, for tests of its own; a pure function can also be called anywhere. `program` is
    that of a controller that is no Python.
    """

    schema: FunctionSchema
    signature: Signature
    python: Callable[..., Any] | None = None
    instance: str = ""
    program: Program | None = None
    conversion: Conversion | None = None

    @property
    def name(self) -> str:
        """Full name, `module::function`."""
        return self.schema.name

    def named(self, name: str) -> Function[P, R]:
        """Return the same function, whose instance in a network will be called `name`."""
        if not NAME.match(name):
            raise refuse(caller(), f"{name!r} is no name for an instance.", "Names are letters, digits and _.")
        return replace(self, instance=name)

    def __call__(self, *arguments: P.args, **keywords: P.kwargs) -> R:
        network = tracing()
        if network is None:
            if self.schema.kind == "pure" and self.python is not None:
                return cast(R, self.python(*arguments, **keywords))
            raise refuse(
                caller(),
                f"{self.name} is a {self.schema.kind}: it can be called in a network only.",
                "In a controller: call.start(name, function, …). In a test: copernicus.testing.",
            )
        where = caller()
        given = self.signature.bind(arguments, keywords, where, self.name)
        name = self.instance or self.name.rpartition("::")[2]
        return cast(R, network.call(name, self.name, self.signature, given, where))


class Module:
    """A workflow module: its name, what it is about, and its functions in the order of declaration.

    `citations` are the works that those who use it should cite, one text each, with a DOI where there is one.
    """

    def __init__(self, name: str, help: str = "", *, citations: Sequence[str] = ()) -> None:
        self.where = caller()
        if not NAME.match(name):
            raise refuse(self.where, f"{name!r} is no name for a module.", "Names are letters, digits and _.")
        self.name = name
        self.help = help
        self.citations = tuple(citations)
        self.functions: dict[str, Function[..., Any]] = {}

    def schema(self) -> ModuleSchema:
        """Return the module as data."""
        functions = tuple(function.schema for function in self.functions.values())
        return ModuleSchema(self.name, self.help, functions, citations=self.citations)

    def external(
        self, argv: Sequence[str | Path]
    ) -> Callable[[Callable[Concatenate[Call[Out, State], P], None]], Function[P, Out]]:
        """Declare a controller that is a program in any language; the Python function has no body, its signature counts.

        `argv` is how it is started: `{python}` stands for this interpreter, `{folder}` for the folder of the file in which
        this is said, and a program `./x` lies there. What is said to it and what it answers: see `plugin.external`.
        """

        def declare(python: Callable[Concatenate[Call[Out, State], P], None]) -> Function[P, Out]:
            signature = read_signature(python, caller_names(), lambda hints, rest: _call_types(python, hints, rest))
            schema = self._schema(python, "controller", signature, state=signature.state_fields)
            folder = Path(signature.where.rpartition(":")[0]).absolute().parent
            return self._add(Function(schema, signature, None, program=Program(placed(argv, folder))))

        return declare

    @overload
    def command(self, python: Callable[P, Job[Out]], /) -> Function[P, Out]: ...
    @overload
    def command(self, /, *, deterministic: bool = ...) -> Callable[[Callable[P, Job[Out]]], Function[P, Out]]: ...
    def command(self, python: Callable[..., Any] | None = None, /, *, deterministic: bool = False) -> Any:
        """Declare a function that returns the job to run. `deterministic`: equal inputs, equal result, one job for all."""

        def declare(python: Callable[..., Any]) -> Function[..., Any]:
            signature = read_signature(python, caller_names(), lambda hints, _: (_job_outputs(python, hints), None))
            schema = self._schema(python, "command", signature, is_deterministic=deterministic)
            return self._add(Function(schema, signature, python))

        return declare if python is None else declare(python)

    @overload
    def pure(self, python: Callable[P, R], /) -> Function[P, R]: ...
    @overload
    def pure(self, /, *, version: int = ...) -> Callable[[Callable[P, R]], Function[P, R]]: ...
    def pure(self, python: Callable[..., Any] | None = None, /, *, version: int = 1) -> Any:
        """Declare a function from values to values: quick, without memory. A new `version` makes results anew."""

        def declare(python: Callable[..., Any]) -> Function[..., Any]:
            signature = read_signature(python, caller_names(), lambda hints, _: (hints.get("return"), None))
            schema = self._schema(python, "pure", signature, version=version, is_deterministic=True)
            return self._add(Function(schema, signature, python))

        return declare if python is None else declare(python)

    def network(self, python: Callable[P, R], /) -> Function[P, R]:
        """Declare a composition of functions. It is called once, now, with wires instead of values."""
        signature = read_signature(python, caller_names(), lambda hints, _: (hints.get("return"), None))
        name = f"{self.name}::{python.__name__}"
        network = trace(name, python, signature)
        schema = self._schema(
            python,
            "network",
            signature,
            instances=tuple(network.instances.values()),
            connections=tuple(network.connections),
        )
        return self._add(Function(schema, signature, python))

    def controller(self, python: Callable[Concatenate[Call[Out, State], P], None], /) -> Function[P, Out]:
        """Declare a function with memory: called when something changed, it says what shall be."""
        signature = read_signature(python, caller_names(), lambda hints, rest: _call_types(python, hints, rest))
        schema = self._schema(python, "controller", signature, state=signature.state_fields)
        return self._add(Function(schema, signature, python))

    def scatter(
        self, name: str, function: Function[..., Any], *, whole: Sequence[str] = (), where: str = ""
    ) -> Function[..., Any]:
        """Declare `function` for arrays: each input an array (but those named in `whole`), each output an array.

        A required input T becomes T[], another one T?[]? (absent elements take the function's default); an output T
        becomes T[], with elements unset until they are there. `where` (file and line) is for messages.
        """
        where = where or caller()
        for given in whole:
            if given not in function.signature.input_shapes:
                raise refuse(where, f"{function.name} has no input {given!r} to be taken whole.")
        signature = _lift(function.signature, frozenset(whole), where, name)
        declared = self.functions.get(function.name.rpartition("::")[2], function)  # with its conversion
        schema = FunctionSchema(
            name=f"{self.name}::{name}",
            kind="scatter",
            inputs=signature.inputs,
            outputs=signature.outputs,
            help=f"{function.name} for each element of its arrays.",
            base=function.name,
            renamed=declared.schema.renamed,
            whole=tuple(whole),
        )
        return self._add(Function(schema, signature, None), where)

    def add(self, function: Function[P, R]) -> Function[P, R]:
        """Add a function that was made otherwise; raise `ModuleError` when its name is none, or taken."""
        return self._add(function)

    def conversion(
        self,
        function: Function[P, R],
        *,
        renamed: Mapping[str, str] | None = None,
        inputs: Callable[[Values], Values] | None = None,
        state: Callable[[Values], Any] | None = None,
    ) -> None:
        """Say what becomes of instances of `function` that an earlier version of this module made (`cpcc upgrade`).

        `renamed` maps fields of earlier versions to the names of today, connections included: `{"in.maxh": "hours"}`.
        `inputs(earlier)` gets the values set at an instance, by their names then, and returns those of today; `state` gets
        the controller's memory, and returns the record of today. Say it before `scatter` spreads the function out.
        Raises `ModuleError` for a name that the function does not have.
        """
        where, short = caller(), function.name.rpartition("::")[2]
        if self.functions.get(short) is not function:
            raise refuse(where, f"{function.name} is no function of the module {self.name}.")
        for earlier, name in (renamed or {}).items():
            side, _, field = earlier.partition(".")
            fields = {"in": function.schema.inputs, "out": function.schema.outputs}.get(side, ())
            if not field or all(one.name != name for one in fields):
                hint = 'Write {"in.EARLIER": "NAME"} or {"out.EARLIER": "NAME"}.'
                raise refuse(where, f"{earlier!r} cannot become {name!r}.", hint)
        converts = inputs is not None or state is not None
        schema = msgspec.structs.replace(function.schema, renamed=dict(renamed or {}), converts=converts)
        self.functions[short] = replace(function, schema=schema, conversion=Conversion(inputs, state))

    def _schema(self, python: Callable[..., Any], kind: Any, signature: Signature, **more: Any) -> FunctionSchema:
        return FunctionSchema(
            name=f"{self.name}::{python.__name__}",
            kind=kind,
            inputs=signature.inputs,
            outputs=signature.outputs,
            help=signature.help,
            **more,
        )

    def _add(self, function: Function[P, R], where: str = "") -> Function[P, R]:
        where = where or function.signature.where
        short = function.name.rpartition("::")[2]
        if not NAME.match(short):
            raise refuse(where, f"{short!r} is no name for a function.", "Names are letters, digits and _.")
        if short in self.functions:
            first = self.functions[short].signature.where
            raise refuse(where, f"{function.name} is declared twice; the first time at {first}.")
        self.functions[short] = function
        return function


def _job_outputs(python: Callable[..., Any], hints: Mapping[str, Any]) -> Any:
    result = hints.get("return")
    if typing.get_origin(result) is not Job:
        raise refuse(
            definition(python), f"The command {python.__name__} must return Job[…], with the dataclass of its outputs."
        )
    return typing.get_args(result)[0]


def _call_types(python: Callable[..., Any], hints: Mapping[str, Any], parameters: list[inspect.Parameter]) -> tuple[Any, Any]:
    first = parameters.pop(0) if parameters else None
    call = hints.get(first.name) if first is not None else None
    if typing.get_origin(call) is not Call:
        raise refuse(
            definition(python),
            f"The first parameter of the controller {python.__name__} must be a Call[outputs, state].",
            "Both are dataclasses; a controller without memory has Call[outputs, None].",
        )
    out, state = typing.get_args(call)
    return out, None if state is type(None) else state


def _lift(base: Signature, whole: frozenset[str], where: str, name: str) -> Signature:
    inputs: list[Field] = []
    shapes: dict[str, Shape] = {}
    for field in base.inputs:
        shape = base.input_shapes[field.name]
        if field.name in whole:
            inputs.append(field)
        else:
            shape = _array(shape, field.name in base.required)
            inputs.append(Field(field.name, str(shape.type), field.help))
        shapes[field.name] = shape
    outputs = tuple(Field(field.name, str(field.kind.array), field.help) for field in base.outputs)
    # The lifted outputs as Python has them: a list per output, of elements that may still be absent.
    members = {field: _array(shape, True) for field, shape in base.out.members.items()}
    record = make_dataclass(name, list(members))
    out = Shape(base.out.type, record=record, members=members)
    return Signature(where, "", tuple(inputs), shapes, outputs, out, required=base.required)


def _array(shape: Shape, is_required: bool) -> Shape:
    if is_required:
        return Shape(shape.type.array, item=shape)
    item = replace(shape, type=shape.type.optional)
    return Shape(item.type.array.optional, item=item)


def functions_by_name(modules: Sequence[Module]) -> dict[str, Function[..., Any]]:
    """Return all functions of the modules under their full names; raise `ModuleError` for a module that is there twice."""
    found: dict[str, Function[..., Any]] = {}
    for module in modules:
        for function in module.functions.values():
            if function.name in found:
                raise ModuleError(f"There are two modules called {module.name}.")
            found[function.name] = function
    return found
