"""Values: what a leaf of the network can hold, and how it is written as JSON.

A value is an int, float, bool, string, a file (by content hash), a list or a record (dict) of values, or None for
"absent". In JSON a file is `{"blob": …, "size": …, "name": …}`, and a float that is not finite is the string "nan",
"inf" or "-inf" (JSON has no such numbers); which strings are floats is decided by the type of the place.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from typing import Any

import msgspec

INT_MIN, INT_MAX = -(2**63), 2**63 - 1


class FileRef(msgspec.Struct, frozen=True):
    """A file by content: BLAKE3 hash of its bytes (64 hex digits), size in bytes, and the name it was given."""

    blob: str
    size: int
    name: str = "file"


def half_character(text: str) -> str:
    """Return what is wrong with a text that cannot be written as UTF-8, "" for any other: no file or message could hold it."""
    if text.isascii():
        return ""
    try:
        text.encode()
    except UnicodeEncodeError as error:
        code = ord(text[error.start])
        return f"there is half a character (U+{code:04X}) at position {error.start}: it is no text in UTF-8"
    return ""


Scalar = bool | int | float | str | FileRef
Value = Scalar | list[Any] | dict[str, Any] | None


def float_to_json(number: float) -> float | str:
    """Return `number` as JSON can carry it: finite numbers as they are, the others as "nan", "inf", "-inf"."""
    if math.isfinite(number):
        return number
    return "nan" if math.isnan(number) else ("inf" if number > 0 else "-inf")


def to_json(value: Value) -> Any:
    """Return `value` as plain JSON data (see the module docstring)."""
    if isinstance(value, float):
        return float_to_json(value)
    if isinstance(value, FileRef):
        return {"blob": value.blob, "size": value.size, "name": value.name}
    if isinstance(value, list):
        return [to_json(item) for item in value]
    if isinstance(value, dict):
        return {name: to_json(item) for name, item in value.items()}
    return value


def files_in(value: Any) -> Iterator[FileRef]:
    """The files in a value, in plain JSON data, or in a struct's builtins; at any depth."""
    stack = [value]
    while stack:
        one = stack.pop()
        if isinstance(one, FileRef):
            yield one
        elif isinstance(one, dict):
            blob, size = one.get("blob"), one.get("size")
            if isinstance(blob, str) and isinstance(size, int):
                yield FileRef(blob, size, str(one.get("name", "file")))
            else:
                stack.extend(reversed(one.values()))
        elif isinstance(one, list | tuple):
            stack.extend(reversed(one))
