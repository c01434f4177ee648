"""The values of one side of an instance, kept between calls: changed by differences, and compared to make some."""

from __future__ import annotations

from array import array
from collections.abc import Mapping
from typing import Any

from copernicus.dataflow import tree
from copernicus.dataflow.paths import Member, parse_path, show_path
from copernicus.plugin.shapes import Shape

_LEAVES = ("bool", "int", "float", "string", "file")
Shapes = Mapping[str, Shape]


def members_of(key: str) -> tuple[Member, ...]:
    """Return the members that a key of a difference (`field`, `field[3]`, `field.member`) leads through."""
    return (key,) if key.isidentifier() else parse_path(f"self:out.{key}").members


class Values:
    """Plain JSON by field, and arrays of leaves also as Python objects, once they were asked for."""

    def __init__(self, plain: dict[str, Any]) -> None:
        self.plain = plain
        self._loaded: dict[str, list[Any]] = {}
        self._shapes: Shapes = {}

    def apply(self, changes: Mapping[str, Any], lengths: Mapping[str, int]) -> None:
        """Take a difference over: `lengths` of arrays, then fields and parts of fields (None: absent now)."""
        for field, length in lengths.items():
            for values in (self.plain.get(field), self._loaded.get(field)):
                if values is not None:
                    del values[length:]
        for key, value in changes.items():
            path = members_of(key)
            tree.write(self.plain, path, value)
            loaded = self._loaded.get(str(path[0]))
            if loaded is None:
                continue
            if len(path) == 1:
                del self._loaded[key]
            else:
                index = path[1]
                assert isinstance(index, int)
                loaded += [None] * (index + 1 - len(loaded))
                loaded[index] = self._item(key, path)
        for field, length in lengths.items():
            for values in (self.plain.get(field), self._loaded.get(field)):
                if values is not None:
                    values += [None] * (length - len(values))

    def _item(self, key: str, path: tuple[Member, ...]) -> Any:
        field, index = path[:2]
        item = self._shapes[str(field)].item
        assert item is not None
        return item.load(self.plain[str(field)][index], f"{field}_{index}")

    def arrays(self, shapes: Shapes) -> dict[str, list[Any]]:
        """Return the arrays of leaves that are there as Python objects: ours, to be copied before they are given away."""
        self._shapes = shapes
        for field, shape in shapes.items():
            if field in self.plain and field not in self._loaded and is_flat(shape):
                self._loaded[field] = shape.load(self.plain[field], field)
        return self._loaded


def is_flat(shape: Shape) -> bool:
    """Whether values of a shape are lists of things that cannot change."""
    return shape.type.kind == "array" and shape.item is not None and shape.item.type.kind in _LEAVES


def differences(
    shapes: Shapes, record: Any, values: Values, where: str
) -> tuple[dict[str, Any], dict[str, int]]:  # fmt: skip
    """Return what distinguishes a dataclass from `values`: (changed fields or parts of fields, arrays that became shorter).

    Raises `WrongType` for what does not fit its shape.
    """
    changes: dict[str, Any] = {}
    lengths: dict[str, int] = {}
    kept = values.arrays(shapes)
    for field, shape in shapes.items():
        value, before = getattr(record, field), kept.get(field)
        if before and type(value) is list and _begins_alike(shape, before, value):
            assert shape.item is not None
            if len(value) < len(before):
                lengths[field] = len(value)
            more = {
                f"{field}[{index}]": shape.item.dump(value[index], f"{where}.{field}[{index}]")
                for index in range(len(before), len(value))
            }
            if not more or more[f"{field}[{len(value) - 1}]"] is not None:
                changes |= more
                continue
        compare(field, values.plain.get(field), shape.dump(value, f"{where}.{field}"), changes, lengths)
    return changes, lengths


def _begins_alike(shape: Shape, before: list[Any], value: list[Any]) -> bool:
    """Whether two lists are the same, bit by bit, as far as the shorter one goes; told at the speed of memory."""
    shorter = min(len(before), len(value))
    before = before if len(before) == shorter else before[:shorter]
    value = value if len(value) == shorter else value[:shorter]
    assert shape.item is not None
    if shape.item.type.kind == "float":
        try:
            return array("d", value).tobytes() == array("d", before).tobytes()
        except TypeError:  # with holes, or something that is no number
            return False
    return value == before


def compare(field: str, before: Any, after: Any, changes: dict[str, Any], lengths: dict[str, int]) -> None:
    """Put what distinguishes two values of a field (plain JSON) into `changes` and `lengths`."""
    if isinstance(before, list) and isinstance(after, list) and len(after) < len(before):
        if tree.is_same(before[: len(after)], after):
            lengths[field] = len(after)
        else:
            changes[field] = after
        return
    found = tree.difference((field,), before, after)
    if isinstance(after, list) and 2 * len(found) > len(after):
        changes[field] = after
    else:
        changes.update((show_path("", "", path).removeprefix("."), value) for path, value in found)
