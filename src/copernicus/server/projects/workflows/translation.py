"""From declarations to edits: names found, values read by type, functions in the order in which they need each other."""

from __future__ import annotations

from typing import Any, NamedTuple

from copernicus.dataflow import tree
from copernicus.dataflow.declaring import LOCAL, MOST_LEVELS, extent_of
from copernicus.dataflow.edits import find_instance
from copernicus.dataflow.network import Network, Place
from copernicus.dataflow.paths import Path, clean_function, clean_name, must_have_members, parse_path
from copernicus.dataflow.transaction import Catalog
from copernicus.errors import Refused, TooLarge, UnknownPath, WrongType
from copernicus.model import edits as e
from copernicus.model.functions import Field, FunctionSchema, InnerConnection, InnerInstance
from copernicus.model.types import Type, fits
from copernicus.server.projects.workflows.claims import Claims, Room
from copernicus.server.projects.workflows.declarations import (
    Body,
    FieldDeclared,
    FunctionDeclared,
    Spot,
    ValueDeclared,
    Workflow,
    at,
    read_workflow,
)
from copernicus.server.projects.workflows.literals import LocalFiles, read_literal

MOST_PARTS = 1_000_000
SELF = 0
"""The number, among a function's instances, of the border of the function itself."""


class Step(NamedTuple):
    """One edit, and where in the file it comes from."""

    edit: e.Edit
    spot: Spot


def read_steps(file: str, data: bytes, network: Network, catalog: Catalog, files: LocalFiles) -> list[Step]:
    """Read a workflow file and return the edits that it stands for; see `read_workflow` and `translate`."""
    return translate(read_workflow(file, data), network, catalog, files)


def translate(workflow: Workflow, network: Network, catalog: Catalog, files: LocalFiles) -> list[Step]:
    """Return the edits that make what a file declares; whatever cannot be is refused with its place in the file.

    `network` is only looked at. Values come before connections, so that a connection may fill a hole in an array.
    """
    steps = [Step(e.ImportModule(name), spot) for name, spot in workflow.imports]
    functions = _Functions(workflow.functions, network, catalog, files)
    for one in workflow.functions:
        functions.declared(one)
    steps += functions.steps
    # What functions and instances stand for is counted before any of it is made.
    parts = sum(functions.parts_of(one.edit.schema) for one in steps if isinstance(one.edit, e.DeclareFunction))
    for made in workflow.body.instances:
        with at(made.spot):
            parts += functions.parts_of(functions.find(made.function))
            if parts > MOST_PARTS:
                raise TooLarge(f"This file stands for more than {MOST_PARTS} instances, connections and constants.")
    return steps + _translate_body(workflow.body, network, functions, files)


def counts(steps: list[Step]) -> dict[str, int]:
    """How many functions, instances, values and connections a file makes (what is inside of functions apart)."""
    kinds = {"functions": e.DeclareFunction, "instances": e.MakeInstance, "values": e.SetValue, "connections": e.Connect}
    return {noun: sum(isinstance(step.edit, kind) for step in steps) for noun, kind in kinds.items()}


def _translate_body(body: Body, network: Network, functions: _Functions, files: LocalFiles) -> list[Step]:
    steps: list[Step] = []
    schemas: dict[str, FunctionSchema] = {}
    for one in body.instances:
        with at(one.spot):
            if one.name in schemas:
                raise Refused(f"There is already an instance {one.name!r} in this file.", "Choose another name.")
            schemas[one.name] = functions.find(one.function)
            steps.append(Step(e.MakeInstance(schemas[one.name].name, one.name), one.spot))
    claims = Claims(functions.room)
    numbers = {name: number for number, name in enumerate(schemas)}
    for value in body.values:
        with at(value.spot):
            path = parse_path(value.path)
            must_have_members(path, value.path)
            if path.side != "in" or len(path.names) != 1:
                raise Refused(f"{value.path} cannot be set: only inputs of instances at the top can.")
            schema = schemas.get(path.names[0]) or find_instance(network, path.names).function
            data = _read_value(value, schema, path.side, path, files)
            number = numbers.setdefault(path.names[0], len(numbers))
            place = Place(number, "in", path.members)
            claims.set(claims.chosen(place), data, value.spot, value.path)
            steps.append(Step(e.SetValue(str(path), data), value.spot))
    for link in body.connections:
        with at(link.spot):
            source, destination = parse_path(link.source), parse_path(link.destination)
            must_have_members(destination, link.destination)
            if len(destination.names) == 1:
                number = numbers.setdefault(destination.names[0], len(numbers))
                place = claims.chosen(Place(number, destination.side, destination.members))
                claims.connect(place, link.spot, link.destination)
            steps.append(Step(e.Connect(str(source), str(destination)), link.spot))
    return steps


