"""Files to and from a server: asked for by content, in pieces, resumed where a cut left them, checked by their hash."""

from __future__ import annotations

import http.client
import os
import random
import threading
from collections.abc import Callable
from pathlib import Path

from copernicus.blobs.descriptors import open_regular, write_all
from copernicus.blobs.durable import disk_errors, sync_folder
from copernicus.blobs.hashing import CHUNK_BYTES, Hasher, checked_blob, hash_file
from copernicus.errors import (
    CopernicusError,
    CorruptData,
    InternalError,
    NoSpace,
    Unavailable,
    UnknownPath,
    Unreachable,
    UsageError,
)
from copernicus.model.values import FileRef
from copernicus.net.caller import Caller
from copernicus.wire.endpoints import BLOBS
from copernicus.wire.messages import BlobStatusRequest

Progress = Callable[[int, int], None]  # bytes that are over there, bytes in all

ATTEMPTS = 8
GATHERED_BYTES, RECORD_BYTES = 512 * 1024, 16 * 1024
FIRST_PAUSE_S, LONGEST_PAUSE_S = 0.2, 30.0
PIECE_TIMEOUT_S = 300.0  # the answer to the last piece comes after the fsync of the whole file


class Patience:
    """How often a transfer is tried again without progress, with growing, jittered pauses between."""

    def __init__(self, attempts: int, stop: threading.Event | None = None) -> None:
        self._attempts = attempts
        self._stop = stop or threading.Event()
        self._failures = 0

    def progressed(self) -> None:
        """Something arrived: the budget is whole again."""
        self._failures = 0

    def pause(self, error: CopernicusError) -> None:
        """Wait before the next attempt; raise `error` when the budget is used up or the transfer was stopped."""
        self._failures += 1
        limit_s = min(LONGEST_PAUSE_S, FIRST_PAUSE_S * 2.0 ** (self._failures - 1))
        if self._failures >= self._attempts or self._stop.wait(limit_s * (0.5 + random.random() / 2)):  # noqa: S311 - no secret
            raise error


def upload(
    caller: Caller,
    file: FileRef,
    path: Path,
    progress: Progress | None = None,
    *,
    attempts: int = ATTEMPTS,
    stop: threading.Event | None = None,
) -> None:
    """Send the content of `path` as the blob `file`, unless the server has it; at most the last MiB is sent twice.

    Raise `UsageError` when the file is not (any more) what `file` says, `Unreachable` and the like when `attempts` in a
    row brought nothing, and whatever the server answers. `stop` ends the waiting.
    """
    patience = Patience(attempts, stop)
    source = open_regular(path, is_link_followed=True)
    try:
        if os.fstat(source).st_size != file.size:
            raise UsageError(f"{path} has changed: it had {file.size} bytes.", "Send it again.")
        has_been_checked = False
        while True:
            try:
                _send_rest(caller, file, source, patience, progress)
                return
            except NoSpace:
                raise
            except Unavailable as error:
                patience.pause(error)
            except CorruptData:
                if has_been_checked or hash_file(path)[0] != file.blob:
                    raise UsageError(f"{path} changed while it was sent.", "Send it again.") from None
                has_been_checked = True
    finally:
        os.close(source)


def _send_rest(caller: Caller, file: FileRef, source: int, patience: Patience, progress: Progress | None) -> None:
    status = caller.call(BlobStatusRequest([file.blob]))
    is_complete, offset = status.is_complete[0], status.received[0]
    while not is_complete:
        piece = os.pread(source, min(CHUNK_BYTES, file.size - offset), offset)
        now_there = _send_piece(caller, file, offset, piece)
        if now_there > offset:
            patience.progressed()
        elif now_there < file.size:
            patience.pause(InternalError(f"The server does not take blob {file.blob} further than {now_there} bytes."))
        offset = now_there
        is_complete = offset >= file.size
        if progress is not None:
            progress(offset, file.size)
    if progress is not None:
        progress(file.size, file.size)


