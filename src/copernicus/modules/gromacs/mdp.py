"""Run parameters (mdp files): settings override by key."""

from __future__ import annotations

from collections.abc import Iterable


def key_of(name: str) -> str:
    """Return a parameter's name as GROMACS compares it: case does not matter, nor `-` against `_`."""
    return name.strip().lower().replace("-", "_")


def merge(text: str, settings: Iterable[tuple[str, str]]) -> str:
    """Return an mdp file with `settings` in place of the values that stand there; the rest is appended.

    Where a parameter is set twice, in the file or in the settings, the last one counts.
    """
    wanted = {key_of(name): (name.strip(), value.strip()) for name, value in settings}
    lines, placed = [], set()
    for line in text.splitlines():
        name, is_setting, _ = line.partition(";")[0].partition("=")
        key = key_of(name)
        if not is_setting or key not in wanted:
            lines.append(line)
        elif key not in placed:
            placed.add(key)
            lines.append(f"{name.rstrip()} = {wanted[key][1]}")
    lines += [f"{name} = {value}" for key, (name, value) in wanted.items() if key not in placed]
    return "\n".join(lines) + "\n"
