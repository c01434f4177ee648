"""Connections whose other side may be gone without a word: a machine that lost its power, a router that forgot them."""

from __future__ import annotations

import socket
from typing import Protocol

IDLE_S, EVERY_S, PROBES = 15, 5, 4
"""After so many idle seconds the other side is asked whether it is there, so often and as many times; then the connection
ends. It ends at once when the other side answers that it does not know it."""
_OPTIONS = (
    ("TCP_KEEPIDLE", IDLE_S),
    ("TCP_KEEPALIVE", IDLE_S),  # what macOS calls it
    ("TCP_KEEPINTVL", EVERY_S),
    ("TCP_KEEPCNT", PROBES),
)


class Socket(Protocol):
    """What is needed of a socket."""

    def setsockopt(self, level: int, option: int, value: int, /) -> None:
        """Set an option; raise `OSError`."""
        ...


def notice_silence(connection: Socket) -> None:
    """Let a TCP connection end that leads nowhere, also while both sides only wait; raise `OSError`.

    What has been sent and is not confirmed is not what this is about: TCP repeats that by itself.
    """
    connection.setsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1)
    for name, value in _OPTIONS:
        option = getattr(socket, name, None)
        if option is not None:
            connection.setsockopt(socket.IPPROTO_TCP, option, value)
