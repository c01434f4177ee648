"""What must hold, checked whenever something becomes durable, arrives, or leaves the server, and when all is quiet again.

The names are those of the invariants (docs/explanation/faults.md): I1 acknowledged means durable, I2 accepted once and fired
once, I3 every job ends, I4 attempts fence, I5 a request again has one effect, I6 the log is the project, I9 nothing remains,
I12 no wall clock.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any, Literal

import msgspec
from tests.proof.simulation.network import Request
from tests.proof.simulation.world import World

from copernicus.dataflow import facts as f
from copernicus.model.jobs import StagedFile
from copernicus.server.dispatch.outcomes import LOST_WORKERS_POISON
from copernicus.server.storage.abc import AppendRecord, JobRecord, PutJob, Unit
from copernicus.wire import messages as m
from copernicus.wire.codec import decode

if TYPE_CHECKING:
    from tests.proof.simulation.book import Disk, SimulatedBook
    from tests.proof.simulation.server import SimulatedServer

Kind = Literal["lost", "duplicated", "stuck", "other"]
Attempt = tuple[int, int]


REMEMBERED = {
    "/v1/project/start", "/v1/project/apply", "/v1/project/undo", "/v1/job/stop", "/v1/job/rerun", "/v1/job/command-failed",
    "/v1/quarantine/release",
}  # fmt: skip
"""Where people change something: the same request again gives the same answer."""
PASSING = {"unavailable", "no_space", "unreachable"}
"""Errors after which the same request is sent again."""


SIGNS_OF_LIFE = {f"/v1/worker/{word}" for word in ("announce", "exchange", "heartbeat", "farewell")}
UNCLEAR = {"not claimed", "worker left", "restored"}
NOWHERE = (0, 0)


class Violation(BaseException):
    """Something that must not be; `name` is the invariant. No code that is simulated takes it for an error of its own."""

    def __init__(self, name: str, kind: Kind, what: str) -> None:
        super().__init__(f"{name}, {kind}: {what[:600]}")
        self.name, self.kind, self.what = name, kind, what


class _Heard(msgspec.Struct):
    """What is read of a worker's message when it arrives."""

    worker: str = ""
    offer: Any = None
    beats: list[m.Beat] = []


