"""The one endpoint table: which request goes where, what answers it, and who may send it.

Every message is `POST /v1/<name>` with a JSON body. Blobs are beside the table, since their bytes are no messages:

    GET   /v1/blobs/{hash}              the bytes; `Range: bytes=N-` goes on from N
    PATCH /v1/blobs/{hash}?size=S       append to an upload; header `Upload-Offset: N` must equal the bytes received so
                                        far (409 with the true `Upload-Offset` otherwise); 204 with the new
                                        `Upload-Offset`; the blob appears when all S bytes are there and hash to {hash}

So is the link between two servers, over which either side sends the messages of `Policy.PEER` and `Policy.WORKER`:

    GET   /v1/link                      a WebSocket, for trusted peers (`server.peers.link` says what goes over it)

So is the archive of a project, which is made while it is sent:

    GET   /v1/metrics                   numbers of the whole server in the text form of Prometheus, for users

    GET   /v1/archives/{project}        for members; with `?all=1` also what nothing refers to any more. A body that ends
                                        without its last chunk is no archive
"""

from __future__ import annotations

from enum import Enum
from typing import Any

import msgspec

from copernicus.wire import messages as m

PROTOCOL = 1
PREFIX = "/v1/"
BLOBS = "/v1/blobs/"
ARCHIVES = "/v1/archives/"
LINK = "/v1/link"
METRICS = "/v1/metrics"


class Policy(Enum):
    """Who may send a request. Every endpoint declares one; an identity that does not satisfy it gets 401 or 403."""

    ANYONE = "no session needed"
    USER = "a user with a session, or a client or admin bundle"
    MEMBER = "a user with access to the project that the request names"
    WORKER = "a worker or admin bundle, or a trusted peer for its workers"
    BUNDLE = "any bundle"
    ANY_BUNDLE_OR_USER = "a user, or any bundle"
    SUPER = "a super user, or an admin bundle that is limited to no project"
    PEER = "a trusted peer, over its link"


class Endpoint(msgspec.Struct, frozen=True):
    """One row of the table."""

    name: str
    request: type[m.Message]
    reply: type[m.Message]
    policy: Policy

    @property
    def path(self) -> str:
        """The URL path."""
        return PREFIX + self.name


class Beside(msgspec.Struct, frozen=True):
    """A route beside the table: what goes over it is no message. What follows `prefix` is the hash or the project."""

    method: str
    prefix: str
    policy: Policy

    def is_for(self, method: str, path: str) -> bool:
        """Return whether a request goes this way; without a slash at its end the prefix is the whole path."""
        return method == self.method and (path.startswith(self.prefix) if self.prefix.endswith("/") else path == self.prefix)


