"""Answers for people: values, sizes, times, counts; with the tables and the terminal's own matters at hand."""

from __future__ import annotations

import json
from collections.abc import Mapping
from datetime import datetime
from typing import Any

from copernicus.client.output.table import paint as paint, table as table
from copernicus.errors import WrongType
from copernicus.model.counts import sized
from copernicus.model.types import decode, parse_type
from copernicus.model.values import FileRef, Value
from copernicus.terminal import clean as clean, columns as columns, shown as shown, width, wrapped as wrapped

ABSENT, HOLE = "absent", "-"
LINE_WIDTH = 100
size = sized
STATE_ORDER = ("error", "running", "waiting", "held", "idle", "leased", "queued", "blocked", "done", "failed", "cancelled")


def fitting(words: str, indent: str = "") -> list[str]:
    """Return the lines of text that came from programs or other people, as a terminal can show them."""
    return [piece for line in clean(words).splitlines() for piece in wrapped(indent + line, columns())]


def duration(seconds: float) -> str:
    """Return a time span in its two largest units ("3 min 20 s")."""
    seconds = max(seconds, 0.0)
    if seconds < 10:
        return f"{seconds:.1f} s"
    whole = round(seconds)
    for unit_s, unit, part_s, part in ((86400, "d", 3600, "h"), (3600, "h", 60, "min"), (60, "min", 1, "s")):
        if whole >= unit_s:
            rest = whole % unit_s // part_s
            return f"{whole // unit_s} {unit} {rest} {part}" if rest else f"{whole // unit_s} {unit}"
    return f"{whole} s"


def moment(unix_time: float) -> str:
    """Return a point in time in the reader's own time zone."""
    return datetime.fromtimestamp(unix_time).astimezone().strftime("%Y-%m-%d %H:%M:%S")


def counts(by_state: Mapping[str, int]) -> str:
    """Return counts by state, the ones to worry about first ("error 1, running 3, idle 36")."""
    present = [state for state, count in by_state.items() if count]
    present.sort(key=lambda state: STATE_ORDER.index(state) if state in STATE_ORDER else len(STATE_ORDER))
    return ", ".join(f"{state} {by_state[state]}" for state in present)


def value(data: Any, type_text: str) -> str:
    """Return plain JSON `data` of the type written as `type_text` the way people read it.

    Floats round-trip, files show name and size; in arrays and records strings are quoted and holes are dashes. What does
    not fit on a line is spread over several, one element on each.
    """
    try:
        typed = decode(parse_type(type_text), data)
    except WrongType:
        typed = data
    if isinstance(typed, str):
        return typed
    if typed is None:
        return ABSENT
    flat = _flat(typed)
    if width(flat) <= LINE_WIDTH and "\n" not in flat:
        return flat
    return "\n".join(_spread(typed))


def _flat(typed: Value) -> str:
    if typed is None:
        return HOLE
    if isinstance(typed, bool):
        return "true" if typed else "false"
    if isinstance(typed, FileRef):
        return f"{typed.name} ({size(typed.size)})"
    if isinstance(typed, list):
        return "[" + ", ".join(map(_flat, typed)) + "]"
    if isinstance(typed, dict):
        return "{" + ", ".join(f"{name}: {_flat(member)}" for name, member in typed.items()) + "}"
    return json.dumps(typed, ensure_ascii=False) if isinstance(typed, str) else repr(typed)


def _spread(typed: Value, indent: str = "") -> list[str]:
    if isinstance(typed, list):
        members = [(f"[{index}]", member) for index, member in enumerate(typed)]
        opening, closing = "[", "]"
    elif isinstance(typed, dict):
        members = [(f"{name}:", member) for name, member in typed.items()]
        opening, closing = "{", "}"
    else:
        return [_flat(typed)]
    lines = [opening]
    for label, member in members:
        flat = _flat(member)
        inner = [flat] if width(flat) <= LINE_WIDTH else _spread(member, indent + "  ")
        lines += [f"{indent}  {label} {inner[0]}", *inner[1:]]
    return [*lines, indent + closing]
