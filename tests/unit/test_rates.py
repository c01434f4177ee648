"""How often one caller may ask, on a clock of the test's own."""

from __future__ import annotations

import pytest
from hypothesis import given, strategies as st

from copernicus.errors import TooMany
from copernicus.server.access.rates import BURST_S, MOST_KEYS, Rates


class Clock:
    now = 0.0

    def __call__(self) -> float:
        return self.now


@given(st.floats(0.1, 100.0), st.lists(st.floats(0.0, 5.0), max_size=200))
def test_nobody_gets_more_than_rate_and_burst_allow(per_s: float, pauses: list[float]) -> None:
    clock = Clock()
    rates, allowed = Rates(clock), 0
    for number, pause in enumerate(pauses):
        rates.take(f"another {number}", per_s)  # never refused for what somebody does
        clock.now += pause
        for _ in range(3):
            try:
                rates.take("somebody", per_s)
                allowed += 1
            except TooMany:
                pass
    assert allowed <= max(1.0, per_s * BURST_S) + per_s * clock.now + 1e-6


def test_who_waits_may_ask_again_and_zero_is_no_limit() -> None:
    clock = Clock()
    rates = Rates(clock)
    for _ in range(int(2 * BURST_S)):
        rates.take("a", 2.0)
    with pytest.raises(TooMany, match="2 times a second"):
        rates.take("a", 2.0)
    clock.now += 0.5
    rates.take("a", 2.0)
    for _ in range(10_000):
        rates.take("b", 0.0)


def test_memory_is_bounded() -> None:
    rates = Rates(Clock())
    for number in range(MOST_KEYS + 100):
        rates.take(str(number), 1.0)
    assert len(rates._buckets) == MOST_KEYS
