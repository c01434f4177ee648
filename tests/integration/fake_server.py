"""A server for workers, behind the seam of one method; every message goes through the codec, both ways."""

from __future__ import annotations

import threading
import time
from collections import deque
from pathlib import Path
from typing import Any

from copernicus.blobs.hashing import hash_bytes
from copernicus.errors import UnknownPath, Unreachable
from copernicus.model.jobs import JobDescription, LeasedJob, Report, StagedFile
from copernicus.model.values import FileRef
from copernicus.wire import messages as m
from copernicus.wire.codec import decode, encode
from copernicus.wire.endpoints import BY_REQUEST

DEADLINE_S = 60.0


class FakeServer:
    """Leases jobs, accepts each attempt once, remembers answers by request id; can be away. All threads may call.

    What arrived is taken out by the test (`result`, `heard`); `nothing_else_was_sent` fails for what was not.
    """

    def __init__(self, heartbeat_s: float = 60.0, inline_limit_bytes: int = 65536) -> None:
        self.heartbeat_s = heartbeat_s
        self.inline_limit_bytes = inline_limit_bytes
        self.blobs: dict[str, bytes] = {}
        self.offers: list[m.AnnounceRequest] = []
        self.beats: list[m.HeartbeatRequest] = []
        self.exchanges: list[m.ExchangeRequest] = []
        self.farewells: list[m.FarewellRequest] = []
        self.unwanted: set[int] = set()
        self.followed: set[int] = set()
        self.checkpoints: list[m.CheckpointRequest] = []
        self.streams: dict[tuple[int, int, str], bytes] = {}
        self.knows_nobody = False
        self.refuse: Any = None
        self.lose_answers = 0
        self._is_away = False
        self._queue: deque[tuple[JobDescription, tuple[StagedFile, ...]]] = deque()
        self._leased: dict[tuple[int, int], str] = {}
        self._results: dict[int, Report] = {}
        self._answers: dict[str, bytes] = {}
        self._next = 0
        self._changed = threading.Condition()

    # --- what a test does ---

    def put(self, description: JobDescription, checkpoint: tuple[StagedFile, ...] = ()) -> int:
        """Queue a job and return its number."""
        with self._changed:
            self._next += 1
            self._queue.append((description, checkpoint))
            self._changed.notify_all()
            return self._next

    def go_away(self) -> None:
        """From now on nobody is reached."""
        with self._changed:
            self._is_away = True
            self._changed.notify_all()

    def come_back(self) -> None:
        """Answer again."""
        with self._changed:
            self._is_away = False
            self._changed.notify_all()

    def file(self, data: bytes, name: str) -> FileRef:
        """Store a blob."""
        blob = hash_bytes(data)
        self.blobs[blob] = data
        return FileRef(blob, len(data), name)

    def content(self, value: dict[str, Any]) -> bytes:
        """What is in a file that a result names."""
        data = self.blobs[value["blob"]]
        assert len(data) == value["size"]
        return data

    def result(self, job: int) -> Report:
        """Wait for the result of a job, and take it out."""
        self.wait(lambda: job in self._results)
        return self._results.pop(job)

    def wait(self, condition: Any) -> None:
        """Wait until something holds that a message can bring about."""
        with self._changed:
            assert self._changed.wait_for(condition, DEADLINE_S), "it did not happen"

    def leased(self) -> int:
        """How many attempts are with workers."""
        return len(self._leased)

    def nothing_else_was_sent(self) -> None:
        """The end of a test: no result that was not looked at, nothing leased, no word after the farewell."""
        assert self._results == {}
        assert self._leased == {}

    # --- the seam ---

    def caller(self, timeout_s: float = 60.0) -> FakeServer:
        """A connection: one is as good as another."""
        return self

    def call(self, request: Any) -> Any:
        """Answer a message."""
        endpoint = BY_REQUEST[type(request)]
        request = decode(encode(request), endpoint.request)
        with self._changed:
            self._reached()
            if self.refuse is not None and (error := self.refuse(request)):
                raise error
            reply = getattr(self, f"_{endpoint.name.split('/')[-1]}")(request)
            self._changed.notify_all()
            if self.lose_answers and isinstance(request, m.ExchangeRequest) and request.reports:
                self.lose_answers -= 1
                raise Unreachable("The connection broke before the answer.")
        return decode(encode(reply), endpoint.reply)

    def upload(self, file: FileRef, path: Path) -> None:
        """Take a blob."""
        data = path.read_bytes()
        with self._changed:
            self._reached()
            assert hash_bytes(data) == file.blob
            assert len(data) == file.size
            self.blobs[file.blob] = data

    def download(self, file: FileRef, path: Path) -> None:
        """Give a blob."""
        with self._changed:
            self._reached()
            if file.blob not in self.blobs:
                raise UnknownPath(f"There is no blob {file.blob}.")
            path.write_bytes(self.blobs[file.blob])

    def stop_downloads(self) -> None:
        """Nothing waits here."""

    def close(self) -> None:
        """Nothing waits here."""

    def _reached(self) -> None:
        if self._is_away:
            raise Unreachable("There is nobody.")

    def _announce(self, request: m.AnnounceRequest) -> m.AnnounceReply:
        self.offers.append(request)
        self.knows_nobody = False
        return m.AnnounceReply(self.heartbeat_s, self.inline_limit_bytes)

    def _heartbeat(self, request: m.HeartbeatRequest) -> m.HeartbeatReply:
        self.beats.append(request)
        stop = sorted(self.unwanted & {beat.job for beat in request.beats})
        return m.HeartbeatReply(stop, self.heartbeat_s, self.knows_nobody)

    def _stream(self, request: m.StreamRequest) -> m.StreamReply:
        for piece in request.pieces:
            key = (piece.job, piece.attempt, piece.file)
            assert piece.job in self.followed, "nobody asked for it"
            assert self._leased.get((piece.job, piece.attempt)) == request.worker
            self.streams[key] = self.streams.get(key, b"")[: piece.offset] + piece.data
        self._changed.notify_all()
        self._changed.wait_for(
            lambda: self._wanted(request.worker) or self._is_away or self._has_left(request.worker), request.wait_s
        )
        return m.StreamReply(self._wanted(request.worker))

    def _checkpoint(self, request: m.CheckpointRequest) -> m.CheckpointReply:
        if self._leased.get((request.job, request.attempt)) != request.worker:
            return m.CheckpointReply("stale")
        for blob in [staged.file.blob for staged in request.files] + _blobs_in(request.outputs):
            assert blob in self.blobs, "told before its file was there"
        self.checkpoints.append(request)
        return m.CheckpointReply("accepted")

    def _wanted(self, worker: str) -> list[m.Wanted]:
        """What is followed of what a worker has, and how much of that is here."""
        return [
            m.Wanted(job, attempt, {key[2]: len(data) for key, data in self.streams.items() if key[:2] == (job, attempt)})
            for (job, attempt), name in self._leased.items()
            if name == worker and job in self.followed
        ]

    def _farewell(self, request: m.FarewellRequest) -> m.Done:
        self.farewells.append(request)
        self._leased = {key: worker for key, worker in self._leased.items() if worker != request.worker}
        return m.Done()

    def _exchange(self, request: m.ExchangeRequest) -> m.ExchangeReply:
        assert request.request_id
        if request.request_id in self._answers:
            return decode(self._answers[request.request_id], m.ExchangeReply)
        self.exchanges.append(request)
        self._changed.notify_all()
        for blob in request.blobs:
            assert hash_bytes(blob.data) == blob.blob
            self.blobs[blob.blob] = blob.data
        if self.knows_nobody:
            return m.ExchangeReply(is_unknown_worker=True)
        verdicts = [self._judge(request.worker, report) for report in request.reports]
        jobs = self._lease(request)
        if not jobs and request.wait_s > 0:
            limit = time.monotonic() + request.wait_s
            while not self._queue and not self._is_away and not self._has_left(request.worker):
                if not self._changed.wait(limit - time.monotonic()):
                    break
            self._reached()
            jobs = [] if self._has_left(request.worker) else self._lease(request)
        reply = m.ExchangeReply(jobs, verdicts=verdicts)
        self._answers[request.request_id] = encode(reply)
        return reply

    def _has_left(self, worker: str) -> bool:
        return any(farewell.worker == worker for farewell in self.farewells)

    def _judge(self, worker: str, report: Report) -> m.Verdict:
        if self._leased.get((report.job, report.attempt)) != worker:
            return m.Verdict(report.job, report.attempt, "stale")
        del self._leased[report.job, report.attempt]
        for blob in _blobs_in(report.outputs):
            assert blob in self.blobs, "reported before its file was there"
        self._results[report.job] = report
        return m.Verdict(report.job, report.attempt, "accepted")

    def _lease(self, request: m.ExchangeRequest) -> list[LeasedJob]:
        free, jobs = request.free_cores, []
        while self._queue and free > 0 and len(jobs) < request.most_jobs:
            description, checkpoint = self._queue[0]
            cores = min(free, description.resources.cores_max or free)
            if cores < description.resources.cores_min:
                break
            self._queue.popleft()
            job = self._next - len(self._queue)
            self._leased[job, 1] = request.worker
            jobs.append(LeasedJob(job, 1, "project", f"instance_{job}", description, cores, checkpoint))
            free -= cores
        return jobs


def _blobs_in(value: Any) -> list[str]:
    if isinstance(value, dict):
        own = [value["blob"]] if "blob" in value else []
        return own + [blob for item in value.values() for blob in _blobs_in(item)]
    if isinstance(value, list):
        return [blob for item in value for blob in _blobs_in(item)]
    return []
