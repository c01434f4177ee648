"""What comes out of running jobs, over HTTP: workers bring it, people follow it."""

from __future__ import annotations

from copernicus.errors import UnknownPath
from copernicus.model.values import FileRef
from copernicus.server.http.calls import Call, Handler, Rooms
from copernicus.server.peers.borrowed import FIRST
from copernicus.server.storage.abc import Unit
from copernicus.wire import messages as m

LONGEST_WAIT_S = 30.0


def handlers(rooms: Rooms) -> dict[str, Handler]:
    """The messages about streams and checkpoints."""
    streams = rooms.dispatch.streams

    async def stream(call: Call, request: m.StreamRequest) -> m.StreamReply:
        return await rooms.federation.watching.exchange(request, call.identity)

    async def follow(call: Call, request: m.FollowRequest) -> m.FollowReply:
        return await streams.follow(rooms.projects.enquiries.job_at(request.project, request.target).id, request)

    async def checkpoint(call: Call, request: m.CheckpointRequest) -> m.CheckpointReply:
        if request.job >= FIRST:
            return await rooms.federation.lending.checkpoint(request, call.identity)
        return await rooms.dispatch.checkpoints.take(request, call.identity)

    async def fetch(call: Call, request: m.FetchPartialRequest) -> m.FetchPartialReply:
        job, pattern, index, found = rooms.projects.enquiries.file_meant(request.project, request.target)
        await rooms.store.submit(Unit())  # what is told of the job must be durable
        if job.state != "leased":
            if found is None or not isinstance(found.value, dict):
                hint = f"See: cpcc why {job.id}"
                raise UnknownPath(f"Job {job.id} does not run: it is {job.state}.", hint)
            file = FileRef(found.value["blob"], found.value["size"], found.value["name"])
            return m.FetchPartialReply(job.id, found.attempt, file, found)
        wait_s = min(request.wait_s, LONGEST_WAIT_S)
        brought = await streams.fetches.fetch(job, pattern, index, f"{call.who} {request.fetch[:80]}", wait_s)
        if brought is not None and brought.file is None:
            raise UnknownPath(f"There is no such file yet: {brought.why}")
        return m.FetchPartialReply(job.id, job.attempt, brought.file if brought is not None else None)

    return {
        "worker/stream": stream,
        "worker/checkpoint": checkpoint,
        "project/follow": follow,
        "project/fetch-partial": fetch,
    }
