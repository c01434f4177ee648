"""Blobs through a real server: pieces, cuts, ranges, damage, limits; small files inside messages."""

from __future__ import annotations

import asyncio
import errno
import random
import socket
import time
from collections.abc import AsyncIterator, Callable, Iterator
from pathlib import Path
from types import SimpleNamespace
from typing import cast

import pytest
from aiohttp import web
from tests.integration.standing import DEADLINE_S, Standing, offer

from copernicus.blobs.hashing import EMPTY, hash_bytes
from copernicus.errors import CorruptData, NotAuthenticated, TooLarge, Unavailable, UnknownPath, Unreachable, UsageError
from copernicus.model.edits import Activate, ImportModule, MakeInstance, SetValue
from copernicus.model.values import FileRef
from copernicus.net.caller import Caller
from copernicus.net.tls import client_context
from copernicus.net.transfer import download, upload
from copernicus.server.http import blobs
from copernicus.server.http.calls import Rooms
from copernicus.wire import messages as m

DATA = random.Random(1).randbytes(3_000_000)
BLOB = hash_bytes(DATA)


@pytest.fixture(scope="module")
def standing(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Standing]:
    standing = Standing(tmp_path_factory.mktemp("blobs"), blob_limit_bytes=8_000_000)
    try:
        standing.start()
        yield standing
    finally:
        standing.close()


@pytest.fixture
def caller(standing: Standing) -> Caller:
    return standing.caller("worker")


def patch(caller: Caller, blob: str, size: int, offset: int, piece: bytes) -> tuple[int, str]:
    response = caller.exchange("PATCH", f"/v1/blobs/{blob}?size={size}", piece, {"Upload-Offset": str(offset)})
    if response.status < 300 or response.headers.get("Upload-Offset"):
        response.read()
        return response.status, response.headers["Upload-Offset"]
    caller.read(response)
    raise AssertionError("an error was expected")


def received(caller: Caller, blob: str) -> tuple[int, bool]:
    reply = caller.call(m.BlobStatusRequest([blob]))
    return reply.received[0], reply.is_complete[0]


def get(caller: Caller, blob: str, start: int | None = None) -> tuple[int, bytes]:
    response = caller.exchange("GET", f"/v1/blobs/{blob}", headers={} if start is None else {"Range": f"bytes={start}-"})
    return response.status, caller.read(response)


def test_a_cut_upload_keeps_every_byte_that_came_and_goes_on_there(standing: Standing, caller: Caller) -> None:
    session = standing.user()
    half = len(DATA) // 2
    context = client_context(standing.keys.authority())
    with socket.create_connection(("127.0.0.1", standing.client_port)) as plain, context.wrap_socket(plain) as cut:
        head = f"PATCH /v1/blobs/{BLOB}?size={len(DATA)} HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer {session.token}\r\n"
        cut.sendall(f"{head}Upload-Offset: 0\r\nContent-Length: {len(DATA)}\r\n\r\n".encode() + DATA[:half])
    ends_at = time.monotonic() + DEADLINE_S
    while not received(caller, BLOB)[0] and time.monotonic() < ends_at:
        time.sleep(0.02)
    assert get_fails(caller, BLOB) is UnknownPath
    status, offset = 409, 5
    while status == 409:  # what was under way when the connection was cut may still be on its way to the disk
        status, there = patch(caller, BLOB, len(DATA), offset, DATA[offset : offset + 1000])
        assert 0 < int(there) <= half + 1000
        offset = int(there)
    assert patch(caller, BLOB, len(DATA), offset, DATA[offset:]) == (204, str(len(DATA)))
    assert received(caller, BLOB) == (len(DATA), True)
    assert get(caller, BLOB) == (200, DATA)
    assert get(caller, BLOB, 1_000_001) == (206, DATA[1_000_001:])
    assert get(caller, BLOB, len(DATA)) == (206, b"")


def get_fails(caller: Caller, blob: str) -> type[Exception] | None:
    try:
        get(caller, blob)
    except Exception as error:
        return type(error)
    return None


def test_transfers_of_files_end_with_equal_files(caller: Caller, tmp_path: Path) -> None:
    for size in (0, 1, 1_048_576, 2_500_001):
        source, target = tmp_path / "source", tmp_path / f"target{size}"
        source.write_bytes(DATA[:size])
        file = FileRef(hash_bytes(DATA[:size]), size, "source")
        upload(caller, file, source)
        upload(caller, file, source)
        download(caller, file, target)
        assert target.read_bytes() == DATA[:size]
    assert received(caller, EMPTY) == (0, True)


def test_content_that_does_not_match_its_hash_is_dropped(caller: Caller) -> None:
    wrong = hash_bytes(b"something else")
    with pytest.raises(CorruptData):
        patch(caller, wrong, 10, 0, b"0123456789")
    assert received(caller, wrong) == (0, False)


