"""Answers for people: aligned tables, values, sizes, times, states."""

from __future__ import annotations

import json
import sys
import unicodedata
from collections.abc import Iterable, Mapping, Sequence
from datetime import datetime
from typing import Any

import click

from copernicus.errors import WrongType
from copernicus.model.types import decode, parse_type
from copernicus.model.values import FileRef, Value
from copernicus.program import clean as clean

ABSENT, HOLE = "absent", "-"
LINE_WIDTH = 100
STATE_ORDER = ("error", "running", "waiting", "held", "idle", "leased", "queued", "blocked", "done", "failed", "cancelled")
STATE_COLOURS = {"error": "red", "failed": "red", "running": "green", "leased": "green", "waiting": "yellow", "held": "cyan"}


def width(text: str) -> int:
    """Return how many columns of a terminal `text` takes."""
    if text.isascii():
        return len(text)
    return sum(0 if unicodedata.combining(char) else 1 + (unicodedata.east_asian_width(char) in "WF") for char in text)


def table(head: Sequence[str], rows: Iterable[Sequence[str]], right: str = "", indent: str = "") -> list[str]:
    """Return lines of aligned columns; a column that is empty everywhere is left out.

    `right` names the heads (separated by spaces) whose columns are numbers and stand to the right. Line breaks inside a
    cell go on below it. States are coloured (terminals only: click takes the colours out elsewhere).
    """
    cells = [[clean(cell) for cell in row] for row in rows]
    kept = [column for column in range(len(head)) if any(row[column] for row in cells)]
    names = [head[column] for column in kept]
    is_right = [name in right.split() for name in names]
    lines = []
    for row in cells:
        parts = [row[column].splitlines() or [""] for column in kept]
        lines += [[part[i] if i < len(part) else "" for part in parts] for i in range(max(map(len, parts), default=0))]
    widths = [max(width(line[column]) for line in [names, *lines]) for column in range(len(kept))]
    plain = [_padded(line, widths, is_right) for line in [names, *lines]] if cells else []
    for line in plain[1:]:
        for column, name in enumerate(names):
            if name == "STATE":
                state = line[column].rstrip()
                line[column] = paint(state) + line[column][len(state) :]
    return [(indent + "  ".join(line)).rstrip() for line in plain]


def _padded(cells: Sequence[str], widths: Sequence[int], is_right: Sequence[bool]) -> list[str]:
    padded = []
    for cell, room, to_the_right in zip(cells, widths, is_right, strict=True):
        gap = " " * (room - width(cell))
        padded.append(gap + cell if to_the_right else cell + gap)
    return padded


def paint(state: str) -> str:
    """Return a state in its colour (the text may go on after the state's name)."""
    colour = STATE_COLOURS.get(state.split(" ")[0])
    return click.style(state, fg=colour) if colour else state


def shown(words: str) -> str:
    """Return text of other people as it is for programs, and for a terminal with its control characters shown."""
    return clean(words) if sys.stdout.isatty() else words


def size(count: float) -> str:
    """Return a number of bytes in the largest fitting unit ("1.2 MB")."""
    if count < 1000:
        return f"{int(count)} B"
    for unit in ("kB", "MB", "GB", "TB"):
        count /= 1000
        if count < 999.95 or unit == "TB":
            break
    return f"{count:.1f} {unit}"


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
