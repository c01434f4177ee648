"""Snapshots of projects, so that a start reads what was written lately, and not a year of records.

A snapshot is made by a process of its own, of low priority, out of what the book holds: the server goes on meanwhile. It is
used only if the log bears it out: the hash of the record that it names stands for all records up to there.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Iterator, Sequence
from contextlib import suppress

from copernicus._version import __version__
from copernicus.dataflow import snapshot
from copernicus.dataflow.engine import hash_record
from copernicus.dataflow.network import Network
from copernicus.errors import CorruptData
from copernicus.server.storage.abc import Logs
from copernicus.server.storage.snapshots import Head, SnapshotFolder

logger = logging.getLogger(__name__)
FORM = f"{__version__}/{snapshot.FORMAT}"
EVERY_BYTES = 16 * 1024 * 1024
"""A snapshot is due when the log has grown by so much, and by as much as the last one is long."""


def borne_out(folder: SnapshotFolder, logs: Logs, project: str, before: int | None = None) -> Iterator[Head]:
    """The snapshots of a project (of records below `before`) whose record stands in the log, the newest first."""
    for head in folder.heads(project, before):
        page = logs.newest_records(project, head.seq + 1, 1)
        if page and page[0][0] == head.seq and hash_record(page[0][1]) == head.record:
            yield head


def load(folder: SnapshotFolder, head: Head) -> Network | None:
    """The network of a snapshot; None, with a warning, when it is damaged."""
    data = folder.read(head)
    with suppress(CorruptData):
        network = snapshot.decode(data) if data is not None else Network()
        if (network.seq, network.head) == (head.seq, head.record):
            return network
    logger.warning("the snapshot of project %s at record %d is damaged; the log is read instead", head.project, head.seq)
    return None


class Snapshots:
    """The snapshots of a server's projects. `command`, with the id of a project, starts a process that makes one."""

    def __init__(self, folder: SnapshotFolder, logs: Logs, command: Sequence[str] = ()) -> None:
        self._folder, self._logs, self._command = folder, logs, command
        self._grown: dict[str, int] = {}
        self._due: dict[str, None] = {}
        self._making: asyncio.Task[None] | None = None

    def start(self, project: str) -> Network:
        """The newest network of a project from which its log can be read on; an empty one when there is none."""
        self._grown[project] = 0
        networks = (load(self._folder, head) for head in borne_out(self._folder, self._logs, project))
        return next((network for network in networks if network is not None), Network())

    async def before(self, project: str, seq: int) -> Network:
        """The same, as it stood before record `seq`."""
        for head in list(borne_out(self._folder, self._logs, project, seq)):
            network = await asyncio.to_thread(load, self._folder, head)
            if network is not None:
                return network
        return Network()

    def grow(self, project: str, count: int) -> None:
        """The log of a project has `count` more bytes; make a snapshot when one is due."""
        self._grown[project] = self._grown.get(project, 0) + count
        if self._grown[project] >= EVERY_BYTES and self._grown[project] >= self._folder.size(project):
            self._grown[project] = 0
            self._due[project] = None

    def make_due(self) -> None:
        """Begin to make the snapshots that are due; called from within the event loop."""
        if self._due and self._command and (self._making is None or self._making.done()):
            self._making = asyncio.get_running_loop().create_task(self._make_all())

    def drop(self, project: str) -> None:
        """The project was removed."""
        self._grown.pop(project, None)
        self._due.pop(project, None)
        self._folder.drop(project)

    async def close(self) -> None:
        """End the process that makes one."""
        if self._making is not None:
            self._making.cancel()
            with suppress(asyncio.CancelledError):
                await self._making

    async def _make_all(self) -> None:
        while self._due:
            project = next(iter(self._due))
            del self._due[project]
            await self._make(project)

    async def _make(self, project: str) -> None:
        process = await asyncio.create_subprocess_exec(
            *self._command, project, stdin=asyncio.subprocess.DEVNULL, stderr=asyncio.subprocess.PIPE
        )
        try:
            _, told = await process.communicate()
        except asyncio.CancelledError:
            process.kill()
            await process.wait()
            raise
        if process.returncode:
            logger.warning("no snapshot of project %s was made: %s", project, told.decode(errors="replace")[-2000:].strip())
