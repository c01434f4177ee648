"""What stands in functions.toml about inputs and outputs: "int = 0", "file[]: part*.xtc", "float: stdout: T = (.*)"."""

from __future__ import annotations

import dataclasses
import json
import keyword
import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import msgspec

from copernicus.errors import ModuleError, WrongType
from copernicus.model.functions import Field
from copernicus.model.jobs import Output
from copernicus.model.types import Type, decode, fits, parse_type
from copernicus.model.values import to_json
from copernicus.plugin.jobs import Promise
from copernicus.plugin.shapes import Shape, shape_of_type
from copernicus.plugin.templates import Place, read_argument

NAME = re.compile(r"[A-Za-z][A-Za-z0-9_]*")
_QUOTED = r'"(?:[^"\\]|\\.)*"'


@dataclass(frozen=True)
class Source:
    """Where an output of a command comes from: what the job brings, an input passed through, or a constant."""

    shape: Shape
    promise: Promise | None = None
    input: str = ""
    constant: Any = None

    def value(self, inputs: Mapping[str, Any]) -> Any:
        """Return what stands in the outputs of the job."""
        if self.promise is not None:
            return self.promise
        return inputs.get(self.input) if self.input else self.shape.load(self.constant)


def read_field(name: str, given: Any, *, is_input: bool = True) -> Field:
    """Return what an input (or a member of a controller's outputs or state) is: "TYPE" or "TYPE = DEFAULT".

    Raises `ModuleError`, without file and line.
    """
    text, help = _said(name, given)
    kind_text, default_text = _split(text, "=")
    kind = _type(kind_text)
    default = None
    if default_text is not None:
        if not is_input:
            raise ModuleError(f"{name} has a default, which only inputs have.")
        default = _constant(kind, default_text, name)
    return Field(name, str(kind), help, default)


def read_output(name: str, given: Any, inputs: Mapping[str, Field]) -> tuple[Field, Source]:
    """Return an output of a command: "TYPE: WHERE IT IS FOUND" or "TYPE = {input}"; raise `ModuleError`.

    A table may also say `partial = true`, of files that the job brings.
    """
    is_partial = isinstance(given, dict) and given.get("partial", False)
    if isinstance(given, dict):
        given = {key: value for key, value in given.items() if key != "partial"}
    field, source = _read_whole_output(name, given, inputs)
    if is_partial is False:
        return field, source
    if is_partial is not True or source.promise is None or source.promise.output.kind not in ("file", "files"):
        raise ModuleError(
            f"{name}: only files that the job brings can be partial.", 'Write: { is = "file: traj*", partial = true }'
        )
    output = msgspec.structs.replace(source.promise.output, is_partial=True)
    return field, dataclasses.replace(source, promise=Promise(output))


def _read_whole_output(name: str, given: Any, inputs: Mapping[str, Field]) -> tuple[Field, Source]:
    text, help = _said(name, given)
    constant_type, constant = _split(text, "=")
    if constant is not None and _split(constant_type, ":")[1] is None:
        kind = _type(constant_type)
        return Field(name, str(kind), help), _passed(name, kind, constant, inputs)
    kind_text, found = _split(text, ":")
    kind = _type(kind_text)
    if not found:
        raise ModuleError(f"{name} does not say where it comes from.", f"Write it like '{_EXAMPLES.get(kind.kind, _EXAMPLE)}'.")
    return Field(name, str(kind), help), Source(shape_of_type(kind, name), Promise(_found(name, kind, found)))


_EXAMPLE = "float[]: result.json"
_EXAMPLES = {"file": "file: *.gro", "float": r"float: stdout: energy = (\S+)", "string": "string: stdout"}


