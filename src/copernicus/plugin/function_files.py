"""Functions declared without Python: the tables of a file functions.toml become functions of a module."""

from __future__ import annotations

import re
import tomllib
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import msgspec

from copernicus.errors import CopernicusError, ModuleError
from copernicus.model.functions import Field, FunctionSchema
from copernicus.model.jobs import Rule
from copernicus.model.types import Type
from copernicus.model.versions import is_in_range
from copernicus.plugin.command_templates import ALL, CommandTemplate
from copernicus.plugin.declarations import Source, read_field, read_number, read_output
from copernicus.plugin.external import Program, placed
from copernicus.plugin.module import Function, Module
from copernicus.plugin.places import refuse
from copernicus.plugin.shapes import Shape, shape_of_type
from copernicus.plugin.signatures import Signature
from copernicus.plugin.templates import Part, Place, Spread, read_argument, read_arguments

_RULE_KEYS = msgspec.structs.fields(Rule)
_KEYS: dict[str, tuple[type, ...]] = {
    "run": (str,), "help": (str,), "argv": (list,), "until": (list,), "in": (dict,), "out": (dict,), "needs": (list, dict),
    "environment": (dict,), "checkpoint": (list,), "watch": (list,), "done_when": (str,), "gpu_kind": (str,), "rules": (list,),
    "cores": (int, list, str), "priority": (int, str), "gpus": (int, str), "memory_bytes": (int, str),
    "wall_time_s": (int, float, str), "seed": (int, str),
    "checkpoint_every_s": (int, float, str), "deterministic": (bool,), "scatter": (str,), "whole": (list,),
    "controller": (list,), "state": (dict,),
}  # fmt: skip
_OF_CONTROLLERS = ("controller", "help", "in", "out", "state")
_NUMBERS = ("priority", "gpus", "memory_bytes", "wall_time_s", "seed", "checkpoint_every_s")
_WORDS = {str: "a text", list: "a list", dict: "a table", int: "a whole number", float: "a number", bool: "true or false"}


