"""The demo's own server and workers: started as a user would, ended by their process ids."""

from __future__ import annotations

import contextlib
import json
import os
import secrets
import shutil
import socket
import subprocess
import sys
import time
from dataclasses import dataclass
from pathlib import Path

import psutil

from copernicus.errors import CopernicusError

_COMMAND_LIMIT_S = 120.0
_POLITE_S = 15.0
_SERVER_AWAY_S = 30.0


class DemoFailed(CopernicusError):
    """The demo cannot go on; the message says why."""

    code = "demo"


@dataclass
class RunningWorker:
    """A worker and where it prints."""

    process: subprocess.Popen[bytes]
    log: Path


class Programs:
    """A server on free ports and some workers, with settings, projects and work folders below `folder`."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.settings = folder / "settings"
        self.bundle = self.settings / "client.cnx"
        self.workers: list[RunningWorker] = []
        self.server_pid: int | None = None
        self._away_since: float | None = None
        own = {name: value for name, value in os.environ.items() if not name.startswith("CPC_")}
        self.environment = own | {"CPC_CONF_HOME": str(self.settings.absolute())}

    def start_server(self) -> None:
        """Set a server up, with a password that nobody needs to know, and start it; raise `DemoFailed` when it cannot be."""
        self.folder.mkdir(mode=0o700)
        client_port, secure_port = free_ports(2)
        ports = ["--client-port", str(client_port), "--server-port", str(secure_port)]
        self.run(
            "cpc-server", "setup", *ports, "-stdin", str((self.folder / "projects").absolute()), text=secrets.token_urlsafe(24)
        )
        self.run("cpc-server", "start")
        self.server_pid = self._running_server()

    def start_worker(self) -> None:
        """Start one worker with one core."""
        place = self.folder / f"worker-{len(self.workers) + 1}"
        log = self.folder / f"{place.name}.log"
        with log.open("wb") as output:
            process = subprocess.Popen(
                [program("cpc-worker"), "-n", "1", "-wd", str(place.absolute()), "smp"],
                cwd=self.folder, env=self.environment, stdin=subprocess.DEVNULL, stdout=output, stderr=subprocess.STDOUT,
                start_new_session=True,  # Ctrl-C is for the demo, which ends its workers in good order
            )  # fmt: skip
        self.workers.append(RunningWorker(process, log))

    def check(self) -> None:
        """Raise `DemoFailed` when a worker has died, or the server and nobody has started it again for a while."""
        for number, worker in enumerate(self.workers, start=1):
            status = worker.process.poll()
            if status is not None:
                raise DemoFailed(f"Worker {number} has ended with status {status}:\n{last_lines(worker.log)}")
        if self.server_pid is None or is_alive(self.server_pid):
            self._away_since = None
            return
        # Whoever killed it to see what happens may start it again: workers and client carry on then.
        found = self._running_server()
        if found is not None:
            self.server_pid = found
            return
        self._away_since = self._away_since or time.monotonic()
        if time.monotonic() - self._away_since > _SERVER_AWAY_S:
            raise DemoFailed(f"The server has died, and was not started again:\n{self.server_log()}")

    def server_log(self) -> str:
        """Return the last lines of the server's logs."""
        logs = sorted((self.settings / "_default" / "server").rglob("*.log"))
        return "\n".join(last_lines(log) for log in logs)

    def run(self, name: str, *arguments: str, text: str = "", is_checked: bool = True) -> str:
        """Run one of the programs to its end; return what it printed, raise `DemoFailed` when it failed.

        An interruption waits for its end: half a start could leave a server that nobody knows of.
        """
        process = subprocess.Popen(
            [program(name), *arguments], cwd=self.folder, env=self.environment, stdin=subprocess.PIPE,
            stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, start_new_session=True,
        )  # fmt: skip
        try:
            said, complaint = process.communicate(text + "\n", timeout=_COMMAND_LIMIT_S)
        except subprocess.TimeoutExpired:
            process.kill()
            process.communicate()
            raise DemoFailed(f"{name} {arguments[0]} did not end within {_COMMAND_LIMIT_S:g} s.") from None
        except BaseException:
            with contextlib.suppress(subprocess.TimeoutExpired):
                process.wait(timeout=_COMMAND_LIMIT_S)
            raise
        if process.returncode and is_checked:
            raise DemoFailed(f"{name} {arguments[0]} failed: {(complaint or said).strip()}")
        return said

    def end(self) -> None:
        """End the workers and the server with all that they started, politely first, and remove the folder."""
        owned = [worker.process.pid for worker in self.workers]
        if self.server_pid is None or not is_alive(self.server_pid):
            # Interrupted while it was being started, or killed and perhaps started again.
            self.server_pid = self._running_server() if self.settings.exists() else None
        if self.server_pid is not None:
            owned.append(self.server_pid)
        living = []
        for pid in owned:
            with contextlib.suppress(psutil.Error):
                process = psutil.Process(pid)
                living += [process, *process.children(recursive=True)]
        for pid in owned:
            with contextlib.suppress(psutil.Error):
                psutil.Process(pid).terminate()
        _, left = psutil.wait_procs(living, timeout=_POLITE_S)
        for process in left:
            with contextlib.suppress(psutil.Error):
                process.kill()
        psutil.wait_procs(left, timeout=_POLITE_S)
        for worker in self.workers:
            with contextlib.suppress(subprocess.TimeoutExpired):
                worker.process.wait(timeout=_POLITE_S)
        shutil.rmtree(self.folder, ignore_errors=True)

    def _running_server(self) -> int | None:
        """Return the process id of the server of these settings, None when there is none."""
        with contextlib.suppress(DemoFailed, ValueError):
            pid = json.loads(self.run("cpc-server", "status", "--json", is_checked=False)).get("pid")
            return int(pid) if pid else None
        return None


def is_alive(pid: int) -> bool:
    """Say whether a process lives; one that has ended and waits to be reaped does not."""
    try:
        return bool(psutil.Process(pid).status() != psutil.STATUS_ZOMBIE)
    except psutil.Error:
        return False


def program(name: str) -> str:
    """Return the path of one of the three programs: beside this Python, else on PATH; raise `DemoFailed` without it."""
    beside = Path(sys.executable).parent / name
    found = str(beside) if beside.exists() else shutil.which(name)
    if found is None:
        raise DemoFailed(
            f"There is no {name} beside {sys.executable} or on the PATH.", "Install copernicus[server,openmm,msm]."
        )
    return found


def free_ports(count: int) -> list[int]:
    """Return ports of the loopback interface on which nobody listens now."""
    with contextlib.ExitStack() as stack:
        sockets = [stack.enter_context(socket.socket()) for _ in range(count)]
        for held in sockets:
            held.bind(("127.0.0.1", 0))
        return [held.getsockname()[1] for held in sockets]


def last_lines(log: Path, count: int = 15) -> str:
    """Return the end of a text log, or "" where there is none."""
    if not log.exists():
        return ""
    return "\n".join(log.read_text(encoding="utf-8", errors="replace").splitlines()[-count:])
