"""A TCP proxy that counts what passes, and cuts connections where it is told to."""

from __future__ import annotations

import contextlib
import socket
import struct
import threading
from collections.abc import Iterable
from types import TracebackType

PIECE_BYTES = 64 * 1024
BUFFER_BYTES = 64 * 1024


class CuttingProxy:
    """Passes connections of `port` on to `target` on loopback.

    `cuts` are counts of bytes: each time that so many have passed (both ways together, over all connections), every open
    connection is reset, in the middle of whatever was on the way. `refuse` turns connections away, as a server does
    that is not there. `to_server_bytes` and `to_client_bytes` count what was passed on.
    """

    def __init__(self, target: int, cuts: Iterable[int] = ()) -> None:
        self._target = target
        self._cuts = sorted(cuts)
        self._lock = threading.Lock()
        self._open: set[socket.socket] = set()
        self._is_refusing = False
        self.cuts_made = 0
        self.to_server_bytes = 0
        self.to_client_bytes = 0
        self._listener = socket.create_server(("127.0.0.1", 0), backlog=64)
        self.port = int(self._listener.getsockname()[1])
        threading.Thread(target=self._accept, daemon=True).start()

    @property
    def passed_bytes(self) -> int:
        """Bytes passed on so far, both ways together."""
        return self.to_server_bytes + self.to_client_bytes

    def cut_after(self, counts: Iterable[int]) -> None:
        """Cut again after so many bytes from now on."""
        with self._lock:
            self._cuts = sorted(self.passed_bytes + count for count in counts)

    def refuse(self, is_refusing: bool) -> None:
        """Reset all connections and turn new ones away, or stop doing so."""
        self._is_refusing = is_refusing
        if is_refusing:
            self.cut()

    def cut(self) -> None:
        """Reset every open connection now."""
        with self._lock:
            for connection in self._open:
                _reset(connection)
            self._open.clear()

    def close(self) -> None:
        """End the proxy and its connections."""
        self._listener.close()
        self.cut()

    def __enter__(self) -> CuttingProxy:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        self.close()

    def _accept(self) -> None:
        with contextlib.suppress(OSError):
            while True:
                client, _ = self._listener.accept()
                if self._is_refusing:
                    _reset(client)
                    continue
                try:
                    server = socket.create_connection(("127.0.0.1", self._target))
                except OSError:
                    _reset(client)
                    continue
                for end in (client, server):  # what a cut finds in a buffer of ours has been counted, and never arrives
                    end.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, BUFFER_BYTES)
                with self._lock:
                    self._open |= {client, server}
                for source, sink, is_up in ((client, server, True), (server, client, False)):
                    threading.Thread(target=self._pass, args=(source, sink, is_up), daemon=True).start()

    def _pass(self, source: socket.socket, sink: socket.socket, is_up: bool) -> None:
        try:
            while piece := source.recv(PIECE_BYTES):
                piece, doomed = self._count(piece, source, is_up)
                sink.sendall(piece)
                for end in doomed:
                    _reset(end)
                if doomed:
                    return
            with self._lock:
                if source in self._open:  # an orderly end, and not a cut: the other direction may still have something to say
                    sink.shutdown(socket.SHUT_WR)
        except OSError:
            for end in (source, sink):
                with self._lock:
                    self._open.discard(end)
                _reset(end)

    def _count(self, piece: bytes, source: socket.socket, is_up: bool) -> tuple[bytes, set[socket.socket]]:
        """Return the part of the piece that still passes, and the connections to be reset after it.

        From the moment of a cut nothing is counted or passed on, in either direction.
        """
        with self._lock:
            if source not in self._open:
                raise ConnectionResetError
            doomed: set[socket.socket] = set()
            if self._cuts and self.passed_bytes + len(piece) >= self._cuts[0]:
                piece = piece[: max(0, self._cuts.pop(0) - self.passed_bytes)]
                self.cuts_made += 1
                doomed, self._open = self._open, set()
            if is_up:
                self.to_server_bytes += len(piece)
            else:
                self.to_client_bytes += len(piece)
            return piece, doomed


def _reset(connection: socket.socket) -> None:
    # Linger 0: the other side sees a reset, not an orderly end. The shutdown wakes our own reader and sends nothing.
    with contextlib.suppress(OSError):
        connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        connection.shutdown(socket.SHUT_RD)
    with contextlib.suppress(OSError):
        connection.close()
