"""The fork server for warm executables: `python -m copernicus.plugin.warm MODULE`, spoken to over standard input.

It imports MODULE once and forks a child for each job, which runs `MODULE.main(argv)` in the job's own session, folder
and environment. Standard input is a stream socket; both sides write one JSON object per line:

    worker -> server   {"id", "argv", "folder", "stdout", "stderr", "environment", "cpus"}
    server -> worker   {"ready": true} once, then {"id", "pid"} and, when the child has ended, {"id", "pid", "status"}
                       (`status` as `os.waitpid` gives it); {"id", "error"} when no child could be made

The server is single-threaded, so that a fork is safe; it ends when the worker closes its side.
"""

from __future__ import annotations

import ctypes
import gc
import importlib
import json
import os
import select
import signal
import socket
import sys
import traceback
from collections.abc import Callable
from typing import Any, NoReturn

Main = Callable[[list[str]], int | None]
_MAX_FD = 65536


class ForkServer:
    """One imported module and the children that run it."""

    def __init__(self, module: str, main: Main, wire: socket.socket) -> None:
        self._module = module
        self._main = main
        self._wire = wire
        self._ids: dict[int, int] = {}
        self._wake_read, self._wake_write = os.pipe()
        os.set_blocking(self._wake_read, False)
        os.set_blocking(self._wake_write, False)
        self._libc = ctypes.CDLL(None)

    def serve(self) -> None:
        """Serve requests until the worker hangs up."""
        signal.set_wakeup_fd(self._wake_write, warn_on_full_buffer=False)
        signal.signal(signal.SIGCHLD, lambda number, frame: None)
        self._say({"ready": True})
        pending = b""
        while True:
            readable, _, _ = select.select([self._wire.fileno(), self._wake_read], [], [])
            if self._wake_read in readable:
                os.read(self._wake_read, 4096)
                self._report_ended()
            if self._wire.fileno() in readable:
                data = self._wire.recv(65536)
                if not data:
                    return
                *lines, pending = (pending + data).split(b"\n")
                for line in lines:
                    self._start(json.loads(line))

    def _start(self, request: dict[str, Any]) -> None:
        try:
            pid = os.fork()
        except OSError as error:
            self._say({"id": request["id"], "error": f"fork failed: {error.strerror}"})
            return
        if pid == 0:
            self._become(request)
        self._ids[pid] = request["id"]
        self._say({"id": request["id"], "pid": pid})

    def _report_ended(self) -> None:
        while True:
            try:
                pid, status = os.waitpid(-1, os.WNOHANG)
            except ChildProcessError:
                return
            if pid == 0:
                return
            if pid in self._ids:  # others were started by the module itself
                self._say({"id": self._ids.pop(pid), "pid": pid, "status": status})

    def _say(self, message: dict[str, Any]) -> None:
        self._wire.sendall(json.dumps(message).encode() + b"\n")

    def _become(self, request: dict[str, Any]) -> NoReturn:
        """In the child: turn into the job, run it, end. Never returns into the server's loop."""
        status = 1
        try:
            prepare_child(request)
            sys.argv = [self._module, *request["argv"]]
            status = as_status(self._main(list(request["argv"])))
        except SystemExit as leaving:
            status = as_status(leaving.code)
        except BaseException:
            traceback.print_exc()
        finally:
            self._flush_and_end(status)

    def _flush_and_end(self, status: int) -> NoReturn:
        for stream in (sys.stdout, sys.stderr):
            try:
                stream.flush()
            except (OSError, ValueError):  # disk full, or closed by the program: the exit status has to say it
                status = status or 1
        self._libc.fflush(None)
        os._exit(status)


def prepare_child(request: dict[str, Any]) -> None:
    """Give the process its own session, signals, descriptors, folder, environment, cores and random numbers."""
    os.setsid()
    signal.set_wakeup_fd(-1)
    for number in (signal.SIGCHLD, signal.SIGTERM):
        signal.signal(number, signal.SIG_DFL)
    signal.signal(signal.SIGINT, signal.default_int_handler)
    flags = os.O_WRONLY | os.O_APPEND | os.O_NOFOLLOW
    for target, path, mode in ((0, os.devnull, os.O_RDONLY), (1, request["stdout"], flags), (2, request["stderr"], flags)):
        source = os.open(path, mode)
        os.dup2(source, target)
        if source > 2:
            os.close(source)
    os.closerange(3, _MAX_FD)
    os.chdir(request["folder"])
    os.environ.clear()
    os.environ.update(request["environment"])
    if request.get("cpus") and hasattr(os, "sched_setaffinity"):
        os.sched_setaffinity(0, request["cpus"])
    numpy_random = sys.modules.get("numpy.random")
    if numpy_random is not None:  # else all children would draw the same numbers; `random` sees to itself
        numpy_random.seed()


def as_status(code: object) -> int:
    """Return the exit status for what `main` returned or `sys.exit` was given, as the interpreter would."""
    if code is None:
        return 0
    if isinstance(code, int):
        return code & 0xFF
    print(code, file=sys.stderr)
    return 1


def serve(argv: list[str]) -> int:
    """Import the module named in `argv` and serve; status 1 with a traceback on stderr when it cannot be imported."""
    wire = socket.socket(fileno=os.dup(0))
    null = os.open(os.devnull, os.O_RDONLY)
    os.dup2(null, 0)
    os.close(null)
    main = importlib.import_module(argv[0]).main
    gc.collect()
    gc.freeze()  # children share these pages as long as nobody writes to them
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C is for the worker, which then closes the socket
    ForkServer(argv[0], main, wire).serve()
    return 0


if __name__ == "__main__":
    sys.exit(serve(sys.argv[1:]))
