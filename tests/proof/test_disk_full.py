"""The disk fills up in mid-work, on a small disk of its own, and is freed again: refused with 507, nothing lost, all ends."""

from __future__ import annotations

import contextlib
import re
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
from tests.proof.workload import Doubling

from copernicus.errors import NoSpace
from copernicus.net.bundle import read_bundle
from copernicus.net.caller import Caller
from copernicus.testing.system import ProgramFailed, System
from copernicus.wire import messages as m

DISK_BYTES, RESERVE_BYTES = 6 * 1024 * 1024, 1024 * 1024


@contextlib.contextmanager
def small_disk(place: Path) -> Iterator[list[str]]:
    """A disk of 6 MiB at `place`, for those only who are started with the words that are given; skips where that cannot be."""
    words = f"mount -t tmpfs -o size={DISK_BYTES},mode=0700 small '{place}' && echo ready && exec sleep 600"
    keeper = subprocess.Popen(["unshare", "-m", "sh", "-c", words], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
    assert keeper.stdout is not None
    assert keeper.stderr is not None
    try:
        if keeper.stdout.readline() != "ready\n":
            pytest.skip(f"no small disk can be mounted here (it takes root): {keeper.stderr.read().strip()}")
        yield ["nsenter", "-t", str(keeper.pid), "-m", "--"]
    finally:
        keeper.kill()
        keeper.wait()
        keeper.stdout.close()
        keeper.stderr.close()


def fill(disk: Path) -> Path:
    """Take all the space that is left; return the file that does."""
    filler = disk / "filler"
    with filler.open("wb", buffering=0) as file, contextlib.suppress(OSError):
        for size in (65536, 4096):  # to the last page
            with contextlib.suppress(OSError):
                while True:
                    file.write(bytes(size))
    return filler


def is_full(system: System) -> bool:
    """Whether the server says that it has no space."""
    with system.client() as client:
        try:
            client.projects()
        except NoSpace:
            return True
    return False


def test_a_full_disk_refuses_and_recovers_by_itself(system: System, is_long: bool) -> None:
    place = system.projects
    place.mkdir(mode=0o700)
    with small_disk(place) as inside:
        system.setup(heartbeat_s=2)
        system.cpc_server("config", "disk_reserve_bytes", str(RESERVE_BYTES))
        system.run([*inside, "cpc-server", "start"])
        system.projects = Path(f"/proc/{inside[2]}/root{place}")  # as those see it who are not inside
        workload = Doubling(system)
        system.worker("-n", "2")
        system.until(system.workers_known, what="the worker has announced itself")
        feeder = workload.feed(400 if is_long else 80)
        for _ in range(5 if is_long else 2):
            seen = len(workload.look())
            system.until(lambda seen=seen: len(workload.look()) > seen, what="the work goes on")  # type: ignore[misc]
            filler = fill(system.projects)
            with contextlib.closing(Caller.of_bundle(read_bundle(system.home / "client.cnx"))) as caller:
                system.until(lambda: is_full(system), what="the server says that its disk is full")
                reply = caller.call(m.HeartbeatRequest("nobody", []))
                assert reply.is_unknown_worker, "a worker is heard all the same"
            with pytest.raises(ProgramFailed, match=r"disk .* is full|no space left|do not fit"):
                system.cpcc("-p", workload.project, "set", "db:in.integer_inputs[0]", "1")
            time.sleep(5.0)  # longer than the heartbeat interval: leases must not end for that
            assert is_full(system), "it does not say so by turns"
            filler.unlink()
        feeder.join(120)
        assert not feeder.is_alive()
        assert workload.error is None
        verified = system.run([*inside, "cpc-server", "verify"])
        assert "All is well." in verified.stdout
        assert workload.judge() == []
        assert not re.search("is lost, with [1-9]", system.server_log(10_000)), "a lease has ended for it"
