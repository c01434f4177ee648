"""A project's network as a workflow file: what people made, without what follows from it by itself."""

from __future__ import annotations

from typing import Any, NamedTuple

from copernicus.dataflow.declaring import LOCAL, is_local
from copernicus.dataflow.network import ROOT, Instance, Network, Place
from copernicus.dataflow.paths import Member, show_path
from copernicus.model.functions import Field, FunctionSchema
from copernicus.model.types import decode
from copernicus.server.projects.workflows.yaml_file import FORMAT
from copernicus.server.projects.workflows.yaml_text import entry, quoted, word


class Exported(NamedTuple):
    """The text of the file, and a line for each thing that no file can say."""

    text: str
    left_out: list[str]


def export(network: Network, title: str) -> Exported:
    """Write functions of the project's own, instances, literal values and connections; upload reads it again.

    Connections from what a controller has made are left out: it is not there before the controller was called.
    """
    left_out: list[str] = []
    lines = [f"# {title}", f"copernicus: {FORMAT}"]
    if network.imported:
        lines += ["", f"imports: [{', '.join(map(quoted, network.imported))}]"]
    own = [schema for name, schema in network.functions.items() if is_local(name)]
    lines += ["", "functions:"] if own else []
    for schema in own:
        lines += _function(network, schema)
    top = list(network.children(network.instances[ROOT]))
    lines += ["", "instances:"] if top else []
    for instance in top:
        schema = instance.function
        values = {field.name: (field, instance.values["in"].get(field.name)) for field in schema.inputs}
        lines += _instance(instance.name, schema.name, values, 2)
    links = [line for instance in top for line in _connections(network, instance, left_out)]
    lines += ["", "connections:", *links] if links else []
    lines += [f"# left out: {one}" for one in left_out]
    return Exported("\n".join(lines) + "\n", left_out)


def _called(function: str) -> str:
    return function.removeprefix(f"{LOCAL}::")


def _instance(name: str, function: str, values: dict[str, tuple[Field, Any]], indent: int) -> list[str]:
    pad = " " * indent
    given = {
        field: decode(declared.kind, data, field) for field, (declared, data) in values.items() if data is not None
    }  # fmt: skip
    if not given:
        return [f"{pad}{word(name)}: {word(_called(function))}"]
    lines = [f"{pad}{word(name)}:", f"{pad}  function: {word(_called(function))}", f"{pad}  in:"]
    for field, value in given.items():
        lines += entry(field, value, indent + 4)
    return lines


def _connections(network: Network, instance: Instance, left_out: list[str]) -> list[str]:
    lines = []
    for path, source in instance.links["in"].items():
        destination = show_path(instance.name, "in", path)
        names, members = _source(network, source)
        if names is None:
            left_out.append(f"{destination}: {show_path(network.path_of(source.instance), source.side, source.path)}")
        else:
            lines.append(f"  {word(destination)}: {word(show_path(names, source.side, members))}")
    return lines


def _source(network: Network, place: Place) -> tuple[str | None, tuple[Member, ...]]:
    """The source in a form that exists as soon as its instances are made; None for what a controller makes."""
    instance, members = network.instances[place.instance], place.path
    # An index of a scatter appears with its elements; the element of the scatter's array is the same place.
    while instance.index is not None:
        members = (members[0], instance.index, *members[1:])
        instance = network.instances[instance.parent]
    around = [network.instances[one.parent] for one in network.ancestors(instance)]
    if any(one.function.kind != "network" for one in around):
        return None, members
    return network.path_of(instance.id), members


def _function(network: Network, schema: FunctionSchema) -> list[str]:
    lines = [f"  {word(_called(schema.name))}:"]
    if schema.help:
        lines.append(f"    help: {quoted(schema.help)}")
    for title, fields in (("inputs", schema.inputs), ("outputs", schema.outputs)):
        lines += [f"    {title}:"] if fields else []
        for field in fields:
            lines += _field(field)
    lines += ["    instances:"] if schema.instances else []
    for one in schema.instances:
        inside = network.functions[one.function]
        values = {field.name: (field, one.values.get(field.name)) for field in inside.inputs}
        lines += _instance(one.name, one.function, values, 6)
    lines += ["    connections:"] if schema.connections else []
    return lines + [f"      {word(link.destination)}: {word(link.source)}" for link in schema.connections]


def _field(field: Field) -> list[str]:
    if not field.help and field.default is None:
        return [f"      {word(field.name)}: {word(field.type)}"]
    lines = [f"      {word(field.name)}:", f"        type: {word(field.type)}"]
    if field.help:
        lines.append(f"        help: {quoted(field.help)}")
    if field.default is not None:
        lines += entry("default", decode(field.kind, field.default, field.name), 8)
    return lines
