"""All requests and replies. Identity never stands in a message: it comes from the certificate or the session."""

from __future__ import annotations

from typing import Any

from copernicus.model.edits import Edit
from copernicus.model.jobs import JobState, WorkerOffer
from copernicus.wire.archive_messages import LoadReply as LoadReply
from copernicus.wire.archive_messages import LoadRequest as LoadRequest
from copernicus.wire.checkpoint_messages import (
    CheckpointReply as CheckpointReply,
)
from copernicus.wire.checkpoint_messages import (
    CheckpointRequest as CheckpointRequest,
)
from copernicus.wire.checkpoint_messages import ProvisionalValue as ProvisionalValue
from copernicus.wire.holding_messages import LostFile as LostFile
from copernicus.wire.holding_messages import PurgeReply as PurgeReply
from copernicus.wire.holding_messages import PurgeRequest as PurgeRequest
from copernicus.wire.holding_messages import UsageReply as UsageReply
from copernicus.wire.holding_messages import UsageRequest as UsageRequest
from copernicus.wire.holding_messages import UsageRow as UsageRow
from copernicus.wire.job_messages import CommandFailedRequest as CommandFailedRequest
from copernicus.wire.job_messages import JobCommand as JobCommand
from copernicus.wire.job_messages import JobRow as JobRow
from copernicus.wire.job_messages import JobsReply as JobsReply
from copernicus.wire.job_messages import JobsRequest as JobsRequest
from copernicus.wire.job_messages import QueueRequest as QueueRequest
from copernicus.wire.job_messages import RerunJobRequest as RerunJobRequest
from copernicus.wire.job_messages import RunningRequest as RunningRequest
from copernicus.wire.job_messages import StopJobRequest as StopJobRequest
from copernicus.wire.looking_messages import (
    ChangesReply as ChangesReply,
)
from copernicus.wire.looking_messages import (
    ChangesRequest as ChangesRequest,
)
from copernicus.wire.looking_messages import (
    Citation as Citation,
)
from copernicus.wire.looking_messages import (
    CiteReply as CiteReply,
)
from copernicus.wire.looking_messages import (
    CiteRequest as CiteRequest,
)
from copernicus.wire.looking_messages import (
    GraphEdge as GraphEdge,
)
from copernicus.wire.looking_messages import (
    GraphNode as GraphNode,
)
from copernicus.wire.looking_messages import (
    GraphReply as GraphReply,
)
from copernicus.wire.looking_messages import (
    GraphRequest as GraphRequest,
)
from copernicus.wire.message import Done as Done
from copernicus.wire.message import ErrorReply as ErrorReply
from copernicus.wire.message import Message as Message
from copernicus.wire.module_messages import (
    InfoReply as InfoReply,
)
from copernicus.wire.module_messages import (
    InfoRequest as InfoRequest,
)
from copernicus.wire.module_messages import (
    ModulesReply as ModulesReply,
)
from copernicus.wire.module_messages import (
    ModulesRequest as ModulesRequest,
)
from copernicus.wire.past_messages import (
    HistoryReply as HistoryReply,
)
from copernicus.wire.past_messages import (
    HistoryRequest as HistoryRequest,
)
from copernicus.wire.past_messages import (
    LogEntry as LogEntry,
)
from copernicus.wire.past_messages import (
    LogReply as LogReply,
)
from copernicus.wire.past_messages import (
    LogRequest as LogRequest,
)
from copernicus.wire.past_messages import (
    Origin as Origin,
)
from copernicus.wire.past_messages import (
    ProvenanceReply as ProvenanceReply,
)
from copernicus.wire.past_messages import (
    ProvenanceRequest as ProvenanceRequest,
)
from copernicus.wire.past_messages import (
    Step as Step,
)
from copernicus.wire.past_messages import (
    Version as Version,
)
from copernicus.wire.past_messages import (
    WhyReply as WhyReply,
)
from copernicus.wire.past_messages import (
    WhyRequest as WhyRequest,
)
from copernicus.wire.preview_messages import (
    PreviewedJob as PreviewedJob,
)
from copernicus.wire.preview_messages import (
    PreviewReply as PreviewReply,
)
from copernicus.wire.preview_messages import (
    PreviewRequest as PreviewRequest,
)
from copernicus.wire.project_messages import (
    ProjectRow as ProjectRow,
)
from copernicus.wire.project_messages import (
    ProjectsReply as ProjectsReply,
)
from copernicus.wire.project_messages import (
    ProjectsRequest as ProjectsRequest,
)
from copernicus.wire.project_messages import (
    RemoveProjectRequest as RemoveProjectRequest,
)
from copernicus.wire.project_messages import (
    StartProjectRequest as StartProjectRequest,
)
from copernicus.wire.server_messages import (
    ReadSettingsReply as ReadSettingsReply,
)
from copernicus.wire.server_messages import (
    ReadSettingsRequest as ReadSettingsRequest,
)
from copernicus.wire.server_messages import (
    StopServerRequest as StopServerRequest,
)
from copernicus.wire.session_messages import (
    AuthorityReply as AuthorityReply,
)
from copernicus.wire.session_messages import (
    AuthorityRequest as AuthorityRequest,
)
from copernicus.wire.session_messages import (
    LoginReply as LoginReply,
)
from copernicus.wire.session_messages import (
    LoginRequest as LoginRequest,
)
from copernicus.wire.session_messages import (
    LogoutRequest as LogoutRequest,
)
from copernicus.wire.session_messages import (
    ServerInfoReply as ServerInfoReply,
)
from copernicus.wire.session_messages import (
    ServerInfoRequest as ServerInfoRequest,
)
from copernicus.wire.stream_messages import FetchPartialReply as FetchPartialReply
from copernicus.wire.stream_messages import FetchPartialRequest as FetchPartialRequest
from copernicus.wire.stream_messages import FileBrought as FileBrought
from copernicus.wire.stream_messages import FileWanted as FileWanted
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

