"""A link between two servers: one WebSocket, opened by whichever can reach the other; requests go both ways over it.

Every frame is one line of JSON (`Head`) and, after it, a message as it stands in the endpoint table. Many requests are under
way at once; each answer bears the number of its request. A request whose answer does not come in time ends the link: whoever
opened it opens another one.
"""

from __future__ import annotations

import asyncio
import itertools
import logging
from collections.abc import Awaitable, Callable
from contextlib import suppress
from typing import Any, TypeVar

import aiohttp
import msgspec
from aiohttp import web

from copernicus.errors import CopernicusError, InternalError, TooLarge, Unavailable, Unreachable, UsageError, from_code
from copernicus.model.jobs import WorkerOffer
from copernicus.wire import messages as m
from copernicus.wire.codec import decode, encode
from copernicus.wire.endpoints import BY_REQUEST

MOST_UNDER_WAY = 4000
TIMEOUT_S = 30.0
_log = logging.getLogger(__name__)
Socket = aiohttp.ClientWebSocketResponse | web.WebSocketResponse
T = TypeVar("T", bound=m.Message)


class Head(msgspec.Struct, frozen=True, omit_defaults=True):
    """What stands before a message: the number of its request; the endpoint's name in a request, a status in an answer."""

    id: int
    name: str = ""
    status: int = 0


class Link:
    """One link to the server `peer` (its fingerprint), until `run` returns.

    `serve` answers what the other side asks (endpoint, body, link): a body, or a `CopernicusError`. `heartbeat_s` is the other
    side's, 0: not known; `offers` are those that it was told of workers over this link.
    """

    def __init__(self, socket: Socket, peer: str, serve: Callable[[str, bytes, Link], Awaitable[bytes]]) -> None:
        self.peer, self._socket, self._serve = peer, socket, serve
        self._numbers = itertools.count(1)
        self._waiting: dict[int, asyncio.Future[tuple[int, bytes]]] = {}
        self._serving: set[asyncio.Task[None]] = set()
        self.is_open = True
        self.heartbeat_s = 0.0
        self.offers: dict[str, WorkerOffer] = {}

    async def run(self) -> None:
        """Take in what comes until the link is closed, by either side."""
        try:
            async for frame in self._socket:
                if frame.type is not aiohttp.WSMsgType.BINARY:
                    break
                self._take(frame.data)
        except (CopernicusError, msgspec.DecodeError, ConnectionError) as error:
            _log.warning("the link to server %s spoke nonsense, or broke: %s", self.peer, error)
        finally:
            await self.close()

    async def call(self, request: m.Message, timeout_s: float = TIMEOUT_S) -> Any:
        """Return the reply to a message; raise what the other side answers, or `Unreachable`."""
        if not self.is_open:
            raise self._gone()
        endpoint = BY_REQUEST[type(request)]
        number = next(self._numbers)
        future: asyncio.Future[tuple[int, bytes]] = asyncio.get_running_loop().create_future()
        self._waiting[number] = future
        try:
            async with asyncio.timeout(timeout_s):
                await self._send(Head(number, endpoint.name), encode(request))
                status, body = await future
        except TimeoutError:
            await self.close()
            raise Unreachable(f"Server {self.peer} has not answered for {timeout_s:g} s.", "Try again.") from None
        finally:
            self._waiting.pop(number, None)
        if status == 200:
            return decode(body, endpoint.reply)
        reply = decode(body, m.ErrorReply)
        raise from_code(reply.code, reply.message, reply.hint, reply.seq)

    async def close(self) -> None:
        """Close; who waits for an answer is told."""
        self.is_open = False
        for future in self._waiting.values():
            if not future.done():
                future.set_exception(self._gone())
        with suppress(Exception):
            await self._socket.close()

    def cut(self) -> None:
        """Close at once, without a word."""
        self.is_open = False
        task = asyncio.ensure_future(self.close())
        self._serving.add(task)
        task.add_done_callback(self._serving.discard)

    def _gone(self) -> Unreachable:
        return Unreachable(f"There is no link to server {self.peer} now.", "It is opened again by itself.")

    def _take(self, frame: bytes) -> None:
        line, _, body = frame.partition(b"\n")
        head = msgspec.json.decode(line, type=Head)
        if head.name:
            if len(self._serving) >= MOST_UNDER_WAY:
                raise UsageError("the other side asks too much at once")
            task = asyncio.ensure_future(self._answer(head, body))
            self._serving.add(task)
            task.add_done_callback(self._serving.discard)
        elif (future := self._waiting.get(head.id)) is not None and not future.done():
            future.set_result((head.status, body))

    async def _answer(self, head: Head, body: bytes) -> None:
        try:
            status, answer = 200, await self._serve(head.name, body, self)
        except CopernicusError as error:
            status, answer = error.status, encode(m.ErrorReply(error.code, error.message, error.hint))
        except Exception as error:
            _log.error("fault in %s, asked by server %s", head.name, self.peer, exc_info=error)
            fault = InternalError("The server made a mistake.", "Its log says more.")
            status, answer = fault.status, encode(m.ErrorReply(fault.code, fault.message, fault.hint))
        with suppress(CopernicusError):
            await self._send(Head(head.id, "", status), answer)

    async def _send(self, head: Head, body: bytes) -> None:
        try:
            await self._socket.send_bytes(msgspec.json.encode(head) + b"\n" + body, compress=0)
        except (ConnectionError, RuntimeError, aiohttp.ClientError):
            raise self._gone() from None


class Links:
    """The links that stand, by peer; there may be more than one to a peer, where each side opened one."""

    def __init__(self) -> None:
        self._links: dict[str, list[Link]] = {}

    def add(self, link: Link, most: int = 4) -> None:
        """A link was opened; the newest is used first. Raise `Unavailable` when the peer has too many."""
        standing = self._links.setdefault(link.peer, [])
        if len(standing) >= most:
            raise Unavailable("There are links enough between these two servers.")
        standing.append(link)

    def remove(self, link: Link) -> None:
        """A link is over."""
        standing = self._links.get(link.peer, [])
        if link in standing:
            standing.remove(link)
        if not standing:
            self._links.pop(link.peer, None)

    def of(self, peer: str) -> Link | None:
        """The link to use for a peer, or None."""
        return next((link for link in reversed(self._links.get(peer, [])) if link.is_open), None)

    def cut(self, peer: str) -> None:
        """Cut all links to a peer."""
        for link in self._links.pop(peer, []):
            link.cut()

    async def close(self) -> None:
        """Close all."""
        links = [link for standing in self._links.values() for link in standing]
        self._links.clear()
        await asyncio.gather(*(link.close() for link in links))


def check_size(body: bytes, limit_bytes: int) -> None:
    """Raise `TooLarge` for a message beyond the limit (0: none)."""
    if limit_bytes and len(body) > limit_bytes:
        raise TooLarge(f"The message is larger than {limit_bytes} bytes.")
