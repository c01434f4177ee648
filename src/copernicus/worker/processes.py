"""Programs as processes: started in a session of their own, waited for, and ended with all that they started."""

from __future__ import annotations

import contextlib
import ctypes
import errno
import os
import signal
import sys
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Protocol

import psutil

from copernicus.worker.memory import restrain
from copernicus.worker.spawning import Spawner, spawn_plainly

END_LIMIT_S = 10.0
NO_ROOM = {errno.EAGAIN, errno.ENOMEM, errno.EMFILE, errno.ENFILE}
TAG = "CPC_ATTEMPT"
WARM = "warm"
THREADS = ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS", "NUMEXPR_NUM_THREADS", "OPENMM_CPU_THREADS")
"""Variables by which programs know how many threads to have."""
_PR_SET_CHILD_SUBREAPER = 36


class CannotStart(Exception):
    """The program could not be started on this machine; nothing of it runs. The text says why."""


class Lost(Exception):
    """The program's exit status is not known, because the process that would have learned it has died."""


@dataclass(frozen=True)
class Launch:
    """How one program is to be started. `stdout` and `stderr` exist already; `cpus` None: any.

    `tag` is unique to the attempt and stands in the environment, so that strays can be told apart. `warm` names a
    module that may be run in a process forked from one which has imported it (see `copernicus.plugin.warm`): its
    `main(warm_argv)`; `warm_environment` is that of the import, the same for all jobs of this executable.
    """

    argv: tuple[str, ...]
    folder: Path
    stdout: Path
    stderr: Path
    environment: dict[str, str]
    tag: str
    cores: int = 1
    cpus: frozenset[int] | None = None
    memory_bytes: int | None = None
    warm: str = ""
    warm_argv: tuple[str, ...] = ()
    warm_environment: dict[str, str] = field(default_factory=dict)


class Process(Protocol):
    """A program that has been started; `pid` leads its process group and session."""

    pid: int

    def wait(self) -> int:
        """Return the exit status when the program has ended, negative for a signal; raise `Lost`."""
        ...

    def send(self, number: int) -> None:
        """Send a signal to the program's group; nothing happens when it has ended."""
        ...


class PlainProcess:
    """A child of this process."""

    def __init__(self, pid: int, own: set[int]) -> None:
        self.pid = pid
        self._own = own
        self._lock = threading.Lock()
        self._has_ended = False

    def wait(self) -> int:
        """Return the exit status (see `Process`)."""
        os.waitid(os.P_PID, self.pid, os.WEXITED | os.WNOWAIT)
        with self._lock:  # from here on the number may belong to somebody else
            self._has_ended = True
            self._own.discard(self.pid)
            _, status = os.waitpid(self.pid, 0)
        return os.waitstatus_to_exitcode(status)

    def send(self, number: int) -> None:
        """Send a signal to the group (see `Process`)."""
        with self._lock:
            if not self._has_ended:
                signal_group(self.pid, number)


def signal_group(pid: int, number: int) -> bool:
    """Send a signal to a process group; return whether it has members."""
    try:
        os.killpg(pid, number)
    except ProcessLookupError:
        return False
    except PermissionError:  # a member runs as somebody else (setuid): the others got it
        return True
    return True


