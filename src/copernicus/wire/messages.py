"""All requests and replies. Identity never stands in a message: it comes from the certificate or the session."""

from __future__ import annotations

from typing import Any

from copernicus.model.edits import Edit
from copernicus.model.functions import FunctionSchema, ModuleSchema
from copernicus.model.jobs import JobState, WorkerOffer
from copernicus.wire.message import Done as Done
from copernicus.wire.message import ErrorReply as ErrorReply
from copernicus.wire.message import Message as Message
from copernicus.wire.stream_messages import (
    FollowReply as FollowReply,
)
from copernicus.wire.stream_messages import (
    FollowRequest as FollowRequest,
)
from copernicus.wire.stream_messages import (
    Piece as Piece,
)
from copernicus.wire.stream_messages import (
    StreamPiece as StreamPiece,
)
from copernicus.wire.stream_messages import (
    StreamReply as StreamReply,
)
from copernicus.wire.stream_messages import (
    StreamRequest as StreamRequest,
)
from copernicus.wire.stream_messages import (
    Wanted as Wanted,
)
from copernicus.wire.worker_messages import (
    AnnounceReply as AnnounceReply,
)
from copernicus.wire.worker_messages import (
    AnnounceRequest as AnnounceRequest,
)
from copernicus.wire.worker_messages import (
    Beat as Beat,
)
from copernicus.wire.worker_messages import (
    ExchangeReply as ExchangeReply,
)
from copernicus.wire.worker_messages import (
    ExchangeRequest as ExchangeRequest,
)
from copernicus.wire.worker_messages import (
    FarewellRequest as FarewellRequest,
)
from copernicus.wire.worker_messages import (
    HeartbeatReply as HeartbeatReply,
)
from copernicus.wire.worker_messages import (
    HeartbeatRequest as HeartbeatRequest,
)
from copernicus.wire.worker_messages import (
    InlineBlob as InlineBlob,
)
from copernicus.wire.worker_messages import (
    Verdict as Verdict,
)
from copernicus.wire.workflow_messages import (
    ExportWorkflowReply as ExportWorkflowReply,
)
from copernicus.wire.workflow_messages import (
    ExportWorkflowRequest as ExportWorkflowRequest,
)
from copernicus.wire.workflow_messages import (
    UploadWorkflowReply as UploadWorkflowReply,
)
from copernicus.wire.workflow_messages import (
    UploadWorkflowRequest as UploadWorkflowRequest,
)

# --- server and sessions -----------------------------------------------------------------------------------------


class AuthorityRequest(Message, frozen=True):
    """First contact: ask for the server's CA certificate. The caller compares its fingerprint before any trust."""


class AuthorityReply(Message, frozen=True):
    """The CA certificate (PEM)."""

    certificate: str


class ServerInfoRequest(Message, frozen=True):
    """Who are you?"""


class ServerInfoReply(Message, frozen=True):
    """`fingerprint` (SHA-256 of the CA certificate, hex) is the server's identity."""

    hostname: str
    fingerprint: str
    version: str
    protocol: int
    client_port: int
    secure_port: int
    user: str
    started_at: float
    projects: int = 0
    workers: int = 0


class LoginRequest(Message, frozen=True):
    """Open a session (client port only)."""

    user: str
    password: str


class LoginReply(Message, frozen=True):
    """The token goes into the `Authorization: Bearer` header of later requests; `expires_at` is Unix time."""

    token: str
    user: str
    expires_at: float


class LogoutRequest(Message, frozen=True):
    """End this session."""


# --- projects ----------------------------------------------------------------------------------------------------


class ProjectsRequest(Message, frozen=True):
    """List the projects that the caller may see."""


class ProjectRow(Message, frozen=True):
    """One project; `states` counts instances by state, `jobs` counts jobs by state."""

    name: str
    id: str
    created_at: float
    states: dict[str, int] = {}
    jobs: dict[str, int] = {}


class ProjectsReply(Message, frozen=True):
    """The projects, by name."""

    projects: list[ProjectRow]


class StartProjectRequest(Message, frozen=True):
    """Make a project."""

    name: str
    request_id: str = ""


class RemoveProjectRequest(Message, frozen=True):
    """Remove a project for good: its log, jobs and values."""

    name: str
    request_id: str = ""


class ApplyRequest(Message, frozen=True):
    """Apply a list of edits as one transaction.

    With `is_check` nothing is changed: the answer says what would be refused. The same `request_id` again gives the
    same answer and one effect.
    """

    project: str
    edits: list[Edit]
    request_id: str = ""
    is_check: bool = False


