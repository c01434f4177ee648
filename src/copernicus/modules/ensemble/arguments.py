"""Arguments with places in them: `{T}`, `{i}` and `{seed}` inside of words that never become more than one word."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence

from copernicus.errors import ModuleError

SEED_BITS = 31
_MASK = (1 << SEED_BITS) - 1
_PLACE = re.compile(r"\{\{(\w+)\}\}|\{([A-Za-z_]\w*)\}")


def fill(words: Sequence[str], values: Mapping[str, str]) -> list[str]:
    """Return the words with the values in their places; `{{name}}` stands for `{name}` itself.

    Other braces stay as they are. Raises `ModuleError` for the name of a place that has no value.
    """

    def put(match: re.Match[str]) -> str:
        if match[1]:
            return f"{{{match[1]}}}"
        if match[2] not in values:
            known = ", ".join(f"{{{name}}}" for name in values)
            raise ModuleError(
                f"The argument {match.string!r} has a place {match[0]}, and there is no parameter of that name.",
                f"There are {known}. Braces that are meant as such are doubled: {{{match[0]}}}",
            )
        return values[match[2]]

    return [_PLACE.sub(put, word) for word in words]


def seed_of(seed: int, index: int) -> int:
    """Return the seed of the job `index`: from 0 to 2³¹ − 1, different for each index, scattered, and always the same."""
    mixed = index & _MASK
    # Each step can be undone, so that no two indices share a seed.
    for round_number in range(3):
        mixed = (mixed + (seed + round_number + 1) * 0x9E3779B9) & _MASK
        mixed ^= mixed >> 16
        mixed = (mixed * 0x45D9F3B) & _MASK
        mixed ^= mixed >> 15
    return mixed
