"""A whole system for tests: the three real programs in a folder of their own, on free ports of the loopback interface."""

from __future__ import annotations

import contextlib
import json
import os
import shutil
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from types import TracebackType
from typing import Any, TypeVar

import psutil

from copernicus.client import Client
from copernicus.errors import CopernicusError, Unavailable

PASSWORD = "correct horse battery"  # noqa: S105 - of a server that lives as long as its test
T = TypeVar("T")


class ProgramFailed(CopernicusError):
    """A program of the system did not do what the test needs; the message holds what it printed."""

    code = "system"


class Worker:
    """One running `cpc-worker`; what it prints is in `log`."""

    def __init__(self, process: subprocess.Popen[bytes], log: Path) -> None:
        self.process = process
        self.pid = process.pid
        self._log = log

    @property
    def log(self) -> str:
        """What the worker has printed so far."""
        return self._log.read_text(encoding="utf-8", errors="replace")

    def kill(self) -> None:
        """`kill -9`: no farewell, no clean-up."""
        self.process.kill()
        self.process.wait()

    def terminate(self, deadline_s: float = 60.0) -> int:
        """Send SIGTERM and return the exit status; raise `TimeoutExpired` when it does not end."""
        self.process.terminate()
        return self.process.wait(deadline_s)


class System:
    """One server, its workers and a client, with settings, projects and work folders below `folder`.

        with System(tmp_path) as system:
            system.setup()
            system.start()
            worker = system.worker("-n", "2")
            system.cpcc("start", "first")

    Leaving the block ends every program that was started, and whatever they started, by process id.
    """

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.home = folder / "settings"
        self.projects = folder / "projects"
        self.client_port, self.secure_port = free_ports(2)
        self.environment = {
            **{name: value for name, value in os.environ.items() if not name.startswith("CPC_")},
            "CPC_CONF_HOME": str(self.home),
            "HOME": str(folder),
            "PATH": os.pathsep.join([str(Path(sys.executable).parent), os.environ.get("PATH", os.defpath)]),
            "OMP_NUM_THREADS": "1",
        }
        self.workers: list[Worker] = []

    # --- the server

    def setup(self, *flags: str, heartbeat_s: float | None = None) -> None:
        """Set the server up with the user root and `PASSWORD`; it listens on loopback."""
        ports = ["--client-port", str(self.client_port), "--server-port", str(self.secure_port)]
        self.cpc_server("setup", *ports, "-stdin", *flags, str(self.projects), text=PASSWORD + "\n")
        if heartbeat_s is not None:
            self.cpc_server("config", "heartbeat_time", f"{heartbeat_s:g}")

    def start(self) -> None:
        """Start the server and return when it answers."""
        self.cpc_server("start")
        self.until(self.is_answering, what="the server answers")

    def stop(self) -> None:
        """Stop the server as its owner would."""
        self.cpc_server("stop")

    def is_answering(self) -> bool:
        """Say whether the client port accepts connections."""
        with contextlib.suppress(OSError), socket.create_connection(("127.0.0.1", self.client_port), timeout=2):
            return True
        return False

    def server_process(self) -> psutil.Process | None:
        """Return the process that listens on the client port, or None."""
        for process in self.processes():
            with contextlib.suppress(psutil.Error):
                ports = [found.laddr.port for found in process.net_connections("tcp") if found.status == psutil.CONN_LISTEN]
                if self.client_port in ports:
                    return process
        return None

    def kill_server(self) -> list[psutil.Process]:
        """`kill -9` of the server (its own process only); return what it had started, which should end by itself."""
        process = self.server_process()
        if process is None:
            raise ProgramFailed("There is no server to kill.", self.server_log())
        children = process.children(recursive=True)
        process.kill()
        wait_until_gone([process], 10.0)
        return children

    def server_log(self, lines: int = 60) -> str:
        """Return the last lines of the server's text logs."""
        found = []
        for log in sorted((self.home / "_default" / "server").rglob("*.log*")):
            found += [f"--- {log.name}", *log.read_text(encoding="utf-8", errors="replace").splitlines()[-lines:]]
        return "\n".join(found)

    # --- the other two

    def worker(
        self,
        *flags: str,
        bundle: Path | None = None,
        environment: dict[str, str] | None = None,
        inside: Sequence[str] = (),
    ) -> Worker:
        """Start a worker (`flags` stand before the platform `smp`) in a folder of its own.

        `inside` are words that stand before the program, such as those of `nsenter`, which then becomes the program.
        """
        place = self.folder / f"worker-{len(self.workers)}"
        place.mkdir()
        argv = [*inside, "cpc-worker", *(["-c", str(bundle)] if bundle else []), *flags, "smp"]
        log = place / "output"
        with log.open("wb") as output:
            process = subprocess.Popen(
                [self._program(argv[0]), *argv[1:]],
                cwd=place,
                env=self.environment | (environment or {}),
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=subprocess.STDOUT,
                start_new_session=True,
            )
        worker = Worker(process, log)
        self.workers.append(worker)
        return worker

    def workers_known(self) -> int:
        """Return how many living workers the server has heard of; 0 from a server that is away."""
        with self.client() as client:
            try:
                return sum(not row.is_lost for row in client.workers())
            except Unavailable:
                return 0

    def cpcc(self, *arguments: str, text: str = "", is_checked: bool = True) -> subprocess.CompletedProcess[str]:
        """Run one `cpcc` command; raise `ProgramFailed` when it fails, unless `is_checked` is false."""
        return self.run(["cpcc", *arguments], text=text, is_checked=is_checked)

    def cpc_server(self, *arguments: str, text: str = "", is_checked: bool = True) -> subprocess.CompletedProcess[str]:
        """Run one `cpc-server` command; raise `ProgramFailed` when it fails, unless `is_checked` is false."""
        return self.run(["cpc-server", *arguments], text=text, is_checked=is_checked)

    def ask(self, *arguments: str) -> Any:
        """Run `cpcc --json` and return its answer as data."""
        return json.loads(self.cpcc("--json", *arguments).stdout)

    def client(self, bundle: Path | None = None) -> Client:
        """Return the Python API, with the bundle that `setup` made for the owner."""
        return Client.connect(bundle or self.home / "client.cnx")

    def run(
        self, argv: Sequence[str], *, text: str = "", is_checked: bool = True, deadline_s: float = 120.0
    ) -> subprocess.CompletedProcess[str]:
        """Run a program of the system to its end, in `folder`, with `text` on its standard input."""
        done = subprocess.run(
            [self._program(argv[0]), *argv[1:]],
            cwd=self.folder,
            env=self.environment,
            input=text,
            capture_output=True,
            text=True,
            timeout=deadline_s,
            check=False,
        )
        if is_checked and done.returncode:
            raise ProgramFailed(
                f"{' '.join(argv)} ended with {done.returncode}:\n{done.stdout}{done.stderr}", self.server_log()
            )
        return done

    def _program(self, name: str) -> str:
        return shutil.which(name, path=self.environment["PATH"]) or name

    # --- waiting and ending

    def until(self, condition: Callable[[], T], deadline_s: float = 60.0, what: str = "") -> T:
        """Ask `condition` again and again until it answers something true, and return that; raise `ProgramFailed`."""
        ends_at = time.monotonic() + deadline_s
        while True:
            found = condition()
            if found:
                return found
            if time.monotonic() > ends_at:
                raise ProgramFailed(f"Waited {deadline_s:g} s in vain{f': {what}' if what else ''}.", self.evidence())
            time.sleep(0.05)

    def evidence(self) -> str:
        """Return what a failed test should show: the server's log and each worker's output."""
        outputs = [f"--- worker {number}\n{worker.log[-3000:]}" for number, worker in enumerate(self.workers)]
        return "\n".join(["", self.server_log(), *outputs])

    def processes(self) -> Iterator[psutil.Process]:
        """Yield the living processes of this system: those that have its settings in their environment, or work in it."""
        for process in psutil.process_iter():
            with contextlib.suppress(psutil.Error, OSError):
                is_inside = Path(process.cwd()).is_relative_to(self.folder)
                if process.pid != os.getpid() and (is_inside or process.environ().get("CPC_CONF_HOME") == str(self.home)):
                    yield process

    def end(self) -> None:
        """End every process of this system, by its id: politely, then for good."""
        for wait_s, number in ((10.0, signal.SIGTERM), (10.0, signal.SIGKILL)):
            living = list(self.processes())
            for process in living:
                with contextlib.suppress(psutil.Error):
                    process.send_signal(number)
            wait_until_gone(living, wait_s)
        for worker in self.workers:
            worker.process.wait()

    def __enter__(self) -> System:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        if error is not None:
            error.add_note(self.evidence())
        self.end()


def wait_until_gone(processes: Sequence[psutil.Process], deadline_s: float) -> bool:
    """Wait until none of `processes` runs; say whether that came in time.

    One that has ended may stay in the list of processes until init looks after it, which can take seconds.
    """
    ends_at = time.monotonic() + deadline_s
    while any(map(_is_running, processes)):
        if time.monotonic() > ends_at:
            return False
        time.sleep(0.01)
    return True


def _is_running(process: psutil.Process) -> bool:
    try:
        return process.is_running() and process.status() != psutil.STATUS_ZOMBIE
    except psutil.NoSuchProcess:
        return False


def free_ports(count: int) -> list[int]:
    """Return ports of the loopback interface on which nobody listens now."""
    with contextlib.ExitStack() as stack:
        sockets = [stack.enter_context(socket.socket()) for _ in range(count)]
        for held in sockets:
            held.bind(("127.0.0.1", 0))
        return [held.getsockname()[1] for held in sockets]
