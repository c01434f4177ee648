"""What people ask about jobs, and do to them. Reached as part of `copernicus.wire.messages`."""

from __future__ import annotations

from copernicus.model.jobs import JobState
from copernicus.wire.message import Message


class JobRow(Message, frozen=True):
    """One job; `why` is what the worker last said, or why it is where it is.

    `waited_s` counts since it was queued, `running_s` since it was leased; `core_s` is what all its attempts took, `ended_at`
    (Unix time) when the last one ended, of a job that has ended.
    """

    job: int
    project: str
    path: str
    executable: str
    state: JobState
    priority: int
    attempt: int
    why: str = ""
    worker: str = ""
    hostname: str = ""
    cores: int = 0
    waited_s: float = 0.0
    running_s: float = 0.0
    heartbeat_s: float | None = None
    core_s: float = 0.0
    ended_at: float | None = None


class JobsReply(Message, frozen=True):
    """Jobs; `total` is how many there are of the kind asked for, where not all are in the answer."""

    jobs: list[JobRow]
    total: int = 0


class QueueRequest(Message, frozen=True):
    """Jobs that are not leased yet, in the order in which they would be given out. Without `project`: of all."""

    project: str = ""


class RunningRequest(Message, frozen=True):
    """Jobs that workers have. Without `project`: of all."""

    project: str = ""


class JobsRequest(Message, frozen=True):
    """All jobs of a project, ended ones too, the newest first: of the instances at and below `path` ("": of all).

    `states` empty: in any state. The answer holds those with numbers below `before` (0: all), at most `limit` and never more
    than 1,000 (0: that many).
    """

    project: str
    path: str = ""
    states: list[JobState] = []
    before: int = 0
    limit: int = 0


class JobCommand(Message, frozen=True):
    """What a person does to one job of a project. The same `request_id` again gives the same answer and one effect.

    With `is_check` nothing is done: the answer says what would be.
    """

    project: str
    job: int
    request_id: str = ""
    is_check: bool = False


class StopJobRequest(JobCommand, frozen=True):
    """End the job as failed, its checkpoint kept."""


class RerunJobRequest(JobCommand, frozen=True):
    """Give the job a fresh budget of attempts; if it failed it is queued again, from its last checkpoint."""


class CommandFailedRequest(JobCommand, frozen=True):
    """The attempt under way counts as lost, and the job is queued again."""
