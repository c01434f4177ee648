"""All requests and replies. Identity never stands in a message: it comes from the certificate or the session."""

from __future__ import annotations

from typing import Any

from copernicus.model.edits import Edit
from copernicus.model.jobs import JobState, WorkerOffer
from copernicus.wire.archive_messages import LoadReply as LoadReply, LoadRequest as LoadRequest
from copernicus.wire.bundle_messages import (
    BundleListing as BundleListing,
    BundleReply as BundleReply,
    BundleRole as BundleRole,
    BundlesReply as BundlesReply,
    BundlesRequest as BundlesRequest,
    IssueBundleRequest as IssueBundleRequest,
    RenewBundleRequest as RenewBundleRequest,
    RevokeBundleRequest as RevokeBundleRequest,
)
from copernicus.wire.checkpoint_messages import (
    CheckpointReply as CheckpointReply,
    CheckpointRequest as CheckpointRequest,
    ProvisionalValue as ProvisionalValue,
)
from copernicus.wire.holding_messages import (
    LostFile as LostFile,
    PurgeReply as PurgeReply,
    PurgeRequest as PurgeRequest,
    SiteRow as SiteRow,
    UsageReply as UsageReply,
    UsageRequest as UsageRequest,
    UsageRow as UsageRow,
)
from copernicus.wire.job_messages import (
    CommandFailedRequest as CommandFailedRequest,
    JobCommand as JobCommand,
    JobRow as JobRow,
    JobsReply as JobsReply,
    JobsRequest as JobsRequest,
    QueueRequest as QueueRequest,
    RerunJobRequest as RerunJobRequest,
    RunningRequest as RunningRequest,
    StopJobRequest as StopJobRequest,
)
from copernicus.wire.looking_messages import (
    ChangesReply as ChangesReply,
    ChangesRequest as ChangesRequest,
    Citation as Citation,
    CiteReply as CiteReply,
    CiteRequest as CiteRequest,
    GraphEdge as GraphEdge,
    GraphNode as GraphNode,
    GraphReply as GraphReply,
    GraphRequest as GraphRequest,
)
from copernicus.wire.message import Done as Done, ErrorReply as ErrorReply, Message as Message
from copernicus.wire.module_messages import (
    InfoReply as InfoReply,
    InfoRequest as InfoRequest,
    ModulesReply as ModulesReply,
    ModulesRequest as ModulesRequest,
)
from copernicus.wire.past_messages import (
    CardAttempt as CardAttempt,
    FailureCard as FailureCard,
    HistoryReply as HistoryReply,
    HistoryRequest as HistoryRequest,
    LogEntry as LogEntry,
    LogReply as LogReply,
    LogRequest as LogRequest,
    Origin as Origin,
    ProvenanceReply as ProvenanceReply,
    ProvenanceRequest as ProvenanceRequest,
    Step as Step,
    Version as Version,
    WhyReply as WhyReply,
    WhyRequest as WhyRequest,
)
from copernicus.wire.peer_messages import (
    BlobPieceReply as BlobPieceReply,
    BlobPieceRequest as BlobPieceRequest,
    BlobPutReply as BlobPutReply,
    BlobPutRequest as BlobPutRequest,
    ConnectServerReply as ConnectServerReply,
    ConnectServerRequest as ConnectServerRequest,
    HelloReply as HelloReply,
    HelloRequest as HelloRequest,
    Neighbour as Neighbour,
    NeighboursReply as NeighboursReply,
    NeighboursRequest as NeighboursRequest,
    NetworkEdge as NetworkEdge,
    NetworkNode as NetworkNode,
    NetworkReply as NetworkReply,
    NetworkRequest as NetworkRequest,
    NewsReply as NewsReply,
    NewsRequest as NewsRequest,
    PartRequest as PartRequest,
    PeerLimitsRequest as PeerLimitsRequest,
    PeerPriorityRequest as PeerPriorityRequest,
    PeerRequest as PeerRequest,
    PeerRow as PeerRow,
    PeersReply as PeersReply,
    PeersRequest as PeersRequest,
    PeerState as PeerState,
    PingReply as PingReply,
    PingRequest as PingRequest,
    RevokePeerRequest as RevokePeerRequest,
    Statement as Statement,
    TrustRequest as TrustRequest,
)
from copernicus.wire.preview_messages import (
    PreviewedJob as PreviewedJob,
    PreviewReply as PreviewReply,
    PreviewRequest as PreviewRequest,
)
from copernicus.wire.project_messages import (
    ProjectPriorityRequest as ProjectPriorityRequest,
    ProjectRow as ProjectRow,
    ProjectsReply as ProjectsReply,
    ProjectsRequest as ProjectsRequest,
    RemoveProjectRequest as RemoveProjectRequest,
    RenameProjectRequest as RenameProjectRequest,
    StartProjectRequest as StartProjectRequest,
)
from copernicus.wire.quarantine_messages import (
    AddQuarantineRequest as AddQuarantineRequest,
    QuarantineCommand as QuarantineCommand,
    QuarantineReply as QuarantineReply,
    QuarantineRequest as QuarantineRequest,
    QuarantineRow as QuarantineRow,
    ReleaseQuarantineRequest as ReleaseQuarantineRequest,
)
from copernicus.wire.reproduction_messages import (
    Compared as Compared,
    JobReply as JobReply,
    JobRequest as JobRequest,
    ReproduceRequest as ReproduceRequest,
    Reproduction as Reproduction,
    ReproductionRequest as ReproductionRequest,
    Run as Run,
)
from copernicus.wire.server_messages import (
    AuditEntry as AuditEntry,
    AuditReply as AuditReply,
    AuditRequest as AuditRequest,
    ReadSettingsReply as ReadSettingsReply,
    ReadSettingsRequest as ReadSettingsRequest,
    StopServerRequest as StopServerRequest,
)
from copernicus.wire.session_messages import (
    AuthorityReply as AuthorityReply,
    AuthorityRequest as AuthorityRequest,
    LoginReply as LoginReply,
    LoginRequest as LoginRequest,
    LogoutRequest as LogoutRequest,
    ServerInfoReply as ServerInfoReply,
    ServerInfoRequest as ServerInfoRequest,
)
from copernicus.wire.stream_messages import (
    FetchPartialReply as FetchPartialReply,
    FetchPartialRequest as FetchPartialRequest,
    FileBrought as FileBrought,
    FileWanted as FileWanted,
    FollowReply as FollowReply,
    FollowRequest as FollowRequest,
    Piece as Piece,
    StreamPiece as StreamPiece,
    StreamReply as StreamReply,
    StreamRequest as StreamRequest,
    Wanted as Wanted,
)
from copernicus.wire.undo_messages import (
    UndoReply as UndoReply,
    UndoRequest as UndoRequest,
)
from copernicus.wire.user_messages import (
    AddUserRequest as AddUserRequest,
    ChangeUserRequest as ChangeUserRequest,
    DeleteUserRequest as DeleteUserRequest,
    GrantAccessRequest as GrantAccessRequest,
    MembersReply as MembersReply,
    MembersRequest as MembersRequest,
    RevokeAccessRequest as RevokeAccessRequest,
    SetPasswordRequest as SetPasswordRequest,
    UserChange as UserChange,
    UserRow as UserRow,
    UsersReply as UsersReply,
    UsersRequest as UsersRequest,
)
from copernicus.wire.worker_messages import (
    AnnounceReply as AnnounceReply,
    AnnounceRequest as AnnounceRequest,
    Beat as Beat,
    ExchangeReply as ExchangeReply,
    ExchangeRequest as ExchangeRequest,
    FarewellRequest as FarewellRequest,
    HeartbeatReply as HeartbeatReply,
    HeartbeatRequest as HeartbeatRequest,
    InlineBlob as InlineBlob,
    Verdict as Verdict,
)
from copernicus.wire.workflow_messages import (
    ExportWorkflowReply as ExportWorkflowReply,
    ExportWorkflowRequest as ExportWorkflowRequest,
    UploadWorkflowReply as UploadWorkflowReply,
    UploadWorkflowRequest as UploadWorkflowRequest,
)

