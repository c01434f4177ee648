"""Warm executables: fork servers that have imported a job's module (`copernicus.plugin.warm`), and the jobs in them."""

from __future__ import annotations

import json
import os
import signal
import socket
import sys
import tempfile
import threading
import time
from typing import IO, Any

from copernicus.worker.memory import restrain
from copernicus.worker.processes import CannotStart, Launch, Lost, Process, Processes, signal_group

IMPORT_LIMIT_S = 300.0
RETRY_AFTER_S = 60.0


class WarmProcess:
    """A job in a fork of a warm server."""

    def __init__(self) -> None:
        self.pid = 0
        self.error = ""
        self.started = threading.Event()
        self._ended = threading.Event()
        self._status: int | None = None
        self._lock = threading.Lock()

    def wait(self) -> int:
        """Return the exit status (see `Process`); raise `Lost` when the server died before it was known."""
        self._ended.wait()
        if self._status is None:
            raise Lost("the warm process that ran it has died")
        return os.waitstatus_to_exitcode(self._status)

    def send(self, number: int) -> None:
        """Send a signal to the group, or, before the child has made one, to the child (see `Process`)."""
        with self._lock:
            if not self._ended.is_set() and not signal_group(self.pid, number):
                try:
                    os.kill(self.pid, number)
                except ProcessLookupError:
                    return

    def end(self, status: int | None) -> None:
        """The server says how it ended; None: the server is gone."""
        with self._lock:
            self._status = status
            self._ended.set()
        self.started.set()


class WarmServer:
    """One fork server and the jobs that run in it. Raises `CannotStart` when the module cannot be imported."""

    def __init__(self, module: str, environment: dict[str, str], processes: Processes) -> None:
        self._jobs: dict[int, WarmProcess] = {}
        self._next = 0
        self._lock = threading.Lock()
        self._is_ready = threading.Event()
        self.is_alive = True
        self._log: IO[bytes] = tempfile.TemporaryFile()  # noqa: SIM115 - lives as long as the server
        self._wire, theirs = socket.socketpair()
        argv = (sys.executable, "-P", "-m", "copernicus.plugin.warm", module)
        with theirs:
            self._process = processes.serve(argv, environment, theirs.fileno(), self._log.fileno())
        threading.Thread(target=self._listen, name=f"warm {module}", daemon=True).start()
        if not self._is_ready.wait(IMPORT_LIMIT_S) or not self.is_alive:
            self.close()
            raise CannotStart(f"{module} cannot be kept warm: {self._last_line()}")

    def start(self, launch: Launch) -> WarmProcess:
        """Run `main(launch.warm_argv)` in a fork; raise `CannotStart`."""
        job = WarmProcess()
        request = {
            "argv": launch.warm_argv,
            "folder": str(launch.folder),
            "stdout": str(launch.stdout),
            "stderr": str(launch.stderr),
            "environment": launch.environment,
            "cpus": sorted(launch.cpus) if launch.cpus else None,
        }
        with self._lock:
            if not self.is_alive:
                raise CannotStart("the warm process has died")
            self._next += 1
            self._jobs[self._next] = job
            try:
                self._wire.sendall(json.dumps({"id": self._next, **request}).encode() + b"\n")
            except OSError as error:
                del self._jobs[self._next]
                raise CannotStart(f"the warm process does not listen: {error.strerror}") from None
        job.started.wait()
        if job.error or not job.pid:
            raise CannotStart(job.error or "the warm process has died")
        restrain(job.pid, launch.memory_bytes)
        return job

    def close(self) -> None:
        """Let the server end; jobs in it are lost."""
        self.is_alive = False
        try:
            self._wire.shutdown(socket.SHUT_RDWR)
        except OSError:
            return
        self._process.send(signal.SIGKILL)

    def _listen(self) -> None:
        """In a thread of its own: hand the server's words to the jobs, until it is gone."""
        try:
            with self._wire.makefile("rb") as lines:
                for line in lines:
                    self._hear(json.loads(line))
        except (OSError, ValueError):
            pass  # same as the end of the stream: it is gone
        with self._lock:
            self.is_alive = False
            left, self._jobs = list(self._jobs.values()), {}
        self._process.send(signal.SIGKILL)
        self._process.wait()
        for job in left:
            job.end(None)
        self._is_ready.set()
        self._wire.close()

    def _hear(self, message: dict[str, Any]) -> None:
        if "ready" in message:
            self._is_ready.set()
            return
        with self._lock:
            job = self._jobs[message["id"]]
            if "status" in message or "error" in message:
                del self._jobs[message["id"]]
        if "status" in message:
            job.end(message["status"])
        elif "error" in message:
            job.error = message["error"]
            job.started.set()
        else:
            job.pid = message["pid"]
            job.started.set()

    def _last_line(self) -> str:
        self._log.seek(0)
        lines = self._log.read()[-4096:].decode("utf-8", "replace").strip().splitlines()
        return lines[-1] if lines else "it ended without a word"


class WarmServers:
    """The warm servers of this worker, one for each module, started at first use and again when they died."""

    def __init__(self, processes: Processes) -> None:
        self._processes = processes
        self._servers: dict[str, WarmServer] = {}
        self._broken: dict[str, float] = {}
        self._locks: dict[str, threading.Lock] = {}
        self._lock = threading.Lock()

    def start(self, launch: Launch) -> Process | None:
        """Start a job warm; None when it has to be started the plain way.

        Only jobs on one core: thread pools are sized at import, and the server is imported for one thread.
        """
        if not launch.warm or launch.cores != 1:
            return None
        try:
            server = self._server(launch)
            return server.start(launch) if server else None
        except (CannotStart, OSError):
            self._broken[launch.warm] = time.monotonic()
            return None

    def close(self) -> None:
        """End all servers."""
        for server in list(self._servers.values()):
            server.close()

    def _server(self, launch: Launch) -> WarmServer | None:
        module = launch.warm
        with self._lock:
            lock = self._locks.setdefault(module, threading.Lock())
        with lock:  # others that want the same module wait for its import rather than pay for it themselves
            server = self._servers.get(module)
            if server is not None and server.is_alive:
                return server
            if time.monotonic() - self._broken.get(module, -RETRY_AFTER_S) < RETRY_AFTER_S:
                return None
            server = WarmServer(module, launch.warm_environment, self._processes)
            self._servers[module] = server
            return server
