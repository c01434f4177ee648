"""Today's workflow files, in YAML, read as declarations (docs/reference/workflow-files.md)."""

from __future__ import annotations

from copernicus.dataflow.paths import clean_name
from copernicus.errors import UsageError
from copernicus.model.functions import Field
from copernicus.model.types import parse_type
from copernicus.server.projects.workflows.declarations import (
    Body,
    ConnectionDeclared,
    FieldDeclared,
    FunctionDeclared,
    InstanceDeclared,
    Spot,
    ValueDeclared,
    Word,
    Workflow,
    at,
    check_type,
)
from copernicus.server.projects.workflows.yaml_nodes import Node, read_nodes

FORMAT = 1


class _Entry:
    """A node with its place in the file, as words: `functions.addmul.inputs`."""

    def __init__(self, file: str, node: Node, path: str = "") -> None:
        self.node, self.path = node, path
        self.spot = Spot(file, node.line, path)
        self._file = file

    def entries(self, *known: str) -> dict[str, _Entry]:
        """The entries of a mapping (an empty node has none); raise `UsageError` for one that is not `known`."""
        value = self.node.value
        if isinstance(value, Word) and value.is_plain and value.text in ("", "~", "null"):
            return {}
        if not isinstance(value, dict):
            raise UsageError(f"{self.spot}: a mapping (NAME: …) is expected here.")
        for name, node in value.items():
            if known and name not in known:
                spot = self._inner(name, node).spot
                raise UsageError(f"{spot}: {name!r} is unknown here; there are: {', '.join(known)}.")
        return {name: self._inner(name, node) for name, node in value.items()}

    def items(self) -> list[_Entry]:
        """The elements of a list."""
        if not isinstance(self.node.value, list):
            raise UsageError(f"{self.spot}: a list ([NAME, …]) is expected here.")
        return [_Entry(self._file, node, f"{self.path}[{index}]") for index, node in enumerate(self.node.value)]

    def word(self) -> str:
        """The text of a scalar."""
        if not isinstance(self.node.value, Word) or not self.node.value.text:
            raise UsageError(f"{self.spot}: a word is expected here.")
        return self.node.value.text

    def is_word(self) -> bool:
        """Whether this is a scalar."""
        return isinstance(self.node.value, Word)

    def _inner(self, name: str, node: Node) -> _Entry:
        return _Entry(self._file, node, f"{self.path}.{name}" if self.path else name)


def read_yaml(file: str, data: bytes) -> Workflow:
    """Read a YAML workflow file; every error names line and entry."""
    node = read_nodes(file, data)
    top = _Entry(file, node if node is not None else Node(1, {}))
    if not isinstance(top.node.value, dict) or "copernicus" not in top.node.value:
        raise UsageError(f"{file}, line 1: this is not a workflow file.", f"It says of itself: 'copernicus: {FORMAT}'.")
    entries = top.entries("copernicus", "imports", "functions", "instances", "connections")
    if entries["copernicus"].word() != str(FORMAT):
        raise UsageError(f"{entries['copernicus'].spot}: this format is unknown; this server reads {FORMAT}.")
    workflow = Workflow([], [], _body(entries))
    if "imports" in entries:
        workflow.imports.extend((item.word(), item.spot) for item in entries["imports"].items())
    if "functions" in entries:
        workflow.functions.extend(_function(name, entry) for name, entry in entries["functions"].entries().items())
    return workflow


def _function(name: str, entry: _Entry) -> FunctionDeclared:
    entries = entry.entries("help", "inputs", "outputs", "instances", "connections")
    with at(entry.spot):
        name = clean_name(name)
    return FunctionDeclared(
        name,
        entries["help"].word() if "help" in entries else "",
        _fields(entries.get("inputs")),
        _fields(entries.get("outputs")),
        _body(entries),
        entry.spot,
    )


def _fields(entry: _Entry | None) -> list[FieldDeclared]:
    return [_field(name, one) for name, one in entry.entries().items()] if entry is not None else []


def _field(name: str, entry: _Entry) -> FieldDeclared:
    entries = {"type": entry} if entry.is_word() else entry.entries("type", "help", "default")
    if "type" not in entries:
        raise UsageError(f"{entry.spot}: a field needs a type.")
    with at(entries["type"].spot):
        kind = parse_type(check_type(entries["type"].word()))
    with at(entry.spot):
        name = clean_name(name)
    words = entries["help"].word() if "help" in entries else ""
    default = entries["default"].node.raw if "default" in entries else None
    return FieldDeclared(Field(name, str(kind), words), entry.spot, default)


def _body(entries: dict[str, _Entry]) -> Body:
    body = Body([], [], [])
    if "instances" in entries:
        for name, entry in entries["instances"].entries().items():
            _instance(name, entry, body)
    if "connections" in entries:
        for destination, entry in entries["connections"].entries().items():
            body.connections.append(ConnectionDeclared(entry.word(), destination, entry.spot))
    return body


def _instance(name: str, entry: _Entry, body: Body) -> None:
    with at(entry.spot):
        name = clean_name(name)
    entries = {"function": entry} if entry.is_word() else entry.entries("function", "in")
    if "function" not in entries:
        raise UsageError(f"{entry.spot}: an instance needs a function.")
    body.instances.append(InstanceDeclared(name, entries["function"].word(), entry.spot))
    if "in" in entries:
        for field, value in entries["in"].entries().items():
            body.values.append(ValueDeclared(f"{name}:in.{field}", value.node.raw, value.spot))
