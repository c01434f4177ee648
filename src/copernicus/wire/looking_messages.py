"""Messages with which people follow a project: wait for its next change, see how its instances hang together."""

from __future__ import annotations

from copernicus.wire.message import Message


class ChangesRequest(Message, frozen=True):
    """Wait until the project has gone beyond the transaction `since`, at most `wait_s` seconds (the server's own limit: 30)."""

    project: str
    since: int = 0
    wait_s: float = 0.0


class ChangesReply(Message, frozen=True):
    """`seq` is the project's last transaction: `since` itself when nothing happened in time."""

    seq: int


class CiteRequest(Message, frozen=True):
    """What is to be cited for what the project uses."""

    project: str


class Citation(Message, frozen=True):
    """One module, and the works to be cited for it."""

    module: str
    citations: list[str]


class CiteReply(Message, frozen=True):
    """The modules that the project's instances use and that say what to cite, by name."""

    modules: list[Citation]


class GraphRequest(Message, frozen=True):
    """How the instances inside `path` ("": the project) are connected with each other and with its own border."""

    project: str
    path: str = ""


class GraphNode(Message, frozen=True):
    """One instance inside. `path` is the whole path, `name` its last part; `inside` counts the instances in it."""

    path: str
    name: str
    function: str
    kind: str
    state: str
    inside: int = 0


class GraphEdge(Message, frozen=True):
    """One connection, in paths of places; `is_from_border` and `is_to_border` say that this end belongs to what is around."""

    source: str
    destination: str
    is_from_border: bool = False
    is_to_border: bool = False


class GraphReply(Message, frozen=True):
    """The instances directly inside of `path`, at most 2,000 of `total`, and the connections that end at them."""

    path: str
    nodes: list[GraphNode]
    edges: list[GraphEdge]
    total: int = 0
