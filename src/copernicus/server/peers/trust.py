"""Which other servers this one knows, and how far it trusts them: asked, agreed to, ended by people; never passed on.

Two servers trust each other when both want it. The one that asks (*sent*) has agreed by asking; the other (*received*) when
its super user says so. Whoever has agreed shows it by letting the other one open a link.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable, Sequence
from typing import Protocol

import msgspec
from msgspec.structs import replace

from copernicus.config.hosts import is_host
from copernicus.errors import CopernicusError, NotAllowed, Refused, Unavailable, UnknownPath, UsageError
from copernicus.net.caller import Caller
from copernicus.net.first_contact import Authority, check_fingerprint, fetch_authority
from copernicus.net.statements import Issuers, check_signature
from copernicus.net.tls import client_context, fingerprint
from copernicus.server.storage.abc import AccessStore, PeerRecord
from copernicus.wire import messages as m
from copernicus.wire.codec import decode, encode

MOST_WAITING = 100
SHORTEST_PREFIX = 8
REQUEST_S = 20.0
DEFAULT_SECURE_PORT = 13807
AGREED = ("sent", "trusted")
"""States in which this server has agreed."""
_log = logging.getLogger(__name__)


class Signer(Protocol):
    """Signs as this server."""

    def sign(self, data: bytes) -> bytes:
        """Return the signature of `data`. Blocks."""
        ...


class Address(msgspec.Struct, frozen=True):
    """Where this server is to be found."""

    hostname: str
    host: str
    client_port: int
    secure_port: int


class Trust:
    """The book of peers. Belongs to one event loop; every change is durable before it is answered.

    `when_agreed` is called when a link to a peer may be opened, `when_ended` when all of its links are to be cut.
    """

    def __init__(
        self,
        store: AccessStore,
        signer: Signer,
        issuers: Issuers,
        own: str,
        authority: str,
        address: Callable[[], Address],
        clock: Callable[[], float],
    ) -> None:
        self.own = own
        self._store, self._signer, self._issuers, self._authority = store, signer, issuers, authority
        self._address, self._clock = address, clock
        self._turn = asyncio.Lock()
        self._peers = {peer.id: peer for peer in store.peers()}
        self.when_agreed: Callable[[PeerRecord], None] = lambda peer: None
        self.when_ended: Callable[[PeerRecord], None] = lambda peer: None
        self._tell_issuers()

    # --- looking

    def get(self, id: str) -> PeerRecord | None:
        """A peer by its whole id, or None."""
        return self._peers.get(id)

    def agreed(self) -> list[PeerRecord]:
        """Those that this server has agreed to, in the order in which they are asked for jobs."""
        return [peer for peer in self.all() if peer.state in AGREED]

    @property
    def is_alone(self) -> bool:
        """Whether this server has agreed to no other."""
        return not any(peer.state in AGREED for peer in self._peers.values())

    def all(self) -> list[PeerRecord]:
        """All that are not over, in that order."""
        rows = [peer for peer in self._peers.values() if peer.state != "ended"]
        return sorted(rows, key=lambda peer: (peer.priority, peer.created_at, peer.id))

    def is_agreed(self, id: str) -> bool:
        """Whether this server has agreed to be connected to that one."""
        peer = self._peers.get(id)
        return peer is not None and peer.state in AGREED

    def find(self, id: str) -> PeerRecord:
        """The one peer whose id begins so; raise `UnknownPath`, `UsageError`."""
        found = [peer for peer in self.all() if peer.id.startswith(id.lower())] if len(id) >= SHORTEST_PREFIX else []
        if not found:
            hint = f"Name it by its id, or the first {SHORTEST_PREFIX} or more characters of it: cpcc connected-servers"
            raise UnknownPath(f"This server knows no server {id[:100]!r}.", hint)
        if len(found) > 1:
            raise UsageError(f"{id} is the beginning of {len(found)} servers' ids.", "Give more of it.")
        return found[0]

    # --- what people decide

    async def connect(self, request: m.ConnectServerRequest) -> PeerRecord:
        """Ask another server for a connection. Raise `Refused`, `UsageError`, `CertificateRefused`, `Unavailable`.

        Whatever answers there, no word of it is passed on.
        """
        if not is_host(request.host):
            raise UsageError(f"{request.host[:100]!r} is no host name or address.")
        where = f"{request.host} {request.client_port}"
        found = await self._first_contact(request, where)
        async with self._turn:
            before = self._peers.get(found.fingerprint)
            peer = self._asked(request, found, before)
            await self._put(peer)
        try:  # out of turn: the other side may be asking this one in the same moment
            await self._send(peer, request.client_port)
        except CopernicusError:
            async with self._turn:
                if self._peers[peer.id] == peer:
                    await self._put(replace(before or replace(peer, state="ended"), own_seq=peer.own_seq))
            raise Unavailable(f"The server at {where} did not take the request.", "Its log may say why.") from None
        _log.info("asked server %s at %s for a connection", peer.id, where)
        self.when_agreed(self._peers[peer.id])
        return self._peers[peer.id]

    async def _first_contact(self, request: m.ConnectServerRequest, where: str) -> Authority:
        try:
            found = await asyncio.to_thread(fetch_authority, request.host, request.client_port)
        except CopernicusError:
            raise Unavailable(f"No Copernicus server answers at {where}.", "Check address and client port.") from None
        if request.fingerprint:
            check_fingerprint(found, request.fingerprint)
        if found.fingerprint == self.own:
            raise Refused("That is this server itself.")
        if self._issuers.is_like_another(found.fingerprint, found.certificate):
            raise Refused("That server's CA bears the name of another server's.")
        return found

    def _asked(self, request: m.ConnectServerRequest, found: Authority, before: PeerRecord | None) -> PeerRecord:
        secure_port = request.secure_port or found.secure_port or DEFAULT_SECURE_PORT
        if before is None:
            return PeerRecord(
                found.fingerprint, found.certificate, request.host, request.host, request.client_port, secure_port, "sent",
                self._clock(), own_seq=self._next_seq(None),
            )  # fmt: skip
        state = "trusted" if before.state in ("received", "trusted") else "sent"
        return replace(
            before, host=request.host, client_port=request.client_port, secure_port=secure_port, state=state,
            own_seq=self._next_seq(before),
        )  # fmt: skip

    async def _send(self, peer: PeerRecord, client_port: int) -> None:
        statement, signature = await asyncio.to_thread(self._signed, peer)

        def send() -> None:
            with Caller(peer.host, client_port, client_context(peer.authority), timeout_s=REQUEST_S) as caller:
                caller.call(m.PeerRequest(statement, signature))

        await asyncio.to_thread(send)

    async def trust(self, request: m.TrustRequest) -> list[PeerRecord]:
        """Agree to what others have asked; return those. Raise `UnknownPath`, `Refused`, `UsageError`."""
        async with self._turn:
            peers = [peer for peer in self.all() if peer.state == "received"]
            if not request.is_all:
                peers = [self.find(id) for id in request.ids]
            for peer in peers:
                if peer.state == "sent":
                    raise Refused(f"Server {peer.id} has not agreed yet.", "A super user there must: cpcc trust")
            trusted = [replace(peer, state="trusted") for peer in peers]
            for peer in trusted:
                await self._put(peer)
        for peer in trusted:
            _log.info("server %s (%s) is trusted", peer.id, peer.hostname)
            self.when_agreed(peer)
        return trusted

    async def revoke(self, id: str) -> PeerRecord:
        """Trust a server no more, or refuse what it asked; raise `UnknownPath`. Its links are cut when this returns."""
        async with self._turn:
            peer = replace(self.find(id), state="ended")
            await self._put(peer)
        _log.info("server %s (%s) is trusted no more", peer.id, peer.hostname)
        self.when_ended(peer)
        return peer

    async def change(self, id: str, **changes: object) -> PeerRecord:
        """Store something else about a peer."""
        async with self._turn:
            peer = replace(self.find(id), **changes)
            await self._put(peer)
        return peer

    # --- what other servers say

    async def receive(self, request: m.PeerRequest) -> None:
        """Another server asks for a connection. Raise `NotAllowed`, `UsageError`, `Unavailable`."""
        said, id = self._checked(request.statement, request.signature)
        async with self._turn:
            before = self._peers.get(id)
            self._check_seq(said, before)
            if self._issuers.is_like_another(id, said.authority):
                raise NotAllowed("This CA bears the name of another server's.")
            state = {"sent": "trusted", "trusted": "trusted"}.get(before.state if before else "", "received")
            waiting = [peer for peer in self.all() if peer.state == "received" and peer.id != id]
            if state == "received" and len(waiting) >= MOST_WAITING:
                raise Unavailable("Too many servers wait for an answer here.", "Ask the people of this server.")
            peer = _moved(before, said) if before is not None else PeerRecord(
                id, said.authority, said.hostname, said.host, said.client_port, said.secure_port, state, self._clock(),
                seq=said.seq,
            )  # fmt: skip
            await self._put(replace(peer, state=state))
        _log.info("server %s (%s) asks for a connection: %s", id, said.hostname, state)
        if state == "trusted":
            self.when_agreed(peer)

    async def heard(self, id: str, statement: bytes, signature: bytes) -> None:
        """A peer says over its link where it is now: what it says last counts. Raise `NotAllowed`."""
        said, speaker = self._checked(statement, signature)
        async with self._turn:
            before = self._peers.get(id)
            if speaker != id or before is None or before.state not in AGREED:
                raise NotAllowed("This statement is another server's.")
            self._check_seq(said, before)
            await self._put(replace(_moved(before, said), state="trusted"))

    async def linked(self, id: str) -> None:
        """A link stands, so both sides have agreed."""
        async with self._turn:
            peer = self._peers.get(id)
            if peer is not None and peer.state == "sent":
                _log.info("server %s has agreed to be connected", id)
                await self._put(replace(peer, state="trusted"))

    async def parted(self, id: str) -> None:
        """The other side has ended it."""
        if self.is_agreed(id):
            await self.revoke(id)

    async def statement(self, id: str) -> tuple[bytes, bytes]:
        """What this server says of itself to a peer, newer than all before, with its signature."""
        async with self._turn:
            peer = replace(self._peers[id], own_seq=self._next_seq(self._peers[id]))
            await self._put(peer)
        return await asyncio.to_thread(self._signed, peer)

    # --- inside

    def _signed(self, peer: PeerRecord) -> tuple[bytes, bytes]:
        at = self._address()
        said = m.Statement(self._authority, peer.id, at.hostname, at.host, at.client_port, at.secure_port, peer.own_seq)
        statement = encode(said)
        return statement, self._signer.sign(statement)

    def _checked(self, statement: bytes, signature: bytes) -> tuple[m.Statement, str]:
        said = decode(statement, m.Statement)
        check_signature(said.authority, statement, signature)
        if said.to != self.own:
            raise NotAllowed("This statement is meant for another server.")
        ports = (said.client_port, said.secure_port)
        if not is_host(said.host) or not all(0 < port < 65536 for port in ports) or len(said.hostname) > 253:
            raise UsageError("The statement names no address.")
        id = fingerprint(said.authority)
        if id == self.own:
            raise NotAllowed("This statement is this server's own.")
        return said, id

    def _check_seq(self, said: m.Statement, before: PeerRecord | None) -> None:
        if before is not None and said.seq <= before.seq:
            raise NotAllowed("This statement is an old one.")

    def _next_seq(self, peer: PeerRecord | None) -> int:
        """Above all before; the clock only helps a book that was restored from a backup over what was said since."""
        return max(int(self._clock()), (peer.own_seq if peer is not None else 0) + 1)

    async def _put(self, peer: PeerRecord) -> None:
        await asyncio.to_thread(self._store.put_peer, peer)
        self._peers[peer.id] = peer
        self._tell_issuers()

    def _tell_issuers(self) -> None:
        self._issuers.trust({peer.id: peer.authority for peer in self._peers.values() if peer.state in AGREED})


def _moved(peer: PeerRecord, said: m.Statement) -> PeerRecord:
    return replace(
        peer, hostname=said.hostname, host=said.host, client_port=said.client_port, secure_port=said.secure_port, seq=said.seq
    )


def rows_in_order(peers: Sequence[PeerRecord]) -> list[m.PeerRow]:
    """The peers as people see them."""
    return [
        m.PeerRow(
            peer.id, peer.hostname, peer.host, peer.client_port, peer.secure_port, peer.state,  # type: ignore[arg-type]
            peer.priority, projects=None if peer.projects is None else list(peer.projects), cores=peer.cores,
            is_only_when_idle=peer.is_only_when_idle,
        )
        for peer in peers
    ]  # fmt: skip
