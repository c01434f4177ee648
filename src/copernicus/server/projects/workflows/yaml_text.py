"""Writing YAML that every reader takes alike: whatever could be taken for something else stands in quotes."""

from __future__ import annotations

import math
import re
from typing import Any

from copernicus.model.values import FileRef

LINE_WIDTH = 100
_PLAIN = re.compile(r"[A-Za-z][A-Za-z0-9_]*(?:[.:/-]{1,2}[A-Za-z0-9_]+|\[\d+\])*")
_TAKEN_FOR_ELSE = {"null", "true", "false", "yes", "no", "on", "off", "y", "n", "nan", "inf"}
_ESCAPES = {"\\": "\\\\", '"': '\\"', "\n": "\\n", "\t": "\\t", "\r": "\\r", "\0": "\\0"}


def scalar(value: Any) -> str:
    """Return a number, bool, text, file or nothing as it can stand anywhere in a YAML file."""
    if value is None:
        return "null"
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, float):
        return _number(value)
    if isinstance(value, int):
        return str(value)
    if isinstance(value, FileRef):
        return f"{{name: {quoted(value.name)}, size: {value.size}, blob: {quoted(value.blob)}}}"
    return quoted(str(value))


def word(text: str) -> str:
    """Return a name, path or type without quotes where it cannot be taken for anything else (in block style only)."""
    return text if _PLAIN.fullmatch(text) and text.lower() not in _TAKEN_FOR_ELSE else quoted(text)


def quoted(text: str) -> str:
    """Return any text in double quotes, on one line, what cannot be printed as escapes."""
    return '"' + "".join(map(_escaped, text)) + '"'


def _escaped(char: str) -> str:
    if char in _ESCAPES:
        return _ESCAPES[char]
    code = ord(char)
    if char.isprintable():
        return char
    return f"\\x{code:02x}" if code < 0x100 else f"\\u{code:04x}" if code < 0x10000 else f"\\U{code:08x}"


def _number(number: float) -> str:
    if not math.isfinite(number):
        return ".nan" if math.isnan(number) else ".inf" if number > 0 else "-.inf"
    text = repr(number)
    # Readers of YAML 1.1 take 1e-05 for a text.
    return text if "." in text or "e" not in text else text.replace("e", ".0e")


def flow(value: Any) -> str:
    """Return a value on one line."""
    if isinstance(value, list):
        return "[" + ", ".join(map(flow, value)) + "]"
    if isinstance(value, dict):
        return "{" + ", ".join(f"{word(name)}: {flow(item)}" for name, item in value.items()) + "}"
    return scalar(value)


def entry(key: str, value: Any, indent: int) -> list[str]:
    """Return `key: value` as lines; long arrays and records get a line for each of their parts."""
    pad = " " * indent
    line = f"{pad}{word(key)}: {flow(value)}"
    if not value or not isinstance(value, list | dict) or len(line) <= LINE_WIDTH:
        return [line]
    if isinstance(value, list):
        return [f"{pad}{word(key)}:", *(f"{pad}  - {flow(item)}" for item in value)]
    return [f"{pad}{word(key)}:", *(line for name, item in value.items() for line in entry(name, item, indent + 2))]