def read_functions(file: Path, module: Module) -> None:
    """Add the functions that `file` declares to `module`; raise `ModuleError` with file and line."""
    try:
        text = file.read_text("utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise ModuleError(f"{file}: {error}") from None
    declare_functions(text, file, module)


def declare_functions(text: str, file: Path, module: Module) -> None:
    """Add the functions that `text` declares to `module`; raise `ModuleError` with the name of `file` and the line."""
    try:
        data = tomllib.loads(text)
    except tomllib.TOMLDecodeError as error:
        raise ModuleError(f"{file}: {error}") from None
    about = data.pop("module", {})
    if not isinstance(about, dict) or about.keys() - {"help", "cite"} or not isinstance(about.get("help", ""), str):
        raise ModuleError(f"{file}:{line_of(text, 'module')}: the table `module` has the text `help` and the list `cite`.")
    citations = about.get("cite", [])
    if not isinstance(citations, list) or not all(isinstance(one, str) for one in citations):
        raise ModuleError(f"{file}:{line_of(text, 'cite')}: `cite` is a list of texts, one for each work.")
    module.help = module.help or about.get("help", "")
    module.citations += tuple(citations)
    if not data:
        raise ModuleError(f"{file}:1: No function is declared here.", "A function is a table: [name]")
    for name, table in data.items():
        if not isinstance(table, dict):
            raise ModuleError(f"{file}:{line_of(text, name)}: {name} must be a table: [{name}]")
        _Table(file, text, name, table, module).read()


def line_of(text: str, table: str, key: str = "", member: str = "") -> int:
    """Return the line on which a table, or a key of it, or a member of that, stands; 1 when nothing is found."""
    name = rf'"?{re.escape(table)}"?'
    head = re.search(rf"^[ \t]*(\[[ \t]*{name}[ \t]*[\].]|{name}[ \t]*=)", text, re.MULTILINE)
    if head is None:
        return 1
    end = re.compile(rf"^[ \t]*\[(?![ \t]*{name}[ \t]*\.)", re.MULTILINE).search(text, head.end())
    stop, place = end.start() if end else len(text), head.end()
    wanted = []
    if key:
        wanted.append(rf'^[ \t]*(\[[ \t]*{name}[ \t]*\.[ \t]*{re.escape(key)}[ \t]*\]|"?{re.escape(key)}"?[ \t]*[=.])')
    if member:
        wanted.append(rf'"?\b{re.escape(member)}\b"?[ \t]*=')
    for pattern in wanted:
        found = re.compile(pattern, re.MULTILINE).search(text, head.start() if place == head.end() else place, stop)
        place = found.end() if found else place
    return text.count("\n", 0, place) + 1


class _Table:
    """One table of the file on its way to a function."""

    def __init__(self, file: Path, text: str, name: str, table: dict[str, Any], module: Module) -> None:
        self._file, self._text, self._name, self._table, self._module = file, text, name, table, module

    def _where(self, key: str = "", member: str = "") -> str:
        return f"{self._file}:{line_of(self._text, self._name, key, member)}"

    @contextmanager
    def _at(self, key: str = "", member: str = "") -> Iterator[None]:
        """Say file and line with whatever is wrong."""
        try:
            yield
        except CopernicusError as error:
            raise refuse(self._where(key, member), f"{self._name}: {error.message}", error.hint) from None

    def read(self) -> None:
        """Add the function, and its scatter when one is named."""
        self._check_keys()
        inputs = {}
        for name, given in self._table.get("in", {}).items():
            with self._at("in", name):
                inputs[name] = read_field(name, given)
        if "controller" in self._table:
            self._add_controller(tuple(inputs.values()))
        else:
            self._add_command(inputs)

    def _add_controller(self, inputs: tuple[Field, ...]) -> None:
        sides: dict[str, list[Field]] = {"out": [], "state": []}
        for side, fields in sides.items():
            for name, given in self._table.get(side, {}).items():
                with self._at(side, name):
                    fields.append(read_field(name, given, is_input=False))
        with self._at("controller"):
            program = Program(placed(self._table["controller"], self._file.absolute().parent))
        outputs, state = tuple(sides["out"]), tuple(sides["state"])
        signature = _signature(self._where(), self._table.get("help", ""), inputs, outputs, state)
        name = f"{self._module.name}::{self._name}"
        schema = FunctionSchema(name, "controller", inputs, outputs, signature.help, state=state)
        self._module.add(Function(schema, signature, program=program))

    def _add_command(self, inputs: dict[str, Field]) -> None:
        outputs, sources = [], {}
        for name, given in self._table.get("out", {}).items():
            with self._at("out", name):
                field, sources[name] = read_output(name, given, inputs)
                outputs.append(field)
        signature = _signature(self._where(), self._table.get("help", ""), tuple(inputs.values()), tuple(outputs))
        schema = FunctionSchema(
            name=f"{self._module.name}::{self._name}",
            kind="command",
            inputs=signature.inputs,
            outputs=signature.outputs,
            help=signature.help,
            is_deterministic=self._table.get("deterministic", False),
        )
        function: Function[..., Any] = Function(schema, signature, self._template(inputs, signature, sources).job)
        self._module.add(function)
        if "scatter" in self._table:
            whole = self._table.get("whole", [])
            self._module.scatter(self._table["scatter"], function, whole=whole, where=self._where("scatter"))

    def _check_keys(self) -> None:
        for key, value in self._table.items():
            kinds = _KEYS.get(key)
            if kinds is None:
                raise refuse(self._where(key), f"{self._name}: unknown key {key!r}.", f"Known: {', '.join(_KEYS)}.")
            if not isinstance(value, kinds) or (isinstance(value, bool) and bool not in kinds):
                words = " or ".join(_WORDS[kind] for kind in kinds)
                raise refuse(self._where(key), f"{self._name}: {key} must be {words}, got {value!r}.")
        is_controller = "controller" in self._table
        for key in self._table:
            if (key not in _OF_CONTROLLERS) if is_controller else key == "state":
                kind = "controller" if is_controller else "command"
                raise refuse(self._where(key), f"{self._name} is a {kind}, which has no {key!r}.")
        if not is_controller and not self._table.get("run"):
            raise refuse(self._where(), f"{self._name} does not say what it runs.", 'Add: run = "NAME OF AN EXECUTABLE"')
        if "whole" in self._table and "scatter" not in self._table:
            raise refuse(self._where("whole"), f"{self._name}: `whole` needs a scatter.", 'Add: scatter = "NAME"')

    def _template(self, inputs: dict[str, Field], signature: Signature, sources: dict[str, Source]) -> CommandTemplate:
        table = self._table
        with self._at("run"):
            is_in_range("1", table["run"].partition(" ")[2])
        numbers = {}
        for key in _NUMBERS:
            if key in table:
                with self._at(key):
                    numbers[key] = read_number(table[key], inputs, key)
        parts: dict[str, tuple[Part, ...]] = {}
        for key in ("argv", "until"):
            with self._at(key):
                parts[key] = read_arguments(table.get(key, []), inputs)
        with self._at("needs"):
            needs = _read_needs(table.get("needs", []), inputs)
        with self._at("cores"):
            cores = _read_cores(table.get("cores", 1), inputs)
        with self._at("environment"):
            environment = {name: read_argument(value, inputs) for name, value in table.get("environment", {}).items()}
            if any(isinstance(value, Spread) for value in environment.values()):
                raise ModuleError("a variable of the environment is one text, not an array.")
        for key in ("checkpoint", "watch"):
            if not all(isinstance(pattern, str) for pattern in table.get(key, [])):
                raise refuse(self._where(key), f"{self._name}: {key} is a list of patterns, which are texts.")
        with self._at("rules"):
            rules = tuple(_read_rule(rule) for rule in table.get("rules", []))
        return CommandTemplate(
            where=self._where(), run=table["run"], signature=signature, sources=sources, argv=parts["argv"],
            until=parts["until"], needs=needs, cores=cores, numbers=numbers, environment=environment,
            checkpoint=tuple(table.get("checkpoint", [])), watch=tuple(table.get("watch", [])),
            done_when=table.get("done_when"), gpu_kind=table.get("gpu_kind", ""), rules=rules,
        )  # fmt: skip


def _signature(
    where: str, help: str, inputs: tuple[Field, ...], outputs: tuple[Field, ...], state: tuple[Field, ...] = ()
) -> Signature:
    shapes = {field.name: shape_of_type(field.kind, field.name) for field in inputs}
    return Signature(
        where,
        help,
        inputs,
        shapes,
        outputs,
        record_of(outputs),
        state,
        record_of(state),
        required=frozenset(one.name for one in inputs if one.is_required),
    )


def record_of(fields: tuple[Field, ...]) -> Shape:
    """Return the shape of a record with these fields."""
    return shape_of_type(Type("record", fields=tuple((field.name, field.kind) for field in fields)), "Outputs")


def _read_needs(given: list[Any] | dict[str, Any], inputs: Mapping[str, Field]) -> tuple[tuple[str, Place | Spread], ...]:
    needs = []
    for name, text in given.items() if isinstance(given, dict) else [("", one) for one in given]:
        part = read_argument(text, inputs, is_grouped=True)
        kind = inputs[part.name].kind if isinstance(part, Place | Spread) else None
        is_file = kind is not None and "file" in (kind.kind, kind.element.kind if kind.kind == "array" else "")
        if not isinstance(part, Place | Spread) or not is_file or (name and isinstance(part, Spread)):
            raise ModuleError(
                f"needs holds {text!r}, which is no file.", 'Write "{input}", or { "name in the folder" = "{input}" }.'
            )
        needs.append((name, part))
    return tuple(needs)


def _read_cores(given: Any, inputs: Mapping[str, Field]) -> tuple[Any, Any]:
    bounds = given if isinstance(given, list) else [given, given]
    if len(bounds) != 2 or bounds[0] == ALL:
        raise ModuleError(f"cores = {given!r} is no number of cores.", 'Write 4, [1, 8], or [1, "all"].')
    least, most = (ALL if bound == ALL else read_number(bound, inputs, "cores") for bound in bounds)
    return least, most


def _read_rule(given: Any) -> Rule:
    if not isinstance(given, dict):
        raise ModuleError(f"{given!r} is no rule.", 'Write { stderr = "pattern", then = "fail" }.')
    known = [field.name for field in _RULE_KEYS]
    for key in given:
        if key not in known:
            raise ModuleError(f"a rule has the unknown key {key!r}.", f"Known: {', '.join(known)}.")
    for key in ("stdout", "stderr"):
        try:
            re.compile(str(given.get(key, "")))
        except re.error as error:
            raise ModuleError(f"{given[key]!r} is no regular expression: {error}.") from None
    try:
        return msgspec.convert(given, Rule)
    except msgspec.ValidationError as error:
        raise ModuleError(f"the rule {given!r} cannot be used: {error}.", 'Example: { attempts = 4, then = "fail" }') from None
