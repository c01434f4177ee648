"""A real server process on loopback, with as many identities as a test asks for."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

from copernicus.config.places import ServerPlaces
from copernicus.config.settings import ServerSettings, write
from copernicus.errors import TooMany, Unreachable
from copernicus.model.jobs import ExecutableOffer, WorkerOffer
from copernicus.model.secret import Secret
from copernicus.net.bundle import Bundle, Role
from copernicus.net.caller import Caller
from copernicus.net.keys import KeyFolder
from copernicus.net.tls import client_context
from copernicus.server.access.bundles import Address, Bundles
from copernicus.server.access.users import Users
from copernicus.server.storage.sqlite.access import SqliteAccessStore
from copernicus.testing.system import free_ports
from copernicus.wire import messages as m

PASSWORD = "correct horse battery"
DEADLINE_S = 60.0


class Standing:
    """One server in `folder`. `settings` are those of `ServerSettings` that a test wants different."""

    def __init__(self, folder: Path, **settings: object) -> None:
        import datetime

        self.folder, self.projects = folder / "server", folder / "projects"
        self.client_port, self.secure_port = free_ports(2)
        stored = {"run_dir": str(self.projects), "server_cores": 1, "disk_reserve_bytes": 0} | settings
        write(self.folder, {"client_secure_port": self.client_port, "server_secure_port": self.secure_port} | stored)
        places = ServerPlaces(self.folder)
        self.keys = KeyFolder(places.keys)
        self.keys.create(datetime.datetime.now(datetime.UTC))
        self.keys.renew_server_certificate(ServerSettings().certificate_names, datetime.datetime.now(datetime.UTC))
        self.access = SqliteAccessStore(places.access)
        self.users = Users(self.access, time.time)
        self.users.add("root", PASSWORD, is_super=True)
        self.issuer = Bundles(self.access, self.keys, time.time)
        self.process: subprocess.Popen[bytes] | None = None
        self.callers: list[Caller] = []

    def start(self) -> None:
        """Start the process and return when it answers on both ports."""
        argv = [sys.executable, "-m", "copernicus.server", "--folder", str(self.folder)]
        self.process = subprocess.Popen(argv, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        ends_at = time.monotonic() + DEADLINE_S
        while time.monotonic() < ends_at and self.process.poll() is None:
            try:
                self.nobody().call(m.AuthorityRequest())
                return
            except Unreachable:
                time.sleep(0.02)
        raise TimeoutError(self.log())

    def kill(self) -> None:
        """`kill -9`."""
        self._end(signal.SIGKILL)

    def stop(self) -> int:
        """SIGTERM; return the exit status."""
        return self._end(signal.SIGTERM)

    def _end(self, number: int) -> int:
        if self.process is None:
            return 0
        self.process.send_signal(number)
        status = self.process.wait(DEADLINE_S)
        self.process = None
        return status

    def hang_up(self) -> None:
        """Close the connections of all callers; one that calls again opens another."""
        for caller in self.callers:
            caller.close()

    def close(self) -> None:
        """End everything."""
        self.hang_up()
        self._end(signal.SIGKILL)
        self.access.close()

    def log(self) -> str:
        """What the server has logged."""
        path = ServerPlaces(self.folder).logs / "server.log"
        return path.read_text() if path.exists() else "no log"

    def until_gone(self, pid: int) -> None:
        """Wait until a process is gone."""
        ends_at = time.monotonic() + DEADLINE_S
        while time.monotonic() < ends_at:
            try:
                os.kill(pid, 0)
            except ProcessLookupError:
                return
            time.sleep(0.02)
        raise TimeoutError(f"process {pid} lives")

    # --- identities

    def bundle(self, role: Role = "admin", user: str = "root", projects: tuple[str, ...] = ()) -> Bundle:
        """A new bundle."""
        address = Address("test", ("127.0.0.1",), self.client_port, self.secure_port)
        return self.issuer.issue(address, role, user, projects)

    def caller(self, role: Role = "admin", user: str = "root", projects: tuple[str, ...] = ()) -> Caller:
        """Somebody with a new bundle, on the secure port."""
        return self._kept(Caller.of_bundle(self.bundle(role, user, projects)))

    def nobody(self) -> Caller:
        """Somebody without a session, on the client port."""
        return self._kept(Caller("127.0.0.1", self.client_port, client_context(self.keys.authority())))

    def user(self, name: str = "root") -> Caller:
        """A user who has logged in, on the client port; made first, if need be."""
        if self.access.user(name) is None:
            self.users.add(name, PASSWORD)
        caller, ends_at = self.nobody(), time.monotonic() + DEADLINE_S
        while not caller.token:
            try:
                caller.token = caller.call(m.LoginRequest(name, Secret(PASSWORD))).token.reveal()
            except TooMany:  # somebody has tried wrong passwords just before
                assert time.monotonic() < ends_at
                time.sleep(0.05)
        return caller

    def _kept(self, caller: Caller) -> Caller:
        self.callers.append(caller)
        return caller


def offer(worker: str = "w", cores: int = 2) -> m.AnnounceRequest:
    """A worker that can run what the tests' jobs need."""
    programs = ExecutableOffer("math/double", "1.0"), ExecutableOffer("benchmark/true", "1.0")
    return m.AnnounceRequest(WorkerOffer(worker, "here", "smp", cores, programs))
