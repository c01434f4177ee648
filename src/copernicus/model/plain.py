"""Python values as text that loses nothing: JSON, with floats to the last bit, not-a-number and infinities included."""

from __future__ import annotations

import json
from typing import Any

from copernicus.errors import WrongType


def to_text(value: Any, where: str = "value") -> str:
    """Return `value` (None, bool, int, float, str, lists and dicts of these) as JSON; raise `WrongType` for anything else.

    Tuples become lists. Not a number and the infinities are written as Python's JSON has them: NaN, Infinity.
    """
    _check(value, where, 0)
    text = json.dumps(value, ensure_ascii=False, separators=(",", ":"))
    try:
        text.encode()
    except UnicodeEncodeError:  # half of a surrogate pair
        text = json.dumps(value, separators=(",", ":"))
    return text


def from_text(text: str) -> Any:
    """Return the value that `to_text` wrote; raise `WrongType` when it is none."""
    try:
        return json.loads(text)
    except ValueError as error:
        raise WrongType(f"This is not JSON: {error}.") from None


def _check(value: Any, where: str, depth: int) -> None:
    if value is None or isinstance(value, bool | int | float | str):
        return
    if depth > 50:
        raise WrongType(f"{where} nests deeper than 50 levels.")
    if isinstance(value, list | tuple):
        for index, item in enumerate(value):
            _check(item, f"{where}[{index}]", depth + 1)
    elif isinstance(value, dict):
        for name, item in value.items():
            if not isinstance(name, str):
                raise WrongType(f"{where} has the key {name!r}: keys must be texts.")
            _check(item, f"{where}[{name!r}]", depth + 1)
    else:
        raise WrongType(
            f"{where} is of type {type(value).__name__}, which cannot travel.",
            "None, bool, int, float, str, lists and dicts of these can; put anything else into a file.",
        )
