"""Arguments with places for inputs, as functions.toml has them: `{name}`, `{name...}`, and groups that may be left out."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from copernicus.errors import ModuleError
from copernicus.model.functions import Field
from copernicus.model.types import Type

_PLACE = re.compile(r"\{\{|\}\}|\{([A-Za-z_]\w*)(\.\.\.)?\}")
_WORDS = ("int", "float", "string")


@dataclass(frozen=True)
class Place:
    """One input, as it is: a file, a text, a number."""

    name: str

    def expand(self, inputs: Mapping[str, Any]) -> list[Any]:
        """Return its value as one argument."""
        return [inputs[self.name]]


@dataclass(frozen=True)
class Spread:
    """All elements of an array, an argument each."""

    name: str

    def expand(self, inputs: Mapping[str, Any]) -> list[Any]:
        """Return the elements that are there."""
        return [item for item in inputs.get(self.name) or [] if item is not None]


@dataclass(frozen=True)
class Text:
    """One argument put together of words and inputs; whatever stands in these, it stays one argument."""

    pieces: tuple[str | Place, ...]

    def expand(self, inputs: Mapping[str, Any]) -> list[Any]:
        """Return the one argument."""
        parts = (piece if isinstance(piece, str) else _word(inputs[piece.name]) for piece in self.pieces)
        return ["".join(parts)]


@dataclass(frozen=True)
class Group:
    """Arguments that belong together: left out while an input in them is absent, empty or false."""

    parts: tuple[Place | Spread | Text, ...]
    flags: frozenset[str]

    def expand(self, inputs: Mapping[str, Any]) -> list[Any]:
        """Return the arguments, or nothing."""
        for part in self.parts:
            names = [piece.name for piece in part.pieces if isinstance(piece, Place)] if isinstance(part, Text) else [part.name]
            if any(_is_absent(inputs.get(name)) for name in names):
                return []
        shown = [part for part in self.parts if not (isinstance(part, Place) and part.name in self.flags)]
        return [argument for part in shown for argument in part.expand(inputs)]


Part = Place | Spread | Text | Group


def _is_absent(value: Any) -> bool:
    return value is None or value is False or value == []


def _word(value: Any) -> str:
    return value if isinstance(value, str) else repr(value)


def read_arguments(given: Sequence[Any], inputs: Mapping[str, Field]) -> tuple[Part, ...]:
    """Return the arguments of a list: texts and groups (lists of texts). Raises `ModuleError`, without file and line."""
    return tuple(_group(one, inputs) if isinstance(one, list) else read_argument(one, inputs) for one in given)


def read_argument(text: Any, inputs: Mapping[str, Field], is_grouped: bool = False) -> Place | Spread | Text:
    """Return one argument; raise `ModuleError` for a place that no input can fill."""
    if not isinstance(text, str):
        raise ModuleError(f"{text!r} is no argument.", 'An argument is a text: write numbers as "10".')
    pieces: list[str | Place] = []
    spread = ""
    end = 0
    for match in _PLACE.finditer(text):
        pieces.append(text[end : match.start()])
        end = match.end()
        if match.group(1) is None:
            pieces.append(match.group()[0])  # {{ and }} stand for braces
            continue
        field = _known(match.group(1), inputs)
        spread = field.name if match.group(2) else spread
        pieces.append(Place(field.name))
    rest = tuple(piece for piece in (*pieces, text[end:]) if piece != "")
    if spread and len(rest) > 1:
        raise ModuleError(f"{{{spread}...}} gives whole arguments: nothing can stand beside it in {text!r}.")
    if spread:
        _check_elements(inputs[spread])
        return Spread(spread)
    if len(rest) == 1 and isinstance(rest[0], Place):
        _check(inputs[rest[0].name], is_grouped, is_whole=True)
        return rest[0]
    for piece in rest:
        if isinstance(piece, Place):
            _check(inputs[piece.name], is_grouped, is_whole=False)
    return Text(rest)


def _group(given: list[Any], inputs: Mapping[str, Field]) -> Group:
    parts = tuple(read_argument(one, inputs, is_grouped=True) for one in given)
    if all(isinstance(part, Text) and all(isinstance(piece, str) for piece in part.pieces) for part in parts):
        raise ModuleError(f"The group {given!r} has no input in it.", "Only groups with an input can be left out.")
    return Group(parts, frozenset(name for name, field in inputs.items() if field.kind.kind == "bool"))


def _known(name: str, inputs: Mapping[str, Field]) -> Field:
    field = inputs.get(name)
    if field is None:
        known = f"Inputs: {', '.join(inputs) or 'none'}."
        raise ModuleError(f"{{{name}}} is no input.", f"{known} Braces that are meant as such are doubled: {{{{{name}}}}}.")
    return field


def _check(field: Field, is_grouped: bool, *, is_whole: bool) -> None:
    kind, name = field.kind, field.name
    if kind.kind == "array":
        raise ModuleError(f"{name} is an array.", f"Write {{{name}...}}, which gives an argument for each element.")
    if kind.kind == "record":
        raise ModuleError(f"{name} is a record, which is no argument.", "Declare its members as inputs, or use Python.")
    if kind.kind == "bool":
        if not (is_grouped and is_whole):
            raise ModuleError(
                f"{name} is a bool, which is no argument.", f'It says whether a group is there: ["-x", "{{{name}}}"].'
            )
    elif not is_whole and kind.kind not in _WORDS:
        raise ModuleError(f"{{{name}}} is a {kind.required}: it can only be an argument of its own.")
    if kind.is_optional and field.default is None and not is_grouped:
        raise ModuleError(f"{name} may be absent.", f'Put what is then left out into a group: ["-x", "{{{name}}}"].')


def _check_elements(field: Field) -> None:
    kind: Type = field.kind
    if kind.kind != "array":
        raise ModuleError(f"{field.name} is no array.", f"Write {{{field.name}}}.")
    if kind.element.kind not in (*_WORDS, "file"):
        raise ModuleError(f"{field.name} is a {kind.required}: its elements are no arguments.")
