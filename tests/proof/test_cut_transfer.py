"""A large file through a connection that is cut again and again, and through a job: whole, in little memory."""

from __future__ import annotations

import hashlib
import json
import random
import threading
from pathlib import Path

import psutil
import pytest
from tests.proof.proxy import CuttingProxy

from copernicus.testing.system import System

MIB = 1024 * 1024
CUTS = 10
MEMORY_LIMIT = 200 * MIB


class MemoryWatch:
    """The highest resident memory of each program of a system, looked at twenty times a second."""

    def __init__(self, system: System) -> None:
        self.peaks: dict[str, int] = {}
        self._system = system
        self._is_over = threading.Event()
        self._thread = threading.Thread(target=self._watch, daemon=True)
        self._thread.start()

    def _watch(self) -> None:
        while not self._is_over.wait(0.05):
            for process in self._system.processes():
                try:
                    name = " ".join(process.cmdline()[:3])[-60:]
                    self.peaks[name] = max(self.peaks.get(name, 0), process.memory_info().rss)
                except psutil.Error:
                    continue

    def end(self) -> dict[str, int]:
        """Stop looking; return programs and their peaks in bytes."""
        self._is_over.set()
        self._thread.join()
        return self.peaks


def make_file(path: Path, size: int) -> str:
    """Write `size` random bytes; return their SHA-256."""
    digest = hashlib.sha256()
    chance = random.Random(7)
    with path.open("wb") as file:
        for _ in range(size // MIB):
            block = chance.randbytes(MIB)
            digest.update(block)
            file.write(block)
    return digest.hexdigest()


def make_module(folder: Path) -> None:
    """A function of one job that copies a file: in to the worker, out to the server."""
    folder.mkdir(parents=True)
    (folder / "functions.toml").write_text(
        '[copy]\nrun = "large/copy"\nargv = ["{file}", "copy.bin"]\nin = { file = "file" }\nout = { copy = "file: copy.bin" }\n'
    )
    (folder / "executables.toml").write_text('[[executable]]\nname = "large/copy"\nversion = "1.0"\nargv = ["cp"]\n')


def sha256(path: Path) -> str:
    """Return the SHA-256 of a file."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def bundle_through(system: System, proxy: CuttingProxy) -> Path:
    """Return a copy of the owner's bundle whose secure port is the proxy's."""
    bundle = json.loads((system.home / "client.cnx").read_text())
    assert bundle["secure_port"] == system.secure_port
    path = system.folder / "through-proxy.cnx"
    path.touch(mode=0o600)
    path.write_text(json.dumps(bundle | {"secure_port": proxy.port}))
    return path


@pytest.mark.timeout(1200)
def test_a_file_goes_in_and_out_through_ten_cuts(system: System, chance: random.Random, is_long: bool) -> None:
    size = (2048 if is_long else 64) * MIB
    system.setup()
    make_module(system.home / "modules" / "large")
    system.start()
    system.cpcc("start", "large")
    system.cpcc("instance", "large::copy", "one")
    system.cpcc("instance", "large::copy", "two")
    source, target = system.folder / "large.gro", system.folder / "back.gro"
    wanted = make_file(source, size)
    watch = MemoryWatch(system)

    with CuttingProxy(system.secure_port) as proxy:
        bundle = str(bundle_through(system, proxy))

        def travel(*command: str) -> tuple[int, int]:
            """Run a command with ten cuts on its way; return the bytes that passed up and down."""
            before = proxy.to_server_bytes, proxy.to_client_bytes
            cuts_before = proxy.cuts_made
            proxy.cut_after(sorted(chance.randrange(64 * 1024, size) for _ in range(CUTS)))
            system.run(["cpcc", "-c", bundle, *command], deadline_s=600)
            assert proxy.cuts_made - cuts_before == CUTS
            return proxy.to_server_bytes - before[0], proxy.to_client_bytes - before[1]

        most = size * 1.01 + (CUTS + 1) * 1.2 * MIB
        up, _ = travel("setf", "one:in.file", str(source), "-p", "large")
        assert size <= up <= most, f"{up / size:.3f} of the file travelled"
        _, down = travel("getf", "-f", str(target), "one:in.file", "-p", "large")
        assert size <= down <= most, f"{down / size:.3f} of the file travelled"
        assert sha256(target) == wanted

        again = proxy.passed_bytes
        proxy.cut_after([])
        system.cpcc("-c", bundle, "setf", "two:in.file", str(source), "-p", "large")
        assert proxy.passed_bytes - again < 64 * 1024, "a file that the server has was sent again"

    system.worker("-n", "1")
    system.cpcc("activate", "one")
    system.until(lambda: system.ask("get", "one:out.copy"), 900, "a job has copied the file")
    system.cpcc("getf", "-f", str(target), "one:out.copy")
    assert sha256(target) == wanted, "what a job read and wrote"

    too_large = {name: peak // MIB for name, peak in watch.end().items() if peak > MEMORY_LIMIT}
    assert not too_large, f"MiB of memory: {too_large}"
