"""The proxy cuts at the byte it was told, and counts what passed."""

from __future__ import annotations

import socket
import threading

import pytest
from tests.proof.proxy import CuttingProxy


def echo(listener: socket.socket) -> None:
    """Send everything back, on one connection after the other, until the listener is closed."""
    while True:
        try:
            connection, _ = listener.accept()
        except OSError:
            return
        with connection:
            try:
                while piece := connection.recv(4096):
                    connection.sendall(piece)
            except OSError:
                continue


def exchange(port: int, data: bytes) -> bytes:
    """Send `data` through the proxy and return what comes back before the end."""
    with socket.create_connection(("127.0.0.1", port), timeout=20) as connection:
        connection.sendall(data)
        try:
            connection.shutdown(socket.SHUT_WR)
        except OSError:  # reset meanwhile: no connection any more
            raise ConnectionResetError from None
        received = b""
        while piece := connection.recv(4096):
            received += piece
        return received


def test_it_cuts_once_at_the_byte_and_then_lets_through() -> None:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        threading.Thread(target=echo, args=(listener,), daemon=True).start()
        with CuttingProxy(listener.getsockname()[1], cuts=[1000]) as proxy:
            with pytest.raises(ConnectionError):
                exchange(proxy.port, b"x" * 5000)
            assert proxy.passed_bytes == 1000
            assert exchange(proxy.port, b"y" * 300) == b"y" * 300
            assert (proxy.cuts_made, proxy.passed_bytes) == (1, 1600)
            proxy.refuse(True)
            with pytest.raises(ConnectionError):
                exchange(proxy.port, b"z")
