"""Signatures: what a Python function's parameters, result type and docstring say about inputs and outputs."""

from __future__ import annotations

import dataclasses
import inspect
import re
import typing
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Annotated, Any

from copernicus.errors import WrongType
from copernicus.model.functions import Field
from copernicus.plugin.places import definition, refuse
from copernicus.plugin.shapes import Shape, record_hints, record_shape, shape_of


@dataclass(frozen=True)
class Signature:
    """Inputs and outputs, as the schema has them (`fields`) and as Python has them (`shapes`)."""

    where: str
    help: str
    inputs: tuple[Field, ...]
    input_shapes: Mapping[str, Shape]
    outputs: tuple[Field, ...]
    out: Shape
    state_fields: tuple[Field, ...] = ()
    state: Shape | None = None
    required: frozenset[str] = frozenset()

    def bind(self, arguments: Sequence[Any], keywords: Mapping[str, Any], where: str, what: str) -> dict[str, Any]:
        """Return the given arguments by input name; raise `ModuleError` for unknown, doubled or missing ones."""
        names = list(self.input_shapes)
        if len(arguments) > len(names):
            raise refuse(where, f"{what} takes {len(names)} inputs, got {len(arguments)}.")
        given = dict(zip(names, arguments, strict=False))
        for name, value in keywords.items():
            if name not in self.input_shapes:
                raise refuse(where, f"{what} has no input {name!r}.", f"Its inputs: {', '.join(names)}.")
            if name in given:
                raise refuse(where, f"{what} got the input {name!r} twice.")
            given[name] = value
        missing = sorted(self.required - given.keys())
        if missing:
            raise refuse(where, f"{what} lacks the input {', '.join(missing)}.")
        return given

    def load_inputs(self, data: Mapping[str, Any], kept: Mapping[str, list[Any]] | None = None) -> dict[str, Any]:
        """Return plain JSON inputs as Python arguments; absent ones are left to the function's defaults.

        Of those that are `kept` as Python objects already, copies are taken.
        """
        loaded = {}
        for name, shape in self.input_shapes.items():
            value = data.get(name)
            if kept and name in kept:
                loaded[name] = list(kept[name])
            elif value is not None:
                loaded[name] = shape.load(value, name)
            elif name in self.required:
                raise WrongType(f"The input {name} is absent.")
        return loaded


def read_signature(
    python: Callable[..., Any],
    names: Mapping[str, Any],
    result: Callable[[Mapping[str, Any], list[inspect.Parameter]], tuple[Any, Any]],
) -> Signature:
    """Return what `python` declares; raise `ModuleError` with file and line.

    `result(hints, parameters)` takes the outputs' dataclass (and the state's, or None) from the hints; it may remove
    parameters that are no inputs.
    """
    where = definition(python)
    try:
        hints = typing.get_type_hints(python, localns=dict(names), include_extras=True)
    except NameError as error:
        raise refuse(where, f"A type hint of {python.__name__} speaks of {error.name!r}, which is not known here.") from None
    parameters = list(inspect.signature(python).parameters.values())
    out_record, state_record = result(hints, parameters)
    text, helps = read_docstring(python.__doc__ or "")
    inputs, shapes, required = [], {}, set()
    for parameter in parameters:
        field, shape = _read_parameter(python, parameter, hints, names, helps)
        inputs.append(field)
        shapes[field.name] = shape
        if parameter.default is inspect.Parameter.empty and not shape.type.is_optional:
            required.add(field.name)
    outputs, out = read_record(out_record, names, where, f"The result of {python.__name__}")
    state_fields: tuple[Field, ...] = ()
    state = None
    if state_record is not None:
        state_fields, state = read_record(state_record, names, where, f"The state of {python.__name__}")
    return Signature(where, text, tuple(inputs), shapes, outputs, out, state_fields, state, frozenset(required))


def _read_parameter(
    python: Callable[..., Any],
    parameter: inspect.Parameter,
    hints: Mapping[str, Any],
    names: Mapping[str, Any],
    helps: Mapping[str, str],
) -> tuple[Field, Shape]:
    where, name = definition(python), parameter.name
    if parameter.kind in (inspect.Parameter.VAR_POSITIONAL, inspect.Parameter.VAR_KEYWORD):
        raise refuse(where, f"{python.__name__} takes *{name}: inputs must be named one by one.")
    if name not in hints:
        raise refuse(where, f"The parameter {name} of {python.__name__} has no type hint.")
    try:
        shape = shape_of(hints[name], names)
        default = None
        if parameter.default is not inspect.Parameter.empty:
            default = shape.dump(parameter.default, name)
            if parameter.default is None:
                shape = dataclasses.replace(shape, type=shape.type.optional)
    except WrongType as error:
        raise refuse(where, f"Parameter {name} of {python.__name__}: {error.message}.", error.hint) from None
    if not shape.type.is_optional and parameter.default is None:
        shape = dataclasses.replace(shape, type=shape.type.optional)
    return Field(name, str(shape.type), _help(hints[name], helps.get(name, "")), default), shape


def read_record(record: Any, names: Mapping[str, Any], where: str, what: str) -> tuple[tuple[Field, ...], Shape]:
    """Return the fields and the shape of the dataclass `record`; raise `ModuleError` when it is none."""
    if not (isinstance(record, type) and dataclasses.is_dataclass(record)):
        raise refuse(where, f"{what} must be a dataclass, not {getattr(record, '__name__', record)}.")
    try:
        shape = record_shape(record, names)
        hints = record_hints(record, names)
    except WrongType as error:
        raise refuse(where, f"{what}: {error.message}.", error.hint) from None
    except NameError as error:
        raise refuse(where, f"{what}: a type hint of {record.__name__} speaks of the unknown {error.name!r}.") from None
    doc = "" if (record.__doc__ or "").startswith(f"{record.__name__}(") else record.__doc__ or ""
    helps = read_docstring(doc)[1]
    fields = tuple(
        Field(name, str(member.type), _help(hints[name], helps.get(name, ""))) for name, member in shape.members.items()
    )
    return fields, shape


def _help(hint: Any, documented: str) -> str:
    annotated = ""
    if typing.get_origin(hint) is Annotated:
        annotated = "; ".join(extra for extra in typing.get_args(hint)[1:] if isinstance(extra, str))
    return f"{documented} ({annotated})" if documented and annotated else documented or annotated


_SECTION = re.compile(r"^(Args|Attributes|Inputs|Outputs):\s*$")
_ARGUMENT = re.compile(r"^(\w+)(?:\s*\([^)]*\))?:\s*(.*)$")


def read_docstring(docstring: str) -> tuple[str, dict[str, str]]:
    """Return the text of a docstring, and the help of each argument from its `Args:` section."""
    text: list[str] = []
    helps: dict[str, str] = {}
    is_section, current = False, ""
    for line in inspect.cleandoc(docstring).splitlines():
        if _SECTION.match(line):
            is_section, current = True, ""
        elif is_section and line.startswith(" "):
            match = _ARGUMENT.match(line.strip())
            if match:
                current = match.group(1)
                helps[current] = match.group(2)
            elif current:
                helps[current] = f"{helps[current]} {line.strip()}".strip()
        else:
            is_section = is_section and not line.strip()
            text.append(line)
    return "\n".join(text).strip(), helps
