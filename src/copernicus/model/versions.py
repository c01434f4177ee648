"""Versions of executables, and ranges of versions that really compare."""

from __future__ import annotations

import re
from itertools import zip_longest

from copernicus.errors import UsageError

_CONDITION = re.compile(r"\s*(>=|<=|==|!=|>|<)\s*([0-9A-Za-z.\-+_]+)\s*")


_EARLY = re.compile(r"a|alpha|b|beta|c|rc|dev|pre|preview", re.IGNORECASE)


def version_key(version: str) -> tuple[tuple[int, str], ...]:
    """Return a sortable key: number parts compare as numbers, other parts as text ("2022.5" < "2022.10").

    Words for what comes before a release are earlier than nothing ("2.0rc1" < "2.0"), others later ("2.0" < "2.0+cuda" <
    "2.0.1"). A "v" before the first number is nothing.
    """
    parts = re.findall(r"[0-9]+|[A-Za-z]+", re.sub(r"^\s*[vV](?=[0-9])", "", version))
    return tuple((int(part), "") if part.isdigit() else (-1 if _EARLY.fullmatch(part) else 0, part) for part in parts)


def compare_versions(left: str, right: str) -> int:
    """Return -1, 0 or 1; missing parts count as zero ("2022" equals "2022.0")."""
    for one, other in zip_longest(version_key(left), version_key(right), fillvalue=(0, "")):
        if one != other:
            return -1 if one < other else 1
    return 0


def is_in_range(version: str, wanted: str) -> bool:
    """Say whether `version` satisfies `wanted`: conditions like ">=2019, <2023"; an empty range admits everything.

    Raises `UsageError` when the range cannot be read.
    """
    if not wanted.strip():
        return True
    for condition in wanted.split(","):
        match = _CONDITION.fullmatch(condition)
        if match is None:
            raise UsageError(f"{wanted!r} is not a range of versions.", "Write it like '>=2019, <2023'.")
        order = compare_versions(version, match.group(2))
        holds = {
            ">=": order >= 0, "<=": order <= 0, "==": order == 0, "!=": order != 0, ">": order > 0, "<": order < 0,
        }[match.group(1)]  # fmt: skip
        if not holds:
            return False
    return True
