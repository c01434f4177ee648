"""How long a job runs, as its arguments under `until` say it: which of two asks for more."""

from __future__ import annotations

import re

_NUMBER = re.compile(r"\d+(?:\.\d*)?(?:[eE][-+]?\d+)?")


def numbers_in(until: tuple[str, ...]) -> tuple[float, ...]:
    """Return the numbers that stand in the arguments, in order; a sign is not part of a number."""
    return tuple(float(number) for argument in until for number in _NUMBER.findall(argument))


def is_within(shorter: tuple[str, ...], longer: tuple[str, ...]) -> bool:
    """Say whether who has done `shorter` has done a part of `longer`, and nothing beyond.

    Both must be the same but for numbers, none of which is larger in `shorter`. What cannot be compared (`900ps` and
    `1ns`, or `-nsteps -1`, which means without end) is not within.
    """
    frames = [tuple(_NUMBER.sub("#", argument) for argument in until) for until in (shorter, longer)]
    return frames[0] == frames[1] and all(
        less <= more for less, more in zip(numbers_in(shorter), numbers_in(longer), strict=True)
    )
