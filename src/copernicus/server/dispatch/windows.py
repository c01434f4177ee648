"""The end of a file that grows elsewhere, as far as it is kept for those who follow it."""

from __future__ import annotations

from copernicus.wire.messages import Piece, StreamPiece

PIECE_BYTES = 256 * 1024


class Window:
    """Bytes `start`…`end` of a file that had `size_bytes` bytes when the last piece of it was read."""

    __slots__ = ("_data", "size_bytes", "start")

    def __init__(self) -> None:
        self.start, self.size_bytes = 0, 0
        self._data = bytearray()

    @property
    def end(self) -> int:
        """Up to which byte the file is here."""
        return self.start + len(self._data)

    def put(self, offset: int, data: bytes, size_bytes: int, limit_bytes: int) -> None:
        """Take a piece in, keeping the last `limit_bytes`.

        One that was here already changes nothing. What does not join, and a file that has become shorter, begin anew.
        """
        if offset > self.end or size_bytes < self.end:
            self.start, self._data = offset, bytearray(data)
        else:
            self._data += data[self.end - offset :]
        self.size_bytes = size_bytes
        self.trim(limit_bytes)

    def trim(self, limit_bytes: int) -> None:
        """Keep the last `limit_bytes`."""
        surplus = len(self._data) - limit_bytes
        if surplus > 0:
            del self._data[:surplus]
            self.start += surplus

    def read(self, offset: int | None, most_bytes: int) -> tuple[int, bytes]:
        """Return what is next for somebody who has seen all before `offset` (None: nothing), and where it begins."""
        if offset is None or offset < self.start:
            offset = self.start
        elif offset > self.end:
            if self.end < self.size_bytes:  # it is being brought anew, after a restart
                return offset, b""
            offset = self.start  # the file has become shorter
        return offset, bytes(self._data[offset - self.start :][:most_bytes])


class Windows:
    """The windows of one attempt's files, by name; at most `MOST_FILES`, those that grew last."""

    MOST_FILES = 16

    def __init__(self) -> None:
        self.files: dict[str, Window] = {}

    def put(self, piece: Piece, limit_bytes: int) -> bool:
        """Take a piece in; return whether there is one file more."""
        window = self.files.pop(piece.file, None)
        is_new = window is None
        window = self.files[piece.file] = window or Window()  # last: those that grow stay
        if len(self.files) > self.MOST_FILES:
            del self.files[next(iter(self.files))]
            is_new = False
        window.put(max(0, piece.offset), piece.data, piece.size_bytes, limit_bytes)
        return is_new

    def have(self) -> dict[str, int]:
        """Up to which byte each file is here."""
        return {name: window.end for name, window in self.files.items()}

    def news(self, offsets: dict[str, int]) -> list[StreamPiece]:
        """What is next for somebody who has seen the files up to `offsets`, a bounded amount of each."""
        found = []
        for name, window in self.files.items():
            offset, data = window.read(offsets.get(name), PIECE_BYTES)
            if data:
                found.append(StreamPiece(name, offset, data))
        return found
