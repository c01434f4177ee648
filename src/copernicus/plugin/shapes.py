"""Shapes: the type of a place together with the Python objects in which module code holds its values."""

from __future__ import annotations

import dataclasses
import numbers
import types
import typing
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Annotated, Any, Literal, Union

from copernicus.errors import WrongType
from copernicus.model.types import Type
from copernicus.model.values import INT_MAX, INT_MIN, float_to_json, half_character
from copernicus.plugin.files import File

_SCALARS: dict[Any, Type] = {
    int: Type("int"),
    float: Type("float"),
    bool: Type("bool"),
    str: Type("string"),
    File: Type("file"),
}
_HINTS = {
    dict: "Use a dataclass: a record has named members.",
    object: "Name the type.",
    bytes: "Use File.",
}
MAX_NESTING = 20


@dataclass(frozen=True)
class Shape:
    """A type, and how its values look in Python: File, list, or the dataclass `record` with `members`."""

    type: Type
    item: Shape | None = None
    record: Callable[..., Any] | None = None
    members: Mapping[str, Shape] = field(default_factory=dict)

    @property
    def record_name(self) -> str:
        """The name of the dataclass."""
        return str(getattr(self.record, "__name__", "a dataclass"))

    def is_record(self, value: Any) -> bool:
        """Whether `value` is an instance of the dataclass."""
        return isinstance(self.record, type) and isinstance(value, self.record)

    def load(self, data: Any, place: str = "") -> Any:
        """Return plain JSON `data` as Python objects; absent is None. Files remember `place`."""
        if data is None:
            return None
        match self.type.kind:
            case "file":
                return File(data["blob"], data["size"], data.get("name", "file"), place)
            case "float":
                return float(data)
            case "array":
                assert self.item is not None
                load = self.item.load
                return [load(item, f"{place}_{index}") for index, item in enumerate(data)]
            case "record":
                return self.load_record(data, place)
        return data

    def load_record(self, data: Mapping[str, Any], place: str = "", kept: Mapping[str, list[Any]] | None = None) -> Any:
        """Return a record as its dataclass; an absent member has its default, else an empty list, else None.

        Of members that are `kept` as Python objects already, copies are taken.
        """
        assert self.record is not None
        members: dict[str, Any] = {}
        for name, shape in self.members.items():
            value = data.get(name)
            if kept and name in kept:
                members[name] = list(kept[name])
            elif value is not None:
                members[name] = shape.load(value, f"{place}_{name}" if place else name)
            elif not _has_default(self.record, name):
                members[name] = [] if shape.type.kind == "array" and not shape.type.is_optional else None
        return self.record(**members)

    def dump(self, value: Any, where: str, divert: Callable[[Any, str, Type], bool] | None = None) -> Any:
        """Return a Python value as plain JSON; raise `WrongType` that names the place.

        `divert(value, where, type)` may take a value out (a wire becomes a connection); None stands in its place.
        """
        if value is None or (divert is not None and divert(value, where, self.type)):
            return None
        match self.type.kind:
            case "bool" if isinstance(value, bool):
                return value
            case "int" if _is_number(value, numbers.Integral):
                if INT_MIN <= int(value) <= INT_MAX:
                    return int(value)
            case "float" if _is_number(value, numbers.Real):
                return float_to_json(float(value))
            case "string" if isinstance(value, str):
                if wrong := half_character(value):
                    raise WrongType(f"{where}: {wrong}.")
                if not self.type.choices or value in self.type.choices:
                    return value
            case "file" if isinstance(value, File):
                return {"blob": value.blob, "size": value.size, "name": value.name}
            case "array" if isinstance(value, Sequence) and not isinstance(value, str):
                assert self.item is not None
                dump = self.item.dump
                return [dump(item, f"{where}[{index}]", divert) for index, item in enumerate(value)]
            case "record" if dataclasses.is_dataclass(value) and not isinstance(value, type):
                return self._dump_record(value, where, divert)
        shown = repr(value)
        raise WrongType(f"{where}: expected {self.type.required}, got {shown if len(shown) < 80 else shown[:77] + '…'}.")

    def _dump_record(self, value: Any, where: str, divert: Callable[[Any, str, Type], bool] | None) -> dict[str, Any]:
        dumped = {}
        for name, shape in self.members.items():
            member = shape.dump(getattr(value, name, None), f"{where}.{name}" if where else name, divert)
            if member is not None:
                dumped[name] = member
        return dumped


