"""Values in one line, as people read them in lists."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any

import msgspec

from copernicus.dataflow import facts as f
from copernicus.dataflow.paths import show_path
from copernicus.model.counts import counted

TEXT_LIMIT = 200


def show_value(value: Any) -> str:
    """A value in one line; files by name and size in bytes."""
    if isinstance(value, dict) and "blob" in value and "size" in value:
        return f"{value.get('name', 'file')} ({show_size(value['size'])})"
    if isinstance(value, dict):
        return "{" + ", ".join(f"{name}: {show_value(item)}" for name, item in value.items()) + "}"
    if isinstance(value, list):
        return "[" + ", ".join("-" if item is None else show_value(item) for item in value) + "]"
    return json.dumps(value, ensure_ascii=False) if isinstance(value, str) else msgspec.json.encode(value).decode()


def show_size(size_bytes: int) -> str:
    """A size with three digits: 0 B, 30.0 MB."""
    size, units = float(size_bytes), ["B", "kB", "MB", "GB", "TB"]
    while size >= 999.5 and len(units) > 1:
        size, units = size / 1000, units[1:]
    return f"{size:.3g} {units[0]}" if units[0] == "B" or size >= 100 else f"{size:.1f} {units[0]}"


def shorten(text: str) -> str:
    """Cut a text for a list."""
    text = text.replace("\n", " ")
    return text if len(text) <= TEXT_LIMIT else text[: TEXT_LIMIT - 1] + "…"


def ago(seconds: float) -> str:
    """How long ago something was, roughly: no clock of the reader's is asked."""
    return f"{span(seconds)} ago"


def span(seconds: float) -> str:
    """A time span in its largest unit."""
    for size_s, unit in ((86400, "d"), (3600, "h"), (60, "min")):
        if seconds >= size_s:
            return f"{int(seconds // size_s)} {unit}"
    return f"{max(0, int(seconds))} s"


def happened(fact: f.Fact, name: Callable[[int], str]) -> str:
    """What a fact wrote, in words; `name` gives the path of an instance."""
    match fact:
        case f.Wrote():
            words = "unset" if fact.value is None else f"set to {shorten(show_value(fact.value))}"
        case f.Shortened():
            words = f"shortened to {counted(fact.length, 'element')}"
        case f.Connected():
            words = f"connected to {show_path(name(fact.source), fact.source_side, fact.source_path)}"
        case f.Disconnected():
            words = "disconnected"
        case f.Made():
            return f"{name(fact.id)} was made"
        case f.Removed():
            return f"{name(fact.id)} was removed"
        case f.Renamed():
            return f"an instance was given the name {fact.name}"
        case f.Held():
            return f"{name(fact.id)} was {'deactivated' if fact.is_held else 'activated'}"
        case _:
            return "something was written"
    return f"{show_path(name(fact.id), fact.side, fact.path)} was {words}"
