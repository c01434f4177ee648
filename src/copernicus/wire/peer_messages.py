"""What is said between servers, and about them. Reached as part of `copernicus.wire.messages`."""

from __future__ import annotations

from typing import Literal

from copernicus.wire.message import Message

PeerState = Literal["sent", "received", "trusted", "ended"]
"""Of the trust between this server and another: this one asked; the other asked; both want it; one of them ended it."""
PIECE_BYTES = 512 * 1024
"""So much of a file goes over a link in one message."""


class Statement(Message, frozen=True):
    """What a server says of itself to the one server `to` (a fingerprint): who it is, and where it is to be found.

    `seq` grows with each one that is sent to the same server, so that an old one, said again by somebody else, counts no more.
    """

    authority: str
    to: str
    hostname: str
    host: str
    client_port: int
    secure_port: int
    seq: int


class PeerRequest(Message, frozen=True):
    """A server asks another one for a connection: a `Statement` (JSON), signed with the key of the asking server's CA."""

    statement: bytes
    signature: bytes


class HelloRequest(Message, frozen=True):
    """The first message over a link: where the speaker is to be found now (signed, as in `PeerRequest`)."""

    statement: bytes
    signature: bytes


class HelloReply(Message, frozen=True):
    """`heartbeat_s` is the interval after which a silent worker counts as lost there."""

    hostname: str
    version: str
    heartbeat_s: float


class PartRequest(Message, frozen=True):
    """The other side trusts this one no more."""


class NeighboursRequest(Message, frozen=True):
    """Which servers is that server connected to?"""


class Neighbour(Message, frozen=True):
    """A server that another one trusts; `is_connected`: a link to it stands."""

    id: str
    hostname: str
    is_connected: bool


class NeighboursReply(Message, frozen=True):
    """The trusted peers of a server."""

    peers: list[Neighbour] = []


class NewsRequest(Message, frozen=True):
    """Do jobs wait anywhere? Answered as soon as there is more than the caller has `seen` (a count for each server)."""

    seen: dict[str, int] = {}
    wait_s: float = 0.0


class NewsReply(Message, frozen=True):
    """The counts that are newer."""

    counts: dict[str, int] = {}


class BlobPieceRequest(Message, frozen=True):
    """A piece of a file, from `offset` on."""

    blob: str
    offset: int = 0


class BlobPieceReply(Message, frozen=True):
    """The piece; the file has `size` bytes in all."""

    size: int
    data: bytes


class BlobPutRequest(Message, frozen=True):
    """A piece of a file for the other side, which has `offset` bytes of it; without `data`: how much has it?"""

    blob: str
    size: int
    offset: int = 0
    data: bytes = b""


class BlobPutReply(Message, frozen=True):
    """How much of it is there."""

    received: int
    is_complete: bool


# --- what people ask


class ConnectServerRequest(Message, frozen=True):
    """Ask the server at `host` for a connection. `secure_port` 0: the one it says; `fingerprint` "": any."""

    host: str
    client_port: int = 14807
    secure_port: int = 0
    fingerprint: str = ""


class PeerRow(Message, frozen=True):
    """Another server. `id` is its fingerprint; `priority` 0 is asked first; `lent_*` is what this server's workers do for it.

    `projects` None: it may run jobs of all projects; `cores` None: it may have any number of this server's idle cores.
    """

    id: str
    hostname: str
    host: str
    client_port: int
    secure_port: int
    state: PeerState
    priority: int = 0
    is_connected: bool = False
    lent_jobs: int = 0
    lent_cores: int = 0
    projects: list[str] | None = None
    cores: int | None = None
    is_only_when_idle: bool = False


class ConnectServerReply(Message, frozen=True):
    """`own` is this server's fingerprint, which the other side's people see."""

    peer: PeerRow
    own: str


class PeersRequest(Message, frozen=True):
    """List the other servers."""


class PeersReply(Message, frozen=True):
    """The other servers, in the order in which they are asked for jobs; `own` is this server's fingerprint."""

    peers: list[PeerRow]
    own: str = ""


class TrustRequest(Message, frozen=True):
    """Trust these servers (fingerprints, or the beginnings of some), or all that have asked."""

    ids: list[str] = []
    is_all: bool = False


class RevokePeerRequest(Message, frozen=True):
    """Trust a server no more: at once, in both directions."""

    id: str


class PeerPriorityRequest(Message, frozen=True):
    """Give the server (by id, or by host and client port) a place in the order: 0 is asked first."""

    priority: int
    id: str = ""
    host: str = ""
    client_port: int = 0


class PeerLimitsRequest(Message, frozen=True):
    """Limit what is shared with a server; what is not said is not limited.

    It may run jobs of these `projects` (None: all) with its workers; it may have `cores` of this server's idle ones (None: any
    number), `is_only_when_idle`: only those of workers that have no job at all.
    """

    id: str
    projects: list[str] | None = None
    cores: int | None = None
    is_only_when_idle: bool = False


class PingRequest(Message, frozen=True):
    """How long does a message to that server and back take?"""

    id: str


class PingReply(Message, frozen=True):
    """`seconds` there and back, over the link."""

    id: str
    hostname: str
    version: str
    seconds: float


class NetworkRequest(Message, frozen=True):
    """Which servers are connected to this one, and to these?"""


class NetworkNode(Message, frozen=True):
    """A server."""

    id: str
    hostname: str


class NetworkEdge(Message, frozen=True):
    """Two servers that trust each other."""

    one: str
    other: str
    is_connected: bool


class NetworkReply(Message, frozen=True):
    """This server (the first node), its peers, and theirs."""

    nodes: list[NetworkNode] = []
    edges: list[NetworkEdge] = []
