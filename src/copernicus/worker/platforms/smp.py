"""This host: programs are started as children of the worker and pinned to cores."""

from __future__ import annotations

import os
import sys
import threading
from pathlib import Path

from copernicus.errors import UsageError
from copernicus.worker.guard import Guard
from copernicus.worker.memory import used_bytes
from copernicus.worker.partition import pick
from copernicus.worker.processes import Launch, Process, Processes
from copernicus.worker.warmth import WarmServers


class Smp:
    """The cores of this host that the worker may use: `cores` of them, or all."""

    name = "smp"

    def __init__(self, cores: int | None = None) -> None:
        there = usable_cores()
        if cores is not None and cores < 1:
            raise UsageError(f"A worker needs at least one core, not {cores}.", "Give -n 1 or more.")
        self.cores = cores or len(there)
        # More cores than there are can be asked for; then nothing is pinned.
        self._is_pinned = self.cores <= len(there) and hasattr(os, "sched_setaffinity")
        self._free = frozenset(sorted(there)[: self.cores])
        self._lock = threading.Lock()
        self._running = 0
        self._processes = Processes()
        self._warm = WarmServers(self._processes)
        self._guard: Guard | None = None

    def watch_over(self, worker: str, folder: Path) -> None:
        """End the worker's programs should it be killed (see `Platform`); where the system shows their environment."""
        if sys.platform.startswith("linux"):
            self._guard = Guard(self._processes, worker, folder)

    def claim(self, cores: int) -> frozenset[int] | None:
        """Take `cores` cores that lie together (see `Platform`)."""
        if not self._is_pinned:
            return None
        with self._lock:
            taken = pick(self._free, cores)
            self._free -= taken
        return taken

    def release(self, claimed: frozenset[int] | None, cores: int) -> None:
        """Give cores back (see `Platform`)."""
        if claimed is not None:
            with self._lock:
                self._free |= claimed

    def start(self, launch: Launch) -> Process:
        """Start a program, warm when it can be (see `Platform`)."""
        with self._lock:
            self._running += 1
        try:
            return self._warm.start(launch) or self._processes.start(launch)
        except BaseException:
            self._is_over()
            raise

    def end(self, pid: int, tag: str) -> bool:
        """End all that is left of a program (see `Platform`)."""
        try:
            return self._processes.end(pid, tag, lambda: self._running == 1)
        finally:
            self._is_over()

    def _is_over(self) -> None:
        with self._lock:
            self._running -= 1

    def used_bytes(self, pid: int, tag: str, enough: int) -> int:
        """Return how much memory a program uses (see `Platform`)."""
        return used_bytes(self._processes.members(pid, tag), enough)

    def close(self) -> None:
        """End warm servers and strays (see `Platform`)."""
        self._warm.close()
        self._processes.end_all()
        if self._guard is not None:
            self._guard.close()
            self._guard = None


def usable_cores() -> frozenset[int]:
    """Return the numbers of the cores that this process may use (a batch system or container may allow only some)."""
    if hasattr(os, "sched_getaffinity"):
        return frozenset(os.sched_getaffinity(0))
    return frozenset(range(os.cpu_count() or 1))
