"""Blobs between disk and network: in threads of their own, in pieces, never whole in memory; small ones inside messages."""

from __future__ import annotations

import asyncio
from collections import OrderedDict
from collections.abc import AsyncIterable, AsyncIterator, Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import Any, TypeVar

from copernicus.blobs.folder import BlobFolder
from copernicus.blobs.hashing import hash_bytes
from copernicus.errors import CopernicusError, CorruptData, TooLarge
from copernicus.model.jobs import LeasedJob
from copernicus.server.dispatch.dispatch import INLINE_LIMIT_BYTES
from copernicus.server.dispatch.workers import Worker
from copernicus.wire.messages import BlobStatusReply, BlobStatusRequest, InlineBlob

THREADS = 8
PIECE_BYTES = 512 * 1024
INLINE_TOTAL_BYTES = 4 * 1024 * 1024
KEPT_BYTES = 32 * 1024 * 1024
MOST_ASKED = 10_000
T = TypeVar("T")


class Files:
    """The server's blob folder as the handlers use it. Belongs to one event loop; the disk's work is done in threads."""

    def __init__(self, folder: BlobFolder, blob_limit_bytes: int = 0) -> None:
        self.folder = folder
        self.limit_bytes = blob_limit_bytes
        self._threads = ThreadPoolExecutor(THREADS, "blobs")
        self._small: OrderedDict[str, bytes] = OrderedDict()
        self._small_bytes = 0

    def close(self) -> None:
        """End the threads when what they do is done."""
        self._threads.shutdown()

    async def run(self, action: Callable[..., T], *arguments: Any) -> T:
        """Do blocking work in a thread."""
        return await asyncio.get_running_loop().run_in_executor(self._threads, action, *arguments)

    async def status(self, request: BlobStatusRequest) -> BlobStatusReply:
        """How much of each blob is here."""
        if len(request.blobs) > MOST_ASKED:
            raise TooLarge(f"At most {MOST_ASKED} blobs can be asked for at once.")

        def look() -> tuple[list[int], list[bool]]:
            here = [self.folder.has(blob) for blob in request.blobs]
            for blob in (blob for blob, is_here in zip(request.blobs, here, strict=True) if is_here):
                self.folder.renew(blob)  # who asks is about to use it
            return [self.folder.received(blob) for blob in request.blobs], here

        return BlobStatusReply(*await self.run(look))

    async def receive(self, blob: str, size: int, offset: int, chunks: AsyncIterable[bytes]) -> int:
        """Append `chunks` to an upload and return the bytes there; what came before a cut stays.

        Raise `WrongOffset`, `TooLarge`, `NoSpace`, `CorruptData`, and what `chunks` raises.
        """
        self.check_size(size)
        upload = await self.run(self.folder.upload, blob, size, offset)
        gathered, count = list[bytes](), 0
        try:
            try:
                async for chunk in chunks:
                    gathered.append(chunk)
                    count += len(chunk)
                    if count >= PIECE_BYTES:
                        piece, gathered, count = b"".join(gathered), [], 0
                        await self.run(upload.write, piece)
            finally:
                if gathered:  # also when the connection was cut: every byte that came need not come again
                    await self.run(upload.write, b"".join(gathered))
            await self.run(upload.finish)
            return upload.received
        finally:
            await self.run(upload.close)

    def check_size(self, size: int) -> None:
        """Raise `TooLarge` for a file beyond the limit."""
        if self.limit_bytes and size > self.limit_bytes:
            raise TooLarge(f"A file of {size} bytes is larger than this server takes ({self.limit_bytes}).")

    async def pieces(self, blob: str, offset: int) -> AsyncIterator[bytes]:
        """Yield the blob from `offset` on. Raise `UnknownPath`; `CorruptData` in place of the last piece if it has changed."""
        stream = self.folder.stream(blob, offset)
        try:
            while (piece := await self.run(next, stream, None)) is not None:
                yield piece
        finally:
            await self.run(stream.close)  # type: ignore[attr-defined]

    async def keep(self, blobs: Sequence[InlineBlob]) -> None:
        """Store small files that came inside a message, durable when it returns. Raise `CorruptData`, `NoSpace`."""

        def put() -> None:
            for blob in blobs:
                if hash_bytes(blob.data) != blob.blob:
                    raise CorruptData(f"What was sent as blob {blob.blob[:80]} is something else.", "Send it again.")
            self.folder.put_many((blob.data, "file") for blob in blobs)

        if blobs:
            await self.run(put)

    async def inline(self, jobs: Sequence[LeasedJob], worker: Worker | None) -> list[InlineBlob]:
        """The small input files of `jobs` that the worker has not been sent lately, up to a total; it asks for the others."""
        wanted, total = dict[str, bytes | None](), 0
        for job in jobs:
            for staged in (*job.description.files, *job.checkpoint):
                file = staged.file
                if file.blob in wanted or file.size > INLINE_LIMIT_BYTES or total + file.size > INLINE_TOTAL_BYTES:
                    continue
                if worker is not None and not worker.is_new_blob(file.blob):
                    continue
                wanted[file.blob] = self._small.get(file.blob)
                total += file.size
        missing = [blob for blob, data in wanted.items() if data is None]
        if missing:
            for blob, data in zip(missing, await self.run(self._read, missing), strict=True):
                wanted[blob] = data
                self._remember(blob, data)
        return [InlineBlob(blob, data) for blob, data in wanted.items() if data is not None]

    def _read(self, blobs: list[str]) -> list[bytes | None]:
        found: list[bytes | None] = []
        for blob in blobs:
            try:
                found.append(self.folder.read_bytes(blob))
            except CopernicusError:  # the worker asks for it, and is told then what is wrong
                found.append(None)
        return found

    def _remember(self, blob: str, data: bytes | None) -> None:
        if data is None or blob in self._small:
            return
        self._small[blob] = data
        self._small_bytes += len(data)
        while self._small_bytes > KEPT_BYTES:
            self._small_bytes -= len(self._small.popitem(last=False)[1])
