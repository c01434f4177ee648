"""What stands in the book: projects, jobs with their attempts, hosts."""

from __future__ import annotations

from typing import Any

import msgspec

from copernicus.model.jobs import Execution, JobDescription, JobState, StagedFile, StopReason


class ProjectRow(msgspec.Struct, frozen=True):
    """A project in the book."""

    id: str
    name: str
    created_at: float
    priority: int = 0


SUSPICIOUS = frozenset({"worker lost", "worker failed"})
"""Outcomes after which a job is tried on another host, and counts as a suspect."""


class AttemptRow(msgspec.Struct, frozen=True, omit_defaults=True):
    """One ended or current attempt, as evidence: who, where, how long, how it ended."""

    attempt: int
    worker: str
    hostname: str = ""
    started_at: float = 0.0
    ended_at: float | None = None
    outcome: str = ""
    cores: int = 1
    core_s: float = 0.0
    exit_status: int | None = None
    version: str = ""
    error: str = ""
    stdout_tail: str = ""
    stderr_tail: str = ""
    platform: str = ""
    site: str = ""
    gpus: int = 0
    gpu_s: float = 0.0
    execution: Execution = Execution()

    @property
    def kind(self) -> str:
        """What kind of failure it was: "program", "suspicion", "infrastructure", "" when it was none or goes on."""
        if self.outcome in ("", "finished"):
            return ""
        return (
            "program"
            if self.outcome in ("failed", "retry")
            else "suspicion"
            if self.outcome in SUSPICIOUS
            else "infrastructure"
        )


class Provisional(msgspec.Struct, frozen=True):
    """What the partial outputs of a job were when its last checkpoint was taken; plain JSON, never in the log."""

    attempt: int
    at: float
    outputs: dict[str, Any]
    progress: str = ""


class JobRecord(msgspec.Struct, frozen=True):
    """A job as it stands in the book; a change of it is a new record (`msgspec.structs.replace`).

    (project, key) is unique: one job per evaluation. `attempt` is the number of the newest attempt, 0 before the first.
    `bundle` is the serial of the bundle with which the worker came. `is_superseded`: nobody wants it any more, but a
    worker still has it. `extends` is the job whose checkpoint it began with (0: none); `waits_for` such a job that a worker
    still has. `stop` says why the attempt under way is to end, `stopped_by` who wanted that, where it was a person.
    `checkpointed_at` is when a checkpoint last came from a running attempt, `checkpoint_number` which one of it that was.
    `reproduces` is the job
    that this one runs again, to compare (0: none); what it brought is `outputs`. `overtimes` counts the attempts in a row
    that had got nowhere when their wall time was over. A restart gives every lease its whole time again.
    """

    id: int
    project: str
    instance: int
    path: str
    key: str
    description: JobDescription
    state: JobState
    created_at: float
    why: str = ""
    attempt: int = 0
    worker: str = ""
    bundle: str = ""
    cores: int = 0
    cores_max: int | None = None
    checkpoint: tuple[StagedFile, ...] = ()
    attempts: tuple[AttemptRow, ...] = ()
    program_failures: int = 0
    lost_workers: int = 0
    is_superseded: bool = False
    extends: int = 0
    waits_for: int = 0
    stop: StopReason = ""
    stopped_by: str = ""
    provisional: Provisional | None = None
    checkpointed_at: float | None = None
    checkpoint_number: int = 0
    reproduces: int = 0
    outputs: dict[str, Any] | None = None
    overtimes: int = 0

    @property
    def why_blocked(self) -> str:
        """Why it must not be started yet, "" when it may."""
        return self.why or (f"job {self.waits_for} is being stopped; this one goes on from there" if self.waits_for else "")

    @property
    def resting_state(self) -> JobState:
        """The state of a job that may be started, or may not."""
        return "blocked" if self.why_blocked else "queued"


class Setback(msgspec.Struct, frozen=True):
    """A worker was lost on a host, or could not do a job: `jobs` are those that it had, as far as nothing is known of them yet.

    `cleared` are those of them that were done on another host since. When all are, the setback was the host's own.
    """

    worker: str
    error: str
    at: float
    jobs: tuple[int, ...]
    cleared: tuple[int, ...] = ()


class HostRecord(msgspec.Struct, frozen=True):
    """What is held against a host, the oldest first. `quarantined_at` None: its workers get jobs.

    `why` it is in quarantine, and `who` wanted that ("": the server decided it).
    """

    name: str
    setbacks: tuple[Setback, ...] = ()
    quarantined_at: float | None = None
    why: str = ""
    who: str = ""

    @property
    def is_blank(self) -> bool:
        """Whether nothing is held against it."""
        return not self.setbacks and self.quarantined_at is None
