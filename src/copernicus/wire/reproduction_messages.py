"""Running a job again: on the workers to compare, or anywhere, from what it needs."""

from __future__ import annotations

from typing import Literal

from copernicus.model.jobs import Execution, JobDescription, JobState, StagedFile
from copernicus.wire.message import Message


class JobRequest(Message, frozen=True):
    """Everything that is needed to run a job again."""

    project: str
    job: int


class Run(Message, frozen=True):
    """One attempt at a job, as far as it says where and with what."""

    attempt: int
    worker: str
    hostname: str = ""
    site: str = ""
    started_at: float = 0.0
    outcome: str = ""
    cores: int = 1
    core_s: float = 0.0
    version: str = ""
    execution: Execution = Execution()


class JobReply(Message, frozen=True):
    """`checkpoint` is where the next attempt would go on from; `runs` are the attempts, the oldest first."""

    job: int
    path: str
    state: JobState
    description: JobDescription
    checkpoint: tuple[StagedFile, ...] = ()
    runs: tuple[Run, ...] = ()


class ReproduceRequest(Message, frozen=True):
    """Run what `target` (a path, or a job's number) stands for again, to compare; it changes nothing in the project."""

    project: str
    target: str
    request_id: str = ""


class Compared(Message, frozen=True):
    """One output; `where` says where it first differs."""

    output: str
    verdict: str
    where: str = ""


class Reproduction(Message, frozen=True):
    """How far it is. While `state` is "waiting" or "running", ask again about `job`; a pure function is done at once (job 0).

    `then` and `now` say what ran where. `verdict` is set when it is done: the worst of those of the outputs.
    """

    path: str
    job: int
    state: Literal["waiting", "running", "done", "failed"]
    reproduces: int = 0
    verdict: str = ""
    outputs: list[Compared] = []
    why: str = ""
    then: Run | None = None
    now: Run | None = None


class ReproductionRequest(Message, frozen=True):
    """How far is the reproduction that is `job`? Waits up to `wait_s` for its end."""

    project: str
    job: int
    wait_s: float = 0.0
