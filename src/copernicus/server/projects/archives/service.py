"""Saving and loading of projects: the door through which http reaches it."""

from __future__ import annotations

import asyncio
import secrets
from collections.abc import AsyncIterator, Callable
from typing import Protocol

from copernicus._version import __version__
from copernicus.blobs.folder import BlobFolder
from copernicus.dataflow.network import Network
from copernicus.dataflow.transaction import Catalog
from copernicus.errors import Refused
from copernicus.server.projects.archives.loading import count_jobs, prepare
from copernicus.server.projects.archives.manifest import FORMAT, Header
from copernicus.server.projects.archives.members import refusal
from copernicus.server.projects.archives.reading import ArchiveReader, Contents
from copernicus.server.projects.archives.saving import Extract, Saving
from copernicus.server.projects.holdings import job_holds, network_holds
from copernicus.server.projects.live import LiveProject
from copernicus.server.projects.ports import Jobs
from copernicus.server.storage.abc import BookStore, JobRecord, ProjectRow, RememberAnswer, Unit
from copernicus.wire import messages as m
from copernicus.wire.codec import decode, encode

AT_A_TIME = 2


class Home(Protocol):
    """What archives ask of the projects' room."""

    @property
    def catalog(self) -> Catalog:
        """The modules that are installed."""
        ...

    def find(self, name: str) -> LiveProject:
        """A project by name; raise `UnknownPath`."""
        ...

    def check_new_name(self, name: str) -> None:
        """Raise `UsageError` or `Refused` when no project can be made under this name."""
        ...

    def take_in(self, row: ProjectRow, network: Network) -> None:
        """A project with this network has been written down: let it live."""
        ...


class Archives:
    """Writes and reads archives. `server` is this server's fingerprint, `hostname` its name, `limit_bytes` 0 means none."""

    def __init__(
        self, *, home: Home, store: BookStore, jobs: Jobs, blobs: BlobFolder, clock: Callable[[], float], server: str,
        hostname: str, limit_bytes: int,
    ) -> None:  # fmt: skip
        self._home, self._store, self._jobs, self._blobs, self._clock = home, store, jobs, blobs, clock
        self._server, self._hostname, self._limit = server, hostname, limit_bytes
        self._turn = asyncio.Semaphore(AT_A_TIME)
        self._loads: dict[tuple[str, str], asyncio.Task[m.LoadReply]] = {}
        self._pins: dict[int, set[str]] = {}

    def close(self) -> None:
        """Loads under way are given up."""
        for task in self._loads.values():
            task.cancel()

    def pinned(self) -> set[str]:
        """The files that are being written into archives, or have just been read from one."""
        return set().union(*self._pins.values())

    # --- save --------------------------------------------------------------------------------------------------------

    async def save(self, name: str, who: str, is_whole: bool = False) -> AsyncIterator[bytes]:
        """Yield the archive of a project as it stands now; `is_whole`: with results that nothing refers to any more."""
        project = self._home.find(name)
        extract = self._extract(project, who, is_whole)
        pins = self._pins[id(extract)] = {one.file.blob for one in extract.held}
        try:
            await self._store.submit(Unit())  # what is saved is on disk
            async for piece in Saving(extract, self._store, self._jobs, self._blobs, pins).pieces():
                if piece:
                    yield piece
        finally:
            del self._pins[id(extract)]

    def _extract(self, project: LiveProject, who: str, is_whole: bool) -> Extract:
        network, id = project.network, project.row.id
        ended, opened = list[int](), list[JobRecord]()
        for number in self._jobs.numbers(id):
            job = self._jobs.get(number)
            if job is None:
                ended.append(number)
            elif not job.reproduces:
                opened.append(job)
        origin = f"{who}@{self._hostname}"
        header = Header(
            FORMAT, project.row.name, self._clock(), self._server, origin, __version__, network.seq, network.head
        )  # fmt: skip
        with_files = [job for number in self._jobs.with_checkpoint(id) if (job := self._jobs.record(number)) is not None]
        held = [*network_holds(network), *job_holds(network, [*opened, *with_files])]
        return Extract(id, header, held, ended, opened, is_whole)

    # --- load --------------------------------------------------------------------------------------------------------

    async def load(self, request: m.LoadRequest, who: str, key: str) -> m.LoadReply:
        """Make a project of an archive that was uploaded; the same request again waits for the same load."""
        known = self._store.answer(request.request_id, key) if request.request_id else None
        if known is not None:
            await self._store.submit(Unit())
            return decode(known, m.LoadReply)
        self._home.check_new_name(request.name)
        place = request.request_id or secrets.token_hex(16), key
        task = self._loads.get(place)
        if task is None:
            task = self._loads[place] = asyncio.create_task(self._load(request, who, key))
            task.add_done_callback(lambda done: self._loads.pop(place, None))
        return await asyncio.shield(task)

    async def _load(self, request: m.LoadRequest, who: str, key: str) -> m.LoadReply:
        file = request.archive
        if not self._blobs.has(file.blob) or self._blobs.size(file.blob) != file.size:
            raise Refused(f"The archive {file.name} is not on the server.", "Upload it first (cpcc load does).")
        async with self._turn:
            reader = ArchiveReader(self._blobs.path(file.blob), self._blobs, self._limit)
            self._pins[id(reader)] = reader.pins
            reader.pins.add(file.blob)
            try:
                contents = await asyncio.to_thread(reader.read)
                return await self._enter(contents, request, who, key)
            except FileNotFoundError:
                raise refusal("it has been deleted meanwhile") from None
            finally:
                del self._pins[id(reader)]

    async def _enter(self, contents: Contents, request: m.LoadRequest, who: str, key: str) -> m.LoadReply:
        row = ProjectRow(secrets.token_hex(8), request.name, self._clock())
        first = self._jobs.reserve(count_jobs(contents))
        made = await asyncio.to_thread(prepare, contents, row, first, self._home.catalog, who, self._clock())
        network = made.network
        reply = m.LoadReply(
            project=row.name, seq=network.seq, instances=len(network.instances) - 1, jobs=len(made.jobs),
            files=contents.manifest.files, origin=contents.header.origin, missing=made.missing,
            gone=len(contents.manifest.gone),
        )  # fmt: skip
        if request.request_id:
            made.unit.add(RememberAnswer(request.request_id, key, encode(reply), self._clock()))
        self._home.check_new_name(row.name)  # hours may have passed
        self._jobs.adopt(made.unit, made.jobs)
        durable = self._store.submit(made.unit)
        # From here on the name is taken; nobody is told of it before it is durable.
        self._home.take_in(row, network)
        await durable
        return reply
