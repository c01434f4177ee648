"""Trees of values: reading, writing and shortening in place, each write with the way back.

A side of an instance is a dict from field to value; values are plain JSON data (see `model.values`). A hole in an array
is None.
"""

from __future__ import annotations

from collections.abc import Callable
from itertools import pairwise
from math import copysign
from typing import Any

from copernicus.dataflow.paths import Member
from copernicus.errors import UnknownPath
from copernicus.model.types import Type

Undo = Callable[[], None]
_MISSING = object()


def read(root: Any, path: tuple[Member, ...]) -> Any:
    """Return what stands at `path` below `root`, or None."""
    node = root
    for member in path:
        if isinstance(member, str):
            node = node.get(member) if isinstance(node, dict) else None
        else:
            node = node[member] if isinstance(node, list) and 0 <= member < len(node) else None
        if node is None:
            return None
    return node


def write(root: dict[str, Any], path: tuple[Member, ...], value: Any) -> list[Undo]:
    """Write `value` (None: unset) at `path`; make what is missing on the way. Returns how to take it back, in order."""
    if value is None:
        return _unset(root, path)
    undo: list[Undo] = []
    node: Any = root
    for member, following in pairwise(path):
        inner = _get(node, member)
        if not isinstance(inner, (dict, list)) or isinstance(following, int) != isinstance(inner, list):
            inner = [] if isinstance(following, int) else {}
            undo.append(_put(node, member, inner))
        node = inner
    undo.append(_put(node, path[-1], value))
    return undo


def _unset(root: dict[str, Any], path: tuple[Member, ...]) -> list[Undo]:
    """Unset a place. Arrays on the way become as long as the path says; a record that loses its last member goes too."""
    undo: list[Undo] = []
    holders: list[tuple[Any, Member]] = []
    node: Any = root
    for position, (member, following) in enumerate(pairwise(path)):
        inner = _get(node, member)
        if not isinstance(inner, (dict, list)):
            if not any(isinstance(one, int) for one in path[position + 1 :]):
                if isinstance(node, list) and isinstance(member, int) and member >= len(node):
                    undo.append(_put(node, member, None))
                return undo
            inner = [] if isinstance(following, int) else {}
            undo.append(_put(node, member, inner))
        holders.append((node, member))
        node = inner
    if isinstance(node, list) or path[-1] in node:
        undo.append(_put(node, path[-1], None))
        while holders and node == {}:
            node, member = holders.pop()
            undo.append(_put(node, member, None))
    return undo


def cut(root: dict[str, Any], path: tuple[Member, ...], length: int) -> list[Undo]:
    """Shorten the array at `path` to `length` elements."""
    array = read(root, path)
    if not isinstance(array, list) or len(array) <= length:
        return []
    rest = array[length:]
    del array[length:]
    return [lambda: array.extend(rest)]


def _get(node: Any, member: Member) -> Any:
    if isinstance(member, str):
        return node.get(member)
    return node[member] if member < len(node) else None


def _put(node: Any, member: Member, value: Any) -> Undo:
    if isinstance(node, list):
        assert isinstance(member, int)
        length = len(node)
        if member >= length:
            node.extend([None] * (member + 1 - length))
            node[member] = value

            def shorten() -> None:
                del node[length:]

            return shorten
        before = node[member]
        node[member] = value
        return lambda: node.__setitem__(member, before)
    before = node.get(member, _MISSING)
    if value is None:
        if before is not _MISSING:
            return _take_out(node, member)
    else:
        node[member] = value
    if before is _MISSING:
        return lambda: node.pop(member, None)
    return lambda: node.__setitem__(member, before)


def _take_out(node: dict[str, Any], member: Member) -> Undo:
    """Take a member out of a record; it comes back to where it stood among the others."""
    members = dict(node)
    del node[str(member)]

    def put_back() -> None:
        node.clear()
        node.update(members)

    return put_back


def type_at(fields: dict[str, Type], path: tuple[Member, ...], where: str) -> Type:
    """Return the type of the place `path` in a side with these `fields`; `UnknownPath` names the part that is not there."""
    if not path:
        return Type("record", fields=tuple(fields.items()))
    kind = fields.get(str(path[0]))
    if kind is None:
        raise UnknownPath(f"{where} has no field {path[0]!r}.", f"It has: {', '.join(fields) or 'none'}.")
    shown = f"{where}.{path[0]}"
    for member in path[1:]:
        if isinstance(member, int):
            if kind.kind != "array":
                raise UnknownPath(f"{shown} is {kind.required}, not an array; it has no elements.")
            kind = kind.element
            shown += f"[{member}]" if member >= 0 else "[+]"
        else:
            if kind.kind != "record":
                raise UnknownPath(f"{shown} is {kind.required}, not a record; it has no member {member!r}.")
            inner = kind.field(member)
            if inner is None:
                raise UnknownPath(f"{shown} has no member {member!r}.", f"It has: {', '.join(n for n, _ in kind.fields)}.")
            kind = inner
            shown += f".{member}"
    return kind


def conform(kind: Type, value: Any) -> Any:
    """Return `value`, which fits `kind`, as `kind` has it: ints are floats, members that are not asked for left out.

    Arrays and records are copies: what is handed out does not change with the network.
    """
    if value is None:
        return None
    if kind.kind == "array":
        element = kind.element
        if element.kind in ("array", "record", "float"):
            return [conform(element, item) for item in value]
        return list(value)
    if kind.kind == "record":
        return {name: conform(member, value[name]) for name, member in kind.fields if value.get(name) is not None}
    return float(value) if kind.kind == "float" and type(value) is int else value


def copied(value: Any) -> Any:
    """Return a value of which nothing changes when the other one does."""
    if isinstance(value, list):
        return [copied(item) for item in value]
    if isinstance(value, dict):
        return {name: copied(item) for name, item in value.items()}
    return value


def is_same(old: Any, new: Any) -> bool:
    """Whether two values are equal to the last bit: -0.0 is another number than 0.0, and 1 than 1.0."""
    if type(old) is not type(new) or old != new:
        return False
    if isinstance(old, float):
        return copysign(1.0, old) == copysign(1.0, new)
    if isinstance(old, list):
        return all(map(is_same, old, new))
    return not isinstance(old, dict) or all(is_same(item, new[name]) for name, item in old.items())


def difference(path: tuple[Member, ...], old: Any, new: Any) -> list[tuple[tuple[Member, ...], Any]]:
    """Return the writes `(path, value)` that turn `old` into `new`; a write of a shorter array is the whole array."""
    if is_same(old, new):
        return []
    if isinstance(old, list) and isinstance(new, list) and len(new) >= len(old):
        if len(new) > len(old) and new[-1] is None:
            return [(path, new)]
        return [
            change
            for index, item in enumerate(new)
            for change in difference((*path, index), old[index] if index < len(old) else None, item)
        ] or [(path, new)]
    if isinstance(old, dict) and isinstance(new, dict) and "blob" not in new and old.keys() <= new.keys():
        return [change for name, item in new.items() for change in difference((*path, name), old.get(name), item)]
    return [(path, new)]