def test_a_flipped_bit_on_disk_is_never_served_as_whole(standing: Standing, caller: Caller) -> None:
    small, large = DATA[:1000], DATA[:2_900_000]
    for data in (small, large):
        blob = hash_bytes(data)
        patch(caller, blob, len(data), 0, data)
        path = standing.projects / "blobs" / blob[:2] / blob
        path.chmod(0o600)
        path.write_bytes(bytes([data[0] ^ 1]) + data[1:])
    with pytest.raises(CorruptData):
        get(caller, hash_bytes(small))
    with pytest.raises(Unreachable, match="in the middle"):
        get(caller, hash_bytes(large))  # found while it is sent: the answer stays short of its length
    assert get_fails(caller, hash_bytes(b"nothing")) is UnknownPath


@pytest.mark.parametrize(
    ("target", "headers", "kind"),
    [
        (f"{BLOB}?size=9000000", {"Upload-Offset": "0"}, TooLarge),
        (f"{BLOB}?size=abc", {"Upload-Offset": "0"}, UsageError),
        (f"{BLOB}?size=10", {}, UsageError),
        ("..%2f..%2fbook.sqlite?size=10", {"Upload-Offset": "0"}, UsageError),
        (f"{hash_bytes(b'ab')}?size=2", {"Upload-Offset": "0"}, UsageError),
    ],
)
def test_uploads_that_cannot_be_are_refused(
    caller: Caller, target: str, headers: dict[str, str], kind: type[Exception]
) -> None:
    response = caller.exchange("PATCH", f"/v1/blobs/{target}", b"abcdef", headers)
    with pytest.raises(kind):
        caller.read(response)


def test_nobody_gets_or_sends_files_without_a_name(standing: Standing) -> None:
    nobody = standing.nobody()
    assert get_fails(nobody, BLOB) is NotAuthenticated
    with pytest.raises(NotAuthenticated):
        patch(nobody, BLOB, 3, 0, b"abc")


def test_small_inputs_travel_with_the_job_once(standing: Standing) -> None:
    admin, worker = standing.caller(), standing.caller("worker")
    small = b"an input file"
    patch(admin, hash_bytes(small), len(small), 0, small)
    worker.call(offer(cores=1))
    admin.call(m.StartProjectRequest("files", "s"))
    edits = [ImportModule("benchmark")]
    for name in ("one", "two"):
        edits += [MakeInstance("benchmark::noop", name), SetValue(f"{name}:in.index", 1)]  # type: ignore[list-item]
        edits += [SetValue(f"{name}:in.files", [FileRef(hash_bytes(small), len(small), "in.txt")])]  # type: ignore[list-item]
    admin.call(m.ApplyRequest("files", [*edits, Activate()], "apply"))
    replies = [worker.call(m.ExchangeRequest("w", 1, 1, wait_s=20.0, request_id=f"r{number}")) for number in range(2)]
    assert [len(reply.jobs) for reply in replies] == [1, 1]
    assert [[blob.data for blob in reply.blobs] for reply in replies] == [[small], []]


def test_what_the_system_refuses_may_be_tried_again(standing: Standing, caller: Caller, tmp_path: Path) -> None:
    data = random.Random(2).randbytes(5000)
    blob, source = hash_bytes(data), tmp_path / "source"
    source.write_bytes(data)
    obstacle = standing.projects / "blobs" / blob[:2]
    obstacle.touch()  # a file where the blob's folder must be
    with pytest.raises(Unavailable, match="refused it: Not a directory"):
        patch(caller, blob, len(data), 0, data)
    obstacle.unlink()
    upload(caller, FileRef(blob, len(data), "source"), source)
    assert get(caller, blob) == (200, data)


@pytest.mark.parametrize("error", [OSError(errno.EIO, "Input/output error"), CorruptData("It has changed.")])
def test_half_an_answer_is_cut_and_nothing_else_is_said(error: Exception) -> None:
    async def pieces(blob: str, offset: int) -> AsyncIterator[bytes]:
        yield b"the first half"
        raise error

    async def run(action: Callable[..., object], *arguments: object) -> object:
        return action(*arguments)

    files = SimpleNamespace(folder=SimpleNamespace(size=lambda blob: 1000), run=run, pieces=pieces)

    async def answer(request: web.BaseRequest) -> web.StreamResponse:
        try:
            return await blobs.get(cast(Rooms, SimpleNamespace(files=files)), request, BLOB)
        except Exception as error:  # as the server answers what a handler raises
            return web.Response(text=f"a second answer: {error}")

    async def ask() -> bytes:
        runner = web.ServerRunner(web.Server(answer))
        await runner.setup()
        site = web.TCPSite(runner, "127.0.0.1", 0)
        await site.start()
        reader, writer = await asyncio.open_connection(*runner.addresses[0][:2])
        writer.write(b"GET / HTTP/1.1\r\nHost: x\r\n\r\n")
        came = await asyncio.wait_for(reader.read(), DEADLINE_S)
        writer.close()
        await runner.cleanup()
        return came

    head, _, body = asyncio.run(ask()).partition(b"\r\n\r\n")
    assert head.startswith(b"HTTP/1.1 200")
    assert body == b"the first half"
