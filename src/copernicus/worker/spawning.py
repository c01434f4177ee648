"""Starting a program: with as little of the worker's own time as Python allows."""

from __future__ import annotations

import contextlib
import ctypes
import os
import signal
import subprocess
import sys
import threading
from collections.abc import Mapping

_CLONE_FS = 0x200
# What Python ignores and programs do not expect to be ignored.
_RESTORED = [signal.SIGPIPE, signal.SIGXFSZ]
_READ, _APPEND = os.O_RDONLY, os.O_WRONLY | os.O_APPEND | os.O_NOFOLLOW


class Spawner:
    """Starts programs, from threads other than the main one by `posix_spawn`, which costs half of `subprocess`.

    `posix_spawn` knows neither folder nor cores: a child has those of the thread that starts it. On Linux a thread can
    have a current folder of its own; where it cannot, `subprocess` serves.
    """

    def __init__(self) -> None:
        self._thread = threading.local()
        self._is_lean = sys.platform.startswith("linux")

    def spawn(
        self,
        argv: tuple[str, ...],
        folder: str,
        stdout: str,
        stderr: str,
        environment: Mapping[str, str],
        cpus: frozenset[int] | None,
    ) -> int:
        """Start `argv` in a session of its own and return its pid; output is appended to files that exist.

        Raises `OSError`, `ValueError`. The calling thread stays on `cpus` (None: where it is).
        """
        self._pin(cpus)
        if self._has_own_folder():
            os.chdir(folder)
            actions = [
                (os.POSIX_SPAWN_OPEN, 0, os.devnull, _READ, 0),
                (os.POSIX_SPAWN_OPEN, 1, stdout, _APPEND, 0),
                (os.POSIX_SPAWN_OPEN, 2, stderr, _APPEND, 0),
            ]
            return os.posix_spawn(argv[0], argv, environment, file_actions=actions, setsid=True, setsigdef=_RESTORED)
        with open(stdout, "ab", 0) as out, open(stderr, "ab", 0) as err:
            return spawn_plainly(argv, folder, out.fileno(), err.fileno(), environment)

    def _has_own_folder(self) -> bool:
        """Give the calling thread a current folder of its own, if it has none and may have one."""
        own: bool | None = getattr(self._thread, "has_own_folder", None)
        if own is None:
            own = self._is_lean and not _is_main() and ctypes.CDLL(None).unshare(_CLONE_FS) == 0
            self._thread.has_own_folder = own
        return own

    def _pin(self, cpus: frozenset[int] | None) -> None:
        """Bind the calling thread, and so the children it starts, to cores; the main thread stays as it is."""
        if cpus is None or cpus == getattr(self._thread, "cpus", None) or _is_main():
            return
        with contextlib.suppress(OSError):  # a core was taken offline or from our control group: run anywhere
            os.sched_setaffinity(0, cpus)
            self._thread.cpus = cpus


def _is_main() -> bool:
    return threading.current_thread() is threading.main_thread()


def spawn_plainly(
    argv: tuple[str, ...],
    folder: str,
    stdout: int,
    stderr: int,
    environment: Mapping[str, str],
    stdin: int = subprocess.DEVNULL,
) -> int:
    """Start `argv` in a session of its own and return its pid; raise `OSError`, `ValueError`."""
    popen = subprocess.Popen(
        argv, stdin=stdin, stdout=stdout, stderr=stderr, cwd=folder, env=environment, start_new_session=True
    )
    popen.returncode = 0  # others wait for it
    return popen.pid