class ApplyReply(Message, frozen=True):
    """`seq` is the transaction's sequence number (None: nothing changed); `told` one line for each edit, "" for none."""

    seq: int | None
    told: list[str]


class ListRequest(Message, frozen=True):
    """What stands at `path`: the project's instances (""), an instance, or a place."""

    project: str
    path: str = ""


class InstanceRow(Message, frozen=True):
    """One instance. `why` explains the state in words; `below` counts the states of the instances inside."""

    path: str
    function: str
    state: str
    why: str = ""
    since: float | None = None
    below: dict[str, int] = {}
    note: str = ""
    warning: str = ""
    job: int | None = None
    job_state: JobState | None = None


class PlaceRow(Message, frozen=True):
    """One place: type and value in text form, where the value comes from, and whether it is stale or absent."""

    path: str
    type: str
    text: str
    source: str = ""
    is_set: bool = False
    is_stale: bool = False


class ListReply(Message, frozen=True):
    """`kind` is "project", "instance" or "place"; for an instance `instances[0]` is itself, the others its children."""

    kind: str
    path: str
    instances: list[InstanceRow] = []
    places: list[PlaceRow] = []


class GetRequest(Message, frozen=True):
    """The value at a place."""

    project: str
    path: str


class GetReply(Message, frozen=True):
    """`value` is plain JSON (see `model.values`), None when absent."""

    path: str
    type: str
    value: Any
    is_stale: bool = False


class ModulesRequest(Message, frozen=True):
    """List the modules that the server has, broken ones included."""


class ModulesReply(Message, frozen=True):
    """Modules without their functions' details: `functions` holds names and help only in `help`."""

    modules: list[ModuleSchema]


class InfoRequest(Message, frozen=True):
    """Describe a module ("gromacs") or a function ("gromacs::grompp"); with `project` also its own ("project::NAME")."""

    name: str
    project: str = ""


class InfoReply(Message, frozen=True):
    """Exactly one of the two is set."""

    module: ModuleSchema | None = None
    function: FunctionSchema | None = None


class StatusRequest(Message, frozen=True):
    """A project in numbers."""

    project: str


class StatusReply(Message, frozen=True):
    """`states` counts all instances by state, `jobs` all jobs; `top` are the instances at the top, `errors` those in error."""

    project: str
    seq: int
    states: dict[str, int]
    jobs: dict[str, int]
    top: list[InstanceRow]
    errors: list[InstanceRow]
    core_s: float = 0.0


class WhyRequest(Message, frozen=True):
    """Why is this not running, why did it fail? `target` is a path or a job's number."""

    project: str
    target: str


class WhyReply(Message, frozen=True):
    """Lines for a person, most important first."""

    lines: list[str]


class LogRequest(Message, frozen=True):
    """What happened to an instance or a job: attempts, errors, last lines of output."""

    project: str
    target: str = ""


class LogEntry(Message, frozen=True):
    """One thing that happened; `text` may have several lines."""

    time: float
    title: str
    text: str = ""


class LogReply(Message, frozen=True):
    """Oldest first."""

    entries: list[LogEntry]


# --- jobs and workers, as people see them ------------------------------------------------------------------------


class QueueRequest(Message, frozen=True):
    """Jobs that are not leased yet, in the order in which they would be given out. Without `project`: of all."""

    project: str = ""


class JobRow(Message, frozen=True):
    """One job; `progress` is what the worker last said, `waited_s` since it was queued, `running_s` since it was leased."""

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


class JobsReply(Message, frozen=True):
    """Jobs."""

    jobs: list[JobRow]


class RunningRequest(Message, frozen=True):
    """Jobs that workers have. Without `project`: of all."""

    project: str = ""


class WorkersRequest(Message, frozen=True):
    """The workers that have been heard of lately."""


class WorkerRow(Message, frozen=True):
    """One worker. `seen_s` is the time since its last word."""

    offer: WorkerOffer
    jobs: int
    cores_used: int
    seen_s: float
    is_lost: bool = False


class WorkersReply(Message, frozen=True):
    """Workers, by host name and id."""

    workers: list[WorkerRow]


# --- blobs (the bytes travel outside of messages) ----------------------------------------------------------------


class BlobStatusRequest(Message, frozen=True):
    """How much of these blobs is there? Sizes say how large they will be."""

    blobs: list[str]


class BlobStatusReply(Message, frozen=True):
    """For each blob asked for: bytes received so far (its whole size when `is_complete`)."""

    received: list[int]
    is_complete: list[bool]
