"""The room of peers: keeps a link open to every server that this one has agreed to, and takes in those that others open.

One side that can reach the other is enough: requests go both ways over whichever link stands.
"""

from __future__ import annotations

import asyncio
import datetime
import logging
import random
import secrets
import ssl
import time
from collections.abc import Awaitable, Callable
from contextlib import suppress
from types import SimpleNamespace
from typing import Any, Protocol

import aiohttp
import yarl
from aiohttp import web

from copernicus.errors import CertificateRefused, CopernicusError, Unreachable
from copernicus.net.statements import Issuers
from copernicus.net.tls import check_server_certificate, link_context
from copernicus.server.peers.link import Link, Links
from copernicus.server.peers.trust import Trust
from copernicus.server.storage.abc import PeerRecord
from copernicus.wire import messages as m
from copernicus.wire.endpoints import LINK, PROTOCOL

CERTIFICATE_LIFE = datetime.timedelta(days=30)
OPEN_S = 20.0
PART_S = 3.0
LOST = (CopernicusError, aiohttp.ClientError, OSError, TimeoutError, ValueError)
_log = logging.getLogger(__name__)


class Issuer(Protocol):
    """Makes the certificates that this server shows to others."""

    def issue_bundle_certificate(self, serial: int, now: datetime.datetime, ends: datetime.datetime) -> tuple[str, str]:
        """Return certificate and key (PEM). Blocks."""
        ...


