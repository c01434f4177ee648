"""What a workflow file declares, in whichever form it is written, and where in the file each thing stands."""

from __future__ import annotations

import re
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any, NamedTuple

from copernicus.errors import CopernicusError, TooLarge, UsageError
from copernicus.model.functions import Field
from copernicus.model.types import Type

LIMIT_BYTES = 16 * 1024**2
MOST_DEPTH = 64
LONGEST_TYPE = 10_000


class Spot(NamedTuple):
    """A place in a file: its line, counted from 1, and the element or entry that begins there."""

    file: str
    line: int
    element: str = ""

    def __str__(self) -> str:
        where = f"{self.file}, line {self.line}"
        return f"{where}, {self.element}" if self.element else where


class Word(NamedTuple):
    """A scalar as it is written. `is_plain`: without quotes, so that `null` and `~` mean "absent"."""

    text: str
    is_plain: bool = False


Raw = Any
"""A value as it is written: a `Word`, a list of such, or a dict of such; what it means is decided by its place's type."""


_DEEP = re.compile(r"(?:\[\]\??){5}")


def check_type(text: str) -> str:
    """Return the text of a type; raise `TooLarge` when it is longer or deeper than a file's types may be."""
    depth = deepest = 0
    for char in text[:LONGEST_TYPE]:
        depth += (char == "{") - (char == "}")
        deepest = max(deepest, depth)
    if len(text) > LONGEST_TYPE or deepest > 8 or _DEEP.search(text):
        raise TooLarge(f"A type has at most {LONGEST_TYPE} characters, 8 records in each other, and 4 arrays.")
    return text


class InstanceDeclared(NamedTuple):
    """An instance of `function`, which is named as in the file."""

    name: str
    function: str
    spot: Spot


class ValueDeclared(NamedTuple):
    """A value for the place `path`; `kind` is the type that the file gives it, if it does."""

    path: str
    raw: Raw
    spot: Spot
    kind: Type | None = None


class ConnectionDeclared(NamedTuple):
    """A connection from one path to another."""

    source: str
    destination: str
    spot: Spot


class Body(NamedTuple):
    """A network: of the project, or inside a function."""

    instances: list[InstanceDeclared]
    values: list[ValueDeclared]
    connections: list[ConnectionDeclared]


class FieldDeclared(NamedTuple):
    """An input or output; `default` is written in the file as a value."""

    field: Field
    spot: Spot
    default: Raw = None


class FunctionDeclared(NamedTuple):
    """A network function."""

    name: str
    help: str
    inputs: list[FieldDeclared]
    outputs: list[FieldDeclared]
    body: Body
    spot: Spot


class Workflow(NamedTuple):
    """All that a file declares."""

    imports: list[tuple[str, Spot]]
    functions: list[FunctionDeclared]
    body: Body


@contextmanager
def at(spot: Spot) -> Iterator[None]:
    """Put the place in the file before the message of any error that says no place yet."""
    try:
        yield
    except CopernicusError as error:
        if not error.message.startswith(f"{spot.file}, line "):
            error.message = f"{spot}: {error.message}"
        raise


def read_workflow(file: str, data: bytes) -> Workflow:
    """Read a workflow file: XML when it begins with `<`, else YAML. No code is ever loaded from it.

    Raises `TooLarge` beyond 16 MiB, and `UsageError` or `WrongType` with file, line and element for what cannot be read.
    """
    if len(data) > LIMIT_BYTES:
        raise TooLarge(f"{file} has {len(data)} bytes; a workflow file has at most {LIMIT_BYTES} (16 MiB).")
    start = data[:1024].lstrip(b"\xef\xbb\xbf\xff\xfe\x00 \t\r\n")
    if not start and not data.strip():
        raise UsageError(f"{file} is empty.")
    if start.startswith(b"<"):
        from copernicus.server.projects.workflows.xml_file import read_xml

        return read_xml(file, data)
    from copernicus.server.projects.workflows.yaml_file import read_yaml

    return read_yaml(file, data)
