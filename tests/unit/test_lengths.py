"""Lengths of jobs: which arguments ask for more than others, and that only the length is left out of a course."""

from __future__ import annotations

import msgspec
import pytest
from hypothesis import given, strategies as st

from copernicus.model.jobs import JobDescription, course_content
from copernicus.model.lengths import is_within

LENGTHS = st.floats(0, 1e9, allow_nan=False)


@given(LENGTHS, LENGTHS)
def test_the_smaller_number_is_within_the_larger(one: float, other: float) -> None:
    assert is_within(("-t", repr(one)), ("-t", repr(other))) == (one <= other)
    assert is_within((f"--until={one}ps",), (f"--until={other}ps",)) == (one <= other)


@pytest.mark.parametrize(
    ("one", "other"),
    [
        (("900ps",), ("1ns",)),
        (("-nsteps", "500"), ("-nsteps", "-1")),
        (("-nsteps", "-1"), ("-nsteps", "500")),
        (("-t", "1"), ("-t", "2", "--strict")),
        (("1", "9"), ("2", "8")),
        ((), ("1",)),
    ],
)
def test_what_cannot_be_compared_is_not_within(one: tuple[str, ...], other: tuple[str, ...]) -> None:
    assert not is_within(one, other)


def test_a_key_does_not_tell_where_the_length_stands_and_a_course_has_none() -> None:
    plain = JobDescription("x/y", ("-s", "a.tpr", "-t", "5"))
    divided = JobDescription("x/y", ("-s", "a.tpr"), until=("-t", "5"), seed=3)
    assert divided.content() == plain.content()
    assert divided.arguments == plain.argv
    longer = msgspec.structs.replace(divided, until=("-t", "6"))
    assert divided.content() != longer.content()
    assert course_content(divided) == course_content(longer)
