"""Functions of a project's own: networks that a file declares, kept in the log as those of modules are."""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import Any

from copernicus.dataflow import building, facts as f
from copernicus.dataflow.network import ROOT
from copernicus.dataflow.paths import clean_name
from copernicus.dataflow.transaction import Transaction
from copernicus.errors import Refused, TooLarge, UsageError
from copernicus.model import edits as e
from copernicus.model.functions import FunctionSchema
from copernicus.model.types import decode

LOCAL = "project"
"""What stands before `::` in the names of a project's own functions."""


_INDEX = re.compile(r"\[(\d+)\]")
MOST_LEVELS = 30
MOST_PARTS = 100_000


def extent_of(
    schema: FunctionSchema, find: Callable[[str], FunctionSchema], known: dict[str, tuple[int, int]]
) -> tuple[int, int]:
    """How many parts (instances, connections, elements of constants) one instance of a function has, and in how many levels."""
    if schema.name not in known:
        # A connection into element 1000 makes the 1000 before it.
        parts, levels = 1 + sum(1 + sum(map(int, _INDEX.findall(one.destination))) for one in schema.connections), 1
        for one in schema.instances:
            inside = extent_of(find(one.function), find, known)
            parts, levels = parts + inside[0] + _elements(one.values), max(levels, inside[1] + 1)
        known[schema.name] = parts, levels
    return known[schema.name]


def _elements(value: Any) -> int:
    inside = value.values() if isinstance(value, dict) else value if isinstance(value, list) else ()
    return 1 + sum(map(_elements, inside))


def is_local(function: str) -> bool:
    """Whether a function is a project's own, by its full name."""
    return function.startswith(f"{LOCAL}::")


def declare_function(tx: Transaction, edit: e.DeclareFunction) -> str:
    """Keep a network function under its name; `Refused` when the name is taken by another one, or it could not be made."""
    schema = edit.schema
    _check(schema)
    if schema.name in tx.catalog.functions:
        raise Refused(f"There is already a function {schema.name}, of a module.", "Choose another name.")
    stands = tx.network.functions.get(schema.name)
    if stands == schema:
        return ""
    if stands is not None:
        raise Refused(f"There is already a function {schema.name} in this project, and it is another one.", "Rename it.")
    for name in dict.fromkeys(one.function for one in schema.instances):
        building.declare(tx, name)
    parts, levels = extent_of(schema, tx.network.functions.__getitem__, {})
    if levels > MOST_LEVELS or parts > MOST_PARTS:
        # A few lines of functions made of functions can stand for more than a memory holds.
        size = f"{levels} levels" if levels > MOST_LEVELS else f"{parts} parts"
        raise TooLarge(f"{schema.name} has {size} inside; at most {MOST_LEVELS} levels with {MOST_PARTS} parts are possible.")
    tx.do(f.Declared(schema))
    # Made once for trial, so that what can never be made is refused now. The name is none that a user could have given.
    mark = tx.mark()
    building.make_instance(tx, schema.name, schema.name, tx.network.instances[ROOT], is_held=True)
    tx.roll_back(mark)
    return ""


def _check(schema: FunctionSchema) -> None:
    module, _, name = schema.name.partition("::")
    if schema.kind != "network":
        raise Refused(f"{schema.name} is a {schema.kind}; a project's own functions are networks.", "Put it into a module.")
    sides = [[one.name for one in side] for side in (schema.inputs, schema.outputs)]
    sides.append([one.name for one in schema.instances])
    if module != LOCAL or any(clean_name(one) != one for one in (name, *sides[0], *sides[1], *sides[2])):
        raise UsageError(f"{schema.name} cannot be a function of a project.", f"It is called {LOCAL}::NAME.")
    for side in sides:
        if len(set(side)) < len(side):
            raise Refused(f"Two fields or instances of {schema.name} have the same name.", "Choose another name.")
    if "self" in sides[2]:
        raise Refused(f"No instance inside of {schema.name} can be called self: that is its border.", "Choose another name.")
    for field in (*schema.inputs, *schema.outputs):
        decode(field.kind, field.default, field.name)
