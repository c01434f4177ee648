"""What people ask about hosts whose workers get no jobs, and do to them. Reached as part of `copernicus.wire.messages`."""

from __future__ import annotations

from copernicus.wire.message import Message


class QuarantineRequest(Message, frozen=True):
    """The hosts in quarantine."""


class QuarantineRow(Message, frozen=True):
    """A host in quarantine since `since` (Unix time), its living workers; `who` wanted that ("": the server decided it)."""

    host: str
    why: str
    since: float
    who: str = ""
    workers: list[str] = []


class QuarantineReply(Message, frozen=True):
    """Hosts, the one that has been in quarantine for longest first."""

    hosts: list[QuarantineRow]


class QuarantineCommand(Message, frozen=True):
    """`worker` is the name of a host, or the id of a worker on it. The same `request_id` again has one effect."""

    worker: str
    request_id: str = ""


class AddQuarantineRequest(QuarantineCommand, frozen=True):
    """Give the workers of a host no more jobs; `why` is for people."""

    why: str = ""


class ReleaseQuarantineRequest(QuarantineCommand, frozen=True):
    """Give the workers of a host jobs again."""
