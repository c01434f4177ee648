"""How much memory the processes of a job use, and what the system does to them when there is too little of it."""

from __future__ import annotations

import contextlib
import os
import re
import sys
from collections.abc import Iterable
from functools import cache
from pathlib import Path

import psutil

HARD_FACTOR = 2
"""A single process cannot even ask for so many times the memory that its job may use."""
OOM_SCORE = 500
"""So much sooner than the worker (in thousandths of the memory there is) the system ends a job that it lacks memory for."""

_RESIDENT = re.compile(rb"^(?:RssAnon|RssShmem|VmSwap):\s+(\d+) kB", re.MULTILINE)
_SHARED_OUT = re.compile(rb"^(?:Pss_Anon|Pss_Shmem|SwapPss):\s+(\d+) kB", re.MULTILINE)


def used_bytes(pids: Iterable[int], enough: int) -> int:
    """Return how much memory processes use together: what they wrote, swapped out or not, without the files they map.

    What several of them share counts once: that costs time to find out, so it is looked at only when the simple sum, which
    counts it for each, is above `enough`.
    """
    pids = list(pids)
    if not sys.platform.startswith("linux"):
        return sum(_portably(pid) for pid in pids)
    simple = sum(_sum_of(f"/proc/{pid}/status", _RESIDENT) or 0 for pid in pids)
    if simple <= enough or len(pids) == 1:
        return simple
    exact = [_sum_of(f"/proc/{pid}/smaps_rollup", _SHARED_OUT) for pid in pids]
    return simple if None in exact else sum(size or 0 for size in exact)


def restrain(pid: int, memory_bytes: int | None) -> None:
    """Let the system end a job's process rather than the worker when memory is short, and bound what it can ask for.

    Both hold for what the process starts from now on, too. The bound is RLIMIT_DATA (Linux), for each process and well
    above what the job may use: it only keeps a program from filling the memory between two looks at it. RLIMIT_AS would
    count address space that is only reserved, which GPU programs do by the terabyte.
    """
    if not sys.platform.startswith("linux"):
        return
    with contextlib.suppress(OSError, ValueError):
        descriptor = os.open(f"/proc/{pid}/oom_score_adj", os.O_WRONLY)  # for every job, so without a file object
        try:
            os.write(descriptor, _score_of_jobs())
        finally:
            os.close(descriptor)
    if memory_bytes is not None:
        import resource

        with contextlib.suppress(OSError, ValueError, OverflowError):
            resource.prlimit(pid, resource.RLIMIT_DATA, (HARD_FACTOR * memory_bytes, HARD_FACTOR * memory_bytes))


@cache
def _score_of_jobs() -> bytes:
    return str(min(1000, int(Path("/proc/self/oom_score_adj").read_text()) + OOM_SCORE)).encode()


def _sum_of(path: str, lines: re.Pattern[bytes]) -> int | None:
    """The sum in bytes of the lines of a file of /proc; None where it cannot be read or has none of them."""
    try:
        found = lines.findall(Path(path).read_bytes())
    except OSError:  # it has ended, or is somebody else's
        return None
    return sum(int(size) for size in found) * 1024 if found else None


def _portably(pid: int) -> int:
    try:
        return int(psutil.Process(pid).memory_info().rss)
    except psutil.Error:
        return 0