class Processes:
    """Starts programs and ends what they leave behind.

    On Linux the orphans of all descendants become children of this process, where they are found; they are told from
    its own children by `_own`. Elsewhere only process groups are ended.
    """

    def __init__(self) -> None:
        self._own: set[int] = set()
        self._spawner = Spawner()
        self._children = _open_children() if _adopt_orphans() else None

    def start(self, launch: Launch) -> Process:
        """Start `launch.argv` as a child of this process; raise `CannotStart` with the reason.

        Raise `OSError` when the machine has no room for it now: no process, no memory, no descriptor.
        """
        folder, stdout, stderr = str(launch.folder), str(launch.stdout), str(launch.stderr)
        try:
            pid = self._spawner.spawn(launch.argv, folder, stdout, stderr, launch.environment, launch.cpus)
        except OSError as error:
            if error.errno in NO_ROOM:
                raise
            raise CannotStart(f"{launch.argv[0]} cannot be started: {error.strerror}") from None
        except ValueError as error:  # NUL bytes
            raise CannotStart(f"{launch.argv[0]} cannot be started: {error}") from None
        restrain(pid, launch.memory_bytes)
        return self._adopted(pid)

    def serve(self, argv: tuple[str, ...], environment: dict[str, str], stdin: int, log: int) -> PlainProcess:
        """Start a process that serves this one; raise `OSError`."""
        return self._adopted(spawn_plainly(argv, "/", log, log, environment, stdin))

    def _adopted(self, pid: int) -> PlainProcess:
        self._own.add(pid)
        return PlainProcess(pid, self._own)

    def end(self, pid: int, tag: str, is_last: Callable[[], bool] = lambda: False) -> bool:
        """End what is left of the program that led group `pid`; return whether nothing of it is left for certain.

        `is_last` says whether no other program runs: then an orphan that nobody knows is this one's.
        """
        deadline = time.monotonic() + END_LIMIT_S
        pause_s = 0.0005
        known: set[int] = set()
        while True:
            is_group_alive = signal_group(pid, signal.SIGKILL)
            strays, unowned = self._strays(pid, tag, known, is_last)
            if not is_group_alive and not strays:
                return self._children is not None and not unowned
            if time.monotonic() > deadline:
                return False
            time.sleep(pause_s)
            pause_s = min(2 * pause_s, 0.05)

    def members(self, pid: int, tag: str) -> list[int]:
        """Return the processes of the program that led group `pid`: it, what it started, and what of that became an orphan."""
        if self._children is None:
            return [pid, *_descendants(pid)]
        found = [pid, *(orphan for orphan in self._orphans() if _session_of(orphan) == pid or _tag_of(orphan) == tag)]
        known = set(found)
        for one in found:  # grows meanwhile
            new = [child for child in _children_of(one) if child not in known]
            known.update(new)
            found += new
        return found

    def end_all(self) -> None:
        """End all orphans, whoever's they were; for when no program runs any more."""
        deadline = time.monotonic() + END_LIMIT_S
        while (orphans := self._orphans()) and time.monotonic() < deadline:
            for orphan in orphans:
                with contextlib.suppress(ProcessLookupError, PermissionError):
                    os.kill(orphan, signal.SIGKILL)
            time.sleep(0.001)

    def _strays(self, pid: int, tag: str, known: set[int], is_last: Callable[[], bool]) -> tuple[list[int], bool]:
        """Kill orphans of this program; return them, and whether there are others that belong to nobody known.

        They are added to `known`: while one dies its environment is gone before it is.
        """
        strays, unowned = list[int](), list[int]()
        for orphan in self._orphans():
            owner = _tag_of(orphan)
            if orphan in known or _session_of(orphan) == pid or owner == tag:
                known.add(orphan)
                strays.append(orphan)
                with contextlib.suppress(ProcessLookupError, PermissionError):
                    os.kill(orphan, signal.SIGKILL)
            elif not owner or owner.endswith(f"/{WARM}"):
                unowned.append(orphan)
        if unowned and is_last():  # asked after they were seen: one that belongs to a later program is not among them
            for orphan in unowned:
                with contextlib.suppress(ProcessLookupError, PermissionError):
                    os.kill(orphan, signal.SIGKILL)
            return strays + unowned, False
        return strays, bool(unowned)

    def _orphans(self) -> list[int]:
        """Living orphans; dead ones are reaped on the way."""
        if self._children is None:
            return []
        orphans = [int(part) for part in os.pread(self._children, 1 << 20, 0).split()]
        return [orphan for orphan in orphans if orphan not in self._own and not _is_reaped(orphan)]


def _open_children() -> int | None:
    """Open the list of the main thread's children, among which orphans appear; None where the system has no such list."""
    try:
        return os.open(f"/proc/self/task/{os.getpid()}/children", os.O_RDONLY | os.O_CLOEXEC)
    except OSError:
        return None


def _children_of(pid: int) -> list[int]:
    """The children of all threads of a process."""
    found: list[int] = []
    with contextlib.suppress(OSError):
        for thread in os.listdir(f"/proc/{pid}/task"):
            with contextlib.suppress(OSError):
                found += map(int, Path(f"/proc/{pid}/task/{thread}/children").read_bytes().split())
    return found


def _descendants(pid: int) -> list[int]:
    try:
        return [child.pid for child in psutil.Process(pid).children(recursive=True)]
    except psutil.Error:
        return []


def _adopt_orphans() -> bool:
    if not sys.platform.startswith("linux"):
        return False
    return bool(ctypes.CDLL(None).prctl(_PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0) == 0)


def _is_reaped(pid: int) -> bool:
    try:
        return os.waitpid(pid, os.WNOHANG)[0] == pid
    except ChildProcessError:
        return True


def _session_of(pid: int) -> int:
    try:
        return os.getsid(pid)
    except OSError:
        return -1


def _tag_of(pid: int) -> str:
    try:
        environment = Path(f"/proc/{pid}/environ").read_bytes()
    except OSError:
        return ""
    prefix = f"{TAG}=".encode()
    return next(
        (item[len(prefix) :].decode("utf-8", "replace") for item in environment.split(b"\0") if item.startswith(prefix)), ""
    )
