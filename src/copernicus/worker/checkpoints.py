"""Checkpoints on a timer: what running jobs have so far comes to the server, so that little is lost with this worker."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import msgspec

from copernicus.errors import CopernicusError
from copernicus.model.jobs import JobDescription, LeasedJob, StagedFile
from copernicus.model.values import FileRef, to_json
from copernicus.wire.messages import CheckpointReply, CheckpointRequest
from copernicus.worker.copies import Changing, Copies, Gone, Sign
from copernicus.worker.desk import Desk, Key
from copernicus.worker.exchange import Caller
from copernicus.worker.harvest import STREAMS
from copernicus.worker.live_folder import LiveFolder
from copernicus.worker.shelf import Shelf
from copernicus.worker.uploads import Upload
from copernicus.worker.workload import Attempt

EVERY_S, SHORTEST_S = 3600.0, 10.0
TICK_S = 1.0
AGAIN_S = 30.0
MOST_FILES = 2000


@dataclass(frozen=True)
class Timing:
    """When checkpoints are taken. `every_s` None: only where a job asks for it. `last_at` is one more moment (monotonic)."""

    every_s: float | None = EVERY_S
    last_at: float | None = None

    def next_at(self, description: JobDescription, taken_at: float) -> float | None:
        """Return when the next checkpoint of a job is due whose last one (or start) was at `taken_at`; None: never."""
        is_worth_it = bool(description.checkpoint) or any(output.is_partial for output in description.outputs.values())
        if not is_worth_it:
            return None
        every_s = self.every_s
        if description.checkpoint_every_s is not None:
            every_s = max(SHORTEST_S, description.checkpoint_every_s)
        moments = [taken_at + every_s] if every_s is not None else []
        if self.last_at is not None and taken_at < self.last_at:
            moments.append(self.last_at)
        return min(moments, default=None)


@dataclass
class _Kept:
    """What is remembered of an attempt between two checkpoints."""

    next_at: float | None
    known: dict[Sign, FileRef] = field(default_factory=dict)
    taken: int = 0


class Checkpointer:
    """Takes the checkpoint of one attempt after the other, uploads it and tells the server, which has the last word."""

    def __init__(
        self,
        worker: str,
        desk: Desk,
        shelf: Shelf,
        folder: Path,
        caller: Caller,
        upload: Upload,
        timing: Timing,
        say: Callable[[str], None],
    ) -> None:
        self._worker, self._desk, self._caller, self._upload = worker, desk, caller, upload
        self._timing, self._say = timing, say
        self._over = threading.Event()
        self._copies = Copies(shelf, folder, self._over.wait)
        self._kept: dict[Key, _Kept] = {}

    def run(self) -> None:
        """In a thread of its own: take what is due while anything runs, until `close`."""
        while self._desk.wait_running() and not (self._over.is_set() or self._desk.is_closed):
            self.tick(time.monotonic())
            self._over.wait(TICK_S)

    def tick(self, now: float) -> None:
        """Take every checkpoint that is due at the monotonic time `now`."""
        running = {(one.lease.job, one.lease.attempt): one for one in self._desk.all_running()}
        self._kept = {key: kept for key, kept in self._kept.items() if key in running}
        for key, attempt in running.items():
            kept = self._kept.get(key)
            if kept is None:
                next_at = self._timing.next_at(attempt.lease.description, attempt.started_at)
                kept = self._kept[key] = _Kept(next_at)
            if kept.next_at is not None and now >= kept.next_at and not self._over.is_set():
                is_taken = self.take(attempt, kept)
                again_at = self._timing.next_at(attempt.lease.description, now)
                kept.next_at = again_at if is_taken or again_at is None else min(again_at, now + AGAIN_S)

    def take(self, attempt: Attempt, kept: _Kept) -> bool:
        """Take one checkpoint; return whether that is done with, however it went. False: it is worth trying again soon."""
        lease, known = attempt.lease, kept.known
        try:
            request = self._collected(attempt, known)
            if request is None:
                return False
            for file in self._copies.pinned:
                self._upload(file, self._copies.path(file))
            kept.taken += 1  # one whose answer is lost may arrive after the next
            reply: CheckpointReply = self._caller.call(msgspec.structs.replace(request, number=kept.taken))
        except Gone:
            return True
        except (Changing, OSError, CopernicusError) as error:
            known.clear()
            if not self._over.is_set():
                self._say(f"No checkpoint of job {lease.job} now: {error}.".replace("..", "."))
            return False
        finally:
            self._copies.let_go()
        if reply.verdict == "refused":
            known.clear()
            self._say(f"The checkpoint of job {lease.job} was refused: {reply.why}")
        return True

    def close(self) -> None:
        """End the thread."""
        self._over.set()

    def _collected(self, attempt: Attempt, known: dict[Sign, FileRef]) -> CheckpointRequest | None:
        """The checkpoint first, the outputs after it: so they hold at least all that the checkpoint goes on from."""
        lease, live = attempt.lease, attempt.live
        whole = self._copies.whole(live, lease.description.checkpoint)
        wanted = _output_files(lease, live, is_partial_only=not whole)
        if len(wanted) + len(whole) > MOST_FILES:
            raise OSError(f"it has more than {MOST_FILES} files")
        copies = self._copies.so_far(live, [name for name in wanted if name not in whole], known) | whole
        files = tuple(StagedFile(name, copies[name]) for name in (*whole, *wanted) if name in copies) if whole else ()
        outputs = _partial_outputs(lease.description, live, copies)
        if not files and not outputs:
            return None
        files = tuple({staged.name: staged for staged in files}.values())
        return CheckpointRequest(self._worker, lease.job, lease.attempt, files, outputs, attempt.progress())


def _output_files(lease: LeasedJob, live: LiveFolder, *, is_partial_only: bool) -> list[str]:
    """The files that are outputs so far; only those that are shown while the job runs, where there is no checkpoint yet."""
    inputs = {staged.name for staged in lease.description.files} | set(STREAMS)
    outputs = lease.description.outputs.values()
    patterns = [
        pattern
        for output in outputs
        if output.kind in ("file", "files") and (output.is_partial or not is_partial_only)
        for pattern in output.pattern.split("\n")
    ]
    return [name for name in live.names(patterns) if name not in inputs]


def _partial_outputs(description: JobDescription, live: LiveFolder, copies: dict[str, FileRef]) -> dict[str, Any]:
    outputs: dict[str, Any] = {}
    for name, output in description.outputs.items():
        if output.is_partial:
            found = [[one for one in live.names([pattern]) if one in copies] for pattern in output.pattern.split("\n")]
            files = [to_json(copies[one]) for one in dict.fromkeys(one for part in found for one in part)]
            if files:
                outputs[name] = files if output.kind == "files" else files[-1]
    return outputs