# --- projects ----------------------------------------------------------------------------------------------------


class ApplyRequest(Message, frozen=True):
    """Apply a list of edits as one transaction.

    With `is_check` nothing is changed: the answer says what would be refused. The same `request_id` again gives the
    same answer and one effect. `stamps` holds for each edit the project's sequence number when it was put on the list:
    what somebody else wrote since is a conflict (empty: nobody asks).
    """

    project: str
    edits: list[Edit]
    request_id: str = ""
    is_check: bool = False
    stamps: list[int] = []


class ApplyReply(Message, frozen=True):
    """`seq` is the transaction's sequence number (None: nothing changed); `told` one line for each edit, "" for none.

    `project_seq` is the project's sequence number now: the stamp of an edit that was checked.
    """

    seq: int | None
    told: list[str]
    project_seq: int = 0


class ListRequest(Message, frozen=True):
    """What stands at `path`: the project's instances (""), an instance, or a place.

    Of what may be many (instances inside, elements of an array) the answer holds those from `offset` on, at most `limit`
    and never more than 10,000 (`limit` 0: that many).
    """

    project: str
    path: str = ""
    offset: int = 0
    limit: int = 0


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
    provisional: ProvisionalValue | None = None


class ListReply(Message, frozen=True):
    """`kind` is "project", "instance" or "place"; for an instance `instances[0]` is itself, the others its children.

    `total` counts the children, or the elements of an array, whether or not they are all in this answer.
    """

    kind: str
    path: str
    instances: list[InstanceRow] = []
    places: list[PlaceRow] = []
    total: int = 0


class GetRequest(Message, frozen=True):
    """The value at a place; with `staged` as it would be after these edits, of which nothing stays."""

    project: str
    path: str
    staged: list[Edit] = []


class GetReply(Message, frozen=True):
    """`value` is plain JSON (see `model.values`), None when absent; `provisional` what a job that runs has of it so far."""

    path: str
    type: str
    value: Any
    is_stale: bool = False
    provisional: ProvisionalValue | None = None


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


# --- workers, as people see them ------------------------------------------------------------------------


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
