"""What nothing keeps any more goes, oldest first: when it has been so for long, or when the disk fills up.

Rows first, then files: that a result is gone stands in the log before its file is deleted, and a file that is referred to
again meanwhile is either kept, or not there for whoever asks, so that it is sent again.
"""

from __future__ import annotations

import asyncio
import logging
import shutil
from collections.abc import Callable, Iterable, Iterator
from itertools import islice
from math import inf
from typing import Protocol

import msgspec
from msgspec.structs import replace

from copernicus.blobs.folder import BlobFolder
from copernicus.dataflow import engine
from copernicus.errors import CopernicusError
from copernicus.server.projects.holdings import Held, LogIndex, job_holds, network_holds
from copernicus.server.projects.live import LiveProject
from copernicus.server.projects.ports import Jobs
from copernicus.server.storage.abc import BookStore, DropRetired, JobRecord, PutRetired, Unit

UPLOADS_KEPT_S = 7 * 24 * 3600.0
LEAST_AGE_S, CALL_S = 3600.0, 120.0
"""Even on a full disk nothing younger goes; and nothing ever that a call which is under way may be about to use."""
BATCH = 500
BELOW_MARK = 0.05
"""So much of the disk is freed below the mark, so that not every new file starts it again."""
_log = logging.getLogger(__name__)


class Home(Protocol):
    """What retention asks of the projects' room."""

    def live(self) -> list[LiveProject]:
        """All projects."""
        ...


class Swept(msgspec.Struct, frozen=True):
    """What one round did: files and bytes deleted."""

    files: int = 0
    bytes: int = 0


class Candidate(msgspec.Struct, frozen=True):
    """A file on the disk that nothing keeps, since when (Unix time), and whether it is a result that somebody had."""

    blob: str
    size: int
    since: float
    is_result: bool


def choose(candidates: Iterable[Candidate], now: float, retention_s: float, surplus_bytes: int) -> list[Candidate]:
    """Choose what goes, the oldest first: results after `retention_s` (0: never by age), other files after seven days;
    results before their time as long as there are more than `surplus_bytes` too much."""

    def is_over(one: Candidate) -> bool:
        limit_s = (retention_s or inf) if one.is_result else UPLOADS_KEPT_S
        return now - one.since > max(limit_s, CALL_S)

    ordered = sorted(candidates, key=lambda one: (one.since, one.blob))
    chosen = [one for one in ordered if is_over(one)]
    surplus_bytes -= sum(one.size for one in chosen)
    for one in ordered:
        if surplus_bytes > 0 and one.is_result and not is_over(one) and now - one.since > LEAST_AGE_S:
            chosen.append(one)
            surplus_bytes -= one.size
    return chosen


