"""Jobs over HTTP, as people see and steer them, in the projects that the caller may see."""

from __future__ import annotations

from copernicus.model.jobs import JobState
from copernicus.server.access.identity import unknown_project
from copernicus.server.http.calls import Call, Handler, Rooms
from copernicus.wire import messages as m

MOST_ROWS = 1000


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

    async def listing(call: Call, request: m.JobsRequest) -> m.JobsReply:
        project, instances = rooms.projects.enquiries.instances_below(request.project, request.path)
        name = rooms.projects.enquiries.namer(request.project)
        limit = min(request.limit, MOST_ROWS) if request.limit > 0 else MOST_ROWS
        return m.JobsReply(*rooms.dispatch.jobs.page(project, instances, request.states, request.before, limit, name))

    async def stop(call: Call, request: m.StopJobRequest) -> m.Done:
        return await rooms.steering.stop(request, call.who)

    async def rerun(call: Call, request: m.RerunJobRequest) -> m.Done:
        return await rooms.steering.rerun(request, call.who)

    async def command_failed(call: Call, request: m.CommandFailedRequest) -> m.Done:
        return await rooms.steering.command_failed(request, call.who)

    async def job(call: Call, request: m.JobRequest) -> m.JobReply:
        return rooms.reproductions.job(request)

    async def reproduce(call: Call, request: m.ReproduceRequest) -> m.Reproduction:
        return await rooms.reproductions.begin(request, call.identity.key)

    async def reproduction(call: Call, request: m.ReproductionRequest) -> m.Reproduction:
        return await rooms.reproductions.look(request)

    return {
        "jobs/queue": queue,
        "jobs/running": running,
        "jobs/list": listing,
        "job/stop": stop,
        "job/rerun": rerun,
        "job/command-failed": command_failed,
        "project/job": job,
        "project/reproduce": reproduce,
        "project/reproduction": reproduction,
    }