def _is_number(value: Any, kind: type[Any]) -> bool:
    return isinstance(value, kind) and not isinstance(value, bool)


def _has_default(record: Any, name: str) -> bool:
    spec = record.__dataclass_fields__[name]
    return spec.default is not dataclasses.MISSING or spec.default_factory is not dataclasses.MISSING


def shape_of(hint: Any, names: Mapping[str, Any], depth: int = 0) -> Shape:
    """Return the shape of a type hint; raise `WrongType` for hints that no value of a network can have.

    `names` are those that annotations written as text may speak of.
    """
    if depth > MAX_NESTING:
        raise WrongType("the type contains itself")
    if hint in _SCALARS if isinstance(hint, type) else False:
        return Shape(_SCALARS[hint])
    origin, arguments = typing.get_origin(hint), typing.get_args(hint)
    if origin is Annotated:
        return shape_of(arguments[0], names, depth)
    if origin in (Union, types.UnionType):
        return _optional(hint, arguments, names, depth)
    if origin is Literal and all(isinstance(choice, str) for choice in arguments):
        return Shape(Type("string", choices=arguments))
    if origin in (list, Sequence) and len(arguments) == 1:
        item = shape_of(arguments[0], names, depth + 1)
        return Shape(item.type.array, item=item)
    if origin is tuple and len(arguments) == 2 and arguments[1] is Ellipsis:
        return shape_of(Sequence[arguments[0]], names, depth)  # type: ignore[valid-type]
    if isinstance(hint, type) and dataclasses.is_dataclass(hint):
        return record_shape(hint, names, depth)
    text = getattr(hint, "__name__", None) or str(hint)
    raise WrongType(
        f"{text} is no type for a value",
        _HINTS.get(origin or hint, "Known: int, float, bool, str, Literal of texts, File, list, dataclasses, T | None."),
    )


def _optional(hint: Any, arguments: tuple[Any, ...], names: Mapping[str, Any], depth: int) -> Shape:
    rest = [argument for argument in arguments if argument is not types.NoneType]
    if len(rest) != 1 or len(rest) == len(arguments):
        raise WrongType(f"{hint} is no type for a value", "Only `T | None` is a union here.")
    shape = shape_of(rest[0], names, depth)
    return dataclasses.replace(shape, type=shape.type.optional)


def record_shape(record: type[Any], names: Mapping[str, Any], depth: int = 0) -> Shape:
    """Return the shape of a dataclass."""
    members = {}
    for name, hint in record_hints(record, names).items():
        try:
            members[name] = shape_of(hint, names, depth + 1)
        except WrongType as error:
            raise WrongType(f"{record.__name__}.{name}: {error.message}", error.hint) from None
    kind = Type("record", fields=tuple((name, shape.type) for name, shape in members.items()))
    return Shape(kind, record=record, members=members)


def record_hints(record: type[Any], names: Mapping[str, Any]) -> dict[str, Any]:
    """Return the type hints of a dataclass's members, in order."""
    hints = typing.get_type_hints(record, localns={**names, record.__name__: record}, include_extras=True)
    return {spec.name: hints[spec.name] for spec in dataclasses.fields(record) if spec.init}


def shape_of_type(kind: Type, name: str = "Record") -> Shape:
    """Return the shape of a type that was declared as text: its records become dataclasses, made here."""
    if kind.kind == "array":
        return Shape(kind, item=shape_of_type(kind.element, name))
    if kind.kind == "record":
        members = {field: shape_of_type(member, field) for field, member in kind.fields}
        return Shape(kind, record=dataclasses.make_dataclass(name, list(members)), members=members)
    return Shape(kind)
