"""Open connections, and who was last heard on each: so that somebody who may not come in any more is cut off at once."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from contextlib import suppress

from aiohttp import web
from aiohttp.web_protocol import RequestHandler

from copernicus.net.silence import notice_silence
from copernicus.server.access.identity import Identity

Line = RequestHandler


class Lines:
    """The connections of both ports. Belongs to one event loop."""

    def __init__(self) -> None:
        self._callers: dict[Line, Identity] = {}

    def heard(self, line: Line, identity: Identity) -> None:
        """Somebody sends a request."""
        self._callers[line] = identity

    def lost(self, line: Line) -> None:
        """A connection is closed."""
        self._callers.pop(line, None)

    def cut(self, is_meant: Callable[[Identity], bool], but: Line | None = None) -> int:
        """Cut the connections of whom `is_meant` says, whatever they wait for, and return how many; `but` not this one."""
        meant = [line for line, identity in self._callers.items() if line is not but and is_meant(identity)]
        for line in meant:
            if line.transport is not None:
                line.transport.abort()
        return len(meant)


class Port(web.Server):
    """One port's connections, which say when they are lost, and notice when the other side is gone for good."""

    def __init__(self, lines: Lines, handler: Callable[..., object], **settings: object) -> None:
        super().__init__(handler, **settings)  # type: ignore[arg-type]
        self._lines = lines

    def connection_made(self, handler: Line, transport: asyncio.Transport) -> None:
        """A connection begins."""
        with suppress(OSError):  # it is over already
            notice_silence(transport.get_extra_info("socket"))
        super().connection_made(handler, transport)

    def connection_lost(self, handler: Line, exc: BaseException | None = None) -> None:
        """Forget who was heard on it."""
        self._lines.lost(handler)
        super().connection_lost(handler, exc)
