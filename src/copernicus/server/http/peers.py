"""Other servers over HTTP: what people decide about them, and what they say themselves."""

from __future__ import annotations

from msgspec.structs import replace

from copernicus.errors import UnknownPath, UsageError
from copernicus.server.access.identity import unknown_project
from copernicus.server.http.calls import Call, Handler, Rooms
from copernicus.server.peers.trust import rows_in_order
from copernicus.wire import messages as m


def handlers(rooms: Rooms) -> dict[str, Handler]:
    """The messages between servers, and about them."""
    room, trust, about = rooms.peers, rooms.peers.trust, rooms.about

    def rows(ids: set[str] | None = None) -> list[m.PeerRow]:
        found = rows_in_order([peer for peer in trust.all() if ids is None or peer.id in ids])
        return [_now(rooms, row) for row in found]

    async def peers(call: Call, request: m.PeersRequest) -> m.PeersReply:
        return m.PeersReply(rows(), trust.own)

    async def connect(call: Call, request: m.ConnectServerRequest) -> m.ConnectServerReply:
        peer = await trust.connect(request)
        await rooms.record(call, "asked for a connection", f"server {peer.id}")
        return m.ConnectServerReply(rows({peer.id})[0], trust.own)

    async def agree(call: Call, request: m.TrustRequest) -> m.PeersReply:
        trusted = await trust.trust(request)
        for peer in trusted:
            await rooms.record(call, "trusted", f"server {peer.id}")
        return m.PeersReply(rows({peer.id for peer in trusted}), trust.own)

    async def revoke(call: Call, request: m.RevokePeerRequest) -> m.Done:
        peer = await room.revoke(request.id)
        await rooms.record(call, "trusted no more", f"server {peer.id}")
        return m.Done(f"Server {peer.hostname} ({peer.id}) is trusted no more.")

    async def priority(call: Call, request: m.PeerPriorityRequest) -> m.Done:
        id = request.id or _at(rooms, request)
        peer = await trust.change(id, priority=request.priority)
        return m.Done(f"Server {peer.hostname} ({peer.id}) has priority {peer.priority}.")

    async def limits(call: Call, request: m.PeerLimitsRequest) -> m.PeersReply:
        known = {row.name for row in rooms.projects.names()}
        for name in request.projects or ():
            if name not in known:
                raise unknown_project(name)
        if request.cores is not None and request.cores < 0:
            raise UsageError("There are no fewer cores than none.")
        projects = None if request.projects is None else tuple(request.projects)
        changes = {"projects": projects, "cores": request.cores, "is_only_when_idle": request.is_only_when_idle}
        peer = await room.limit(request.id, **changes)
        await rooms.record(call, "limited", f"server {peer.id}")
        return m.PeersReply(rows({peer.id}), trust.own)

    async def ping(call: Call, request: m.PingRequest) -> m.PingReply:
        return await room.ping(request.id)

    async def network(call: Call, request: m.NetworkRequest) -> m.NetworkReply:
        return await room.network(about.hostname)

    async def introduce(call: Call, request: m.PeerRequest) -> m.Done:
        await trust.receive(request)
        return m.Done()

    async def hello(call: Call, request: m.HelloRequest) -> m.HelloReply:
        await trust.heard(call.identity.serial, request.statement, request.signature)
        return m.HelloReply(about.hostname, about.version, rooms.dispatch.heartbeat_s)

    async def part(call: Call, request: m.PartRequest) -> m.Done:
        await trust.parted(call.identity.serial)
        return m.Done()

    async def news(call: Call, request: m.NewsRequest) -> m.NewsReply:
        return await rooms.federation.news.wait(request)

    async def piece(call: Call, request: m.BlobPieceRequest) -> m.BlobPieceReply:
        return await rooms.federation.files.piece(request)

    async def put(call: Call, request: m.BlobPutRequest) -> m.BlobPutReply:
        rooms.files.check_size(request.size)
        return await rooms.federation.files.put(request)

    async def neighbours(call: Call, request: m.NeighboursRequest) -> m.NeighboursReply:
        return m.NeighboursReply(room.neighbours())

    return {
        "peers": peers,
        "peers/connect": connect,
        "peers/trust": agree,
        "peers/revoke": revoke,
        "peers/priority": priority,
        "peers/limits": limits,
        "peers/ping": ping,
        "peers/network": network,
        "peer/request": introduce,
        "peer/hello": hello,
        "peer/part": part,
        "peer/news": news,
        "peer/piece": piece,
        "peer/put": put,
        "peer/neighbours": neighbours,
    }


def _now(rooms: Rooms, row: m.PeerRow) -> m.PeerRow:
    jobs, cores = rooms.federation.lending.lent(row.id)
    return replace(row, is_connected=rooms.peers.links.of(row.id) is not None, lent_jobs=jobs, lent_cores=cores)


def _at(rooms: Rooms, request: m.PeerPriorityRequest) -> str:
    found = [
        peer for peer in rooms.peers.trust.all()
        if request.host in (peer.host, peer.hostname) and request.client_port in (0, peer.client_port)
    ]  # fmt: skip
    if len(found) != 1:
        which = "no server" if not found else "more than one server"
        raise UnknownPath(f"There is {which} at {request.host}.", "Name it by its id; see: cpcc connected-servers")
    return found[0].id
