"""Jobs over HTTP, as people see them: the queue and what runs, of the projects that the caller may see."""

from __future__ import annotations

from copernicus.model.jobs import JobState
from copernicus.server.access.identity import unknown_project
from copernicus.server.http.calls import Call, Handler, Rooms
from copernicus.wire import messages as m


def handlers(rooms: Rooms) -> dict[str, Handler]:
    """The messages about jobs."""

    def rows(call: Call, project: str, *states: JobState) -> m.JobsReply:
        if project:
            is_known = any(row.name == project for row in rooms.projects.names())
            if not is_known or not call.identity.may_see(project):
                raise unknown_project(project)
        found = rooms.dispatch.jobs.rows(project, states)
        return m.JobsReply([row for row in found if call.identity.may_see(row.project)])

    async def queue(call: Call, request: m.QueueRequest) -> m.JobsReply:
        return rows(call, request.project, "queued", "blocked")

    async def running(call: Call, request: m.RunningRequest) -> m.JobsReply:
        return rows(call, request.project, "leased")

    return {"jobs/queue": queue, "jobs/running": running}
