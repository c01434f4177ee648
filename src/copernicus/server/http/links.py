"""Links to other servers: who may open one, and what is answered over it: the same routes, for the identity of the peer."""

from __future__ import annotations

from collections.abc import Awaitable, Callable

from copernicus.errors import NotAllowed, UnknownPath
from copernicus.server.access.identity import Identity
from copernicus.server.http.calls import Call, Rooms
from copernicus.server.http.routing import Route
from copernicus.server.peers.link import Link, check_size
from copernicus.wire.codec import encode
from copernicus.wire.endpoints import PREFIX, Policy

OVER_LINKS = (Policy.PEER, Policy.WORKER)


def link_server(
    rooms: Rooms, routes: dict[str, Route], limit_bytes: Callable[[], int]
) -> Callable[[str, bytes, Link], Awaitable[bytes]]:
    """What answers a message that comes over a link: the same routes as over HTTP, for the identity of the peer."""

    async def serve(name: str, body: bytes, link: Link) -> bytes:
        route = routes.get(PREFIX + name)
        if route is None or route.endpoint.policy not in OVER_LINKS:
            raise UnknownPath(f"There is nothing called {name[:100]} for other servers.")
        check_size(body, limit_bytes())
        call = Call(peer_identity(rooms, link.peer), "", True, lambda: link.is_open)
        return encode(await route.answer(call, body))

    return serve


def peer_identity(rooms: Rooms, id: str) -> Identity:
    """Who a peer is; raise `NotAllowed` when it is not trusted (any more)."""
    peer = rooms.peers.trust.get(id)
    if peer is None or not rooms.peers.trust.is_agreed(id):
        raise NotAllowed("This server trusts yours no more.")
    projects = None if peer.projects is None else frozenset(peer.projects)
    return Identity("peer", "peer", peer.hostname, projects=projects, serial=id)
