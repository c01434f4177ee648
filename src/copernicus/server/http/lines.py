"""Open connections, and who was last heard on each: limits on them, and an end for whoever may not come in any more."""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import Callable
from contextlib import suppress

from aiohttp import web
from aiohttp.web_protocol import RequestHandler

from copernicus.errors import TooMany
from copernicus.net.silence import notice_silence
from copernicus.server.access.identity import Identity

Line = RequestHandler
MOST_OF_ONE_CALLER = 1000
SERVE_MANY = ("worker", "admin", "peer")  # one of these may stand for the workers of a whole cluster
MOST_OF_ONE_ADDRESS = 200  # without a name


class Lines:
    """The connections of both ports. Belongs to one event loop."""

    def __init__(self) -> None:
        self._callers: dict[Line, tuple[Identity, str]] = {}
        self._counts: Counter[str] = Counter()

    def heard(self, line: Line, identity: Identity, address: str) -> None:
        """Somebody sends a request; raise `TooMany` when that caller has too many connections."""
        key = f"address {address}" if identity.kind == "anonymous" else identity.key
        if self._callers.get(line, (None, ""))[1] != key:
            self.lost(line)
            self._counts[key] += 1
        self._callers[line] = identity, key
        most = MOST_OF_ONE_ADDRESS if identity.kind == "anonymous" else MOST_OF_ONE_CALLER
        if self._counts[key] > most and identity.role not in SERVE_MANY:
            raise TooMany(f"You have more than {most} open connections.", "Close some.")

    def __len__(self) -> int:
        return len(self._callers)

    def is_silent(self, line: Line) -> bool:
        """Say whether nothing was heard on it so far."""
        return line not in self._callers

    def lost(self, line: Line) -> None:
        """A connection is closed."""
        _, key = self._callers.pop(line, (None, ""))
        if key:
            self._counts[key] -= 1
            if not self._counts[key]:
                del self._counts[key]

    def cut(self, is_meant: Callable[[Identity], bool], but: Line | None = None) -> int:
        """Cut the connections of whom `is_meant` says, whatever they wait for, and return how many; `but` not this one."""
        meant = [line for line, (identity, _) in self._callers.items() if line is not but and is_meant(identity)]
        for line in meant:
            if line.transport is not None:
                line.transport.abort()
        return len(meant)


class Port(web.Server):
    """One port's connections. They say when they are lost, and notice when the other side is gone for good; one on which
    nothing is said for `patience_s` is closed."""

    def __init__(
        self, lines: Lines, patience_s: Callable[[], float], handler: Callable[..., object], **settings: object
    ) -> None:
        super().__init__(handler, **settings)  # type: ignore[arg-type]
        self._lines = lines
        self._patience_s = patience_s

    def connection_made(self, handler: Line, transport: asyncio.Transport) -> None:
        """A connection begins; wait for its first request, not for ever."""
        with suppress(OSError):  # it is over already
            notice_silence(transport.get_extra_info("socket"))
        super().connection_made(handler, transport)
        asyncio.get_running_loop().call_later(self._patience_s(), self._look, handler)

    def _look(self, handler: Line) -> None:
        if handler in self._connections and self._lines.is_silent(handler) and handler.transport is not None:
            handler.transport.abort()

    def connection_lost(self, handler: Line, exc: BaseException | None = None) -> None:
        """Forget who was heard on it."""
        self._lines.lost(handler)
        super().connection_lost(handler, exc)
