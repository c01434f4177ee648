"""The limit L: how fast this machine starts `true` when nothing else is done, on two lanes."""

from __future__ import annotations

import contextlib
import subprocess
import sys

LANES = 2


def starts_per_second(count: int = 2000) -> float:
    """Return L in starts per second, over `count` starts on two lanes at once."""
    argv = [sys.executable, "-m", "benchmarks.lane", str(count // LANES)]
    with contextlib.ExitStack() as stack:
        lanes = [stack.enter_context(subprocess.Popen(argv, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True))
                 for _ in range(LANES)]  # fmt: skip
        for lane in lanes:
            _line(lane)
        for lane in lanes:
            if lane.stdin is not None:
                lane.stdin.write("go\n")
                lane.stdin.flush()
        slowest_s = max(float(_line(lane)) for lane in lanes)
    return count // LANES * LANES / slowest_s


def _line(lane: subprocess.Popen[str]) -> str:
    return lane.stdout.readline() if lane.stdout is not None else ""
