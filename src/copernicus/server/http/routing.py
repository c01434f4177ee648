"""The routes: every endpoint of the table with its handler, or no start; the order of checks before a handler runs."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from copernicus.errors import CopernicusError, InternalError, NoSpace
from copernicus.server.access.identity import authorise
from copernicus.server.http import archives, blobs, bundles, holdings, jobs, peers, projects, sessions, streams, users, workers
from copernicus.server.http.calls import Call, Handler, Rooms
from copernicus.server.http.repeats import Repeats
from copernicus.server.storage.abc import Unit
from copernicus.wire.codec import decode
from copernicus.wire.endpoints import ENDPOINTS, Endpoint, Policy
from copernicus.wire.messages import Message

# These wait for their own changes, or touch nothing that is in the book. All others answer from what is in memory, which
# may not be durable yet.
_WAIT_THEMSELVES = frozenset(
    {
        "authority", "login", "logout", "server-info", "users", "user/add", "user/delete", "user/change", "user/password",
        "bundles", "bundle/issue", "bundle/revoke", "bundle/renew",
        "server/stop", "server/audit", "worker/announce", "worker/exchange", "worker/heartbeat",
        "worker/stream", "worker/checkpoint", "worker/farewell", "project/follow", "project/fetch-partial",
        "peer/request", "peer/hello", "peer/part", "peer/neighbours", "peer/news", "peer/piece", "peer/put",
    }
)  # fmt: skip
# These serve while the book cannot be used.
_ALWAYS = frozenset({"authority", "login", "logout", "server-info", "server/stop"})
# This one does, too, when the disk is full: it stores nothing, and a worker that is heard keeps its jobs.
_WITHOUT_SPACE = frozenset({"worker/heartbeat"})


@dataclass(frozen=True)
class Route:
    """One endpoint with what answers it."""

    endpoint: Endpoint
    handler: Handler
    rooms: Rooms
    repeats: Repeats = field(default_factory=Repeats)

    async def answer(self, call: Call, body: bytes) -> Message:
        """Decode, check, handle; the answer comes when everything that it tells of is durable.

        A handler may wait between its look for a remembered answer and its decision, so the same request is handled once at
        a time.
        """
        endpoint = self.endpoint
        refusal = self.rooms.refusal()
        if refusal is not None:
            served = _ALWAYS | _WITHOUT_SPACE if isinstance(refusal, NoSpace) else _ALWAYS
            if endpoint.name not in served:
                raise refusal
        request = decode(body or b"{}", endpoint.request)
        authorise(endpoint.policy, call.identity, _project(request))
        if endpoint.name in _WAIT_THEMSELVES:
            return await self.handler(call, request)
        async with self.repeats.one_at_a_time(getattr(request, "request_id", ""), call.identity.key):
            try:
                reply = await self.handler(call, request)
            except CopernicusError:
                await self.rooms.store.submit(Unit())  # a refusal, too, tells what stands in the book
                raise
            await self.rooms.store.submit(Unit())
        return reply


def all_handlers(rooms: Rooms) -> dict[str, Handler]:
    """The handlers of all nouns, by endpoint."""
    found: dict[str, Handler] = {}
    for noun in (sessions, users, bundles, projects, archives, holdings, jobs, workers, streams, blobs, peers):
        found |= noun.handlers(rooms)
    return found


def build_routes(rooms: Rooms, handlers: Mapping[str, Handler], endpoints: Sequence[Endpoint] = ENDPOINTS) -> dict[str, Route]:
    """The routes by URL path. Raise `InternalError` when an endpoint has no handler or policy, or a handler no endpoint."""
    for endpoint in endpoints:
        if endpoint.name not in handlers:
            raise InternalError(f"The endpoint {endpoint.name} has no handler.")
        if not isinstance(endpoint.policy, Policy):
            raise InternalError(f"The endpoint {endpoint.name} has no policy.")
    surplus = set(handlers) - {endpoint.name for endpoint in endpoints}
    if surplus:
        raise InternalError(f"There is no endpoint for the handlers {', '.join(sorted(surplus))}.")
    repeats = Repeats()
    return {endpoint.path: Route(endpoint, handlers[endpoint.name], rooms, repeats) for endpoint in endpoints}


def _project(request: Message) -> str:
    """The project that a request names, "" for none."""
    return str(getattr(request, "project", None) or getattr(request, "name", ""))