def _send_piece(caller: Caller, file: FileRef, offset: int, piece: bytes) -> int:
    headers = {"Content-Type": "application/octet-stream", "Upload-Offset": str(offset)}
    target = f"{BLOBS}{checked_blob(file.blob)}?size={file.size}"
    # not repeated blindly: how much of the piece arrived before a cut is asked for first
    response = caller.exchange("PATCH", target, piece, headers, PIECE_TIMEOUT_S, is_repeated=False)
    there = response.headers.get("Upload-Offset", "")
    if response.status == 409 and there.isdecimal():
        with caller.reading():
            response.read()
        return int(there)
    caller.read(response)
    if not there.isdecimal():
        raise InternalError(f"{caller.where} did not say how much of the blob it has.")
    return int(there)


def download(
    caller: Caller,
    file: FileRef,
    destination: Path,
    progress: Progress | None = None,
    *,
    attempts: int = ATTEMPTS,
    stop: threading.Event | None = None,
) -> None:
    """Fetch the blob `file` to `destination`, which appears (or is replaced) only when whole and checked.

    The part received so far lies beside it (`.<name>.<hash>.partial`) and is gone on from, also by a later call.
    Raise `CorruptData` when what comes is not what was asked for, `NoSpace`, and as `upload`.
    """
    patience = Patience(attempts, stop)
    partial = destination.with_name(f".{destination.name[:100]}.{checked_blob(file.blob)[:16]}.partial")
    with disk_errors(str(destination)):
        descriptor = os.open(partial, os.O_RDWR | os.O_CREAT | os.O_APPEND | os.O_NOFOLLOW | os.O_CLOEXEC, 0o666)
        try:
            hasher = _rehash(descriptor, file.size)
            while True:
                try:
                    _receive_rest(caller, file, descriptor, hasher, patience, progress)
                    break
                except NoSpace:
                    raise
                except Unavailable as error:
                    patience.pause(error)
            if hasher.hexdigest() != file.blob:
                partial.unlink(missing_ok=True)
                raise CorruptData(f"What came as blob {file.blob} hashes to {hasher.hexdigest()}.", "Fetch it again.")
            os.fsync(descriptor)
            os.replace(partial, destination)
        except UnknownPath:
            partial.unlink(missing_ok=True)
            raise
        finally:
            os.close(descriptor)
        sync_folder(destination.parent)


def _rehash(descriptor: int, size: int) -> Hasher:
    hasher = Hasher()
    if os.fstat(descriptor).st_size > size:
        os.ftruncate(descriptor, 0)
    while chunk := os.read(descriptor, CHUNK_BYTES):
        hasher.update(chunk)
    return hasher


def _receive_rest(
    caller: Caller, file: FileRef, descriptor: int, hasher: Hasher, patience: Patience, progress: Progress | None
) -> None:
    while hasher.count < file.size:
        headers = {"Range": f"bytes={hasher.count}-"} if hasher.count else {}
        response = caller.exchange("GET", BLOBS + file.blob, headers=headers, timeout_s=PIECE_TIMEOUT_S)
        if response.status not in (200, 206):
            caller.read(response)
            raise InternalError(f"{caller.where} answered HTTP {response.status} to a request for a blob.")
        if response.status == 200 and hasher.count:
            raise InternalError(f"{caller.where} does not go on with a blob where it was cut.")
        _receive_body(caller, response, file, descriptor, hasher, patience, progress)
        if hasher.count < file.size:
            caller.close()
            patience.pause(Unreachable(f"The answer of {caller.where} broke in the middle of a file.", "Try again."))
        else:
            with caller.reading():
                response.read()


def _receive_body(
    caller: Caller,
    response: http.client.HTTPResponse,
    file: FileRef,
    descriptor: int,
    hasher: Hasher,
    patience: Patience,
    progress: Progress | None,
) -> None:
    """Take over what comes of one answer, up to its end or a cut; every byte that came is kept."""
    is_open = True
    while is_open and hasher.count < file.size:
        gathered, count = list[bytes](), 0
        try:
            with caller.reading():
                while count < min(GATHERED_BYTES, file.size - hasher.count):
                    # one TLS record at a time: what was decrypted before a cut is not lost
                    piece = response.read1(min(RECORD_BYTES, file.size - hasher.count - count))
                    if not piece:
                        is_open = False
                        break
                    gathered.append(piece)
                    count += len(piece)
        finally:
            if count:
                data = b"".join(gathered)
                write_all(descriptor, data)
                hasher.update(data)
                patience.progressed()
                if progress is not None:
                    progress(hasher.count, file.size)
