"""Jobs: what a worker is asked to do, how it may be judged, what comes back, and what a worker offers."""

from __future__ import annotations

from typing import Any, Literal

import msgspec

from copernicus.model.gpus import Gpu
from copernicus.model.values import FileRef

JobState = Literal["blocked", "queued", "leased", "done", "failed", "cancelled"]
StopReason = Literal["", "unwanted", "held", "stopped"]
"""Why an attempt under way is to end: nobody wants the job any more, it may not run now, or a person has stopped it."""
OPEN_STATES: frozenset[JobState] = frozenset({"blocked", "queued", "leased"})
PRIORITY_MIN, PRIORITY_MAX = -30, 30


class Resources(msgspec.Struct, frozen=True, omit_defaults=True):
    """What one job needs. `cores_max` None means: as many as there are. `gpu_kind` is a part of the names of its GPUs."""

    cores_min: int = 1
    cores_max: int | None = 1
    memory_bytes: int | None = None
    gpus: int = 0
    wall_time_s: float | None = None
    gpu_kind: str = ""


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

    `is_partial` (of files): it is shown as it is so far, with each checkpoint, while the job runs.
    """

    kind: Literal["file", "files", "number", "text", "json", "value"]
    pattern: str = ""
    source: str = "stdout"
    is_optional: bool = False
    value: Any = None
    is_partial: bool = False


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
    `done_when` exit status 0 is *finished*. `outputs` maps output names to the way they are found. `until` are the last
    arguments, which say only how long the job runs. `seed` is for people and papers: what it does stands in the arguments.
    `checkpoint_every_s` is how often its checkpoint is worth keeping while it runs; None: as often as the worker thinks.
    `tolerances` say, by output, by what part numbers may differ when the job is run again on another machine.
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
    until: tuple[str, ...] = ()
    seed: int | None = None
    checkpoint_every_s: float | None = None
    tolerances: dict[str, float] = {}

    @property
    def arguments(self) -> tuple[str, ...]:
        """All arguments, in the order in which the program gets them."""
        return (*self.argv, *self.until)

    def content(self) -> JobDescription:
        """Return the part that says *what* is done (the job's key is its hash): no priority, resources, watch, rules."""
        outputs = self.outputs
        if any(output.is_partial for output in outputs.values()):
            outputs = {name: msgspec.structs.replace(output, is_partial=False) for name, output in outputs.items()}
        return msgspec.structs.replace(
            self, argv=self.arguments, until=(), seed=None, resources=Resources(), priority=0, watch=(), rules=(),
            checkpoint=(), checkpoint_every_s=None, outputs=outputs, tolerances={},
        )  # fmt: skip


def course_content(description: JobDescription) -> JobDescription:
    """Return what two jobs have in common that differ only in how long they run: the content without `until`."""
    return msgspec.structs.replace(description, until=()).content()


class ExecutableOffer(msgspec.Struct, frozen=True):
    """A program that a worker can run, with the version that was found."""

    name: str
    version: str
    platform: str = "smp"


class WorkerOffer(msgspec.Struct, frozen=True):
    """What a worker announces: where it is (`site` names the cluster or centre), what it can run, and how much of it.

    `gpus` is how many there are, `gpu_devices` what they are (nothing: an older worker does not say).
    `via` are the servers (fingerprints) that lend it on, the one that it belongs to first; a worker itself says none.
    """

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
    site: str = ""
    gpu_devices: tuple[Gpu, ...] = ()
    via: tuple[str, ...] = ()


class LeasedJob(msgspec.Struct, frozen=True):
    """One attempt at a job, handed to a worker. `attempt` is the fencing token of every message about it.

    `failures` is how often in a row its program has failed without progress; None: an older server does not say.
    """

    job: int
    attempt: int
    project: str
    path: str
    description: JobDescription
    cores: int
    checkpoint: tuple[StagedFile, ...] = ()
    failures: int | None = None


class Execution(msgspec.Struct, frozen=True, omit_defaults=True):
    """What an attempt ran, as far as it does not stand in the job's description: what is needed to run it again.

    `program` is the command before the job's arguments, `program_hash` the BLAKE3 of the file it is (of the script, where
    an interpreter runs one), "" when it is none. `environment` holds what the executable adds and what of the worker's own
    environment such programs heed. `bytes_in` counts the files staged, `bytes_out` those collected. `gpus` are the names of
    the GPUs that it had.
    """

    program: tuple[str, ...] = ()
    program_hash: str = ""
    environment: dict[str, str] = {}
    bytes_in: int = 0
    bytes_out: int = 0
    gpus: tuple[str, ...] = ()


class Report(msgspec.Struct, frozen=True, omit_defaults=True):
    """How an attempt ended, as the worker judged it.

    outcome      meaning                                                           what follows
    finished     the job is done, `outputs` holds its values (plain JSON)          outputs stand
    failed       the program failed by its rules                                   instance in error
    retry        a rule says: again (`cores_max` set when with fewer cores)        next attempt, counted
                 its wall time was over and it had got nowhere (`is_overtime`)     next attempt, counted apart
    interrupted  the worker had to stop (signal, end of time)                      next attempt, not counted

    `is_workers_fault`: (with "failed" or "retry") the program was never judged, since the worker could not run it.
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
    execution: Execution = Execution()
    is_workers_fault: bool = False
    is_overtime: bool = False
