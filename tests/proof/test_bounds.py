"""More connections than the server has descriptors for, and some that never say what they want: nobody else suffers."""

from __future__ import annotations

import contextlib
import re
import resource
import socket
import ssl
import time
from collections.abc import Iterator

import pytest
from tests.proof.workload import Doubling

from copernicus.errors import Unavailable
from copernicus.net.bundle import read_bundle
from copernicus.net.tls import bundle_context
from copernicus.testing.system import System

SPARE, CROWD = 24, 120
HELD_S = 6.0


HALF_A_REQUEST = b"POST /v1/worker/heartbeat HTTP/1.1\r\nHost: x\r\nContent-Length: 1000\r\n\r\n{"


@contextlib.contextmanager
def crowd(system: System) -> Iterator[int]:
    """Many connections that stay, half of them without a handshake, half with a request that does not end; yields how many
    were let in."""
    context = bundle_context(read_bundle(system.home / "client.cnx"))
    let_in = 0
    with contextlib.ExitStack() as stack:
        for number in range(CROWD):
            plain = socket.create_connection(("127.0.0.1", system.secure_port), timeout=2)
            if number % 2:
                stack.callback(plain.close)
                continue
            try:
                sealed = context.wrap_socket(plain)
                stack.callback(sealed.close)
                sealed.sendall(HALF_A_REQUEST)
                let_in += 1
            except (ssl.SSLError, OSError):
                plain.close()
        yield let_in


def test_a_server_out_of_descriptors_refuses_and_recovers(system: System) -> None:
    system.setup(heartbeat_s=3)
    system.start()
    workload = Doubling(system)
    system.worker("-n", "1")
    system.until(system.workers_known, what="the worker has announced itself")
    feeder = workload.feed(30, pause_s=0.3)
    system.until(workload.look, what="its first job has ended")
    server = system.server_process()
    assert server is not None
    before = server.num_fds()
    server.rlimit(resource.RLIMIT_NOFILE, (before + SPARE, server.rlimit(resource.RLIMIT_NOFILE)[1]))
    with crowd(system) as let_in:
        assert let_in < SPARE, "the limit is not reached"
        with pytest.raises(Unavailable), system.client() as client:
            client.projects()
        time.sleep(HELD_S)  # longer than the heartbeat interval: who is connected is heard
        assert server.is_running()
        assert server.num_fds() <= before + SPARE
    feeder.join(120)
    assert not feeder.is_alive()
    assert workload.error is None
    assert not re.search("is lost, with", system.server_log(10_000)), "a worker was lost for it"
    assert system.server_process() == server
    assert workload.judge() == []


def test_clients_that_hang_in_the_middle_starve_nobody(system: System) -> None:
    system.setup(heartbeat_s=3)
    system.start()
    workload = Doubling(system)
    with crowd(system) as let_in:
        assert let_in == CROWD // 2
        system.worker("-n", "1")
        system.until(system.workers_known, what="the worker has announced itself")
        feeder = workload.feed(20)
        system.until(lambda: not feeder.is_alive() and workload.is_complete(), what="all jobs have ended")
        assert workload.error is None
        assert not re.search("is lost, with", system.server_log(10_000)), "a worker was lost for it"
    assert workload.judge() == []
