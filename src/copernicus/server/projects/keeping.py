"""What projects hold, as http asks for it: usage, and purging."""

from __future__ import annotations

import asyncio
from collections.abc import Callable

from copernicus.blobs.folder import BlobFolder
from copernicus.server.projects.live import LiveProject
from copernicus.server.projects.ports import Jobs
from copernicus.server.projects.purging import Purge
from copernicus.server.projects.retention import Retention
from copernicus.server.projects.usage import usage
from copernicus.server.storage.abc import BookStore, Unit
from copernicus.wire import messages as m
from copernicus.wire.codec import decode


class Keeping:
    """Answers what projects hold. `find` gives a project by name."""

    def __init__(
        self,
        find: Callable[[str], LiveProject],
        live: Callable[[], list[LiveProject]],
        store: BookStore,
        blobs: BlobFolder,
        retention: Retention,
        clock: Callable[[], float],
        jobs: Jobs,
    ) -> None:
        self._jobs = jobs
        self._find, self._live, self._store, self._blobs = find, live, store, blobs
        self.retention, self._clock = retention, clock

    async def usage(self, request: m.UsageRequest, is_super: bool) -> m.UsageReply:
        """What a project has cost, and what it holds; to super users also what nobody's files take."""
        project = self._find(request.project)
        others = self._live() if is_super else [project]
        for one in others:
            await self.retention.index(one)
        entries = {blob: size for blob, size, _ in await asyncio.to_thread(lambda: list(self._blobs.entries()))}
        holds = list(self.retention.holds(project))
        uploads = None
        if is_super:
            referred = {held.file.blob for one in others for held in self.retention.holds(one)}
            uploads = sum(size for blob, size in entries.items() if blob not in referred)
        return usage(project.network, project.row.name, holds, set(entries), uploads, self._jobs.costs(project.row.id))

    async def purge(self, request: m.PurgeRequest, who: str, key: str) -> m.PurgeReply:
        """Delete what a person gives up, or say what that would be."""
        known = self._store.answer(request.request_id, key) if request.request_id else None
        if known is not None:
            await self._store.submit(Unit())
            return decode(known, m.PurgeReply)
        project = self._find(request.project)
        index = await self.retention.index(project)
        list(self.retention.holds(project))  # to the very newest record
        return await Purge(project, index, self.retention, self._clock).run(request, who, key)
