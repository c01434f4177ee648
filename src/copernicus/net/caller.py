"""The caller: `Caller.call(request) -> reply`, typed through the endpoint table, over one kept-alive connection."""

from __future__ import annotations

import http.client
import ssl
import time
from collections.abc import Mapping
from types import TracebackType
from typing import Any, overload

from copernicus.errors import CopernicusError, InternalError, TooLarge, Unavailable, UsageError, from_code
from copernicus.net.bundle import Bundle
from copernicus.net.connection import ClosedBeforeAnswer, Connection, bundle_refused
from copernicus.net.tls import bundle_context
from copernicus.wire import messages as m
from copernicus.wire.codec import decode, encode
from copernicus.wire.endpoints import BY_REQUEST, PROTOCOL

TIMEOUT_S = 60.0
MOST_REPLY_BYTES = 1 << 30
SUSPICION_PAUSES_S = (0.1, 0.4)
"""Between tries on a port that closes every connection, until it is believed to refuse the bundle."""


class Caller:
    """Sends requests to one server and returns its replies. For one thread at a time (`interrupt` may come from any).

    `context` pins the server's CA (`net.tls`). `token` is the session's, for the client port. `is_secure_port`: the
    other side asks for a bundle's certificate, so that a connection closed before the first answer means a refused bundle.
    """

    def __init__(
        self,
        host: str,
        port: int,
        context: ssl.SSLContext,
        token: str = "",
        timeout_s: float = TIMEOUT_S,
        *,
        is_secure_port: bool = False,
    ) -> None:
        self.token = token
        self.timeout_s = timeout_s
        self._is_secure_port = is_secure_port
        self._was_answered = False
        self._way = (host, port, context)
        self._connection = Connection(host, port, context)

    @classmethod
    def of_bundle(cls, bundle: Bundle, timeout_s: float = TIMEOUT_S) -> Caller:
        """Return a caller to the secure port of the bundle's server; raise `CertificateRefused` for a broken bundle."""
        return cls(bundle.host, bundle.secure_port, bundle_context(bundle), timeout_s=timeout_s, is_secure_port=True)

    def again(self) -> Caller:
        """Return another caller to the same server, as the same identity, with a connection of its own: for another thread."""
        fresh = Caller(*self._way, self.token, self.timeout_s, is_secure_port=self._is_secure_port)
        fresh._was_answered = self._was_answered
        return fresh

    @property
    def where(self) -> str:
        """The other side, as `host:port`."""
        return self._connection.where

    @overload
    def call(self, request: m.AuthorityRequest, timeout_s: float | None = None) -> m.AuthorityReply: ...

    @overload
    def call(self, request: m.LoginRequest, timeout_s: float | None = None) -> m.LoginReply: ...

    @overload
    def call(self, request: m.LogoutRequest, timeout_s: float | None = None) -> m.Done: ...

    @overload
    def call(self, request: m.ServerInfoRequest, timeout_s: float | None = None) -> m.ServerInfoReply: ...

    @overload
    def call(self, request: m.BundlesRequest, timeout_s: float | None = None) -> m.BundlesReply: ...
    @overload
    def call(self, request: m.IssueBundleRequest, timeout_s: float | None = None) -> m.BundleReply: ...
    @overload
    def call(self, request: m.RevokeBundleRequest, timeout_s: float | None = None) -> m.Done: ...
    @overload
    def call(self, request: m.RenewBundleRequest, timeout_s: float | None = None) -> m.BundleReply: ...
    @overload
    def call(self, request: m.UsersRequest, timeout_s: float | None = None) -> m.UsersReply: ...
    @overload
    def call(self, request: m.MembersRequest, timeout_s: float | None = None) -> m.MembersReply: ...
    @overload
    def call(self, request: m.AddUserRequest, timeout_s: float | None = None) -> m.Done: ...
    @overload
    def call(self, request: m.DeleteUserRequest, timeout_s: float | None = None) -> m.Done: ...
    @overload
    def call(self, request: m.ChangeUserRequest, timeout_s: float | None = None) -> m.Done: ...
    @overload
    def call(self, request: m.SetPasswordRequest, timeout_s: float | None = None) -> m.Done: ...
    @overload
    def call(self, request: m.GrantAccessRequest, timeout_s: float | None = None) -> m.Done: ...
    @overload
    def call(self, request: m.RevokeAccessRequest, timeout_s: float | None = None) -> m.Done: ...
    @overload
    def call(self, request: m.ProjectsRequest, timeout_s: float | None = None) -> m.ProjectsReply: ...

    @overload
    def call(self, request: m.StartProjectRequest, timeout_s: float | None = None) -> m.Done: ...

    @overload
    def call(self, request: m.RemoveProjectRequest, timeout_s: float | None = None) -> m.Done: ...

    @overload
    def call(self, request: m.RenameProjectRequest, timeout_s: float | None = None) -> m.Done: ...

    @overload
    def call(self, request: m.ProjectPriorityRequest, timeout_s: float | None = None) -> m.Done: ...

    @overload
    def call(self, request: m.LoadRequest, timeout_s: float | None = None) -> m.LoadReply: ...

    @overload
    def call(self, request: m.JobRequest, timeout_s: float | None = None) -> m.JobReply: ...

    @overload
    def call(self, request: m.ReproduceRequest, timeout_s: float | None = None) -> m.Reproduction: ...

    @overload
    def call(self, request: m.ReproductionRequest, timeout_s: float | None = None) -> m.Reproduction: ...

    @overload
    def call(self, request: m.UsageRequest, timeout_s: float | None = None) -> m.UsageReply: ...

    @overload
    def call(self, request: m.PurgeRequest, timeout_s: float | None = None) -> m.PurgeReply: ...

    @overload
    def call(self, request: m.ApplyRequest, timeout_s: float | None = None) -> m.ApplyReply: ...

    @overload
    def call(self, request: m.PreviewRequest, timeout_s: float | None = None) -> m.PreviewReply: ...

    @overload
    def call(self, request: m.UndoRequest, timeout_s: float | None = None) -> m.UndoReply: ...

    @overload
    def call(self, request: m.UploadWorkflowRequest, timeout_s: float | None = None) -> m.UploadWorkflowReply: ...

    @overload
    def call(self, request: m.ExportWorkflowRequest, timeout_s: float | None = None) -> m.ExportWorkflowReply: ...

    @overload
    def call(self, request: m.ListRequest, timeout_s: float | None = None) -> m.ListReply: ...

    @overload
    def call(self, request: m.ChangesRequest, timeout_s: float | None = None) -> m.ChangesReply: ...

    @overload
    def call(self, request: m.GraphRequest, timeout_s: float | None = None) -> m.GraphReply: ...

    @overload
    def call(self, request: m.CiteRequest, timeout_s: float | None = None) -> m.CiteReply: ...

    @overload
    def call(self, request: m.AuditRequest, timeout_s: float | None = None) -> m.AuditReply: ...
    @overload
    def call(self, request: m.StopServerRequest, timeout_s: float | None = None) -> m.Done: ...

    @overload
    def call(self, request: m.ReadSettingsRequest, timeout_s: float | None = None) -> m.ReadSettingsReply: ...

    @overload
    def call(self, request: m.GetRequest, timeout_s: float | None = None) -> m.GetReply: ...

    @overload
    def call(self, request: m.StatusRequest, timeout_s: float | None = None) -> m.StatusReply: ...

    @overload
    def call(self, request: m.WhyRequest, timeout_s: float | None = None) -> m.WhyReply: ...

    @overload
    def call(self, request: m.LogRequest, timeout_s: float | None = None) -> m.LogReply: ...

    @overload
    def call(self, request: m.HistoryRequest, timeout_s: float | None = None) -> m.HistoryReply: ...

    @overload
    def call(self, request: m.ProvenanceRequest, timeout_s: float | None = None) -> m.ProvenanceReply: ...

    @overload
    def call(self, request: m.FetchPartialRequest, timeout_s: float | None = None) -> m.FetchPartialReply: ...

    @overload
    def call(self, request: m.FollowRequest, timeout_s: float | None = None) -> m.FollowReply: ...

    @overload
    def call(self, request: m.ModulesRequest, timeout_s: float | None = None) -> m.ModulesReply: ...

    @overload
    def call(self, request: m.InfoRequest, timeout_s: float | None = None) -> m.InfoReply: ...

    @overload
    def call(self, request: m.QueueRequest, timeout_s: float | None = None) -> m.JobsReply: ...

    @overload
    def call(self, request: m.RunningRequest, timeout_s: float | None = None) -> m.JobsReply: ...
    @overload
    def call(self, request: m.CommandFailedRequest, timeout_s: float | None = None) -> m.Done: ...
    @overload
    def call(self, request: m.RerunJobRequest, timeout_s: float | None = None) -> m.Done: ...
    @overload
    def call(self, request: m.StopJobRequest, timeout_s: float | None = None) -> m.Done: ...
    @overload
    def call(self, request: m.JobsRequest, timeout_s: float | None = None) -> m.JobsReply: ...

    @overload
    def call(self, request: m.WorkersRequest, timeout_s: float | None = None) -> m.WorkersReply: ...

    @overload
    def call(self, request: m.QuarantineRequest, timeout_s: float | None = None) -> m.QuarantineReply: ...
    @overload
    def call(self, request: m.AddQuarantineRequest, timeout_s: float | None = None) -> m.Done: ...
    @overload
    def call(self, request: m.ReleaseQuarantineRequest, timeout_s: float | None = None) -> m.Done: ...
    @overload
    def call(self, request: m.AnnounceRequest, timeout_s: float | None = None) -> m.AnnounceReply: ...

    @overload
    def call(self, request: m.ExchangeRequest, timeout_s: float | None = None) -> m.ExchangeReply: ...

    @overload
    def call(self, request: m.HeartbeatRequest, timeout_s: float | None = None) -> m.HeartbeatReply: ...

    @overload
    def call(self, request: m.StreamRequest, timeout_s: float | None = None) -> m.StreamReply: ...

    @overload
    def call(self, request: m.CheckpointRequest, timeout_s: float | None = None) -> m.CheckpointReply: ...

    @overload
    def call(self, request: m.FarewellRequest, timeout_s: float | None = None) -> m.Done: ...

    @overload
    def call(self, request: m.BlobStatusRequest, timeout_s: float | None = None) -> m.BlobStatusReply: ...

    @overload
    def call(self, request: m.PeersRequest, timeout_s: float | None = None) -> m.PeersReply: ...
    @overload
    def call(self, request: m.ConnectServerRequest, timeout_s: float | None = None) -> m.ConnectServerReply: ...
    @overload
    def call(self, request: m.TrustRequest, timeout_s: float | None = None) -> m.PeersReply: ...
    @overload
    def call(self, request: m.RevokePeerRequest, timeout_s: float | None = None) -> m.Done: ...
    @overload
    def call(self, request: m.PeerPriorityRequest, timeout_s: float | None = None) -> m.Done: ...
    @overload
    def call(self, request: m.PeerLimitsRequest, timeout_s: float | None = None) -> m.PeersReply: ...
    @overload
    def call(self, request: m.PingRequest, timeout_s: float | None = None) -> m.PingReply: ...
    @overload
    def call(self, request: m.NetworkRequest, timeout_s: float | None = None) -> m.NetworkReply: ...
    @overload
    def call(self, request: m.PeerRequest, timeout_s: float | None = None) -> m.Done: ...
    @overload
    def call(self, request: m.HelloRequest, timeout_s: float | None = None) -> m.HelloReply: ...
    @overload
    def call(self, request: m.PartRequest, timeout_s: float | None = None) -> m.Done: ...
    @overload
    def call(self, request: m.NeighboursRequest, timeout_s: float | None = None) -> m.NeighboursReply: ...
    @overload
    def call(self, request: m.NewsRequest, timeout_s: float | None = None) -> m.NewsReply: ...
    @overload
    def call(self, request: m.BlobPieceRequest, timeout_s: float | None = None) -> m.BlobPieceReply: ...
    @overload
    def call(self, request: m.BlobPutRequest, timeout_s: float | None = None) -> m.BlobPutReply: ...
    def call(self, request: m.Message, timeout_s: float | None = None) -> m.Message:
        """Send `request` and return its reply, within `timeout_s` of silence (default: the caller's own).

        Raise the error that the server answered (`errors.from_code`), `Unreachable`, `CertificateRefused`, `TooLarge`.
        A request may arrive twice when the connection breaks; those that change something carry a request id for that.
        """
        endpoint = BY_REQUEST[type(request)]
        headers = {"Content-Type": "application/json"}
        response = self.exchange("POST", endpoint.path, encode(request), headers, timeout_s)
        return decode(self.read(response), endpoint.reply)

    def exchange(
        self,
        method: str,
        target: str,
        body: bytes = b"",
        headers: Mapping[str, str] | None = None,
        timeout_s: float | None = None,
        *,
        is_repeated: bool = True,
    ) -> http.client.HTTPResponse:
        """Send one HTTP request and return the answer, body unread: for `read`, or for a transfer. Raises as `call`.

        `is_repeated`: send it once more when a kept-alive connection turns out to be closed.
        """
        sent = {"Copernicus-Protocol": str(PROTOCOL), **(headers or {})}
        if self.token:
            sent["Authorization"] = f"Bearer {self.token}"
        limit_s = self.timeout_s if timeout_s is None else timeout_s
        try:
            response = self._connection.exchange(method, target, body, sent, limit_s)
        except ClosedBeforeAnswer as error:
            if not is_repeated or not (error.had_answers or self._is_suspicious()):
                raise
            response = self._once_more(method, target, body, sent, limit_s)
        self._was_answered = True
        return response

    def _once_more(
        self, method: str, target: str, body: bytes, headers: Mapping[str, str], limit_s: float
    ) -> http.client.HTTPResponse:
        """Closed while it was idle (or a server that was just stopping): one more try, on a new connection.

        Where it may be that the bundle is refused, a few: a server that dies closes connections just so, but not for long.
        """
        pauses = SUSPICION_PAUSES_S if self._is_suspicious() else ()
        for pause_s in pauses:
            try:
                return self._connection.exchange(method, target, body, headers, limit_s)
            except ClosedBeforeAnswer:
                time.sleep(pause_s)
        try:
            return self._connection.exchange(method, target, body, headers, limit_s)
        except ClosedBeforeAnswer as error:
            if pauses and error.was_let_in:
                raise bundle_refused(self.where) from None
            raise

    def read(self, response: http.client.HTTPResponse) -> bytes:
        """Return the body of a successful answer; raise the error that an unsuccessful one carries."""
        with self.reading():
            body = response.read(MOST_REPLY_BYTES + 1)
            if response.length and len(body) <= MOST_REPLY_BYTES:
                # Asked for a bounded read, http.client takes a body that was cut short for a whole one.
                raise http.client.IncompleteRead(body, response.length)
        if len(body) > MOST_REPLY_BYTES:
            self.close()
            raise TooLarge(f"The answer of {self.where} is larger than {MOST_REPLY_BYTES} bytes.")
        if 200 <= response.status < 300:
            return body
        raise _error_in(self.where, response.status, body)

    def reading(self) -> Any:
        """Return a context manager for reading an answer's body in pieces; it raises `Unreachable` when that breaks."""
        return self._connection.reading()

    def interrupt(self) -> None:
        """Make a call that waits in another thread end with `Unreachable`."""
        self._connection.interrupt()

    def close(self) -> None:
        """Close the connection; the next call opens a new one."""
        self._connection.close()

    def __enter__(self) -> Caller:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None) -> None:
        self.close()

    def _is_suspicious(self) -> bool:
        # With TLS 1.3 the client ends its handshake first: a refused bundle is seen as a close before the first answer.
        return self._is_secure_port and not self._was_answered


def _error_in(where: str, status: int, body: bytes) -> CopernicusError:
    try:
        reply = decode(body, m.ErrorReply)
    except UsageError:
        if status in (502, 503, 504):
            return Unavailable(f"{where} cannot answer now (HTTP {status}).", "Try again.")
        return InternalError(f"{where} gave an answer that is not Copernicus' (HTTP {status}).", "Is it the right port?")
    return from_code(reply.code, reply.message, reply.hint, reply.seq)
