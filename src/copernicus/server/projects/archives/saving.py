"""Writing an archive while its project runs: everything up to one record of the log, in pieces, never whole in memory."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Iterable, Iterator
from itertools import chain, islice
from typing import Any

import msgspec
from blake3 import blake3

from copernicus.blobs.folder import BlobFolder
from copernicus.blobs.hashing import hash_bytes
from copernicus.server.projects.archives.manifest import FILES, HEADER, JOBS, LOG, MANIFEST, Header, Manifest, Member
from copernicus.server.projects.archives.members import CHUNK_BYTES, Packer, head, padding
from copernicus.server.projects.holdings import Held, LogIndex
from copernicus.server.storage.abc import BookStore, JobRecord

SEGMENT_BYTES = 1024 * 1024
BATCH = 500


class Extract(msgspec.Struct):
    """A project as it stood in one moment. `jobs` are the numbers of those that ended, `open_jobs` the records of others."""

    project: str
    header: Header
    held: list[Held]
    jobs: list[int]
    open_jobs: list[JobRecord]
    is_whole: bool


class Saving:
    """Writes one archive. Everything but hashing, packing and reading of files happens in the event loop, in small steps."""

    def __init__(self, extract: Extract, store: BookStore, jobs: Any, blobs: BlobFolder, pins: set[str]) -> None:
        self._extract, self._store, self._jobs, self._blobs, self._pins = extract, store, jobs, blobs, pins
        self._packer = Packer()
        self._members: list[Member] = []
        self._index = LogIndex()
        self._sizes = {one.file.blob: one.file.size for one in extract.held if one.is_kept or extract.is_whole}

    async def pieces(self) -> AsyncIterator[bytes]:
        """Yield the archive. Raise `CorruptData` at a file that has changed on disk: what was sent is then no archive."""
        yield await asyncio.to_thread(self._member, HEADER, msgspec.json.encode(self._extract.header))
        async for piece in self._segments(LOG, self._records()):
            yield piece
        async for piece in self._segments(JOBS, self._job_lines()):
            yield piece
        wanted = [one for one in self._index.holds() if one.is_kept or self._extract.is_whole]
        self._sizes.update((one.file.blob, one.file.size) for one in wanted)
        self._pins |= self._sizes.keys()
        there, gone = await asyncio.to_thread(self._sort)
        names, total = blake3(), 0
        for blob in there:
            size = await asyncio.to_thread(self._blobs.size, blob)
            stream = self._file(blob, size)
            while (packed := await asyncio.to_thread(_next, stream)) is not None:
                yield packed
            names.update(blob.encode() + b"\n")
            total += size
        manifest = Manifest(tuple(self._members), len(there), total, names.hexdigest(), tuple(gone))
        data = msgspec.json.encode(manifest)
        yield await asyncio.to_thread(self._pack, head(MANIFEST, len(data)), data, padding(len(data)))
        yield await asyncio.to_thread(self._packer.end)

    def _pack(self, *parts: bytes) -> bytes:
        return b"".join(self._packer.add(part) for part in parts)

    def _member(self, name: str, data: bytes) -> bytes:
        self._members.append(Member(name, len(data), hash_bytes(data)))
        return self._pack(head(name, len(data)), data, padding(len(data)))

    async def _segments(self, folder: str, lines: AsyncIterator[list[bytes]]) -> AsyncIterator[bytes]:
        """Put lines together to members of about a megabyte."""
        number, waiting, count = 0, list[bytes](), 0
        async for batch in lines:
            for line in batch:
                waiting.append(line)
                count += len(line)
                if count >= SEGMENT_BYTES:
                    number += 1
                    yield await asyncio.to_thread(self._member, _segment(folder, number), _lines(waiting))
                    waiting, count = [], 0
        if waiting:
            yield await asyncio.to_thread(self._member, _segment(folder, number + 1), _lines(waiting))

    async def _records(self) -> AsyncIterator[list[bytes]]:
        after, last = 0, self._extract.header.seq
        while after < last:
            # Read in batches: an open cursor would keep the database from tidying up for as long as somebody downloads.
            batch = list(islice(self._store.records(self._extract.project, after), min(BATCH, last - after)))
            if not batch:
                return
            for _, data in batch:
                self._index.take(data)
            after = batch[-1][0]
            yield [data for _, data in batch]

    async def _job_lines(self) -> AsyncIterator[list[bytes]]:
        ended = (self._jobs.record(number) for number in self._extract.jobs)
        records: Iterator[JobRecord] = chain(
            self._extract.open_jobs, (job for job in ended if job is not None and not job.reproduces)
        )  # fmt: skip
        while batch := list(islice(records, BATCH)):
            yield [msgspec.json.encode(job) for job in batch]
            await asyncio.sleep(0)

    def _sort(self) -> tuple[list[str], list[str]]:
        there, gone = list[str](), list[str]()
        for blob in self._sizes:
            (there if self._blobs.has(blob) else gone).append(blob)
        return there, gone

    def _file(self, blob: str, size: int) -> Iterator[bytes]:
        yield self._pack(head(FILES + blob, size))
        for piece in self._blobs.stream(blob, chunk_bytes=CHUNK_BYTES):
            yield self._pack(piece)
        yield self._pack(padding(size))


def _next(stream: Iterator[bytes]) -> bytes | None:
    return next(stream, None)


def _segment(folder: str, number: int) -> str:
    return f"{folder}{number:08d}.jsonl"


def _lines(records: Iterable[bytes]) -> bytes:
    return b"\n".join(records) + b"\n"