def _read_value(value: ValueDeclared, schema: FunctionSchema, side: str, path: Path, files: LocalFiles) -> Any:
    kind = tree.type_at(_fields(schema, side), path.members, f"{':'.join(path.names)}:{side}")
    if value.kind is not None:
        misfit = fits(value.kind, kind)
        if misfit:
            raise WrongType(f"The type given, {value.kind}, does not fit {value.path} ({kind}): {misfit}.")
    return read_literal(kind, value.raw, value.path, files)


def _fields(schema: FunctionSchema, side: str) -> dict[str, Type]:
    members = {"in": schema.inputs, "out": schema.outputs, "state": schema.state}[side]
    return {field.name: field.kind for field in members}


class _Functions:
    """The functions that a file may use: its own, the project's, and those of modules."""

    def __init__(self, own: list[FunctionDeclared], network: Network, catalog: Catalog, files: LocalFiles) -> None:
        self._network, self._catalog, self._files = network, catalog, files
        self._own: dict[str, FunctionDeclared] = {}
        self._made: dict[str, FunctionSchema] = {}
        self._under_way: list[str] = []
        self._extents: dict[str, tuple[int, int]] = {}
        self.room = Room()
        self.steps: list[Step] = []
        for one in own:
            with at(one.spot):
                if one.name in self._own:
                    raise Refused(f"There is already a function {one.name!r} in this file.", "Choose another name.")
                self._own[one.name] = one

    def find(self, text: str) -> FunctionSchema:
        """Return the function that is called so in the file; a name without module is the file's or the project's own."""
        name = clean_function(text) if ":" in text else f"{LOCAL}::{clean_name(text)}"
        module, _, short = name.partition("::")
        if module == LOCAL and short in self._own:
            return self.declared(self._own[short])
        known = self._catalog.functions.get(name) or self._network.functions.get(name)
        if known is not None:
            return known
        if module == LOCAL and LOCAL not in self._catalog.modules:
            raise UnknownPath(
                f"There is no function {short!r} in this file, and none in this project.",
                "A function of a module is written MODULE::FUNCTION.",
            )
        return self._catalog.function(name)

    def parts_of(self, schema: FunctionSchema) -> int:
        """How much one instance of a function stands for; `TooLarge` when functions nest too deeply."""
        parts, levels = extent_of(schema, self.find, self._extents)
        if levels > MOST_LEVELS:
            raise TooLarge(f"{schema.name} is made of functions in {levels} levels; at most {MOST_LEVELS} are possible.")
        return parts

    def declared(self, function: FunctionDeclared) -> FunctionSchema:
        """Return the schema of a function of the file; the functions that it is made of are declared before it."""
        name = function.name
        if name not in self._made:
            if name in self._under_way:
                raise Refused(f"The function {name} contains itself ({' > '.join([*self._under_way, name])}).")
            if len(self._under_way) >= MOST_LEVELS:
                raise TooLarge(f"{function.spot}: functions are made of functions in at most {MOST_LEVELS} levels.")
            self._under_way.append(name)
            with at(function.spot):
                schema = _Inside(function, self, self._files).schema()
            self._under_way.pop()
            self._made[name] = schema
            self.parts_of(schema)
            self.steps.append(Step(e.DeclareFunction(schema), function.spot))
        return self._made[name]


