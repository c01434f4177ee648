"""Messages with which people ask what happened, and why things are as they are. Reached through `wire.messages`."""

from __future__ import annotations

from copernicus.wire.message import Message


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
