"""Types: what a place of the network may hold, their text form, and which type fits which.

Text form: `int`, `float`, `bool`, `string`, `string("nve", "nvt")` (choices), `file`, `T[]`, `record{name: T, …}`,
and `T?` for optional. `float?[]` is an array that may have holes, `float[]?` an optional array.
"""

from __future__ import annotations

import json
import re
from functools import lru_cache
from typing import Any, Literal

import msgspec

from copernicus.errors import WrongType
from copernicus.model.values import INT_MAX, INT_MIN, FileRef, Value, half_character

ScalarKind = Literal["int", "float", "bool", "string", "file"]
SCALARS: tuple[ScalarKind, ...] = ("int", "float", "bool", "string", "file")


class Type(msgspec.Struct, frozen=True):
    """One type. `kind` says which of the other fields mean something; equal structure is equal type."""

    kind: Literal["int", "float", "bool", "string", "file", "array", "record"]
    item: Type | None = None
    fields: tuple[tuple[str, Type], ...] = ()
    choices: tuple[str, ...] = ()
    is_optional: bool = False

    def __str__(self) -> str:
        if self.kind == "array":
            text = f"{self.item}[]"
        elif self.kind == "record":
            text = "record{" + ", ".join(f"{name}: {kind}" for name, kind in self.fields) + "}"
        elif self.choices:
            text = "string(" + ", ".join(json.dumps(choice, ensure_ascii=False) for choice in self.choices) + ")"
        else:
            text = self.kind
        return text + "?" if self.is_optional else text

    def field(self, name: str) -> Type | None:
        """Return the type of the record member `name`, or None."""
        return next((kind for field, kind in self.fields if field == name), None)

    @property
    def element(self) -> Type:
        """The type of an array's elements."""
        assert self.item is not None, f"{self} is not an array"
        return self.item

    @property
    def required(self) -> Type:
        """The same type, not optional."""
        return msgspec.structs.replace(self, is_optional=False) if self.is_optional else self

    @property
    def optional(self) -> Type:
        """The same type, optional."""
        return self if self.is_optional else msgspec.structs.replace(self, is_optional=True)

    @property
    def array(self) -> Type:
        """Array of this type."""
        return Type("array", item=self)


def fits(source: Type, receiver: Type) -> str:
    """Return "" when `source` may be connected to `receiver`, else the first difference in words.

    Fits: equal types, int → float, T → T?, T? → T (the receiver waits), a record that offers all members asked for,
    a string with fewer choices. Nothing else is converted.
    """
    if source.kind == receiver.kind == "array":
        assert source.item is not None
        assert receiver.item is not None
        inner = fits(source.item, receiver.item)
        return f"its elements: {inner}" if inner else ""
    if source.kind == receiver.kind == "record":
        for name, wanted in receiver.fields:
            offered = source.field(name)
            if offered is None:
                if not wanted.is_optional:
                    return f"member {name} is missing"
                continue
            inner = fits(offered, wanted)
            if inner:
                return f"member {name}: {inner}"
        return ""
    if source.kind == receiver.kind:
        if receiver.choices and not (source.choices and set(source.choices) <= set(receiver.choices)):
            return f"only {', '.join(receiver.choices)} are allowed"
        return ""
    if source.kind == "int" and receiver.kind == "float":
        return ""
    return f"{source.required} is not {receiver.required}"