class _Inside:
    """One network function: what is inside of it, checked place by place."""

    def __init__(self, function: FunctionDeclared, functions: _Functions, files: LocalFiles) -> None:
        self._function, self._functions, self._files = function, functions, files
        inputs, outputs = self._read_fields(function.inputs), self._read_fields(function.outputs)
        border = FunctionSchema(f"{LOCAL}::{function.name}", "network", inputs, outputs, function.help)
        self._border = border
        self._schemas: dict[str, tuple[int, FunctionSchema]] = {"self": (SELF, border)}
        self._claims = Claims(functions.room)

    def _read_fields(self, declared: list[FieldDeclared]) -> tuple[Field, ...]:
        fields: dict[str, Field] = {}
        for one in declared:
            with at(one.spot):
                field = one.field
                if field.name in fields:
                    raise Refused(f"There is already a field {field.name!r}.", "Choose another name.")
                default = read_literal(field.kind, one.default, field.name, self._files)
                fields[field.name] = Field(field.name, field.type, field.help, default)
        return tuple(fields.values())

    def schema(self) -> FunctionSchema:
        """Return the function as the project keeps it."""
        body = self._function.body
        functions: dict[str, str] = {}
        for number, one in enumerate(body.instances, SELF + 1):
            with at(one.spot):
                if one.name in self._schemas:
                    raise Refused(f"There is already an instance {one.name!r} here.", "Choose another name.")
                found = self._functions.find(one.function)
                self._schemas[one.name], functions[one.name] = (number, found), found.name
        values: dict[str, dict[str, Any]] = {name: {} for name in functions}
        for value in body.values:
            with at(value.spot):
                self._value(value, values)
        links = []
        for link in body.connections:
            with at(link.spot):
                links.append(self._connection(link.source, link.destination, link.spot))
        instances = tuple(InnerInstance(name, function, values[name]) for name, function in functions.items())
        border = self._border
        return FunctionSchema(
            border.name, "network", border.inputs, border.outputs, border.help, instances=instances, connections=tuple(links)
        )

    def _value(self, value: ValueDeclared, values: dict[str, dict[str, Any]]) -> None:
        path, place, _ = self._place(value.path)
        if path.names == ("self",) or path.side != "in":
            raise Refused(f"{value.path} cannot be set: only inputs of the instances inside can.")
        data = _read_value(value, self._schemas[path.names[0]][1], path.side, path, self._files)
        place = self._claims.chosen(place)
        self._claims.set(place, data, value.spot, value.path)
        tree.write(values[path.names[0]], place.path, data)

    def _connection(self, source_text: str, destination_text: str, spot: Spot) -> InnerConnection:
        source_path, _, offered = self._place(source_text)
        path, place, wanted = self._place(destination_text)
        if (path.side == "in") == (path.names == ("self",)):
            raise Refused(f"{destination_text} cannot be written here: inside of {self._function.name} it is a source.")
        if (source_path.side == "in") != (source_path.names == ("self",)) or source_path.side == "state":
            raise Refused(f"{source_text} is no source here: only outputs, and inputs of {self._function.name}, are.")
        misfit = fits(offered, wanted)
        if misfit:
            raise WrongType(f"{source_text} ({offered}) does not fit {destination_text} ({wanted}): {misfit}.")
        place = self._claims.chosen(place)
        self._claims.connect(place, spot, destination_text)
        return InnerConnection(str(source_path), str(Path(path.names, path.side, place.path)))

    def _place(self, text: str) -> tuple[Path, Place, Type]:
        path = parse_path(text)
        must_have_members(path, text)
        name = path.names[0] if len(path.names) == 1 else ""
        if name not in self._schemas:
            inside = ", ".join(self._schemas)
            raise UnknownPath(f"{text!r}: there is no such instance inside of {self._function.name}.", f"There are: {inside}.")
        number, schema = self._schemas[name]
        kind = tree.type_at(_fields(schema, path.side), path.members, f"{name}:{path.side}")
        return path, Place(number, path.side, path.members), kind
