"""The original's XML, read as declarations. Only networks: `controller` elements, which hold code, are refused."""

from __future__ import annotations

from collections.abc import Callable

from copernicus.dataflow.paths import clean_name
from copernicus.errors import Refused, TooLarge, UsageError, WrongType
from copernicus.model.functions import Field
from copernicus.model.types import SCALARS, Type, parse_type
from copernicus.server.projects.workflows.declarations import (
    LIMIT_BYTES,
    MOST_DEPTH,
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
from copernicus.server.projects.workflows.xml_elements import Element, read_elements

_FIELD_FLAGS = ("opt", "const", "complete")
_FLAGS = {"true": True, "1": True, "yes": True, "false": False, "0": False, "no": False}


def read_xml(file: str, data: bytes) -> Workflow:
    """Read a `<cpc>` file; every error names line and element."""
    root = read_elements(file, data)
    if root.tag != "cpc":
        raise UsageError(f"{root.spot}: a workflow file in XML begins with <cpc>.")
    _attributes(root, "version")
    if root.attributes.get("version", "1") not in ("1", "1.0"):
        raise UsageError(f"{root.spot}: version {root.attributes['version']!r} is unknown; only 1 is.")
    _children(root, "import", "type", "function", "network", "desc")
    types = _Types(root)
    workflow = Workflow([], [], Body([], [], []))
    has_network = False
    for child in root.children:
        with at(child.spot):
            match child.tag:
                case "import":
                    _attributes(child, "name")
                    workflow.imports.append((_attribute(child, "name"), child.spot))
                case "type":
                    types.check(child)
                case "function":
                    workflow.functions.append(_function(child, types))
                case "network":
                    if has_network:
                        raise UsageError("There is a second network; a file has at most one.")
                    has_network = True
                    _network(child, types, workflow.body)
    return workflow


# --- elements ----------------------------------------------------------------------------------------------------


def _children(element: Element, *known: str) -> None:
    for child in element.children:
        if child.tag == "controller":
            raise Refused(f"{child.spot}: controllers are refused: no code is loaded from a file.", "Use a module's function.")
        if child.tag not in known:
            raise UsageError(f"{child.spot}: unknown here. <{element.tag}> holds {', '.join(f'<{tag}>' for tag in known)}.")


def _attributes(element: Element, *known: str) -> None:
    for name in element.attributes:
        if name not in known:
            raise UsageError(f"{element.spot}: attribute {name!r} is unknown; there are: {', '.join(known) or 'none'}.")


def _attribute(element: Element, name: str) -> str:
    text = element.attributes.get(name, "").strip()
    if not text:
        raise UsageError(f"{element.spot}: attribute {name!r} is missing.")
    return text


def _flag(element: Element, name: str) -> bool:
    text = element.attributes.get(name, "false").strip().lower()
    if text not in _FLAGS:
        raise UsageError(f"{element.spot}: {name}={text!r} is not true or false.")
    return _FLAGS[text]


def _help(element: Element) -> str:
    return " ".join(" ".join(child.text for child in element.children if child.tag == "desc").split())


# --- types -------------------------------------------------------------------------------------------------------


class _Types:
    """The types that a file declares, made when they are asked for. Names of modules before `::` are for people."""

    def __init__(self, root: Element) -> None:
        self._elements: dict[str, Element] = {}
        self._made: dict[str, Type] = {}
        self._under_way: list[str] = []
        self._room = LIMIT_BYTES
        for element in root.children:
            if element.tag == "type":
                name = _attribute(element, "id").replace("-", "_")
                if name in self._elements or name in SCALARS:
                    raise Refused(f"{element.spot}: there is already a type {name!r}.", "Choose another name.")
                self._elements[name] = element

    def check(self, element: Element) -> None:
        """Raise what is wrong with a type, used or not."""
        self.named(_attribute(element, "id"), element.spot)

    def named(self, text: str, spot: Spot) -> Type:
        """Return the type of this name, or written in today's form (`float[]`)."""
        name = text.replace("-", "_")
        if name not in self._elements:
            name = name.rpartition("::")[2]
        if name not in self._elements:
            try:
                return parse_type(name if name in SCALARS else check_type(text))
            except WrongType:
                known = ", ".join([*SCALARS, *self._elements])
                raise WrongType(f"{spot}: there is no type {text!r}.", f"There are: {known}.") from None
        if name not in self._made:
            if name in self._under_way:
                raise WrongType(f"{spot}: the type {name!r} contains itself.")
            if len(self._under_way) >= MOST_DEPTH:
                raise TooLarge(f"{spot}: types are made of types in more than {MOST_DEPTH} levels.")
            self._under_way.append(name)
            with at(self._elements[name].spot):
                made = self._make(self._elements[name])
                check_type(str(made))
            self._made[name] = made
            self._under_way.pop()
        return self._made[name]

    def _make(self, element: Element) -> Type:
        _attributes(element, "id", "base", "member-type", *_FIELD_FLAGS)
        _children(element, "desc", "field")
        base = _attribute(element, "base")
        fields = [child for child in element.children if child.tag == "field"]
        if fields and base != "record":
            raise UsageError(f"{fields[0].spot}: only a record has fields.")
        if base == "array":
            kind = self.named(_attribute(element, "member-type"), element.spot).optional.array
        elif base == "record":
            members = [self.field(child) for child in fields]
            kind = Type("record", fields=tuple((member.field.name, member.field.kind) for member in members))
        else:
            kind = self.named(base, element.spot)
        return _complete(kind) if _flag(element, "complete") else kind

    def field(self, element: Element) -> FieldDeclared:
        """Read a `<field>` of a record, or of a function's inputs or outputs."""
        _attributes(element, "id", "type", *_FIELD_FLAGS)
        _children(element, "desc")
        with at(element.spot):
            name = clean_name(_attribute(element, "id"))
        kind = self.named(_attribute(element, "type"), element.spot)
        if _flag(element, "complete"):
            kind = _complete(kind)
        if _flag(element, "opt"):
            kind = kind.optional
        _flag(element, "const")
        text = str(kind)
        self._room -= len(text)
        if self._room < 0:
            # A name is short, and what it stands for may be long: written out, the types would not fit into a file.
            raise TooLarge(f"{element.spot}: the types of this file are more than 16 MiB when they are written out.")
        return FieldDeclared(Field(name, text, _help(element)), element.spot)


def _complete(kind: Type) -> Type:
    """The same array without holes; anything else as it is."""
    if kind.kind != "array":
        return kind
    whole = kind.element.required.array
    return whole.optional if kind.is_optional else whole


# --- functions and networks --------------------------------------------------------------------------------------


def _function(element: Element, types: _Types) -> FunctionDeclared:
    _attributes(element, "id", "type")
    _children(element, "desc", "inputs", "outputs", "network")
    if _attribute(element, "type") != "network":
        raise Refused(
            f"Only functions of type network are read, not {element.attributes['type']!r}.", "Use a module's function."
        )
    networks = [child for child in element.children if child.tag == "network"]
    if len(networks) != 1:
        raise UsageError(f"A function holds one <network>, not {len(networks)}.")
    body = Body([], [], [])
    _network(networks[0], types, body)
    name = clean_name(_attribute(element, "id"))
    return FunctionDeclared(
        name, _help(element), _fields(element, "inputs", types), _fields(element, "outputs", types), body, element.spot
    )


def _fields(element: Element, tag: str, types: _Types) -> list[FieldDeclared]:
    found: list[FieldDeclared] = []
    for side in element.children:
        if side.tag == tag:
            _attributes(side)
            _children(side, "field", "desc")
            found += [types.field(child) for child in side.children if child.tag == "field"]
    return found


def _network(element: Element, types: _Types, body: Body) -> None:
    _attributes(element)
    _children(element, "desc", *_READ)
    for child in element.children:
        if child.tag in _READ:
            with at(child.spot):
                _children(child, "desc")
                _READ[child.tag](child, types, body)


def _instance(element: Element, types: _Types, body: Body) -> None:
    _attributes(element, "id", "function")
    body.instances.append(
        InstanceDeclared(clean_name(_attribute(element, "id")), _attribute(element, "function"), element.spot)
    )


def _connection(element: Element, types: _Types, body: Body) -> None:
    _attributes(element, "src", "dest", "value", "type")
    if ("src" in element.attributes) == ("value" in element.attributes):
        raise UsageError("A connection has either src or value.")
    if "value" in element.attributes:
        _assign(element, types, body)
    else:
        body.connections.append(ConnectionDeclared(_attribute(element, "src"), _attribute(element, "dest"), element.spot))


def _assign(element: Element, types: _Types, body: Body) -> None:
    if "value" not in element.attributes:
        raise UsageError("attribute 'value' is missing.")
    _attributes(element, "dest", "value", "type")
    kind = types.named(_attribute(element, "type"), element.spot) if "type" in element.attributes else None
    body.values.append(ValueDeclared(_attribute(element, "dest"), Word(element.attributes["value"]), element.spot, kind))


_READ: dict[str, Callable[[Element, _Types, Body], None]] = {
    "instance": _instance,
    "connection": _connection,
    "assign": _assign,
}