# --- projects ----------------------------------------------------------------------------------------------------


class ApplyRequest(Message, frozen=True):
    """Apply a list of edits as one transaction.

    With `is_check` nothing is changed: the answer says what would be refused. The same `request_id` again gives the
    same answer and one effect. `stamps` holds for each edit the project's sequence number when it was put on the list:
    what somebody else wrote since is a conflict (empty: nobody asks). The answer waits up to `wait_s` (at most 1 s) for
    commands to say what their jobs would be, so that it can tell which results were there already.
    """

    project: str
    edits: list[Edit]
    request_id: str = ""
    is_check: bool = False
    stamps: list[int] = []
    wait_s: float = 0.0


class ApplyReply(Message, frozen=True):
    """`seq` is the transaction's sequence number (None: nothing changed); `told` one line for each edit, "" for none.

    `project_seq` is the project's sequence number now: the stamp of an edit that was checked. `reused` has a sentence for
    each result that stands at once because it was there already, or is being worked on for another instance.
    """

    seq: int | None
    told: list[str]
    project_seq: int = 0
    reused: list[str] = []


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
    """One worker. `seen_s` is the time since its last word; `quarantine` is why its host gets no jobs ("": it does)."""

    offer: WorkerOffer
    jobs: int
    cores_used: int
    seen_s: float
    is_lost: bool = False
    quarantine: str = ""


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