class Retention:
    """Looks after the blob folder of one server. Belongs to its event loop; `pinned` are files in use for other reasons.

    `high_water` is the part of the disk above which room is made (0: never).
    """

    def __init__(
        self,
        *,
        home: Home,
        store: BookStore,
        jobs: Jobs,
        blobs: BlobFolder,
        pinned: Callable[[], set[str]],
        clock: Callable[[], float],
        retention_s: float,
        high_water: float,
    ) -> None:
        self._home, self._store, self._jobs, self._blobs, self._pinned = home, store, jobs, blobs, pinned
        self._clock, self._retention_s, self._high_water = clock, retention_s, high_water
        self._indexes: dict[str, tuple[LiveProject, LogIndex]] = {}
        self._turn = asyncio.Lock()

    # --- what is held ------------------------------------------------------------------------------------------------

    async def index(self, project: LiveProject) -> LogIndex:
        """What the log of a project knows of files, read to its end in small steps."""
        index = self._index(project)
        while True:
            batch = list(islice(self._store.records(project.row.id, index.seq), BATCH))
            for seq, data in batch:
                if seq > index.seq:
                    index.take(data)
            if len(batch) < BATCH:
                return index
            await asyncio.sleep(0)

    def _index(self, project: LiveProject) -> LogIndex:
        known = self._indexes.get(project.row.id)
        if known is None or known[0] is not project:
            known = self._indexes[project.row.id] = project, LogIndex()
        return known[1]

    def holds(self, project: LiveProject) -> Iterator[Held]:
        """Everything that a project refers to in this moment."""
        index = self._index(project)
        for seq, data in [*self._store.records(project.row.id, index.seq), *project.young]:
            if seq > index.seq:
                index.take(data)
        yield from index.holds()
        yield from network_holds(project.network)
        yield from job_holds(project.network, self.jobs_with_files(project.row.id))

    def jobs_with_files(self, project: str) -> Iterator[JobRecord]:
        """The jobs of a project that have not ended, and of the others those with a checkpoint."""
        for number in self._jobs.numbers(project):
            job = self._jobs.get(number)
            if job is not None:
                yield job
        for number in self._jobs.with_checkpoint(project):
            job = self._jobs.record(number)
            if job is not None:
                yield job

    # --- rounds ------------------------------------------------------------------------------------------------------

    async def sweep(self) -> Swept:
        """One round: see what nothing keeps, and delete what has had its time."""
        async with self._turn:
            for project in self._home.live():
                await self.index(project)
            entries = await asyncio.to_thread(lambda: list(self._blobs.entries()))
            surplus = await asyncio.to_thread(self._surplus)
            await asyncio.to_thread(self._blobs.remove_stale, self._clock() - UPLOADS_KEPT_S)
            known = await self._retired()
            # From here to the doom there is no await: what is seen is what stands.
            kept, results = self._survey()
            now, unit, candidates = self._clock(), Unit(), list[Candidate]()
            for blob, size, time in entries:
                if blob in kept:
                    continue
                since = max(known.get(blob, now), min(time, now))
                if known.get(blob) != since:
                    unit.add(PutRetired(blob, since))
                candidates.append(Candidate(blob, size, since, blob in results))
            alone = {one.blob for one in candidates}
            for blob in known.keys() - alone:
                unit.add(DropRetired(blob))
            chosen = choose(candidates, now, self._retention_s, surplus)
            return await self._delete(unit, {one.blob for one in chosen}, results)

    async def delete(self, unit: Unit, blobs: set[str]) -> Swept:
        """Make `unit` durable, and delete those of `blobs` that nothing keeps then."""
        kept, results = self._survey()
        return await self._delete(unit, blobs - kept, results)

    def _survey(self) -> tuple[set[str], dict[str, list[tuple[LiveProject, Held]]]]:
        """What is kept, and what somebody had and nobody needs: by blob, with whose it is."""
        kept, results = set(self._pinned()), dict[str, list[tuple[LiveProject, Held]]]()
        for project in self._home.live():
            for held in self.holds(project):
                if held.is_kept:
                    kept.add(held.file.blob)
                else:
                    results.setdefault(held.file.blob, []).append((project, held))
        return kept, results

    async def _delete(self, unit: Unit, blobs: set[str], results: dict[str, list[tuple[LiveProject, Held]]]) -> Swept:
        self._blobs.doom(blobs)
        spared = blobs & self._pinned()
        self._blobs.spare(spared)
        doomed = blobs - spared
        try:
            self._write_down(unit, doomed, results)
            for blob in doomed:
                unit.add(DropRetired(blob))
            if unit.changes:
                await self._store.submit(unit)
        except BaseException:
            self._blobs.spare(doomed)
            raise
        freed = await asyncio.to_thread(self._blobs.remove_doomed, doomed)
        if doomed:
            _log.info("%d files that nothing needs were deleted: %d bytes", len(doomed), freed)
        return Swept(len(doomed), freed)

    def _write_down(self, unit: Unit, doomed: set[str], results: dict[str, list[tuple[LiveProject, Held]]]) -> None:
        """Let the logs say which results are gone, and the job book forget the checkpoints."""
        keys: dict[str, dict[str, None]] = {}
        projects: dict[str, LiveProject] = {}
        for blob in doomed:
            for project, held in results.get(blob, ()):
                projects[project.row.id] = project
                if held.key:
                    keys.setdefault(project.row.id, {})[held.key] = None
        for id, project in projects.items():
            if id in keys:
                project.step(unit, engine.ResultsDeleted(tuple(keys[id])))
            for number in self._jobs.with_checkpoint(id):
                job = self._jobs.record(number)
                if job is not None and any(one.file.blob in doomed for one in job.checkpoint):
                    self._jobs.put(unit, replace(job, checkpoint=()))

    async def _retired(self) -> dict[str, float]:
        await self._store.submit(Unit())
        return self._store.retired()

    def _surplus(self) -> int:
        """How many bytes there are too many on the disk."""
        if not self._high_water or not self._blobs.root.exists():
            return 0
        usage = shutil.disk_usage(self._blobs.root)
        used = usage.total - usage.free
        if used <= self._high_water * usage.total:
            return 0
        return int(used - max(0.0, self._high_water - BELOW_MARK) * usage.total)


async def keep_sweeping(retention: Retention, every_s: float) -> None:
    """Do a round every so often, for ever; one that fails is told of, and the next one comes."""
    while True:
        await asyncio.sleep(every_s)
        try:
            await retention.sweep()
        except CopernicusError as error:
            _log.warning("old files were not deleted: %s", error)
        except Exception:
            _log.exception("deleting old files failed")
