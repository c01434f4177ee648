"""A server behind the caller's seam: it round-trips every message through the codec, and answers from what a test gave it."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, NamedTuple

from copernicus.blobs.hashing import hash_bytes
from copernicus.errors import Conflict, CopernicusError, Refused, UnknownPath, from_code
from copernicus.model import edits as e
from copernicus.wire import messages as m
from copernicus.wire.codec import decode, encode
from copernicus.wire.endpoints import BY_REQUEST


class Said(NamedTuple):
    """What one call of `cpcc` left behind."""

    status: int
    out: str
    err: str


Cpcc = Callable[..., Said]


class AnsweringServer:
    """Keeps projects as lists of committed edits; `answers` maps other requests to replies, errors, or functions of them.

    `told` says something about an edit, or refuses it by raising; `requests` holds what came, in order; `seq`
    is the project's sequence number that answers tell.
    """

    where = "server:14807"

    def __init__(self) -> None:
        self.requests: list[Any] = []
        self.projects: dict[str, list[e.Edit]] = {}
        self.answers: dict[type, Any] = {}
        self.blobs: dict[str, bytes] = {}
        self.told: Callable[[e.Edit], str] = lambda edit: ""
        self.seq = 0

    def call(self, request: m.Message, timeout_s: float | None = None) -> Any:
        endpoint = BY_REQUEST[type(request)]
        arrived = decode(encode(request), endpoint.request)
        self.requests.append(arrived)
        try:
            reply = self._answer(arrived)
        except CopernicusError as error:
            seq = error.seq if isinstance(error, Conflict) else 0
            carried = decode(encode(m.ErrorReply(error.code, error.message, error.hint, seq)), m.ErrorReply)
            raise from_code(carried.code, carried.message, carried.hint, carried.seq) from None
        assert isinstance(reply, endpoint.reply)
        return decode(encode(reply), endpoint.reply)

    def close(self) -> None:
        """Nothing is open."""

    def has(self, blob: str) -> bool:
        return blob in self.blobs

    def put(self, data: bytes) -> str:
        blob = hash_bytes(data)
        self.blobs[blob] = data
        return blob

    def of(self, kind: type) -> list[Any]:
        """Return the requests of one kind that came."""
        return [request for request in self.requests if isinstance(request, kind)]

    def _answer(self, request: Any) -> Any:
        given = self.answers.get(type(request))
        if given is not None:
            reply = given(request) if callable(given) else given
            if isinstance(reply, Exception):
                raise reply
            return reply
        match request:
            case m.StartProjectRequest(name=name):
                if name in self.projects:
                    raise Refused(f"There is a project {name} already.", "Choose another name.")
                self.projects[name] = []
                return m.Done()
            case m.ProjectsRequest():
                return m.ProjectsReply([m.ProjectRow(name, name, 0.0, {"idle": 1}, {}) for name in self.projects])
            case m.RemoveProjectRequest(name=name):
                self._project(name)
                del self.projects[name]
                return m.Done()
            case m.ApplyRequest():
                committed = self._project(request.project)
                told = [self.told(edit) for edit in request.edits]
                if not request.is_check:
                    committed += request.edits
                return m.ApplyReply(None if request.is_check else len(committed), told, self.seq)
            case m.BlobStatusRequest(blobs=blobs):
                received = [len(self.blobs.get(blob, b"")) for blob in blobs]
                return m.BlobStatusReply(received, [blob in self.blobs for blob in blobs])
        raise UnknownPath(f"There is nothing that answers {type(request).__name__}.")

    def _project(self, name: str) -> list[e.Edit]:
        if name not in self.projects:
            raise UnknownPath(f"There is no project {name}.", "See: cpcc projects")
        return self.projects[name]