class Judge:
    """Knows what was given out, acknowledged and made durable; raises `Violation`."""

    def __init__(self, world: World, disk: Disk, heartbeat_s: float) -> None:
        self.world, self.disk, self.heartbeat_s = world, disk, heartbeat_s
        self.jobs: dict[int, JobRecord] = {}
        self.highest: dict[int, int] = {}
        """The highest attempt of each job that became durable."""
        self.floor = 0
        """Attempts up to this number were given out before a restoration."""
        self.backed_up: dict[Attempt, str] = {}
        """How attempts had ended in the backup that was restored."""
        self.given: dict[Attempt, str] = {}
        self.accepted: dict[Attempt, str] = {}
        self.fired: Counter[str] = Counter()
        self.acknowledged: dict[tuple[str, int], bytes] = {}
        """Records of the log that were acknowledged."""
        self.answers: dict[tuple[str, str], tuple[list[m.Verdict], set[Attempt]]] = {}
        self.checkpoints: dict[int, Attempt] = {}
        """The newest checkpoint of each job that was acknowledged: attempt and number."""
        self.deaths = Counter[int]()
        """How many workers each job has killed since it had a fresh start."""
        self.told: dict[str, bytes] = {}
        """What was answered to each request of a person."""
        self.heard_at: dict[str, float] = {}
        self.named_at: dict[Attempt, float] = {}
        self.renewed_at = 0.0
        """When the server last gave everybody the whole time again."""
        self.ticked_at = 0.0
        self.stale: dict[Request, list[int]] = {}
        self.counts: Counter[str] = Counter()

    # --- what arrives

    def arrived(self, request: Request) -> None:
        """A request is in the server's hands, even if it has not looked at it yet."""
        if request.path not in SIGNS_OF_LIFE:
            return
        heard = msgspec.json.decode(request.body, type=_Heard)
        worker = heard.worker or (heard.offer or {}).get("worker", "")
        self.heard_at[worker] = self.world.now
        for beat in heard.beats:
            self.named_at[beat.job, beat.attempt] = self.world.now
        if heard.beats:
            self.stale[request] = [beat.job for beat in heard.beats if self.highest.get(beat.job, self.floor) > beat.attempt]

    # --- what becomes durable

    def committed(self, units: list[Unit], book: SimulatedBook) -> None:
        """See `book.Witness`."""
        for unit in units:
            filed, ended = set[Attempt](), set[Attempt]()
            for change in unit.changes:
                match change:
                    case PutJob(job):
                        self._put(job, ended)
                    case AppendRecord(_, _, data):
                        self._append(data, filed)
            if ended != filed:
                lone = sorted(ended ^ filed)
                raise Violation("I2", "lost", f"a result and what follows from it are not in one unit: {lone}")

    def _put(self, job: JobRecord, ended: set[Attempt]) -> None:
        before = self.jobs.get(job.id)
        attempt = before.attempt if before is not None else 0
        if job.attempt != attempt:
            if job.attempt <= self.highest.get(job.id, self.floor):
                raise Violation("I4", "duplicated", f"attempt {job.attempt} of job {job.id} comes after {attempt}")
            self.highest[job.id] = job.attempt
            self.counts["attempts"] += 1
        if job.state == "done" and (before is None or before.state != "done"):
            if before is not None and any(row.outcome == "finished" for row in before.attempts):
                raise Violation("I2", "duplicated", f"job {job.id} has finished twice")
            ended.add((job.id, job.attempt))
            self.counts["done"] += 1
        self._count_losses(before, job)
        self._check_checkpoint(job)
        if before is not None and job.lost_workers < before.lost_workers:
            self.deaths[job.id] -= before.lost_workers - job.lost_workers  # a fresh start, or one that was not dead
        self.jobs[job.id] = job

    def killed(self, job: int, attempt: int) -> None:
        """A job has cost a worker its life. Where that may have had other causes it does not count."""
        if self.highest.get(job) != attempt:
            return  # the server knows already that this attempt is over, or has forgotten it with a restoration
        self.deaths[job] += 1
        unclear = sum(row.outcome in UNCLEAR for row in self.jobs[job].attempts)
        if self.deaths[job] > LOST_WORKERS_POISON + unclear:
            raise Violation("P9", "other", f"job {job} has killed {self.deaths[job]} workers")

    def _count_losses(self, before: JobRecord | None, job: JobRecord) -> None:
        if before is None or before.state != "leased" or job.state == "leased" or job.attempt != before.attempt:
            return
        row = job.attempts[-1]
        self.counts[row.outcome] += 1
        is_counted = row.outcome == "worker lost" and not before.is_superseded and not before.stopped_by
        if row.outcome == "worker lost" and not is_counted:
            self.deaths[job.id] = max(0, self.deaths[job.id] - 1)  # nobody wanted it when that was found out
        if is_counted and job.lost_workers != before.lost_workers + 1:
            raise Violation("P9", "other", f"job {job.id} lost a worker, and that is not in the book")

    def _append(self, data: bytes, filed: set[Attempt]) -> None:
        for fact in f.decode_record(data).facts:
            if isinstance(fact, f.Filed) and fact.job is not None and not fact.error:
                filed.add((fact.job, fact.attempt))
                self.fired[fact.key] += 1
                if self.fired[fact.key] > 1:
                    raise Violation("I2", "duplicated", f"the result of job {fact.job} was filed twice")

    # --- what leaves

    def answered(self, request: Request, is_ok: bool, body: bytes) -> None:
        """An answer leaves the server."""
        if request.path in REMEMBERED:
            self._remembered(request, is_ok, body)
        if not is_ok:
            return
        match request.path:
            case "/v1/worker/exchange":
                self._exchanged(decode(request.body, m.ExchangeRequest), decode(body, m.ExchangeReply), request)
            case "/v1/worker/checkpoint" if decode(body, m.CheckpointReply).verdict == "accepted":
                self._must_go_on(decode(request.body, m.CheckpointRequest))
            case "/v1/worker/heartbeat":
                reply = decode(body, m.HeartbeatReply)
                for job in self.stale.pop(request, []):
                    if job not in reply.stop:
                        raise Violation(
                            "I4", "other", f"a heartbeat for an attempt at job {job} that is over was taken for good"
                        )
            case "/v1/project/apply":
                self._applied(decode(request.body, m.ApplyRequest), decode(body, m.ApplyReply))

    def _exchanged(self, asked: m.ExchangeRequest, reply: m.ExchangeReply, request: Request) -> None:
        outcomes = {(report.job, report.attempt): report.outcome for report in asked.reports}
        for verdict in reply.verdicts:
            place = verdict.job, verdict.attempt
            if verdict.verdict == "accepted":
                if verdict.attempt <= self.floor and self.backed_up.get(place) != outcomes[place]:
                    raise Violation("I4", "duplicated", f"attempt {place} is of the time before the backup, and was accepted")
                self._must_have(place, outcomes[place])
                self.accepted[place] = outcomes[place]
        jobs = {(job.job, job.attempt) for job in reply.jobs}
        place = asked.request_id, request.caller.identity.key
        first = self.answers.get(place)
        if first is not None and (first[0] != reply.verdicts or not jobs <= first[1]):
            raise Violation("I5", "duplicated", f"request {asked.request_id} was answered in two ways")
        if first is None and (jobs or any(verdict.verdict == "accepted" for verdict in reply.verdicts)):
            self.answers[place] = reply.verdicts, jobs
        for job in jobs:
            self._given(job, asked.worker)

    def _must_go_on(self, asked: m.CheckpointRequest) -> None:
        """A checkpoint was acknowledged: the job goes on from there, or from a later one."""
        self.checkpoints[asked.job] = max(_moment(asked.files), self.checkpoints.get(asked.job, NOWHERE))
        record = self.disk.tables.jobs.get(asked.job)
        if record is not None:
            self._check_checkpoint(record)

    def _check_checkpoint(self, job: JobRecord) -> None:
        if job.state != "done" and _moment(job.checkpoint) < self.checkpoints.get(job.id, NOWHERE):
            what = f"{self.checkpoints[job.id]} was acknowledged, job {job.id} would go on from {_moment(job.checkpoint)}"
            raise Violation("I1", "lost", f"a checkpoint went back: {what}")

    def _given(self, attempt: Attempt, worker: str) -> None:
        if self.given.setdefault(attempt, worker) != worker:
            raise Violation("I4", "duplicated", f"attempt {attempt} was given to two workers")
        record = self.disk.tables.jobs.get(attempt[0])
        if record is None or record.attempt < attempt[1]:
            raise Violation("I1", "lost", f"attempt {attempt} left the server before it was durable")

    def _must_have(self, attempt: Attempt, outcome: str) -> None:
        record = self.disk.tables.jobs.get(attempt[0])
        rows = {row.attempt: row.outcome for row in record.attempts} if record is not None else {}
        if rows.get(attempt[1]) != outcome:
            name: Any = ("I4", "duplicated") if rows.get(attempt[1]) else ("I1", "lost")
            raise Violation(*name, f"attempt {attempt} was accepted as {outcome}, in the book it is {rows}")

    def _applied(self, asked: m.ApplyRequest, reply: m.ApplyReply) -> None:
        if asked.is_check:
            return
        if reply.seq is not None:
            for project, records in self.disk.tables.records.items():
                if reply.seq not in records:
                    raise Violation("I1", "lost", f"transaction {reply.seq} was acknowledged before it was durable")
                self.acknowledged[project, reply.seq] = records[reply.seq]
        self.counts["edits"] += 1

    def _remembered(self, request: Request, is_ok: bool, body: bytes) -> None:
        asked = msgspec.json.decode(request.body)
        request_id = asked["request_id"]
        if asked.get("is_check"):
            return
        is_remembered = any(known == request_id for known, _ in self.disk.tables.answers)
        if not is_ok:
            is_passing = decode(body, m.ErrorReply).code in PASSING
            if is_remembered and not is_passing:
                raise Violation("I5", "duplicated", f"request {request_id} had its effect, and was refused")
        elif not is_remembered:
            raise Violation("I1", "lost", f"the answer to request {request_id} left the server before it was durable")
        elif self.told.setdefault(request_id, body) != body:
            raise Violation("I5", "duplicated", f"request {request_id} was answered in two ways")

    # --- silence

    def lost(self, worker: str) -> None:
        """The server says that a worker is lost."""
        since = self.world.now - self.heard_at.get(worker, 0.0)
        if since < self.heartbeat_s - 1e-6:
            raise Violation("I12", "other", f"worker {worker} was given up after {since:.1f} s of {self.heartbeat_s:.0f}")

    def renewed(self) -> None:
        """The server gives everybody the whole time again."""
        self.renewed_at = self.world.now

    def ticked(self, alive: list[str]) -> None:
        """The server has looked after its workers, and takes these, which have jobs, for alive."""
        pause_s, self.ticked_at = self.world.now - self.ticked_at, self.world.now
        if pause_s > self.heartbeat_s / 10:
            self.renewed()
        for worker in alive:
            since = self.world.now - max(self.heard_at.get(worker, 0.0), self.renewed_at)
            if since > 1.5 * self.heartbeat_s:
                raise Violation(
                    "I12", "stuck", f"worker {worker} is not given up after {since:.1f} s of {self.heartbeat_s:.0f}"
                )

    # --- restarts and the end

    def came_up(self) -> None:
        """The server has read its book."""
        self.renewed()
        self.look()

    def restored(self, floor: int) -> None:
        """A backup was restored: what was acknowledged since is not there, and nobody says that it is."""
        tables, self.floor = self.disk.tables, floor
        self.jobs = dict(tables.jobs)
        self.highest.clear()
        rows = self.backed_up = {(job.id, row.attempt): row.outcome for job in tables.jobs.values() for row in job.attempts}
        self.accepted = {attempt: outcome for attempt, outcome in self.accepted.items() if rows.get(attempt) == outcome}
        self.acknowledged = {
            (project, seq): data
            for (project, seq), data in self.acknowledged.items()
            if tables.records.get(project, {}).get(seq) == data
        }
        self.answers = {place: answer for place, answer in self.answers.items() if place in tables.answers}
        self.fired = Counter(
            fact.key
            for records in tables.records.values()
            for data in records.values()
            for fact in f.decode_record(data).facts
            if isinstance(fact, f.Filed) and fact.job is not None and not fact.error
        )
        self.stale.clear()
        self.checkpoints.clear()
        self.deaths.clear()
        known = {request_id for request_id, _ in tables.answers}
        self.told = {request_id: body for request_id, body in self.told.items() if request_id in known}

    def look(self) -> None:
        """All that was acknowledged is there."""
        for (project, seq), data in self.acknowledged.items():
            if self.disk.tables.records[project].get(seq) != data:
                raise Violation("I1", "lost", f"transaction {seq} was acknowledged, and is not there")
        for attempt, outcome in self.accepted.items():
            self._must_have(attempt, outcome)

    def quiet(self, server: SimulatedServer) -> None:
        """No fault has happened for long, and all is done: memory is what is durable, and nothing remains of jobs."""
        self.look()
        jobs = server.dispatch.jobs
        in_memory = {job.id: job for job in jobs.open_jobs()}
        durable = {number: job for number, job in self.disk.tables.jobs.items() if job.state in ("blocked", "queued", "leased")}
        if in_memory != durable:
            raise Violation("I1", "other", f"what is in memory is not what is durable: {in_memory} {durable}")
        tables = self.disk.tables
        hosts = {host.name: host for host in tables.hosts.values()}
        left = {
            "leases without jobs": {number for worker in server.dispatch.workers for number in worker.leases},
            "cores in use": {project for project, cores in jobs.running_cores.items() if cores},
            "jobs in the queue": {waiting.job for waiting in jobs.queue.in_order({})},
            "cores reserved": len(jobs.queue.reservations),
            "jobs that wait for others": jobs._waiting,
            "jobs that are being written": jobs._settling,
            "hosts that differ": {name for name in hosts.keys() | jobs.hosts._records.keys()
                                  if hosts.get(name) != jobs.hosts._records.get(name)},
        }  # fmt: skip
        for what, found in left.items():
            if found:
                raise Violation("I9", "other", f"{what} remain: {found}")


def _moment(files: Sequence[StagedFile]) -> Attempt:
    """When a checkpoint was taken: attempt and number, which the simulated workers write where names are."""
    attempt, _, number = files[0].file.name.partition(".") if files else ("0", "", "0")
    return int(attempt), int(number)
