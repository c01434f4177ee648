"""Files between servers: in pieces over the link, content-addressed, and kept here as any other file is."""

from __future__ import annotations

import asyncio
import os
from collections.abc import Callable

from copernicus.blobs.folder import BlobFolder, WrongOffset
from copernicus.errors import CorruptData, Unavailable, UnknownPath
from copernicus.model.values import FileRef
from copernicus.server.peers.link import Link, Links
from copernicus.wire import messages as m
from copernicus.wire.peer_messages import PIECE_BYTES

PIECE_S = 120.0


class PeerFiles:
    """Brings files from owners, and to them. Belongs to one event loop; the disk's work is done in threads.

    `owner_of` says whom to ask for a file that is not here, and its size.
    """

    def __init__(self, folder: BlobFolder, links: Links, owner_of: Callable[[str], tuple[str, int] | None]) -> None:
        self._folder, self._links, self._owner_of = folder, links, owner_of
        self._bringing: dict[str, asyncio.Task[None]] = {}

    async def bring(self, blob: str) -> None:
        """See to it that a file is here, if a borrowed job needs it. Raise `UnknownPath`, `Unavailable`, `NoSpace`.

        Whoever gives up waiting does not end it: who asks again finds more of it here.
        """
        if await asyncio.to_thread(self._folder.has, blob):
            return
        task = self._bringing.get(blob)
        if task is None:
            found = self._owner_of(blob)
            if found is None:
                raise UnknownPath(f"There is no blob {blob[:80]}.")
            task = self._bringing[blob] = asyncio.ensure_future(self._fetch(blob, *found))
            task.add_done_callback(lambda done: self._brought(blob, done))
        await asyncio.shield(task)

    def _brought(self, blob: str, task: asyncio.Task[None]) -> None:
        self._bringing.pop(blob, None)
        if not task.cancelled():
            task.exception()  # whoever waits is told; perhaps nobody does any more

    async def _fetch(self, blob: str, owner: str, size: int) -> None:
        offset = await asyncio.to_thread(self._folder.received, blob)
        while not await asyncio.to_thread(self._folder.has, blob):
            link = self._links.of(owner)
            if link is None:
                raise Unavailable("The server that has the file cannot be reached now.", "Try again.")
            reply = await link.call(m.BlobPieceRequest(blob, offset), PIECE_S)
            if reply.size != size or (size and not reply.data):
                raise CorruptData(f"Server {owner} has another file as blob {blob}.")
            offset = await self._append(blob, size, offset, reply.data)

    async def _append(self, blob: str, size: int, offset: int, data: bytes) -> int:
        try:
            return await asyncio.to_thread(self._folder.append, blob, size, offset, [data] if data else [])
        except WrongOffset as error:  # somebody else brings it, too
            return error.received

    async def push(self, link: Link, file: FileRef) -> None:
        """See to it that the other side has a file; raise as `bring`."""
        reply = await link.call(m.BlobPutRequest(file.blob, file.size), PIECE_S)
        while not reply.is_complete:
            data = await self.read(file.blob, reply.received, PIECE_BYTES)
            if not data and file.size:
                raise CorruptData(f"Blob {file.blob} is shorter than it should be.")
            reply = await link.call(m.BlobPutRequest(file.blob, file.size, reply.received, data), PIECE_S)

    async def read(self, blob: str, offset: int, count: int) -> bytes:
        """A piece of a file that is here; what is read is checked by whoever takes it in."""

        def read() -> bytes:
            self._folder.size(blob)
            with open(self._folder.path(blob), "rb", buffering=0) as file:
                return os.pread(file.fileno(), count, offset)

        return await asyncio.to_thread(read)

    async def piece(self, request: m.BlobPieceRequest) -> m.BlobPieceReply:
        """Answer a peer that asks for a piece; a relay brings it first."""
        await self.bring(request.blob)
        size = await asyncio.to_thread(self._folder.size, request.blob)
        return m.BlobPieceReply(size, await self.read(request.blob, max(0, request.offset), PIECE_BYTES))

    async def put(self, request: m.BlobPutRequest) -> m.BlobPutReply:
        """Take a piece in."""

        def look() -> m.BlobPutReply:
            if self._folder.has(request.blob):
                self._folder.renew(request.blob)
                return m.BlobPutReply(request.size, True)
            return m.BlobPutReply(self._folder.received(request.blob), False)

        there = await asyncio.to_thread(look)
        if there.is_complete or (request.size and not request.data):
            return there
        received = await self._append(request.blob, request.size, request.offset, request.data)
        return m.BlobPutReply(received, await asyncio.to_thread(self._folder.has, request.blob))

    async def close(self) -> None:
        """Give up what is under way."""
        for task in list(self._bringing.values()):
            task.cancel()
        await asyncio.gather(*self._bringing.values(), return_exceptions=True)
