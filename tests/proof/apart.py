"""A whole system on machines of its own: the server on one, each worker on one; this process is the client."""

from __future__ import annotations

import contextlib
import socket
import subprocess
from pathlib import Path

from tests.proof.lan import Lan, Machine
from tests.proof.planting import planted

from copernicus.testing.system import System, Worker


class ApartSystem(System):
    """A `System` on a `Lan`. With `bug`, one of `planting.BUGS` is in its programs."""

    def __init__(self, folder: Path, lan: Lan, bug: str = "") -> None:
        super().__init__(folder)
        self.lan = lan
        self.server = lan.machine("server")
        self.places: list[Machine] = []
        if bug:
            self.environment |= planted(bug, folder / "bug")

    def setup(self, *flags: str, heartbeat_s: float | None = None) -> None:
        """Set the server up, on its machine."""
        address = self.server.address
        super().setup("--listen", address, "--public-name", address, *flags, heartbeat_s=heartbeat_s)

    def cpc_server(self, *arguments: str, text: str = "", is_checked: bool = True) -> subprocess.CompletedProcess[str]:
        """Run one `cpc-server` command on the server's machine."""
        return self.run([*self.server.inside, "cpc-server", *arguments], text=text, is_checked=is_checked)

    def is_answering(self) -> bool:
        """Say whether the client port accepts connections from here."""
        with contextlib.suppress(OSError), socket.create_connection((self.server.address, self.client_port), timeout=2):
            return True
        return False

    def add_worker(self, *flags: str) -> Worker:
        """Start a worker on a machine of its own, which is then the last of `places`."""
        place = self.lan.machine(f"worker {len(self.places)}")
        self.places.append(place)
        return self.worker(*flags, inside=place.inside)
