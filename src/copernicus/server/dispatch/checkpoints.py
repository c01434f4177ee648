"""Checkpoints of running attempts: what a later attempt goes on from, and the outputs so far."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager
from typing import Any

import msgspec
from msgspec.structs import replace

from copernicus.errors import NotAllowed
from copernicus.model.values import FileRef
from copernicus.server.access.identity import Identity
from copernicus.server.dispatch.book import Jobs
from copernicus.server.storage.abc import BookStore, JobRecord, Provisional, Unit
from copernicus.wire import messages as m

MOST_FILES = 10_000
MOST_PROGRESS = 200


class Checkpoints:
    """Takes checkpoints in.

    `deciding` is the dispatch room's guard; `has_blob` says whether a whole blob is here; `glimpsed` is told of newer
    provisional outputs, within the unit that stores them.
    """

    def __init__(
        self,
        store: BookStore,
        jobs: Jobs,
        has_blob: Callable[[str], bool],
        clock: Callable[[], float],
        deciding: Callable[[], AbstractContextManager[None]],
        glimpsed: Callable[[Unit, JobRecord], None],
    ) -> None:
        self._glimpsed = glimpsed
        self._store, self._jobs, self._has_blob, self._clock, self._deciding = store, jobs, has_blob, clock, deciding

    async def take(self, request: m.CheckpointRequest, identity: Identity) -> m.CheckpointReply:
        """Let a running attempt's checkpoint take the place of an earlier one, if the attempt is the current one.

        Raise `NotAllowed` when another bundle speaks for the worker, `NoSpace`, `Unavailable`.
        """
        job = self._jobs.get(request.job)
        if job is None or job.state != "leased" or job.attempt != request.attempt or job.worker != request.worker:
            await self._store.submit(Unit())
            return m.CheckpointReply("stale")
        if job.bundle != identity.key:
            raise NotAllowed(f"Worker {request.worker} came with another bundle.", "Every worker needs an id of its own.")
        unit = Unit()
        is_late = 0 < request.number <= job.checkpoint_number
        with self._deciding():
            why = "" if is_late else self._fault(job, request)
            if not why and not is_late:
                kept = self._with(job, request)
                self._jobs.put(unit, kept)
                if request.outputs:
                    self._glimpsed(unit, kept)
        await self._store.submit(unit)
        return m.CheckpointReply("refused" if why else "accepted", why)

    def _with(self, job: JobRecord, request: m.CheckpointRequest) -> JobRecord:
        now, provisional = self._clock(), job.provisional
        job = replace(job, checkpoint_number=request.number)
        if request.outputs:
            provisional = Provisional(request.attempt, now, request.outputs, request.progress[:MOST_PROGRESS])
        if request.files:
            job = replace(job, checkpointed_at=now)
        if not request.files or set(request.files) == set(job.checkpoint):
            return replace(job, provisional=provisional)
        # What fails from here on fails for the first time: neither program nor workers were lost on the way to it.
        fresh = replace(job, program_failures=0, lost_workers=0, overtimes=0)
        return replace(fresh, provisional=provisional, checkpoint=request.files)

    def _fault(self, job: JobRecord, request: m.CheckpointRequest) -> str:
        if len(request.files) > MOST_FILES:
            return f"It has more than {MOST_FILES} files."
        files = [staged.file for staged in request.files]
        for name, value in request.outputs.items():
            output = job.description.outputs.get(name)
            if output is None or not output.is_partial:
                return f"The job has no partial output {name[:80]!r}."
            try:
                files += files_of(value)
            except msgspec.ValidationError as error:
                return f"The partial output {name} is no file: {error}."
        missing = next((file for file in files if not self._has_blob(file.blob)), None)
        return f"The file {missing.name[:80]} has not been received." if missing is not None else ""


def files_of(value: Any) -> Iterator[FileRef]:
    """Return the files of a partial output, which is one or a list; raise `ValidationError`."""
    for one in value if isinstance(value, list) else [value]:
        yield msgspec.convert(one, FileRef)
