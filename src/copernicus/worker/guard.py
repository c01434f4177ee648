"""A small process that outlives the worker by a moment: when the worker is killed, it ends the worker's programs.

`python -m copernicus.worker.guard WORKER FOLDER` reads standard input. A byte on it means that the worker ended in good
order; the bare end means that it died: then every process that has the worker's name in its environment is killed, and
FOLDER, where the jobs worked, is removed. Results on disk stay.
"""

from __future__ import annotations

import contextlib
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

from copernicus.worker.processes import TAG, Processes

LIMIT_S = 30.0


class Guard:
    """The worker's side."""

    def __init__(self, processes: Processes, worker: str, folder: Path) -> None:
        theirs, self._line = os.pipe()
        argv = (sys.executable, "-P", "-m", "copernicus.worker.guard", worker, str(folder))
        try:
            self._process = processes.serve(argv, dict(os.environ), theirs, subprocess.DEVNULL)
        finally:
            os.close(theirs)

    def close(self) -> None:
        """All is in order: the guard may go."""
        with contextlib.suppress(OSError):
            os.write(self._line, b".")
        os.close(self._line)
        self._process.wait()


def programs_of(worker: str) -> list[int]:
    """Return the processes that were started for jobs of this worker."""
    mark = f"{TAG}={worker}/".encode()
    found = []
    for entry in os.listdir("/proc"):
        if entry.isdecimal():
            with contextlib.suppress(OSError):
                environment = Path(f"/proc/{entry}/environ").read_bytes()
                if environment.startswith(mark) or b"\0" + mark in environment:
                    found.append(int(entry))
    return found


def end_programs(worker: str) -> None:
    """Kill all that is left of the worker's jobs, again until nothing is left: they may be forking meanwhile."""
    deadline = time.monotonic() + LIMIT_S
    while (left := programs_of(worker)) and time.monotonic() < deadline:
        for pid in left:
            with contextlib.suppress(OSError):
                os.kill(pid, signal.SIGKILL)
        time.sleep(0.02)


def main(argv: list[str]) -> int:
    """Wait for the worker's end, and clean up if it was not a good one."""
    worker, folder = argv
    if os.read(0, 1):
        return 0
    end_programs(worker)
    import shutil

    shutil.rmtree(folder, ignore_errors=True)
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
