"""Waiting for a project: asked again after each of its transactions, told of them by the server's long poll."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING, TypeVar

from copernicus.errors import CopernicusError

if TYPE_CHECKING:
    from copernicus.client.project import Project

T = TypeVar("T")
POLL_S = 20.0
PAUSE_S = (0.01, 0.5)
"""Between two looks at a project in which much happens: from the first to the last, as the waiting grows longer."""


class TimedOut(CopernicusError, TimeoutError):
    """What was waited for has not happened in time; it goes on all the same."""

    code = "timed_out"


class Failed(CopernicusError):
    """What was waited for will not come: an instance is in error, or held. The message says which, and why."""

    code = "failed"


def changes(project: Project, timeout_s: float | None = None) -> Iterator[int]:
    """Yield the number of the project's last transaction: at once, and after each change (several may be one).

    Ends when `timeout_s` is over.
    """
    ends_at = None if timeout_s is None else time.monotonic() + timeout_s
    pause_s, seq = PAUSE_S[0], project.changed(0)
    yield seq
    while True:
        left_s = POLL_S if ends_at is None else min(POLL_S, ends_at - time.monotonic())
        if left_s <= 0:
            return
        before, seq = seq, project.changed(seq, left_s)
        if seq != before:
            yield seq
            time.sleep(pause_s)  # what happens in bursts is looked at once
            pause_s = min(pause_s * 1.3, PAUSE_S[1])


def wait(project: Project, ask: Callable[[], T | None], timeout_s: float | None, what: str) -> T:
    """Return the first answer of `ask` that is not None; raise `TimedOut`, and what `ask` raises."""
    for _ in changes(project, timeout_s):
        found = ask()
        if found is not None:
            return found
    raise TimedOut(f"{what} within {timeout_s:g} s.", "It goes on without being waited for.")
