"""Streams of borrowed jobs: what an owner wants to see of them is asked of the worker, and what it brings is passed on.

Pulled, as everywhere: nothing moves unless somebody at the owner follows the job.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Coroutine
from typing import Any

from msgspec.structs import replace

from copernicus.errors import CopernicusError
from copernicus.server.access.identity import Identity
from copernicus.server.peers.borrowed import FIRST, Borrowed
from copernicus.server.peers.files import PeerFiles
from copernicus.server.peers.lending import Lending
from copernicus.server.peers.link import Links
from copernicus.server.peers.ports import OwnStreams
from copernicus.wire import messages as m

ANSWER_S = 15.0
LONGEST_WAIT_S = 30.0
_log = logging.getLogger(__name__)


class Watching:
    """What workers bring of running jobs, this server's own and others'. Belongs to one event loop."""

    def __init__(self, lending: Lending, own: OwnStreams, links: Links, files: PeerFiles) -> None:
        self._lending, self._own, self._links, self._files = lending, own, links, files
        self._fetches: dict[str, str] = {}
        """Which owner wants a file, by the id under which it asked for it."""

    async def exchange(self, request: m.StreamRequest, identity: Identity) -> m.StreamReply:
        """Pass on pieces and files, and return what is wanted; wait for that up to `wait_s`."""
        rows = {row.number: row for row in self._lending.book.of_worker(request.worker, identity.key) if row.report is None}
        if not rows and not any(piece.job >= FIRST for piece in request.pieces):
            return await self._own.exchange(request, identity)
        reply = await self._round(replace(request, wait_s=0.0), identity, rows)
        if reply.wanted or reply.files or request.wait_s <= 0:
            return reply
        return await self._round(m.StreamRequest(request.worker, wait_s=request.wait_s), identity, rows)

    async def _round(self, request: m.StreamRequest, identity: Identity, rows: dict[int, Borrowed]) -> m.StreamReply:
        """Ask all who may want something; without waiting for all, where there is to be waited."""
        own = replace(
            request, pieces=[piece for piece in request.pieces if piece.job < FIRST],
            brought=[brought for brought in request.brought if brought.fetch not in self._fetches],
        )  # fmt: skip
        asked: list[Coroutine[Any, Any, m.StreamReply]] = [self._own.exchange(own, identity)]
        asked += [self._ask(owner, request, rows) for owner in {row.owner for row in rows.values()}]
        tasks = [asyncio.ensure_future(one) for one in asked]
        try:
            left = set(tasks)
            while left:
                done, left = await asyncio.wait(left, return_when=asyncio.FIRST_COMPLETED)
                if request.wait_s > 0 and any(task.result().wanted or task.result().files for task in done):
                    break
            replies = [task.result() for task in tasks if task.done()]
        finally:
            for task in tasks:
                task.cancel()
        return m.StreamReply(
            [one for reply in replies for one in reply.wanted], [one for reply in replies for one in reply.files]
        )

    async def _ask(self, owner: str, request: m.StreamRequest, rows: dict[int, Borrowed]) -> m.StreamReply:
        link, own = self._links.of(owner), {number: row for number, row in rows.items() if row.owner == owner}
        if link is None:
            return m.StreamReply()
        pieces = [
            replace(piece, job=own[piece.job].lease.job) for piece in request.pieces
            if piece.job in own and own[piece.job].lease.attempt == piece.attempt
        ]  # fmt: skip
        brought = [one for one in request.brought if self._fetches.get(one.fetch) == owner]
        wait_s = min(request.wait_s, LONGEST_WAIT_S)
        try:
            for one in brought:
                if one.file is not None:
                    await self._files.push(link, one.file)
            said = m.StreamRequest(self._lending.name_at_owner(request.worker), pieces, brought, wait_s)
            reply = await link.call(said, wait_s + ANSWER_S)
        except CopernicusError as error:
            _log.debug("server %s was not asked what it wants to see: %s", owner, error)
            await asyncio.sleep(min(wait_s, 1.0))
            return m.StreamReply()
        for one in brought:
            self._fetches.pop(one.fetch, None)
        return self._translated(owner, reply, own)

    def _translated(self, owner: str, reply: m.StreamReply, rows: dict[int, Borrowed]) -> m.StreamReply:
        numbers = {(row.lease.job, row.lease.attempt): number for number, row in rows.items()}
        wanted = [replace(one, job=numbers[one.job, one.attempt]) for one in reply.wanted if (one.job, one.attempt) in numbers]
        files = [replace(one, job=numbers[one.job, one.attempt]) for one in reply.files if (one.job, one.attempt) in numbers]
        self._fetches |= {one.fetch: owner for one in files}
        while len(self._fetches) > 1000:
            del self._fetches[next(iter(self._fetches))]
        return m.StreamReply(wanted, files)
