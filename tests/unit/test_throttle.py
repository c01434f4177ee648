"""The throttle: growing waits, forgiveness, bounds."""

from __future__ import annotations

from copernicus.server.access.throttle import FREE_FAILURES, MOST_KEYS, Throttle


def test_waits_grow_to_their_limit_and_are_forgotten() -> None:
    now = [1000.0]
    throttle = Throttle(lambda: now[0], longest_s=10.0)
    waits = []
    for _ in range(FREE_FAILURES + 6):
        throttle.failed("eve")
        waits.append(throttle.wait_s("eve"))
    assert waits == [0.0] * (FREE_FAILURES - 1) + [1.0, 2.0, 4.0, 8.0, 10.0, 10.0, 10.0]
    assert throttle.wait_s("ann") == 0.0
    now[0] += 4
    assert throttle.wait_s("eve") == 6.0
    now[0] += 4000
    assert throttle.wait_s("eve") == 0.0
    throttle.failed("eve")
    assert throttle.wait_s("eve") == 0.0


def test_success_wipes_the_slate_and_memory_is_bounded() -> None:
    throttle = Throttle(lambda: 0.0, longest_s=10.0)
    for _ in range(20):
        throttle.failed("ann")
    throttle.succeeded("ann")
    assert throttle.wait_s("ann") == 0.0
    for number in range(MOST_KEYS + 100):
        throttle.failed(str(number))
    assert len(throttle._failures) == MOST_KEYS
