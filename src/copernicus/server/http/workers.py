"""What workers say, over HTTP."""

from __future__ import annotations

from msgspec.structs import replace

from copernicus.server.http.calls import Call, Handler, Rooms
from copernicus.server.peers.borrowed import FIRST
from copernicus.wire import messages as m


def handlers(rooms: Rooms) -> dict[str, Handler]:
    """The messages of and about workers."""
    dispatch, files, lending = rooms.dispatch, rooms.files, rooms.federation.lending

    async def announce(call: Call, request: m.AnnounceRequest) -> m.AnnounceReply:
        return lending.announce(request, call.identity)

    async def exchange(call: Call, request: m.ExchangeRequest) -> m.ExchangeReply:
        await files.keep(request.blobs)  # before the reports that speak of them
        reply = await lending.exchange(request, call.identity, call.is_open)
        if reply.jobs and reply.jobs[0].job < FIRST:  # with those of other servers their files have come
            reply = replace(reply, blobs=await files.inline(reply.jobs, dispatch.workers.get(request.worker)))
        return reply

    async def heartbeat(call: Call, request: m.HeartbeatRequest) -> m.HeartbeatReply:
        return await lending.heartbeat(request, call.identity)

    async def farewell(call: Call, request: m.FarewellRequest) -> m.Done:
        return await lending.farewell(request, call.identity)

    async def workers(call: Call, request: m.WorkersRequest) -> m.WorkersReply:
        return m.WorkersReply(dispatch.jobs.worker_rows())

    async def quarantine(call: Call, request: m.QuarantineRequest) -> m.QuarantineReply:
        return rooms.quarantine.listing()

    async def add(call: Call, request: m.AddQuarantineRequest) -> m.Done:
        return await rooms.quarantine.add(request, call.who)

    async def release(call: Call, request: m.ReleaseQuarantineRequest) -> m.Done:
        return await rooms.quarantine.release(request, call.who)

    return {
        "worker/announce": announce,
        "worker/exchange": exchange,
        "worker/heartbeat": heartbeat,
        "worker/farewell": farewell,
        "workers": workers,
        "quarantine": quarantine,
        "quarantine/add": add,
        "quarantine/release": release,
    }