class PeerRoom:
    """Trust and links of one server. Belongs to one event loop.

    `serve` answers what peers ask over their links, and is set before the first one; `trust_authority` lets the secure port
    take certificates of another CA; `when_linked` is called when a link begins to stand. `keep_alive_s` and `reconnect_s` are
    read anew each time. Messages beyond `limit_bytes` end the link.
    """

    serve: Callable[[str, bytes, Link], Awaitable[bytes]]

    def __init__(
        self,
        trust: Trust,
        issuers: Issuers,
        keys: Issuer,
        *,
        keep_alive_s: float,
        reconnect_s: float,
        limit_bytes: int,
    ) -> None:
        self.trust, self.issuers, self.links = trust, issuers, Links()
        self._keys, self._keep_alive_s, self._reconnect_s, self._limit_bytes = keys, keep_alive_s, reconnect_s, limit_bytes
        self.trust_authority: Callable[[str], None] = lambda authority: None
        self.when_linked: Callable[[Link], None] = lambda link: None
        self.when_parted: Callable[[str], None] = lambda id: None
        self._keepers: dict[str, asyncio.Task[None]] = {}
        self._wake: dict[str, asyncio.Event] = {}
        self._is_over = False
        trust.when_agreed, trust.when_ended = self._agreed, self._ended

    def start(self) -> None:
        """Begin to keep the links."""
        for peer in self.trust.agreed():
            self._agreed(peer)

    async def close(self) -> None:
        """Close all links; none is opened any more."""
        self._is_over = True
        for task in self._keepers.values():
            task.cancel()
        await asyncio.gather(*self._keepers.values(), return_exceptions=True)
        await self.links.close()

    async def revoke(self, id: str) -> PeerRecord:
        """Trust a peer no more, tell it as far as it can be told, and cut its links."""
        peer = self.trust.find(id)
        link = self.links.of(peer.id)
        if link is not None:
            with suppress(CopernicusError):
                await link.call(m.PartRequest(), PART_S)
        return await self.trust.revoke(peer.id)

    async def limit(self, id: str, **limits: object) -> PeerRecord:
        """Change what is shared with a peer. Its links are opened anew, so that it introduces its workers again."""
        peer = await self.trust.change(id, **limits)
        self.links.cut(peer.id)
        self.call_now(peer.id)
        return peer

    def call_now(self, id: str) -> None:
        """Open a link now if none stands."""
        event = self._wake.get(id)
        if event is not None:
            event.set()

    # --- links that others open

    async def take_in(self, request: web.BaseRequest, peer: str) -> web.StreamResponse:
        """A peer opens a link: it stands until either side closes it."""
        socket = web.WebSocketResponse(heartbeat=self._keep_alive_s, max_msg_size=2 * self._limit_bytes, compress=False)
        await socket.prepare(request)
        await self._stand(Link(socket, peer, self._serve))
        return socket

    # --- links that this server opens

    def _agreed(self, peer: PeerRecord) -> None:
        self.trust_authority(peer.authority)
        if self._is_over:
            return
        self._wake.setdefault(peer.id, asyncio.Event()).set()
        if peer.id not in self._keepers or self._keepers[peer.id].done():
            self._keepers[peer.id] = asyncio.ensure_future(self._keep(peer.id))

    def _ended(self, peer: PeerRecord) -> None:
        keeper = self._keepers.pop(peer.id, None)
        if keeper is not None:
            keeper.cancel()
        self.links.cut(peer.id)
        self.when_parted(peer.id)

    async def _keep(self, id: str) -> None:
        """See to it that a link to a peer stands, as long as this server agrees to it."""
        wake = self._wake[id]
        while self.trust.is_agreed(id):
            wake.clear()
            if self.links.of(id) is None:
                try:
                    await self._open(id)
                except LOST as error:
                    _log.debug("no link to server %s: %s", id, error)
                except Exception:
                    _log.exception("opening a link to server %s failed", id)
            pause_s = self._reconnect_s * (0.75 + random.random() / 2)  # noqa: S311 - no secret
            with suppress(TimeoutError):
                async with asyncio.timeout(pause_s):
                    await wake.wait()

    async def _open(self, id: str) -> None:
        """Open a link and let it stand until it is over; raise one of `LOST` when it cannot be opened."""
        peer = self.trust.get(id)
        if peer is None:
            return
        context = await asyncio.to_thread(self._context, peer)
        url = yarl.URL.build(scheme="wss", host=peer.host, port=peer.secure_port, path=LINK)
        trace = aiohttp.TraceConfig()
        trace.on_request_redirect.append(_refuse_redirect)
        async with aiohttp.ClientSession(trace_configs=[trace]) as session:
            async with asyncio.timeout(OPEN_S):
                socket = await session.ws_connect(
                    url, ssl=context, heartbeat=self._keep_alive_s, max_msg_size=2 * self._limit_bytes,
                    headers={"Copernicus-Protocol": str(PROTOCOL)},
                )  # fmt: skip
            try:
                shown = socket.get_extra_info("ssl_object")
                check_server_certificate(shown.getpeercert(binary_form=True) if shown is not None else None)
                await self._stand(Link(socket, id, self._serve))
            finally:
                await socket.close()

    def _context(self, peer: PeerRecord) -> ssl.SSLContext:
        now = datetime.datetime.now(datetime.UTC)
        certificate, key = self._keys.issue_bundle_certificate(secrets.randbits(127) | 1, now, now + CERTIFICATE_LIFE)
        return link_context(peer.authority, certificate, key)

    # --- both

    async def _stand(self, link: Link) -> None:
        if not self.trust.is_agreed(link.peer):
            raise CertificateRefused("This server is trusted no more.")
        self.links.add(link)
        greeting = asyncio.ensure_future(self._greet(link))
        try:
            await link.run()
        finally:
            greeting.cancel()
            self.links.remove(link)
            self.call_now(link.peer)
            await link.close()
            _log.info("a link to server %s is over", link.peer)

    async def _greet(self, link: Link) -> None:
        try:
            await self.trust.linked(link.peer)
            _log.info("a link to server %s stands", link.peer)
            reply = await link.call(m.HelloRequest(*await self.trust.statement(link.peer)))
            link.heartbeat_s = reply.heartbeat_s
            self.when_linked(link)
        except CopernicusError as error:
            _log.warning("server %s did not take the greeting: %s", link.peer, error)

    async def _serve(self, name: str, body: bytes, link: Link) -> bytes:
        return await self.serve(name, body, link)

    # --- what people ask

    async def ping(self, id: str) -> m.PingReply:
        """Measure the way to a peer and back; raise `UnknownPath`, `Unreachable`."""
        peer = self.trust.find(id)
        link = self.links.of(peer.id)
        if link is None:
            self.call_now(peer.id)
            raise Unreachable(f"There is no link to server {peer.hostname} ({peer.id}) now.", "See: cpcc connected-servers")
        begun = time.monotonic()
        reply = await link.call(m.HelloRequest(*await self.trust.statement(peer.id)))
        return m.PingReply(peer.id, reply.hostname, reply.version, time.monotonic() - begun)

    def neighbours(self) -> list[m.Neighbour]:
        """The trusted peers."""
        trusted = [peer for peer in self.trust.all() if peer.state == "trusted"]
        return [m.Neighbour(peer.id, peer.hostname, self.links.of(peer.id) is not None) for peer in trusted]

    async def network(self, hostname: str) -> m.NetworkReply:
        """This server, its peers, and theirs, as far as they answer."""
        own = self.trust.own
        nodes = {own: m.NetworkNode(own, hostname)}
        edges: dict[frozenset[str], m.NetworkEdge] = {}
        direct = self.neighbours()

        def enter(centre: str, peers: list[m.Neighbour]) -> None:
            for peer in peers:
                nodes.setdefault(peer.id, m.NetworkNode(peer.id, peer.hostname))
                edges.setdefault(frozenset((centre, peer.id)), m.NetworkEdge(centre, peer.id, peer.is_connected))

        enter(own, direct)
        links = [link for peer in direct if (link := self.links.of(peer.id)) is not None]
        answers = await asyncio.gather(*(link.call(m.NeighboursRequest(), 5.0) for link in links), return_exceptions=True)
        for link, answer in zip(links, answers, strict=True):
            if isinstance(answer, m.NeighboursReply):
                enter(link.peer, answer.peers[:1000])
        return m.NetworkReply(list(nodes.values()), list(edges.values()))


async def _refuse_redirect(session: aiohttp.ClientSession, context: SimpleNamespace, parameters: Any) -> None:
    """A peer says where it is by a signed statement, and in no other way."""
    raise CertificateRefused("The other side sends us elsewhere.")
