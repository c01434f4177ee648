"""Content hashes: BLAKE3, 64 hex digits, computed while bytes stream by."""

from __future__ import annotations

import re
from pathlib import Path

from blake3 import blake3

from copernicus.errors import UsageError

CHUNK_BYTES = 1024 * 1024
EMPTY = blake3(b"").hexdigest()
_BLOB = re.compile(r"[0-9a-f]{64}")


class Hasher:
    """The hash of what it has been fed so far; `count` is the number of bytes."""

    __slots__ = ("_state", "count")

    def __init__(self) -> None:
        self._state = blake3()
        self.count = 0

    def update(self, data: bytes | bytearray | memoryview) -> None:
        """Feed `data`."""
        self._state.update(data)
        self.count += len(data)

    def hexdigest(self) -> str:
        """Return the hash as 64 hex digits."""
        return self._state.hexdigest()


def hash_bytes(data: bytes) -> str:
    """Return the hash of `data`."""
    return blake3(data).hexdigest()


def hash_file(path: Path) -> tuple[str, int]:
    """Return hash and size in bytes of a file, read in chunks; raise `OSError`."""
    hasher = Hasher()
    with open(path, "rb", buffering=0) as file:
        buffer = bytearray(CHUNK_BYTES)
        view = memoryview(buffer)
        while count := file.readinto(buffer):
            hasher.update(view[:count])
    return hasher.hexdigest(), hasher.count


def checked_blob(blob: str) -> str:
    """Return `blob` when it is a hash; raise `UsageError` otherwise, so that no other name ever becomes a path."""
    if not _BLOB.fullmatch(blob):
        raise UsageError(f"{blob[:80]!r} is not a content hash (64 hex digits).")
    return blob
