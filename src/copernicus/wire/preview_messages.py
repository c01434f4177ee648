"""What is said about changes before they are made. Reached as part of `copernicus.wire.messages`."""

from __future__ import annotations

from copernicus.model.edits import Edit
from copernicus.model.jobs import JobState
from copernicus.wire.message import Message


class PreviewRequest(Message, frozen=True):
    """Say what would follow if these edits were applied; nothing is changed."""

    project: str
    edits: list[Edit]


class PreviewedJob(Message, frozen=True):
    """A job that a change concerns. `core_s` is the core time spent in it so far, the running attempt included."""

    job: int
    path: str
    state: JobState
    core_s: float = 0.0


class PreviewReply(Message, frozen=True):
    """What would follow from a change; instances stand by their paths.

    `certain` are evaluated anew; `possible` are downstream of them, so that it depends on results (or, of some, was not
    found out). `calls` are controllers that are called at once, `later_calls` when something ends; what they answer is not
    guessed. `ending` jobs are given up, `stopping` ones stop with a checkpoint since they are held, `may_end` are the present
    jobs of `possible` instances, `kept` go on as they do, `resumed` go on where they were left. `standing` instances show a
    result again that is there: the job that made it. `errors`: what would be in error. `remarks` are for a person.
    """

    told: list[str] = []
    is_change: bool = False
    certain: list[str] = []
    possible: list[str] = []
    calls: list[str] = []
    later_calls: list[str] = []
    ending: list[PreviewedJob] = []
    may_end: list[PreviewedJob] = []
    kept: list[PreviewedJob] = []
    resumed: list[PreviewedJob] = []
    standing: dict[str, int | None] = {}
    errors: dict[str, str] = {}
    remarks: list[str] = []
    stopping: list[PreviewedJob] = []
