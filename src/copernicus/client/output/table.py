"""Tables: aligned columns that fit the terminal; what does not fit stands below its row, with its name."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

import click

from copernicus.terminal import clean, columns, width, wrapped

GAP = "  "
LEAST_WRAPPED = 16
BELOW = "  "
STATE_COLOURS = {"error": "red", "failed": "red", "running": "green", "leased": "green", "waiting": "yellow", "held": "cyan"}


def table(
    head: Sequence[str], rows: Iterable[Sequence[str]], right: str = "", indent: str = "", room: int | None = None
) -> list[str]:
    """Return lines of aligned columns; a column that is empty everywhere is left out.

    `right` names the heads (separated by spaces) whose columns are numbers and stand to the right. Line breaks inside a
    cell go on below it. In a terminal (or `room` columns) wide cells are wrapped, and where that is not enough the last
    columns stand below their row. States are coloured (terminals only: click takes the colours out elsewhere).
    """
    cells = [[clean(cell) for cell in row] for row in rows]
    limit = columns() if room is None else room
    if limit is not None:
        limit -= width(indent)
    beside = [column for column in range(len(head)) if any(row[column] for row in cells)]
    below: list[int] = []
    if not beside:
        return []
    while not (widths := _fitting(head, cells, beside, limit)):
        below.insert(0, beside.pop())
    names = [head[column] for column in beside]
    is_right = [name in right.split() for name in names]
    lines = [_line(names, widths, is_right)]
    for row in cells:
        parts = [_in_pieces(row[column], room) for column, room in zip(beside, widths, strict=True)]
        for place in range(max(map(len, parts))):
            line = [part[place] if place < len(part) else "" for part in parts]
            lines.append(_line(line, widths, is_right, names))
        lines += _below([(head[column], row[column]) for column in below if row[column]], limit)
    return [(indent + line).rstrip() for line in lines]


def _fitting(head: Sequence[str], cells: Sequence[Sequence[str]], beside: Sequence[int], limit: int | None) -> list[int]:
    """Return widths for the columns `beside` with which they fit into `limit`, [] when there are none."""
    texts = [[head[column], *(line for row in cells for line in row[column].splitlines())] for column in beside]
    widths = [max(map(width, lines)) for lines in texts]
    room = None if limit is None else limit - len(GAP) * (len(beside) - 1)
    if room is None or sum(widths) <= room:
        return widths
    words = [max(width(word) for line in lines for word in line.split(" ")) for lines in texts]
    least = [min(wide, max(word, LEAST_WRAPPED)) for wide, word in zip(widths, words, strict=True)]
    if sum(least) > room:
        return [min(widths[0], max(room, words[0]))] if len(beside) == 1 else []
    while sum(widths) > room:
        spare = [wide - low for wide, low in zip(widths, least, strict=True)]
        widths[max(range(len(widths)), key=lambda column: (spare[column] > 0, widths[column]))] -= 1
    return widths


def _in_pieces(cell: str, room: int) -> list[str]:
    return [piece for line in cell.splitlines() for piece in wrapped(line, room)] or [""]


def _line(cells: Sequence[str], widths: Sequence[int], is_right: Sequence[bool], names: Sequence[str] = ()) -> str:
    """Return one line; with the `names` of its columns the state is painted."""
    padded = []
    for place, (cell, room, to_the_right) in enumerate(zip(cells, widths, is_right, strict=True)):
        gap = " " * (room - width(cell))
        painted = paint(cell) if names and names[place] == "STATE" else cell
        padded.append(gap + painted if to_the_right else painted + gap)
    return GAP.join(padded).rstrip()


def _below(cells: Sequence[tuple[str, str]], limit: int | None) -> list[str]:
    """Return the cells that had no room beside the others: short ones on one line, each with its column's name."""
    texts = [f"{name.lower()}: {cell}" if name else cell for name, cell in cells]
    if all("\n" not in text for text in texts) and texts:
        texts = [", ".join(texts)]
    return [piece for text in texts for line in text.splitlines() for piece in wrapped(BELOW + line, limit)]


def paint(state: str) -> str:
    """Return a state in its colour (the text may go on after the state's name)."""
    colour = STATE_COLOURS.get(state.split(" ")[0])
    return click.style(state, fg=colour) if colour else state
