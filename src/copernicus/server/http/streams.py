"""What comes out of running jobs, over HTTP: workers bring it, people follow it."""

from __future__ import annotations

from copernicus.server.http.calls import Call, Handler, Rooms
from copernicus.wire import messages as m


def handlers(rooms: Rooms) -> dict[str, Handler]:
    """The messages about streams and checkpoints."""
    streams = rooms.dispatch.streams

    async def stream(call: Call, request: m.StreamRequest) -> m.StreamReply:
        return await streams.exchange(request, call.identity)

    async def follow(call: Call, request: m.FollowRequest) -> m.FollowReply:
        return await streams.follow(rooms.projects.enquiries.job_at(request.project, request.target).id, request)

    async def checkpoint(call: Call, request: m.CheckpointRequest) -> m.CheckpointReply:
        return await rooms.dispatch.checkpoints.take(request, call.identity)

    return {"worker/stream": stream, "worker/checkpoint": checkpoint, "project/follow": follow}
