"""Messages to the server's own program: stop, read the settings again."""

from __future__ import annotations

from copernicus.wire.message import Message


class AuditRequest(Message, frozen=True):
    """The newest lines of the audit log, at most `limit` (and never more than 10,000). Super users only."""

    limit: int = 100


class AuditEntry(Message, frozen=True):
    """Something that matters for security was done: when (Unix time), by whom, from where, what, and what it concerned."""

    at: float
    who: str
    address: str
    what: str
    about: str = ""


class AuditReply(Message, frozen=True):
    """Lines of the audit log, the oldest first."""

    entries: list[AuditEntry]


class StopServerRequest(Message, frozen=True):
    """Stop the server, in good order. Super users only."""


class ReadSettingsRequest(Message, frozen=True):
    """Read the server's settings file again. Super users only."""


class ReadSettingsReply(Message, frozen=True):
    """Settings that differ from those in use: `changed` hold from now on, `later` from the next start on."""

    changed: dict[str, str] = {}
    later: dict[str, str] = {}
