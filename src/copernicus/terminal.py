"""What is written to a terminal: how wide that is, how wide text is, and what the terminal must not obey."""

from __future__ import annotations

import os
import re
import sys
from typing import TextIO

NARROWEST = 40
_CONTROL = re.compile(r"[\x00-\x08\x0b-\x1f\x7f-\x9f]")


def is_terminal(stream: TextIO | None) -> bool:
    """Say whether a person sits at `stream`; a program may be started with its streams closed, which is None."""
    return stream is not None and stream.isatty()


def columns(stream: TextIO | None = None) -> int | None:
    """Return the width of the terminal that `stream` (default: stdout) is; None when it is none, and lines are not wrapped."""
    stream = stream or sys.stdout
    if stream is None or not is_terminal(stream):
        return None
    try:
        return max(NARROWEST, int(os.environ.get("COLUMNS") or os.get_terminal_size(stream.fileno()).columns))
    except (OSError, ValueError):
        return None


def width(text: str) -> int:
    """Return how many columns of a terminal `text` takes."""
    if text.isascii():
        return len(text)
    import unicodedata

    return sum(0 if unicodedata.combining(char) else 1 + (unicodedata.east_asian_width(char) in "WF") for char in text)


def wrapped(line: str, room: int | None, indent: str = "") -> list[str]:
    """Return `line` in pieces that fit into `room` columns, those after the first with `indent` and its own one before.

    It is broken after commas where that is enough, else at blanks; a word that does not fit stays whole.
    """
    if room is None or width(line) <= room:
        return [line]
    words = line.lstrip(" ")
    own = line[: len(line) - len(words)]
    parts = words.replace(", ", ",\0").split("\0")
    if any(width(part) > room - len(own + indent) for part in parts):
        parts = words.split(" ")
    lines = [own + parts[0]]
    for part in parts[1:]:
        longer = f"{lines[-1]} {part}"
        if width(longer) <= room:
            lines[-1] = longer
        else:
            lines.append(own + indent + part)
    return lines


def clean(words: str) -> str:
    """Return text that came from programs or other people with control characters shown, not obeyed by the terminal."""
    return _CONTROL.sub(lambda match: repr(match.group())[1:-1], words)


def shown(words: str) -> str:
    """Return text of other people as it is for programs, and for a terminal with its control characters shown."""
    return clean(words) if columns() is not None else words
