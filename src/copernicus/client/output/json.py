"""Answers for programs: every member of a message, defaults included, numbers that round-trip."""

from __future__ import annotations

from typing import Any

import msgspec


def to_plain(thing: Any) -> Any:
    """Return a message, or a list or dict of messages, as plain JSON data with no member left out."""
    if isinstance(thing, msgspec.Struct):
        return {name: to_plain(getattr(thing, name)) for name in thing.__struct_fields__}
    if isinstance(thing, dict):
        return {key: to_plain(value) for key, value in thing.items()}
    if isinstance(thing, list | tuple):
        return [to_plain(item) for item in thing]
    return thing


def text(thing: Any) -> str:
    """Return `thing` as JSON text: scalars on one line, the rest indented by two."""
    body = msgspec.json.encode(to_plain(thing))
    return msgspec.json.format(body, indent=2).decode()


def line(thing: Any) -> str:
    """Return `thing` as JSON on one line, for streams of answers."""
    return msgspec.json.encode(to_plain(thing)).decode()
