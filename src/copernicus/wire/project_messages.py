"""What is said about projects as a whole. Reached as part of `copernicus.wire.messages`."""

from __future__ import annotations

from copernicus.wire.message import Message


class ProjectsRequest(Message, frozen=True):
    """List the projects that the caller may see."""


class ProjectRow(Message, frozen=True):
    """One project; `states` counts instances by state, `jobs` counts jobs by state."""

    name: str
    id: str
    created_at: float
    states: dict[str, int] = {}
    jobs: dict[str, int] = {}


class ProjectsReply(Message, frozen=True):
    """The projects, by name."""

    projects: list[ProjectRow]


class StartProjectRequest(Message, frozen=True):
    """Make a project."""

    name: str
    request_id: str = ""


class RemoveProjectRequest(Message, frozen=True):
    """Remove a project for good: its log, jobs and values."""

    name: str
    request_id: str = ""


class RenameProjectRequest(Message, frozen=True):
    """Give a project another name; whoever has access to it keeps it."""

    project: str
    name: str
    request_id: str = ""
