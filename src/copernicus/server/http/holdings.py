"""What projects hold, over HTTP."""

from __future__ import annotations

from copernicus.server.http.calls import Call, Handler, Rooms
from copernicus.wire import messages as m


def handlers(rooms: Rooms) -> dict[str, Handler]:
    """The messages about what projects hold."""

    async def usage(call: Call, request: m.UsageRequest) -> m.UsageReply:
        return await rooms.keeping.usage(request, call.identity.is_super)

    async def purge(call: Call, request: m.PurgeRequest) -> m.PurgeReply:
        return await rooms.keeping.purge(request, call.who, call.identity.key)

    return {"project/usage": usage, "project/purge": purge}