def _found(name: str, kind: Type, source: str) -> Output:
    where, _, pattern = (part.strip() for part in source.partition(": "))
    inner = kind.element if kind.kind == "array" else kind
    if inner.kind == "file":
        return Output("files" if kind.kind == "array" else "file", source, is_optional=kind.is_optional)
    if pattern:
        try:
            re.compile(pattern)
        except re.error as error:
            raise ModuleError(f"{name}: {pattern!r} is no regular expression: {error}.") from None
    if kind.kind == "string":
        return Output("text", pattern, where, kind.is_optional)
    if not pattern:
        return Output("json", where, is_optional=kind.is_optional)
    if kind.kind not in ("int", "float"):
        raise ModuleError(
            f"{name}: a regular expression finds a number or a text, not a {kind.required}.",
            f'Without one, the whole of {where} is read as JSON: "{kind}: {where}".',
        )
    return Output("number", pattern, where, kind.is_optional)


def _passed(name: str, kind: Type, text: str, inputs: Mapping[str, Field]) -> Source:
    shape = shape_of_type(kind, name)
    if not re.fullmatch(r"\{\w+\}", text):
        return Source(shape, constant=_constant(kind, text, name))
    given = text[1:-1]
    if given not in inputs:
        raise ModuleError(f"{name}: {text} is no input.", f"Inputs: {', '.join(inputs) or 'none'}.")
    difference = fits(inputs[given].kind, kind)
    if difference:
        raise ModuleError(f"the input {given} does not fit the output {name}: {difference}.")
    return Source(shape, input=given)


def _constant(kind: Type, text: str, name: str) -> Any:
    try:
        data = json.loads(text)
    except ValueError:
        if kind.kind != "string":
            raise ModuleError(f"{name}: {text} cannot be read as JSON.") from None
        data = text
    if any(one.kind == "file" for one in (kind, kind.element if kind.kind == "array" else kind)) and data != []:
        raise ModuleError(f"{name}: a file has no constant value.")
    try:
        return to_json(decode(kind, data, name))
    except WrongType as error:
        raise ModuleError(error.message, error.hint) from None


def _said(name: str, given: Any) -> tuple[str, str]:
    """The declaration and the help of a member: a text, or a table of `is` and `help`."""
    if not NAME.fullmatch(name) or keyword.iskeyword(name):
        raise ModuleError(f"{name!r} cannot be used as a name.", "Names are letters, digits and _, and no words of Python.")
    if isinstance(given, dict):
        unknown = sorted(given.keys() - {"is", "help"})
        if unknown or "is" not in given:
            raise ModuleError(f"{name}: needed is `is`, possible `help`; got {', '.join(given)}.")
        text, help = given["is"], given.get("help", "")
    else:
        text, help = given, ""
    if not isinstance(text, str) or not isinstance(help, str):
        raise ModuleError(f"{name} must be a text like 'int = 0', got {given!r}.")
    return text, help


def _split(text: str, mark: str) -> tuple[str, str | None]:
    """Part a type from what follows the first `mark` outside of quotes and braces."""
    depth = 0
    for match in re.finditer(rf"{_QUOTED}|[{{}}]|{mark}", text):
        if match.group() in "{}":
            depth += 1 if match.group() == "{" else -1
        elif match.group() == mark and depth == 0:
            return text[: match.start()].strip(), text[match.end() :].strip()
    return text.strip(), None


def _type(text: str) -> Type:
    try:
        return parse_type(text)
    except WrongType as error:
        raise ModuleError(error.message, error.hint) from None


def read_number(given: Any, inputs: Mapping[str, Field], key: str) -> int | float | Place:
    """Return a number, or the input that gives it ("{name}"); raise `ModuleError`."""
    if isinstance(given, str):
        part = read_argument(given, inputs)
        if not isinstance(part, Place) or inputs[part.name].kind.kind not in ("int", "float"):
            raise ModuleError(f"{key} must be a number, or an input that is one, got {given!r}.")
        return part
    if isinstance(given, bool) or not isinstance(given, int | float):
        raise ModuleError(f"{key} must be a number, got {given!r}.")
    return given
