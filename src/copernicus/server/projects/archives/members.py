"""The members of an archive: packed in gzip pieces, so that memory stays flat; unpacked by a reader that trusts nothing.

Any tar program can list and unpack an archive. The reader here takes only what the writer writes: regular files with
short plain names. Links, devices, folders, extended headers and all that they could do are refused by their type alone.
"""

from __future__ import annotations

import gzip
import re
import tarfile
import zlib
from collections.abc import Iterator
from typing import IO

from copernicus.errors import Refused, TooLarge
from copernicus.server.projects.archives.manifest import FILES

BLOCK_BYTES = 512
PIECE_BYTES = 1024 * 1024
CHUNK_BYTES = 1024 * 1024
MOST_TIMES_LARGER = 300
"""The writer packs with level 1, which never gets beyond 230: who claims more is a bomb."""
SLACK_BYTES = 16 * 1024 * 1024
END = bytes(2 * BLOCK_BYTES)
_HARDLY = 0.97
_NAME = re.compile(r"header\.json|manifest\.json|(?:log|jobs)/\d{8}\.jsonl|files/[0-9a-f]{64}")


class Packer:
    """Takes bytes, gives gzip pieces; each piece stands for itself, and what does not shrink is stored as it is."""

    def __init__(self) -> None:
        self._waiting = bytearray()

    def add(self, data: bytes) -> bytes:
        """Take `data`; return what is packed so far, which may be nothing yet."""
        self._waiting += data
        packed = bytearray()
        while len(self._waiting) >= PIECE_BYTES:
            packed += _packed(bytes(self._waiting[:PIECE_BYTES]))
            del self._waiting[:PIECE_BYTES]
        return bytes(packed)

    def end(self) -> bytes:
        """Return the last piece, with the end of the archive in it."""
        return _packed(bytes(self._waiting) + END)


def _packed(piece: bytes) -> bytes:
    packed = gzip.compress(piece, 1, mtime=0)
    return packed if len(packed) < _HARDLY * len(piece) else gzip.compress(piece, 0, mtime=0)


def head(name: str, size: int) -> bytes:
    """The block before a member's bytes."""
    member = tarfile.TarInfo(name)
    member.size, member.mode = size, 0o644
    return member.tobuf(tarfile.GNU_FORMAT)


def padding(size: int) -> bytes:
    """The zeros behind a member of `size` bytes."""
    return bytes(-size % BLOCK_BYTES)


def refusal(why: str) -> Refused:
    """The error for an archive that is not what it should be."""
    return Refused(f"This is not a whole archive of a project: {why}.", "Nothing was loaded. Save it again, or fetch it again.")


class MemberReader:
    """Reads members one after the other. `packed_bytes` is the archive's size, `limit_bytes` of what is in it (0: none)."""

    def __init__(self, file: IO[bytes], packed_bytes: int, limit_bytes: int = 0) -> None:
        self._file = gzip.GzipFile(fileobj=file, mode="rb")
        self._most = MOST_TIMES_LARGER * packed_bytes + SLACK_BYTES
        self._limit = limit_bytes
        self.count = 0

    def members(self) -> Iterator[tuple[str, int, Iterator[bytes]]]:
        """Yield name, size and pieces of each member; the pieces must be read before the next one. Raise `Refused`."""
        seen = set[bytes]()
        while True:
            block = self._read(BLOCK_BYTES)
            if len(block) < BLOCK_BYTES:
                raise refusal("it ends too early")
            if block == bytes(BLOCK_BYTES):
                break
            name, size = self._member(block)
            short = bytes.fromhex(name[len(FILES) :]) if name.startswith(FILES) else name.encode()
            if short in seen:
                raise refusal(f"{name} is in it twice")
            seen.add(short)
            yield name, size, self._pieces(size)
        if self._read(BLOCK_BYTES) != bytes(BLOCK_BYTES):
            raise refusal("its end is missing")
        while rest := self._read(CHUNK_BYTES):
            if rest.strip(b"\0"):
                raise refusal("something follows its end")

    def _member(self, block: bytes) -> tuple[str, int]:
        try:
            found = tarfile.TarInfo.frombuf(block, "ascii", "strict")
        except (tarfile.HeaderError, UnicodeError, ValueError):
            raise refusal("a member's header is damaged") from None
        shown = ascii(found.name[:100])
        if found.type not in (tarfile.REGTYPE, tarfile.AREGTYPE):
            raise refusal(f"{shown} is no regular file")
        if not _NAME.fullmatch(found.name):
            raise refusal(f"{shown} does not belong into it")
        if found.size < 0:
            raise refusal(f"{shown} has no size")
        if self._limit and self.count + found.size > self._limit:
            raise TooLarge(
                f"What is in this archive is larger than this server takes ({self._limit} bytes).",
                "Its owner may raise the limit: cpc-server config archive_limit_bytes N",
            )
        return found.name, found.size

    def _pieces(self, size: int) -> Iterator[bytes]:
        left = size
        while left:
            piece = self._read(min(left, CHUNK_BYTES))
            if not piece:
                raise refusal("it ends too early")
            left -= len(piece)
            yield piece
        if self._read(-size % BLOCK_BYTES).strip(b"\0"):
            raise refusal("there is something between its members")

    def _read(self, count: int) -> bytes:
        gathered = bytearray()
        while len(gathered) < count:
            try:
                piece = self._file.read(count - len(gathered))
            except (OSError, EOFError, zlib.error):
                raise refusal("its bytes are damaged, or it ends too early") from None
            if not piece:
                break
            gathered += piece
            self.count += len(piece)
            if self.count > self._most:
                raise refusal(f"it unpacks to more than {MOST_TIMES_LARGER} times its size")
        return bytes(gathered)