def decode(kind: Type, data: Any, where: str = "value") -> Value:
    """Return plain JSON `data` as a value of type `kind`; raise `WrongType`, which names the offending member.

    None is accepted everywhere and means absent: whether something may be absent is a question for the reader of a
    place, not for its writer. Ints are 64 bits wide; an int is accepted as a float.
    """
    if data is None:
        return None
    if isinstance(data, FileRef):
        data = {"blob": data.blob, "size": data.size, "name": data.name}
    match kind.kind:
        case "bool":
            if isinstance(data, bool):
                return data
        case "int":
            if isinstance(data, int) and not isinstance(data, bool):
                if not INT_MIN <= data <= INT_MAX:
                    raise WrongType(f"{where}: {data} does not fit into 64 bits.")
                return data
        case "float":
            if isinstance(data, int | float) and not isinstance(data, bool):
                return float(data)
            if data in ("nan", "inf", "-inf"):
                return float(data)
        case "string":
            if isinstance(data, str):
                if wrong := half_character(data):
                    raise WrongType(f"{where}: {wrong}.")
                if kind.choices and data not in kind.choices:
                    raise WrongType(f"{where}: {data!r} is not one of {', '.join(kind.choices)}.")
                return data
        case "file":
            if isinstance(data, dict) and isinstance(data.get("blob"), str) and isinstance(data.get("size"), int):
                name = str(data.get("name", "file"))
                if wrong := half_character(name):
                    raise WrongType(f"{where}: in the file's name {wrong}.")
                return FileRef(data["blob"], data["size"], name)
        case "array":
            if isinstance(data, list | tuple):
                assert kind.item is not None
                return [decode(kind.item, item, f"{where}[{index}]") for index, item in enumerate(data)]
        case "record":
            if isinstance(data, dict):
                for name in data:
                    if kind.field(name) is None:
                        members = ", ".join(field for field, _ in kind.fields)
                        raise WrongType(f"{where}: there is no member {name!r} (members: {members}).")
                return {
                    name: decode(member, data[name], f"{where}.{name}")
                    for name, member in kind.fields
                    if data.get(name) is not None
                }
    shown = json.dumps(data, ensure_ascii=False, default=str)
    raise WrongType(f"{where}: expected {kind.required}, got {shown if len(shown) < 60 else shown[:57] + '…'}.")


_TOKEN = re.compile(r'\s*([A-Za-z_][A-Za-z0-9_]*|\[\]|[{}():,?]|"(?:[^"\\]|\\.)*")')


@lru_cache(maxsize=4096)
def parse_type(text: str) -> Type:
    """Return the type written as `text`; raise `WrongType` when it is no type."""
    tokens, position = [], 0
    while position < len(text.rstrip()):
        match = _TOKEN.match(text, position)
        if match is None:
            raise WrongType(f"{text!r} is not a type: unexpected {text[position:].strip()[:10]!r}.")
        tokens.append(match.group(1))
        position = match.end()
    kind, rest = _parse(tokens, text)
    if rest:
        raise WrongType(f"{text!r} is not a type: unexpected {rest[0]!r}.")
    return kind


def _parse(tokens: list[str], text: str) -> tuple[Type, list[str]]:
    if not tokens:
        raise WrongType(f"{text!r} is not a type: it ends too early.")
    name, rest = tokens[0], tokens[1:]
    if name == "record" and rest[:1] == ["{"]:
        fields: list[tuple[str, Type]] = []
        rest = rest[1:]
        while rest[:1] != ["}"]:
            if len(rest) < 3 or rest[1] != ":":
                raise WrongType(f"{text!r} is not a type: a record is written record{{name: type, …}}.")
            member = rest[0]
            kind, rest = _parse(rest[2:], text)
            fields.append((member, kind))
            if rest[:1] == [","]:
                rest = rest[1:]
        rest = rest[1:]
        result = Type("record", fields=tuple(fields))
    elif name in SCALARS:
        result = Type(name)
        if name == "string" and rest[:1] == ["("]:
            end = rest.index(")") if ")" in rest else len(rest)
            result = Type("string", choices=tuple(json.loads(word) for word in rest[1:end] if word != ","))
            rest = rest[end + 1 :]
    else:
        raise WrongType(f"{text!r} is not a type: {name!r} is unknown (known: {', '.join(SCALARS)}, record, T[], T?).")
    while rest and rest[0] in ("[]", "?"):
        result = result.array if rest[0] == "[]" else result.optional
        rest = rest[1:]
    return result, rest
