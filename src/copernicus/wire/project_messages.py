"""What is said about projects as a whole. Reached as part of `copernicus.wire.messages`."""

from __future__ import annotations

from copernicus.wire.message import Message


class ProjectsRequest(Message, frozen=True):
    """List the projects that the caller may see."""


class ProjectRow(Message, frozen=True):
    """One project; `states` counts instances by state, `jobs` counts jobs by state; `priority` is added to that of its jobs."""

    name: str
    id: str
    created_at: float
    states: dict[str, int] = {}
    jobs: dict[str, int] = {}
    priority: int = 0


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


class ProjectPriorityRequest(Message, frozen=True):
    """Give a project a priority, which is added to that of each of its jobs: -30 to 30, higher first."""

    project: str
    priority: int
    request_id: str = ""
