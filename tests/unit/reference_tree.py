"""Trees of plain values, in the simplest way: nothing is changed in place."""

from __future__ import annotations

from typing import Any

from copernicus.model.types import Type

Members = tuple[str | int, ...]


def get(value: Any, members: Members) -> Any:
    """What stands in a tree, or None."""
    for member in members:
        if isinstance(member, str):
            value = value.get(member) if isinstance(value, dict) else None
        else:
            value = value[member] if isinstance(value, list) and 0 <= member < len(value) else None
    return value


def put(value: Any, members: Members, new: Any) -> Any:
    """A tree with one part replaced. A record that loses its last member is gone; arrays grow as far as needed."""
    if not members:
        return new
    head, rest = members[0], members[1:]
    if isinstance(head, str):
        record = dict(value or {})
        had = head in record
        inner = put(record.get(head), rest, new)
        if inner is not None:
            return {**record, head: inner}
        record.pop(head, None)
        return record if record or (value is not None and not had) else None
    array = list(value or [])
    array += [None] * (head + 1 - len(array))
    array[head] = put(array[head], rest, new)
    return array


def conform(kind: Type, value: Any) -> Any:
    """A value as its receiver declares it."""
    if value is None:
        return None
    if kind.kind == "array":
        return [conform(kind.element, item) for item in value]
    if kind.kind == "record":
        return {name: conform(member, value[name]) for name, member in kind.fields if value.get(name) is not None}
    return float(value) if kind.kind == "float" else value


def is_whole(kind: Type, value: Any) -> bool:
    """Whether all is there: what is optional may be absent, but never half there."""
    if value is None:
        return kind.is_optional
    if kind.kind == "array":
        return all(is_whole(kind.element, item) for item in value)
    if kind.kind == "record":
        return all(is_whole(member, value.get(name)) for name, member in kind.fields)
    return True
