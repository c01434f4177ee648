"""Versions really compare."""

from __future__ import annotations

import itertools
from functools import cmp_to_key

import pytest
from hypothesis import given, strategies as st

from copernicus.errors import UsageError
from copernicus.model.versions import compare_versions, is_in_range

WORDS = ["rc", "beta", "dev", "cuda", "post", "p", "Debian", "RC"]
VERSIONS = st.lists(st.integers(0, 2030).map(str) | st.sampled_from(WORDS), min_size=1, max_size=4).flatmap(
    lambda parts: st.sampled_from(".-_+").map(lambda mark: mark.join(parts))
)
NUMBERS = st.lists(st.integers(0, 10**6), min_size=1, max_size=5)


@given(VERSIONS, VERSIONS, VERSIONS)
def test_versions_are_in_one_order(one: str, two: str, three: str) -> None:
    assert compare_versions(one, one) == 0
    assert compare_versions(one, two) == -compare_versions(two, one)
    if compare_versions(one, two) <= 0 and compare_versions(two, three) <= 0:
        assert compare_versions(one, three) <= 0


@given(NUMBERS, NUMBERS, st.integers(0, 3))
def test_numbers_compare_as_numbers_and_missing_ones_are_zero(one: list[int], two: list[int], zeros: int) -> None:
    width = max(len(one), len(two))
    left, right = (numbers + [0] * (width - len(numbers)) for numbers in (one, two))
    order = (left > right) - (left < right)
    assert compare_versions(".".join(map(str, one)) + ".0" * zeros, ".".join(map(str, two))) == order


@given(VERSIONS, VERSIONS, VERSIONS)
def test_a_range_holds_where_each_of_its_conditions_holds(version: str, low: str, high: str) -> None:
    least, most = compare_versions(version, low), compare_versions(version, high)
    assert is_in_range(version, f">={low}, <{high}") == (least >= 0 and most < 0)
    assert is_in_range(version, f"> {low},<= {high}") == (least > 0 and most <= 0)
    assert is_in_range(version, f"=={low}") == (least == 0) == (not is_in_range(version, f"!={low}"))
    assert is_in_range(version, "")


def test_the_order_that_people_mean() -> None:
    order = ["2.0-beta.2", "2.0rc1", "2.0", "2.0+cuda12", "2.0.1", "2.1", "2.10", "2019", "2022.5", "2022.10"]
    assert sorted(order, key=cmp_to_key(compare_versions)) == order
    assert all(compare_versions(one, two) < 0 for one, two in itertools.pairwise(order))
    assert compare_versions("v2.0", "2") == 0
    assert not is_in_range("2.0rc1", ">=2")
    assert is_in_range("8.1+cuda12", ">=8.1")


@pytest.mark.parametrize("wanted", ["2019", ">=", ">=2019 <2023", "=>2019", "~=2", ">=2019,,<3", ","])
def test_what_is_no_range_is_refused(wanted: str) -> None:
    with pytest.raises(UsageError, match="is not a range of versions"):
        is_in_range("2020", wanted)
