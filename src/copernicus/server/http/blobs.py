"""Blobs over HTTP: GET with ranges, PATCH with offsets (see `wire.endpoints`), and how much of them is here."""

from __future__ import annotations

import asyncio
import re
from collections.abc import AsyncIterator

from aiohttp import web

from copernicus.blobs.folder import WrongOffset
from copernicus.errors import CopernicusError, UnknownPath, UsageError
from copernicus.server.http.calls import Call, Handler, Rooms
from copernicus.server.http.failures import failure
from copernicus.wire import messages as m

_RANGE = re.compile(r"bytes=(\d{1,18})-")


def handlers(rooms: Rooms) -> dict[str, Handler]:
    """The messages about blobs."""

    async def status(call: Call, request: m.BlobStatusRequest) -> m.BlobStatusReply:
        return await rooms.files.status(request)

    return {"blob/status": status}


async def get(rooms: Rooms, request: web.BaseRequest, blob: str) -> web.StreamResponse:
    """Answer with the blob's bytes, from the range's start."""
    folder = rooms.files.folder
    offset = _range_start(request.headers.get("Range"))
    try:
        size = await rooms.files.run(folder.size, blob)
    except UnknownPath:
        await rooms.federation.files.bring(blob)  # a borrowed job may need it
        size = await rooms.files.run(folder.size, blob)
    if offset > size:
        raise UsageError(f"Blob {blob} has {size} bytes; it cannot be read from {offset}.")
    pieces = rooms.files.pieces(blob, offset)
    first = await anext(pieces, b"")  # an error before the first byte is still an answer
    response = web.StreamResponse(status=206 if "Range" in request.headers else 200)
    response.content_type = "application/octet-stream"
    response.content_length = size - offset
    response.headers["X-Content-Type-Options"] = "nosniff"
    if response.status == 206:
        response.headers["Content-Range"] = f"bytes {offset}-{max(offset, size - 1)}/{size}"
    await response.prepare(request)
    try:
        if first:
            await response.write(first)
        async for piece in pieces:
            await response.write(piece)
        await response.write_eof()
    except (CopernicusError, OSError, MemoryError):  # half an answer stands: cutting the connection is all there is to say
        if request.transport is not None:
            request.transport.close()
    finally:
        await pieces.aclose()  # type: ignore[attr-defined]
    return response


async def patch(rooms: Rooms, request: web.BaseRequest, blob: str, patience_s: float) -> web.StreamResponse:
    """Append the body to the upload of `blob`."""
    size, offset = _number(request.query.get("size"), "size"), _number(request.headers.get("Upload-Offset"), "Upload-Offset")
    try:
        received = await rooms.files.receive(blob, size, offset, patiently(request, patience_s))
    except WrongOffset as error:
        response = failure(error)
        response.headers["Upload-Offset"] = str(error.received)
        return response
    return web.Response(status=204, headers={"Upload-Offset": str(received)})


async def patiently(request: web.BaseRequest, patience_s: float) -> AsyncIterator[bytes]:
    """Yield the body as it comes; raise `ConnectionError` when its next part takes longer than `patience_s`."""
    while True:
        try:
            async with asyncio.timeout(patience_s):
                chunk = await request.content.readany()
        except TimeoutError:
            raise ConnectionAbortedError(f"nothing more came for {patience_s:g} s") from None
        if not chunk:
            return
        yield chunk


def _range_start(header: str | None) -> int:
    if header is None:
        return 0
    match = _RANGE.fullmatch(header.strip())
    if match is None:
        raise UsageError(f"The range {header[:80]!r} is not understood.", "Ask for bytes=N-.")
    return int(match.group(1))


def _number(text: str | None, what: str) -> int:
    if text is None or not text.isdecimal() or len(text) > 18:
        raise UsageError(f"{what} must be a number of bytes.")
    return int(text)
