"""Messages with which people ask what happened, and why things are as they are. Reached through `wire.messages`."""

from __future__ import annotations

from typing import Any

from copernicus.wire.message import Message


class LogRequest(Message, frozen=True):
    """What happened to an instance or a job: attempts, errors, last lines of output; without `target`, to the project.

    The newest `limit` things (0: 1,000; at most 10,000), or those before transaction `before`. A transaction is not divided.
    """

    project: str
    target: str = ""
    limit: int = 0
    before: int = 0


class LogEntry(Message, frozen=True):
    """One thing that happened; `text` may have several lines. `seq`: in which transaction (0: what a worker did)."""

    time: float
    title: str
    text: str = ""
    seq: int = 0


class CardAttempt(Message, frozen=True):
    """One attempt on a failure card: where, how long, how it ended. `kind` is that of the failure (see `FailureCard`)."""

    attempt: int
    hostname: str
    worker: str
    cores: int
    seconds: float
    outcome: str
    kind: str = ""
    exit_status: int | None = None
    error: str = ""


class FailureCard(Message, frozen=True):
    """A job that failed, on one page: what was run, where, how often, what it printed last, what to do.

    `attempts` are the newest ones, of `total`; each has a kind: "program" (judged by the command's rules), "suspicion" (its
    worker was lost, or could not do it), "infrastructure" (nobody's fault), "" (none). `stdout` and `stderr` are the last
    lines of attempt `printed_by` (0: none has printed anything that is known).
    """

    job: int
    path: str
    command: list[str]
    why: str
    attempts: list[CardAttempt]
    total: int
    program: str = ""
    stdout: str = ""
    stderr: str = ""
    printed_by: int = 0
    next: list[str] = []


class LogReply(Message, frozen=True):
    """Oldest first. `before` leads to older ones (0: there are none). `card` is as in `WhyReply`."""

    entries: list[LogEntry]
    before: int = 0
    card: FailureCard | None = None


class Origin(Message, frozen=True):
    """Where a version came from.

    `kind` is "user" (`who`; `user@server` on the server from which the project was loaded), "call" (of the controller or
    pure function at `path`), "job" (of the command at `path`; `job` is None when it has no record here), or "constant"
    (fixed in the network at `path`). Of a job the attempt says who did it: worker, host, executable and its version;
    `core_s` is what the job cost with all its attempts; `extends` is the job whose checkpoint it went on from.
    `is_reused`: the result was there already, or came from the evaluation of another instance: it was first made for
    `made_for`, and filed in transaction `filed_seq` at `filed_at`.
    """

    kind: str
    who: str = ""
    path: str = ""
    function: str = ""
    key: str = ""
    job: int | None = None
    attempt: int = 0
    worker: str = ""
    hostname: str = ""
    executable: str = ""
    version: str = ""
    core_s: float = 0.0
    extends: int = 0
    is_reused: bool = False
    made_for: str = ""
    filed_seq: int = 0
    filed_at: float | None = None


class Version(Message, frozen=True):
    """What one transaction did to a place. `cause` is the kind of event that led to it.

    `event` is "set", "unset", "result" (of an evaluation), "shortened", "connected" (to `source`: from then on it shows what
    stands there), "disconnected" (it keeps `value`), "widened" (a scatter has `value` indices), "forgotten" (by a
    controller that begins anew) or "removed" (its instance was, and an undo has brought it back). `value` is plain JSON,
    None when nothing stands there then; `text` is its short form.
    `is_gone`: the content of a file in it is not kept any more; `is_same`: it is what stood there before, as far as the
    version before it is in the same reply.
    """

    seq: int
    time: float
    path: str
    event: str
    origin: Origin
    value: Any = None
    text: str = ""
    source: str = ""
    cause: str = ""
    is_gone: bool = False
    is_same: bool = False


class WhyRequest(Message, frozen=True):
    """Why is this not running, why did it fail, where did this value come from? `target` is a path or a job's number."""

    project: str
    target: str


class WhyReply(Message, frozen=True):
    """Lines for a person, most important first. `origin` has the versions that make up what stands at a place.

    `card` is about the job if it failed, or the first one that failed at or below the instance.
    """

    lines: list[str]
    origin: list[Version] = []
    card: FailureCard | None = None


class HistoryRequest(Message, frozen=True):
    """All versions of a place, a side or an instance, the newest first, `limit` at a time (at most 1,000).

    `cursor` is what the reply before this one gave. With `is_standing` only those versions that make up what stands there.
    """

    project: str
    path: str
    limit: int = 100
    cursor: str = ""
    is_standing: bool = False


class HistoryReply(Message, frozen=True):
    """`versions` the newest first; `cursor` leads to older ones ("": there are none). `notes` say what is left out."""

    path: str
    versions: list[Version]
    cursor: str = ""
    notes: list[str] = []


class ProvenanceRequest(Message, frozen=True):
    """Where the value at a place came from, back to what people gave."""

    project: str
    path: str


class Step(Message, frozen=True):
    """A place on the way back, as it stood in transaction `seq`: the versions that made it up, and what they came from.

    `path` is where it is held, `shown_at` where it was read; `sources` are positions of other steps in the reply.
    `is_stale`: it is being made anew, and `sources` are what it was made from, not what stands there now.
    """

    path: str
    shown_at: str
    versions: list[Version]
    sources: list[int] = []
    is_stale: bool = False


class ProvenanceReply(Message, frozen=True):
    """`steps[0]` is the place that was asked for. `notes` say what is left out."""

    steps: list[Step]
    notes: list[str] = []