BESIDE: tuple[Beside, ...] = (
    Beside("GET", BLOBS, Policy.ANY_BUNDLE_OR_USER),
    Beside("PATCH", BLOBS, Policy.ANY_BUNDLE_OR_USER),
    Beside("GET", ARCHIVES, Policy.MEMBER),
    Beside("GET", LINK, Policy.PEER),
    Beside("GET", METRICS, Policy.USER),
)
ENDPOINTS: tuple[Endpoint, ...] = (
    Endpoint("authority", m.AuthorityRequest, m.AuthorityReply, Policy.ANYONE),
    Endpoint("login", m.LoginRequest, m.LoginReply, Policy.ANYONE),
    Endpoint("logout", m.LogoutRequest, m.Done, Policy.USER),
    Endpoint("server-info", m.ServerInfoRequest, m.ServerInfoReply, Policy.ANY_BUNDLE_OR_USER),
    Endpoint("bundles", m.BundlesRequest, m.BundlesReply, Policy.USER),
    Endpoint("bundle/issue", m.IssueBundleRequest, m.BundleReply, Policy.USER),
    Endpoint("bundle/revoke", m.RevokeBundleRequest, m.Done, Policy.USER),
    Endpoint("bundle/renew", m.RenewBundleRequest, m.BundleReply, Policy.BUNDLE),
    Endpoint("users", m.UsersRequest, m.UsersReply, Policy.SUPER),
    Endpoint("user/add", m.AddUserRequest, m.Done, Policy.SUPER),
    Endpoint("user/delete", m.DeleteUserRequest, m.Done, Policy.SUPER),
    Endpoint("user/change", m.ChangeUserRequest, m.Done, Policy.SUPER),
    Endpoint("user/password", m.SetPasswordRequest, m.Done, Policy.USER),
    Endpoint("server/audit", m.AuditRequest, m.AuditReply, Policy.SUPER),
    Endpoint("server/stop", m.StopServerRequest, m.Done, Policy.SUPER),
    Endpoint("server/settings", m.ReadSettingsRequest, m.ReadSettingsReply, Policy.SUPER),
    Endpoint("projects", m.ProjectsRequest, m.ProjectsReply, Policy.USER),
    Endpoint("project/start", m.StartProjectRequest, m.Done, Policy.USER),
    Endpoint("project/remove", m.RemoveProjectRequest, m.Done, Policy.MEMBER),
    Endpoint("project/load", m.LoadRequest, m.LoadReply, Policy.USER),
    Endpoint("project/usage", m.UsageRequest, m.UsageReply, Policy.MEMBER),
    Endpoint("project/purge", m.PurgeRequest, m.PurgeReply, Policy.MEMBER),
    Endpoint("project/rename", m.RenameProjectRequest, m.Done, Policy.MEMBER),
    Endpoint("project/priority", m.ProjectPriorityRequest, m.Done, Policy.SUPER),
    Endpoint("project/members", m.MembersRequest, m.MembersReply, Policy.MEMBER),
    Endpoint("project/grant", m.GrantAccessRequest, m.Done, Policy.MEMBER),
    Endpoint("project/withdraw", m.RevokeAccessRequest, m.Done, Policy.MEMBER),
    Endpoint("project/apply", m.ApplyRequest, m.ApplyReply, Policy.MEMBER),
    Endpoint("project/preview", m.PreviewRequest, m.PreviewReply, Policy.MEMBER),
    Endpoint("project/undo", m.UndoRequest, m.UndoReply, Policy.MEMBER),
    Endpoint("project/upload", m.UploadWorkflowRequest, m.UploadWorkflowReply, Policy.MEMBER),
    Endpoint("project/export", m.ExportWorkflowRequest, m.ExportWorkflowReply, Policy.MEMBER),
    Endpoint("project/list", m.ListRequest, m.ListReply, Policy.MEMBER),
    Endpoint("project/changes", m.ChangesRequest, m.ChangesReply, Policy.MEMBER),
    Endpoint("project/graph", m.GraphRequest, m.GraphReply, Policy.MEMBER),
    Endpoint("project/cite", m.CiteRequest, m.CiteReply, Policy.MEMBER),
    Endpoint("project/get", m.GetRequest, m.GetReply, Policy.MEMBER),
    Endpoint("project/status", m.StatusRequest, m.StatusReply, Policy.MEMBER),
    Endpoint("project/why", m.WhyRequest, m.WhyReply, Policy.MEMBER),
    Endpoint("project/log", m.LogRequest, m.LogReply, Policy.MEMBER),
    Endpoint("project/follow", m.FollowRequest, m.FollowReply, Policy.MEMBER),
    Endpoint("project/fetch-partial", m.FetchPartialRequest, m.FetchPartialReply, Policy.MEMBER),
    Endpoint("project/job", m.JobRequest, m.JobReply, Policy.MEMBER),
    Endpoint("project/reproduce", m.ReproduceRequest, m.Reproduction, Policy.MEMBER),
    Endpoint("project/reproduction", m.ReproductionRequest, m.Reproduction, Policy.MEMBER),
    Endpoint("project/history", m.HistoryRequest, m.HistoryReply, Policy.MEMBER),
    Endpoint("project/provenance", m.ProvenanceRequest, m.ProvenanceReply, Policy.MEMBER),
    Endpoint("modules", m.ModulesRequest, m.ModulesReply, Policy.USER),
    Endpoint("info", m.InfoRequest, m.InfoReply, Policy.USER),
    Endpoint("jobs/queue", m.QueueRequest, m.JobsReply, Policy.USER),
    Endpoint("jobs/running", m.RunningRequest, m.JobsReply, Policy.USER),
    Endpoint("jobs/list", m.JobsRequest, m.JobsReply, Policy.MEMBER),
    Endpoint("job/stop", m.StopJobRequest, m.Done, Policy.MEMBER),
    Endpoint("job/rerun", m.RerunJobRequest, m.Done, Policy.MEMBER),
    Endpoint("job/command-failed", m.CommandFailedRequest, m.Done, Policy.MEMBER),
    Endpoint("workers", m.WorkersRequest, m.WorkersReply, Policy.USER),
    Endpoint("quarantine", m.QuarantineRequest, m.QuarantineReply, Policy.USER),
    Endpoint("quarantine/add", m.AddQuarantineRequest, m.Done, Policy.SUPER),
    Endpoint("quarantine/release", m.ReleaseQuarantineRequest, m.Done, Policy.SUPER),
    Endpoint("worker/announce", m.AnnounceRequest, m.AnnounceReply, Policy.WORKER),
    Endpoint("worker/exchange", m.ExchangeRequest, m.ExchangeReply, Policy.WORKER),
    Endpoint("worker/heartbeat", m.HeartbeatRequest, m.HeartbeatReply, Policy.WORKER),
    Endpoint("worker/stream", m.StreamRequest, m.StreamReply, Policy.WORKER),
    Endpoint("worker/checkpoint", m.CheckpointRequest, m.CheckpointReply, Policy.WORKER),
    Endpoint("worker/farewell", m.FarewellRequest, m.Done, Policy.WORKER),
    Endpoint("peers", m.PeersRequest, m.PeersReply, Policy.USER),
    Endpoint("peers/connect", m.ConnectServerRequest, m.ConnectServerReply, Policy.SUPER),
    Endpoint("peers/trust", m.TrustRequest, m.PeersReply, Policy.SUPER),
    Endpoint("peers/revoke", m.RevokePeerRequest, m.Done, Policy.SUPER),
    Endpoint("peers/priority", m.PeerPriorityRequest, m.Done, Policy.SUPER),
    Endpoint("peers/limits", m.PeerLimitsRequest, m.PeersReply, Policy.SUPER),
    Endpoint("peers/ping", m.PingRequest, m.PingReply, Policy.USER),
    Endpoint("peers/network", m.NetworkRequest, m.NetworkReply, Policy.USER),
    Endpoint("peer/request", m.PeerRequest, m.Done, Policy.ANYONE),
    Endpoint("peer/hello", m.HelloRequest, m.HelloReply, Policy.PEER),
    Endpoint("peer/part", m.PartRequest, m.Done, Policy.PEER),
    Endpoint("peer/news", m.NewsRequest, m.NewsReply, Policy.PEER),
    Endpoint("peer/piece", m.BlobPieceRequest, m.BlobPieceReply, Policy.PEER),
    Endpoint("peer/put", m.BlobPutRequest, m.BlobPutReply, Policy.PEER),
    Endpoint("peer/neighbours", m.NeighboursRequest, m.NeighboursReply, Policy.PEER),
    Endpoint("blob/status", m.BlobStatusRequest, m.BlobStatusReply, Policy.ANY_BUNDLE_OR_USER),
)

BY_REQUEST: dict[type[Any], Endpoint] = {endpoint.request: endpoint for endpoint in ENDPOINTS}
BY_NAME: dict[str, Endpoint] = {endpoint.name: endpoint for endpoint in ENDPOINTS}
