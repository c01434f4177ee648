"""Archives of projects over HTTP: made while they are sent; loaded from blobs."""

from __future__ import annotations

import asyncio
import contextlib
import logging

from aiohttp import web

from copernicus.errors import CopernicusError, Unavailable
from copernicus.server.access.identity import Identity
from copernicus.server.http.calls import Call, Handler, Rooms
from copernicus.server.storage.abc import Unit
from copernicus.wire import messages as m

_log = logging.getLogger(__name__)


def handlers(rooms: Rooms) -> dict[str, Handler]:
    """The messages about archives."""

    async def load(call: Call, request: m.LoadRequest) -> m.LoadReply:
        call.identity.check_may_make(request.name)
        reply = await rooms.archives.load(request, call.who, call.identity.key)
        with contextlib.suppress(Unavailable):  # what is in it is in the project now
            await rooms.keeping.retention.delete(Unit(), {request.archive.blob})
        if not call.identity.is_super and call.identity.user:
            await asyncio.to_thread(rooms.access.grant, call.identity.user, request.name)
        return reply

    return {"project/load": load}


async def get(rooms: Rooms, request: web.BaseRequest, identity: Identity, project: str) -> web.StreamResponse:
    """Answer with the archive of a project that the caller may see."""
    refusal = rooms.refusal()
    if refusal is not None:
        raise refusal
    is_whole = request.query.get("all") == "1"
    pieces = rooms.archives.save(project, identity.user or identity.key, is_whole)
    try:
        first = await anext(pieces)  # an error before the first byte is still an answer
        response = web.StreamResponse()
        response.content_type = "application/gzip"
        response.headers["X-Content-Type-Options"] = "nosniff"
        response.enable_chunked_encoding()
        await response.prepare(request)
        await response.write(first)
        try:
            async for piece in pieces:
                await response.write(piece)
            await response.write_eof()
        except (CopernicusError, OSError, MemoryError) as error:  # half an archive stands: all there is to say is a cut
            _log.error("project %s could not be saved: %s", project, error)
            if request.transport is not None:
                request.transport.close()
        return response
    finally:
        await pieces.aclose()  # type: ignore[attr-defined]
