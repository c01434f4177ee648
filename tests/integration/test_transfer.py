"""Transfers over real TLS through a proxy that cuts: resumed at the byte, checked, sent once."""

from __future__ import annotations

import random
from collections.abc import Iterator
from pathlib import Path

import pytest
from tests.integration.small_server import SmallServer, made_keys
from tests.proof.proxy import CuttingProxy

from copernicus.blobs.folder import BlobFolder
from copernicus.blobs.hashing import CHUNK_BYTES, hash_bytes, hash_file
from copernicus.errors import CorruptData, UnknownPath, Unreachable, UsageError
from copernicus.model.values import FileRef
from copernicus.net import transfer
from copernicus.net.transfer import download, upload

SIZE = 24 * 1024 * 1024 + 12345
DATA = random.Random(7).randbytes(SIZE)
FILE = FileRef(hash_bytes(DATA), SIZE, "traj.xtc")
OVERHEAD = 1.1  # TLS records, HTTP headers, one handshake for each cut


@pytest.fixture
def server(tmp_path: Path) -> Iterator[SmallServer]:
    with SmallServer(made_keys(tmp_path / "keys"), BlobFolder(tmp_path / "blobs")) as server:
        yield server


@pytest.fixture
def sent(tmp_path: Path) -> Path:
    path = tmp_path / "traj.xtc"
    path.write_bytes(DATA)
    return path


@pytest.fixture(autouse=True)
def quick(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(transfer, "FIRST_PAUSE_S", 0.01)


def blobs_of(server: SmallServer) -> BlobFolder:
    assert server.blobs is not None
    return server.blobs


@pytest.mark.parametrize("seed", range(3))
def test_an_upload_survives_ten_cuts_and_sends_little_twice(server: SmallServer, sent: Path, seed: int) -> None:
    cuts = random.Random(seed).sample(range(20_000, SIZE), 10)
    with CuttingProxy(server.port, cuts) as proxy, server.caller(proxy.port) as caller:
        told: list[int] = []
        upload(caller, FILE, sent, lambda there, size: told.append(there))
        assert proxy.cuts_made == 10
        assert proxy.to_server_bytes < SIZE * OVERHEAD + 10 * CHUNK_BYTES
        assert told == sorted(told)
        assert told[-1] == SIZE
        blobs_of(server).verify(FILE.blob)
        passed = proxy.passed_bytes
        upload(caller, FILE, sent)
        assert proxy.passed_bytes - passed < 10_000


@pytest.mark.parametrize("seed", range(3))
def test_a_download_survives_ten_cuts_and_fetches_little_twice(server: SmallServer, tmp_path: Path, seed: int) -> None:
    blobs_of(server).put_bytes(DATA)
    destination = tmp_path / "out" / "traj.xtc"
    destination.parent.mkdir()
    destination.write_bytes(b"what was there before")
    with CuttingProxy(server.port, random.Random(seed).sample(range(20_000, SIZE), 10)) as proxy:
        with server.caller(proxy.port) as caller:
            download(caller, FILE, destination)
        assert proxy.cuts_made == 10
        assert proxy.to_client_bytes < SIZE * OVERHEAD + 10 * CHUNK_BYTES
    assert hash_file(destination) == (FILE.blob, SIZE)
    assert list(destination.parent.iterdir()) == [destination]


def test_a_later_run_goes_on_where_an_earlier_one_gave_up(server: SmallServer, sent: Path, tmp_path: Path) -> None:
    with CuttingProxy(server.port, [SIZE // 2]) as proxy, server.caller(proxy.port) as caller:
        with pytest.raises(Unreachable):
            upload(caller, FILE, sent, attempts=1)
        proxy.cut_after([SIZE // 4])
        upload(caller, FILE, sent, attempts=2)
        assert proxy.to_server_bytes < SIZE * OVERHEAD + 2 * CHUNK_BYTES
        destination = tmp_path / "fetched"
        fetched = proxy.to_client_bytes
        proxy.cut_after([SIZE // 2])
        with pytest.raises(Unreachable):
            download(caller, FILE, destination, attempts=1)
        assert not destination.exists()
        download(caller, FILE, destination, attempts=1)
        assert proxy.to_client_bytes - fetched < SIZE * OVERHEAD + CHUNK_BYTES
    assert destination.read_bytes() == DATA


def test_a_file_that_changed_is_not_sent_as_what_it_was(server: SmallServer, sent: Path) -> None:
    sent.write_bytes(DATA[:-1] + bytes([DATA[-1] ^ 1]))
    with server.caller() as caller:
        with pytest.raises(UsageError, match="changed"):
            upload(caller, FILE, sent)
        sent.write_bytes(DATA[:-1])
        with pytest.raises(UsageError, match="changed"):
            upload(caller, FILE, sent)
    assert not blobs_of(server).has(FILE.blob)


def test_what_rotted_on_the_server_does_not_arrive(server: SmallServer, tmp_path: Path) -> None:
    blobs = blobs_of(server)
    blobs.put_bytes(DATA)
    path = blobs.path(FILE.blob)
    path.chmod(0o600)
    with open(path, "r+b") as raw:
        raw.seek(SIZE // 2)
        raw.write(b"rot!")
    with server.caller() as caller, pytest.raises((CorruptData, Unreachable)):
        download(caller, FILE, tmp_path / "out", attempts=2)
    assert not (tmp_path / "out").exists()


def test_a_part_that_rotted_here_is_dropped_and_fetched_anew(server: SmallServer, tmp_path: Path) -> None:
    blobs_of(server).put_bytes(DATA)
    partial = tmp_path / f".out.{FILE.blob[:16]}.partial"
    partial.write_bytes(b"x" * CHUNK_BYTES)
    with server.caller() as caller:
        with pytest.raises(CorruptData):
            download(caller, FILE, tmp_path / "out")
        download(caller, FILE, tmp_path / "out")
    assert (tmp_path / "out").read_bytes() == DATA


@pytest.mark.parametrize("content", [b"", b"small"])
def test_small_and_empty_files_travel_too(server: SmallServer, tmp_path: Path, content: bytes) -> None:
    file = FileRef(hash_bytes(content), len(content), "x")
    (tmp_path / "x").write_bytes(content)
    (tmp_path / "link").symlink_to("x")
    with server.caller() as caller:
        upload(caller, file, tmp_path / "link")
        download(caller, file, tmp_path / "y")
        with pytest.raises(UnknownPath):
            download(caller, FileRef("0" * 64, 5), tmp_path / "z")
    assert (tmp_path / "y").read_bytes() == content
    assert {path.name for path in tmp_path.iterdir()} == {"keys", "blobs", "x", "link", "y"}
