"""Jobs: what a worker is asked to do, how it may be judged, what comes back, and what a worker offers."""

from __future__ import annotations

from typing import Any, Literal

import msgspec

from copernicus.model.values import FileRef

JobState = Literal["blocked", "queued", "leased", "done", "failed", "cancelled"]
OPEN_STATES: frozenset[JobState] = frozenset({"blocked", "queued", "leased"})
PRIORITY_MIN, PRIORITY_MAX = -30, 30


class Resources(msgspec.Struct, frozen=True, omit_defaults=True):
    """What one job needs. `cores_max` None means: as many as there are."""

    cores_min: int = 1
    cores_max: int | None = 1
    memory_bytes: int | None = None
    gpus: int = 0
    wall_time_s: float | None = None


class StagedFile(msgspec.Struct, frozen=True):
    """A file in a job's work folder: `name` is relative, without `..`; `file` says what is in it."""

    name: str
    file: FileRef


class Output(msgspec.Struct, frozen=True, omit_defaults=True):
    """How the worker finds one output of a job when it has ended.

    kind      pattern means                          value that comes back
    file      glob; the last match in natural order  file
    files     globs, one a line; all matches, line   list of files
              by line in natural order, at least
              one for each
    number    regular expression, first group        number, from the file `source` ("stdout", "stderr" or a name)
    text      regular expression, first group        string, from `source`; without pattern the whole text
    json      name of a JSON file                    whatever stands in it (checked against the type by the server)
    value     (nothing is collected)                 `value`, a literal that was known beforehand
    """

    kind: Literal["file", "files", "number", "text", "json", "value"]
    pattern: str = ""
    source: str = "stdout"
    is_optional: bool = False
    value: Any = None


class Rule(msgspec.Struct, frozen=True, omit_defaults=True):
    """One rule by which the worker judges an attempt that did not finish; the first that matches counts.

    Matches when every given condition holds: `exit_status` equals, `stdout`/`stderr` regular expression is found,
    `file` exists, `attempts` without progress reached. `then`: "fail" (the job), "fewer_cores" (next attempt with half
    the cores), "retry" (next attempt), "finish" (counts as finished).
    """

    then: Literal["fail", "fewer_cores", "retry", "finish"]
    exit_status: int | None = None
    stdout: str | None = None
    stderr: str | None = None
    file: str | None = None
    attempts: int | None = None


class JobDescription(msgspec.Struct, frozen=True, omit_defaults=True):
    """Everything a worker must know to do a job; nothing executable inside.

    `executable` is a name that workers offer ("gromacs/mdrun"), `versions` a range. `argv` are whole arguments, never
    seen by a shell. `done_when` is a glob: without a match the job has not finished, whatever the exit status; without
    `done_when` exit status 0 is *finished*. `outputs` maps output names to the way they are found.
    """

    executable: str
    argv: tuple[str, ...] = ()
    versions: str = ""
    files: tuple[StagedFile, ...] = ()
    outputs: dict[str, Output] = {}
    environment: dict[str, str] = {}
    done_when: str | None = None
    resources: Resources = Resources()
    priority: int = 0
    checkpoint: tuple[str, ...] = ()
    watch: tuple[str, ...] = ()
    rules: tuple[Rule, ...] = ()

    def content(self) -> JobDescription:
        """Return the part that says *what* is done (the job's key is its hash): no priority, resources, watch, rules."""
        return msgspec.structs.replace(self, resources=Resources(), priority=0, watch=(), rules=(), checkpoint=())


class ExecutableOffer(msgspec.Struct, frozen=True):
    """A program that a worker can run, with the version that was found."""

    name: str
    version: str
    platform: str = "smp"


class WorkerOffer(msgspec.Struct, frozen=True):
    """What a worker announces: where it is, what it can run, and how much of it."""

    worker: str
    hostname: str
    platform: str
    cores: int
    executables: tuple[ExecutableOffer, ...]
    cores_per_job: int | None = None
    memory_bytes: int | None = None
    gpus: int = 0
    project: str | None = None
    time_left_s: float | None = None


class LeasedJob(msgspec.Struct, frozen=True):
    """One attempt at a job, handed to a worker. `attempt` is the fencing token of every message about it."""

    job: int
    attempt: int
    project: str
    path: str
    description: JobDescription
    cores: int
    checkpoint: tuple[StagedFile, ...] = ()


class Report(msgspec.Struct, frozen=True, omit_defaults=True):
    """How an attempt ended, as the worker judged it.

    outcome      meaning                                                           what follows
    finished     the job is done, `outputs` holds its values (plain JSON)          outputs stand
    failed       the program failed by its rules                                   instance in error
    retry        a rule says: again (`cores_max` set when with fewer cores)        next attempt, counted
    interrupted  the worker had to stop (signal, end of time)                      next attempt, not counted
    """

    job: int
    attempt: int
    outcome: Literal["finished", "failed", "retry", "interrupted"]
    outputs: dict[str, Any] = {}
    error: str = ""
    exit_status: int | None = None
    stdout_tail: str = ""
    stderr_tail: str = ""
    checkpoint: tuple[StagedFile, ...] = ()
    cores: int = 1
    cores_max: int | None = None
    wall_s: float = 0.0
    version: str = ""
