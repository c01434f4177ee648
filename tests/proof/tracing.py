"""System calls of running programs: which ones they make, and calls that fail as they are told to (`strace -e inject`)."""

from __future__ import annotations

import contextlib
import re
import shutil
import signal
import subprocess
import sys
import threading
from collections import Counter, defaultdict
from collections.abc import Iterator, Sequence
from pathlib import Path

from tests.proof.part import NotPossible

WATCH_S, LET_GO_S = 0.01, 1.0
FILES = ("EIO", "ENOSPC", "EACCES")
MEMORY = ("ENOMEM",)
ERRORS: dict[str, tuple[str, ...]] = {
    "openat": ("EMFILE", "EIO", "ENOSPC", "EACCES"),
    "read": ("EIO", "EINTR", "ECONNRESET"),
    "pread64": ("EIO", "EINTR"),
    "recvfrom": ("ECONNRESET", "EINTR"),
    "recvmsg": ("ECONNRESET", "EINTR"),
    "write": ("EIO", "ENOSPC", "EINTR", "EPIPE"),
    "pwrite64": ("EIO", "ENOSPC"),
    "writev": ("EIO", "ENOSPC", "EPIPE"),
    "sendto": ("ECONNRESET", "EPIPE", "EINTR"),
    "sendmsg": ("ECONNRESET", "EPIPE", "EINTR"),
    "fsync": ("EIO", "ENOSPC"),
    "fdatasync": ("EIO", "ENOSPC"),
    **dict.fromkeys(("rename", "renameat", "renameat2", "link", "linkat", "mkdir", "mkdirat", "rmdir", "symlink"), FILES),
    **dict.fromkeys(
        ("unlink", "unlinkat", "truncate", "ftruncate", "fallocate", "fchmod", "chmod", "utimensat"), ("EIO", "EACCES")
    ),
    **dict.fromkeys(("newfstatat", "stat", "lstat", "fstat", "statx", "access", "faccessat2", "statfs"), ("EIO", "ENOMEM")),
    **dict.fromkeys(("getdents64", "readlink", "readlinkat", "lseek", "sendfile", "copy_file_range"), ("EIO",)),
    "fcntl": ("EIO", "ENOLCK"),
    "flock": ("ENOLCK", "EINTR"),
    "ioctl": ("EIO",),
    "close": ("EIO", "EINTR"),
    "socket": ("EMFILE", "ENOBUFS"),
    "connect": ("ECONNREFUSED", "ETIMEDOUT", "ENETUNREACH", "EINTR"),
    "accept": ("EMFILE", "ECONNABORTED", "ENOMEM"),
    "accept4": ("EMFILE", "ECONNABORTED", "ENOMEM"),
    **dict.fromkeys(("getsockname", "getpeername", "setsockopt", "getsockopt"), ("ENOBUFS",)),
    "shutdown": ("ENOTCONN",),
    **dict.fromkeys(("poll", "ppoll", "select", "pselect6", "epoll_wait", "epoll_pwait"), ("EINTR", "ENOMEM")),
    "epoll_ctl": ("ENOMEM", "ENOSPC"),
    "io_uring_enter": ("EAGAIN", "EINTR"),
    **dict.fromkeys(("clone", "clone3", "vfork", "fork"), ("EAGAIN", "ENOMEM")),
    "execve": ("EACCES", "ENOMEM", "ENOENT"),
    **dict.fromkeys(("mmap", "mremap", "brk", "mprotect", "madvise", "munmap"), MEMORY),
    **dict.fromkeys(("wait4", "waitid"), ("EINTR",)),
    **dict.fromkeys(("pipe", "pipe2", "eventfd2", "dup", "dup2", "dup3", "socketpair"), ("EMFILE",)),
    **dict.fromkeys(("kill", "tgkill", "setsid", "prlimit64"), ("EPERM",)),
    "sched_setaffinity": ("EINVAL",),
    "chdir": ("EACCES",),
    "getcwd": ("ENOENT",),
    "getrandom": ("EINTR",),
    **dict.fromkeys(("nanosleep", "clock_nanosleep"), ("EINTR",)),
}
"""What a call may answer when something is wrong. A call that is not here cannot fail for a program that asks rightly
(`getpid`), or fails only with the kernel itself (`futex`: a wake-up that is said to have failed would be one that was lost)."""


def check_possible() -> None:
    """Raise `NotPossible` where no program can be traced."""
    if sys.platform != "linux" or shutil.which("strace") is None:
        raise NotPossible("there is no strace here (Debian, Ubuntu: apt install strace)")
    with subprocess.Popen(["sleep", "60"]) as sleeper:
        try:
            words = ["strace", "-o", "/dev/null", "-e", "inject=getpid:error=EIO", "-p", str(sleeper.pid)]
            with subprocess.Popen(words, stderr=subprocess.PIPE, text=True) as trial:
                assert trial.stderr is not None
                said = trial.stderr.readline()
                trial.send_signal(signal.SIGINT)
        finally:
            sleeper.kill()
    if "attached" not in said:
        raise NotPossible(f"no program can be traced here: {said.strip()}")


@contextlib.contextmanager
def traced(pids: Sequence[int], log: Path, *words: str) -> Iterator[None]:
    """Let strace write to `log` what these processes, and those that they start, ask of the system while the context lasts.

    With a fault among `words` it lasts until one call has failed, too: every new process would begin to count anew.
    """
    each = [word for pid in pids for word in ("-p", str(pid))]
    log.write_text("")
    tracer = subprocess.Popen(["strace", "-f", "-o", str(log), *words, *each], stderr=subprocess.PIPE, text=True)
    assert tracer.stderr is not None
    is_over = threading.Event()

    def let_go() -> None:
        while not is_over.wait(WATCH_S) and not was_injected(log):
            pass
        tracer.send_signal(signal.SIGINT)  # it lets go of them
        try:
            tracer.wait(LET_GO_S)
        except subprocess.TimeoutExpired:  # of one that waits for its child to start a program it cannot; the kernel can
            tracer.kill()

    watcher = threading.Thread(target=let_go, daemon=True)
    watcher.start()
    try:
        for _ in pids:
            said = tracer.stderr.readline()
            if "attached" not in said:
                raise RuntimeError(f"strace does not attach: {said.strip()}")
        yield
    finally:
        is_over.set()
        watcher.join()
        tracer.wait()
        tracer.stderr.close()


def calls_in(log: Path) -> dict[str, int]:
    """The calls in a log of strace, and how often the thread makes each that makes it most often."""
    by_thread: dict[str, Counter[str]] = defaultdict(Counter)
    for line in log.read_text(errors="replace").splitlines():
        found = re.match(r"(\d+)\s+(\w+)\(", line)
        if found:
            by_thread[found[1]][found[2]] += 1
    names = {name for counts in by_thread.values() for name in counts}
    return {name: max(counts[name] for counts in by_thread.values()) for name in sorted(names)}


def was_injected(log: Path) -> int:
    """How many calls in a log failed because they were told to."""
    return log.read_text(errors="replace").count("(INJECTED)")
