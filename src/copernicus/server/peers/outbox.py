"""The outbox: what is to be told to the owners of borrowed attempts, delivered whenever a link stands, until they answer."""

from __future__ import annotations

import asyncio
import logging
from collections import defaultdict
from collections.abc import Callable, Iterable

from msgspec.structs import replace

from copernicus.errors import CopernicusError, InternalError, Unavailable
from copernicus.model.values import FileRef
from copernicus.server.peers.borrowed import Book, Borrowed
from copernicus.server.peers.files import PeerFiles
from copernicus.server.peers.link import Link, Links
from copernicus.server.storage.abc import BookStore, Unit
from copernicus.wire import messages as m

BATCH = 64
INLINE_BYTES, INLINE_TOTAL_BYTES = 64 * 1024, 4 * 1024 * 1024
AGAIN_S, LONGEST_S = 1.0, 60.0
REPORT_S = 60.0
PASSING = (Unavailable, InternalError)
"""What may be otherwise the next time."""
_log = logging.getLogger(__name__)


class Outbox:
    """Delivers checkpoints and reports, one task for each owner. Belongs to one event loop.

    `name_at_owner` gives the name under which an owner knows a worker. A row is dropped when the owner has given its verdict
    on the report, whatever that is.
    """

    def __init__(
        self, book: Book, links: Links, files: PeerFiles, store: BookStore, name_at_owner: Callable[[str], str]
    ) -> None:
        self._book, self._links, self._files, self._store, self._name = book, links, files, store, name_at_owner
        self._tasks: dict[str, asyncio.Task[None]] = {}
        self._is_over = False

    def wake_all(self) -> None:
        """Something may be to be told to anybody."""
        for owner in {row.owner for row in self._book if row.report is not None or row.checkpoint is not None}:
            self.wake(owner)

    def wake(self, owner: str) -> None:
        """Something may be to be told to `owner`, or a link to it stands."""
        task = self._tasks.get(owner)
        if not self._is_over and (task is None or task.done()) and self._due(owner):
            self._tasks[owner] = asyncio.ensure_future(self._deliver(owner))

    async def close(self) -> None:
        """Stop; what is left stands in the book."""
        self._is_over = True
        for task in self._tasks.values():
            task.cancel()
        await asyncio.gather(*self._tasks.values(), return_exceptions=True)

    def _due(self, owner: str) -> list[Borrowed]:
        return [row for row in self._book.of_owner(owner) if row.report is not None or row.checkpoint is not None][:BATCH]

    async def _deliver(self, owner: str) -> None:
        pause_s = AGAIN_S
        while (link := self._links.of(owner)) is not None and (rows := self._due(owner)):
            try:
                await self._send(link, rows)
                pause_s = AGAIN_S
            except CopernicusError as error:
                _log.info("server %s was not told how its jobs stand: %s", owner, error)
                await asyncio.sleep(pause_s)
                pause_s = min(LONGEST_S, 2 * pause_s)

    async def _send(self, link: Link, rows: list[Borrowed]) -> None:
        for row in rows:
            if row.checkpoint is not None:
                await self._send_checkpoint(link, row)
        by_worker = defaultdict[str, list[Borrowed]](list)
        for row in rows:
            if row.report is not None:
                by_worker[row.worker].append(row)
        for worker, reported in by_worker.items():
            await self._send_reports(link, worker, reported)

    async def _send_checkpoint(self, link: Link, row: Borrowed) -> None:
        checkpoint = row.checkpoint
        if checkpoint is None:
            return
        try:
            for file in replace(row, report=None).brought():
                await self._files.push(link, file)
            await link.call(replace(checkpoint, worker=self._name(row.worker)), REPORT_S)
        except CopernicusError as error:
            if isinstance(error, PASSING):
                raise
            _log.warning("server %s does not take a checkpoint of job %d: %s", row.owner, row.lease.job, error)
        current, unit = self._book.get(row.number), Unit()
        if current is not None and current.checkpoint == checkpoint:
            self._book.put(unit, replace(current, checkpoint=None))
            await self._store.submit(unit)

    async def _send_reports(self, link: Link, worker: str, rows: list[Borrowed]) -> None:
        inline: list[m.InlineBlob] = []
        for row in rows:
            await self._push(link, replace(row, checkpoint=None).brought(), inline)
        reports = [row.report for row in rows if row.report is not None]
        try:
            reply = await link.call(m.ExchangeRequest(self._name(worker), 0, 0, reports, inline), REPORT_S)
        except CopernicusError as error:
            if isinstance(error, PASSING):
                raise
            if len(rows) > 1:
                for row in rows:
                    await self._send_reports(link, worker, [row])
                return
            await self._set_apart(rows[0], error)
            return
        unit = Unit()
        told = {(verdict.job, verdict.attempt): verdict for verdict in reply.verdicts}
        for row in rows:
            verdict = told.get((row.lease.job, row.lease.attempt))
            if verdict is not None:
                _log.info("job %d of server %s, attempt %d: %s", verdict.job, row.owner, verdict.attempt, verdict.verdict)
                self._book.drop(unit, row)
        await self._store.submit(unit)

    async def _set_apart(self, row: Borrowed, error: CopernicusError) -> None:
        """The owner can do nothing with a report: it is told that much; and if that is refused, too, nothing more."""
        report, unit = row.report, Unit()
        if report is None or (report.outcome == "failed" and not report.outputs and not report.checkpoint):
            _log.warning("server %s takes no report of job %d: %s", row.owner, row.lease.job, error)
            self._book.drop(unit, row)
        else:
            why = f"The server does not take the result: {error.message}"
            short = replace(report, outcome="failed", error=why, outputs={}, checkpoint=())
            self._book.put(unit, replace(row, report=short))
        await self._store.submit(unit)

    async def _push(self, link: Link, files: Iterable[FileRef], inline: list[m.InlineBlob]) -> None:
        """Bring files over, small ones inside the message that names them (`inline`)."""
        room = INLINE_TOTAL_BYTES - sum(len(blob.data) for blob in inline)
        for file in files:
            if file.size <= min(INLINE_BYTES, room):
                data = await self._files.read(file.blob, 0, file.size)
                inline.append(m.InlineBlob(file.blob, data))
                room -= len(data)
            else:
                await self._files.push(link, file)
