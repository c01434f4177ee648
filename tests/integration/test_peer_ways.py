"""Ways between servers: outbound only, through a tunnel, to new addresses; with large files, cached where they came by."""

from __future__ import annotations

import os
from pathlib import Path

import pytest
from tests.integration.connected import ask, connect, id_of, is_linked, row_of, servers, until
from tests.integration.lent import Hand, double, output
from tests.integration.standing import Standing
from tests.proof.proxy import CuttingProxy

from copernicus.config.settings import read, write
from copernicus.testing.system import free_ports
from copernicus.wire import messages as m

NOWHERE = "192.0.2.1"
"""An address that is nobody's, so nobody can call it."""


def test_a_server_that_only_calls_outward_lends_and_borrows(tmp_path: Path) -> None:
    with servers(tmp_path, "ab") as made, servers(tmp_path / "inside", "f", server_fqdn=NOWHERE) as hidden:
        outside, inside = made["a"], hidden["f"]
        connect(inside, outside)
        row = row_of(outside, inside)
        assert row is not None
        assert row.host == NOWHERE
        double(outside, 21)
        double(inside, 4, "inner")
        worker = Hand(inside, "in")
        jobs = [worker.take(), worker.take()]
        assert [job.path for job in jobs] == ["inner", "d"]
        assert worker.report(jobs[1], 42) == "accepted"
        until(lambda: output(outside) == 42)
        double(inside, 5, "second")
        other = Hand(outside, "out")
        job = other.take()
        assert job.path == "second"
        assert other.report(job, 10) == "accepted"
        until(lambda: output(inside, "second") == 10)


def test_a_tunnel_is_needed_for_the_request_only(tmp_path: Path) -> None:
    """The guide's way: the request goes in through a tunnel, the link comes out without it."""
    with servers(tmp_path, "a") as made, servers(tmp_path / "inside", "f", server_fqdn=NOWHERE) as hidden:
        outside, inside = made["a"], hidden["f"]
        with CuttingProxy(inside.client_port) as client_port, CuttingProxy(inside.secure_port) as secure_port:
            outside.caller().call(m.ConnectServerRequest("127.0.0.1", client_port.port, secure_port.port))
            inside.caller().call(m.TrustRequest([id_of(outside)]))
            until(lambda: is_linked(outside, inside) and is_linked(inside, outside))
        until(lambda: is_linked(outside, inside) and is_linked(inside, outside))
        double(inside, 21)
        worker = Hand(outside)
        job = worker.take()
        assert worker.report(job, 42) == "accepted"
        until(lambda: output(inside) == 42)


def test_a_server_that_has_moved_tells_its_peers(tmp_path: Path) -> None:
    with servers(tmp_path, "ab") as made:
        a, b = made["a"], made["b"]
        connect(b, a)
        b.kill()
        b.client_port, b.secure_port = free_ports(2)
        stored = read(b.folder) | {"client_secure_port": b.client_port, "server_secure_port": b.secure_port}
        write(b.folder, stored)
        b.start()
        until(lambda: (row := row_of(a, b)) is not None and row.client_port == b.client_port)
        row = row_of(a, b)
        assert row is not None
        assert (row.secure_port, row.state) == (b.secure_port, "trusted")
        a.kill()
        b.kill()
        a.start()  # the one that was told calls the new address
        b.start()
        until(lambda: is_linked(a, b) and is_linked(b, a))


def test_a_file_comes_by_once_and_in_pieces(tmp_path: Path) -> None:
    with servers(tmp_path, "abc") as made:
        a, b, c = made["a"], made["b"], made["c"]
        connect(b, a)
        connect(c, b)
        data = os.urandom(1_300_000)
        _check_file(a, b, c, data, tmp_path)


def _check_file(a: Standing, b: Standing, c: Standing, data: bytes, folder: Path) -> None:
    from copernicus.blobs.hashing import hash_bytes
    from copernicus.model.edits import Activate, ImportModule, MakeInstance, SetValue
    from copernicus.model.jobs import ExecutableOffer, WorkerOffer
    from copernicus.model.values import FileRef
    from copernicus.net.transfer import download, upload

    source, file = folder / "source.bin", FileRef(hash_bytes(data), len(data), "large.bin")
    source.write_bytes(data)
    caller = a.caller()
    upload(caller, file, source)
    caller.call(m.StartProjectRequest("p", "s"))
    command = ["cat", "large.bin"]
    edits = [ImportModule("ensemble"), MakeInstance("ensemble::sweep", "bag"), SetValue("bag:in.command", command),
             SetValue("bag:in.files", [{"blob": file.blob, "size": file.size, "name": file.name}]),
             SetValue("bag:in.repeats", 1), Activate()]  # fmt: skip
    caller.call(m.ApplyRequest("p", edits, "bag"))
    row = caller.call(m.QueueRequest("p"))
    until(lambda: caller.call(m.QueueRequest("p")).jobs, str(row))
    (queued,) = caller.call(m.QueueRequest("p")).jobs
    worker = Hand(c)
    offer = WorkerOffer("w", "here", "smp", 1, (ExecutableOffer(queued.executable, "1.0"),))
    worker.caller.call(m.AnnounceRequest(offer))
    job = worker.take()
    for number in range(2):
        download(worker.caller, file, folder / f"got{number}.bin")
        assert (folder / f"got{number}.bin").read_bytes() == data
    status = b.caller().call(m.BlobStatusRequest([file.blob]))
    assert status.is_complete == [True], "the relay has it, too"
    a.kill()
    download(c.caller("worker"), file, folder / "again.bin")
    assert job.description.files[0].file.blob == file.blob or file.blob in {one.file.blob for one in job.description.files}


@pytest.mark.parametrize("asks_first", ["inside", "outside"])
def test_whoever_asks_the_side_that_can_call_does(tmp_path: Path, asks_first: str) -> None:
    """Both ask: whatever the order, the link stands."""
    with servers(tmp_path, "a") as made, servers(tmp_path / "inside", "f", server_fqdn=NOWHERE) as hidden:
        outside, inside = made["a"], hidden["f"]
        order = (inside, outside) if asks_first == "inside" else (outside, inside)
        for one, other in (order, order[::-1]):
            ask(one, other)
        until(lambda: is_linked(outside, inside) and is_linked(inside, outside))
