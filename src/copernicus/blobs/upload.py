"""An upload in progress: bytes go into a partial file, which becomes the blob when all are there and the hash is right."""

from __future__ import annotations

import os
import threading
from pathlib import Path
from typing import Protocol

from copernicus.blobs.durable import disk_errors
from copernicus.blobs.hashing import Hasher, hash_file
from copernicus.errors import Conflict, CorruptData, UsageError

SYNC_EVERY_BYTES = 64 * 1024 * 1024


class WrongOffset(Conflict):
    """An upload that does not go on where the last one ended; `received` is where it must."""

    def __init__(self, received: int) -> None:
        super().__init__(f"{received} bytes of this blob have been received.", "Go on from there.")
        self.received = received


class Home(Protocol):
    """What an upload asks of its blob folder."""

    is_durable: bool

    def ended(self, upload: Upload, hasher: Hasher | None) -> None:
        """The upload gives up its turn."""
        ...

    def commit(self, temporary: Path, blob: str) -> None:
        """Make a verified and synced file the blob."""
        ...


class Upload:
    """One stretch of an upload, from the offset it was opened at. `received` counts all bytes there, earlier ones too.

    `write` and `finish` block (call them in a thread); `close` must be called in any case, and keeps what was received.
    """

    def __init__(self, home: Home, partial: Path, blob: str, size: int, received: int, hasher: Hasher | None) -> None:
        self.blob, self.size, self.received = blob, size, received
        self.is_complete = False
        self._home, self._partial, self._hasher = home, partial, hasher
        self._is_superseded = False
        self._lock = threading.Lock()
        self._unsynced = 0
        self._descriptor = os.open(partial, os.O_WRONLY | os.O_CREAT | os.O_APPEND | os.O_NOFOLLOW | os.O_CLOEXEC, 0o600)

    def write(self, chunk: bytes | bytearray | memoryview) -> None:
        """Append `chunk`; raise `Conflict` when another upload took over, `UsageError` beyond the size, `NoSpace`."""
        with self._lock:
            self._check_turn()
            if self.received + len(chunk) > self.size:
                raise UsageError(f"More bytes came than the {self.size} that were announced.")
            view = memoryview(chunk)
            while view:
                with disk_errors("an upload"):
                    count = os.write(self._descriptor, view)
                if self._hasher is not None:
                    self._hasher.update(view[:count])
                self.received += count
                self._unsynced += count
                view = view[count:]
            if self._unsynced >= SYNC_EVERY_BYTES and self._home.is_durable:
                # bounds the dirty pages, and with them the time that the last fsync takes
                with disk_errors("an upload"):
                    os.fdatasync(self._descriptor)
                self._unsynced = 0

    def finish(self) -> bool:
        """End the stretch. When all bytes are there: check the hash, make the blob durable and visible, return True.

        Return False when bytes are still missing. Raise `CorruptData` (and drop all that was received) when the hash is
        wrong, `Conflict`, `NoSpace`.
        """
        with self._lock:
            if self.is_complete:
                return True
            self._check_turn()
            if self.received < self.size:
                return False
            found = self._hasher.hexdigest() if self._hasher is not None else hash_file(self._partial)[0]
            if found != self.blob:
                self._partial.unlink(missing_ok=True)
                self._hasher = None
                self.received = 0
                raise CorruptData(f"What was sent as blob {self.blob} hashes to {found}.", "Send it again from its start.")
            with disk_errors("an upload"):
                os.fchmod(self._descriptor, 0o400)
                if self._home.is_durable:
                    os.fsync(self._descriptor)
                self._home.commit(self._partial, self.blob)
            self._hasher = None
            self.is_complete = True
            return True

    def close(self) -> None:
        """Give up the turn; what was received stays for the next one. May be called twice."""
        with self._lock:
            if self._descriptor >= 0:
                os.close(self._descriptor)
                self._descriptor = -1
            hasher, self._hasher = self._hasher, None
        self._home.ended(self, hasher)

    def supersede(self) -> None:
        """Another upload of the same blob takes over; waits for a write in progress to end."""
        with self._lock:
            self._is_superseded = True

    def _check_turn(self) -> None:
        if self._is_superseded or self._descriptor < 0:
            raise Conflict("Another upload of the same content has taken over.", "Ask how far it is, and go on from there.")
