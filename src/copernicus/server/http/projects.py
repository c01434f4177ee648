"""Projects over HTTP. That the caller may see the project has been checked when a handler runs."""

from __future__ import annotations

import asyncio

from copernicus.server.access.identity import unknown_project
from copernicus.server.http.calls import Call, Handler, Rooms
from copernicus.wire import messages as m


def handlers(rooms: Rooms) -> dict[str, Handler]:
    """The messages about projects and modules."""
    naming = asyncio.Lock()

    def is_there(name: str) -> bool:
        return any(row.name == name for row in rooms.projects.names())

    projects, enquiries = rooms.projects, rooms.projects.enquiries

    async def rows(call: Call, request: m.ProjectsRequest) -> m.ProjectsReply:
        return m.ProjectsReply([row for row in enquiries.rows() if call.identity.may_see(row.name)])

    async def start(call: Call, request: m.StartProjectRequest) -> m.Done:
        call.identity.check_may_make(request.name)
        async with naming:
            if not is_there(request.name):
                # What was left of one that had this name, and was renamed or removed just before the server was killed.
                await asyncio.to_thread(rooms.access.forget_project, request.name)
            done = await projects.start_project(request.name, call.who, request.request_id)
            if not call.identity.is_super and call.identity.user:
                # After the project: a name that is taken must not let anyone in. Lost between the two, the same request
                # again mends it.
                await asyncio.to_thread(rooms.access.grant, call.identity.user, request.name)
        return done

    async def rename(call: Call, request: m.RenameProjectRequest) -> m.Done:
        call.identity.check_may_make(request.name)
        async with naming:
            done = await projects.rename_project(request, call.who)
            if not is_there(request.project):
                await asyncio.to_thread(rooms.access.rename_project, request.project, request.name)
        return done

    async def priority(call: Call, request: m.ProjectPriorityRequest) -> m.Done:
        return await projects.set_priority(request, call.who)

    async def remove(call: Call, request: m.RemoveProjectRequest) -> m.Done:
        done = await projects.remove_project(request.name, call.who, request.request_id)
        await asyncio.to_thread(rooms.access.forget_project, request.name)
        return done

    async def apply(call: Call, request: m.ApplyRequest) -> m.ApplyReply:
        return await projects.apply(request, call.who)

    async def preview(call: Call, request: m.PreviewRequest) -> m.PreviewReply:
        return await projects.preview(request, call.who)

    async def undo(call: Call, request: m.UndoRequest) -> m.UndoReply:
        return await projects.undo(request, call.who)

    async def upload(call: Call, request: m.UploadWorkflowRequest) -> m.UploadWorkflowReply:
        return await projects.upload_workflow(request, call.who)

    async def export(call: Call, request: m.ExportWorkflowRequest) -> m.ExportWorkflowReply:
        return projects.export_workflow(request)

    async def listing(call: Call, request: m.ListRequest) -> m.ListReply:
        return enquiries.list(request)

    async def changes(call: Call, request: m.ChangesRequest) -> m.ChangesReply:
        return await enquiries.changes(request)

    async def graph(call: Call, request: m.GraphRequest) -> m.GraphReply:
        return enquiries.graph(request)

    async def cite(call: Call, request: m.CiteRequest) -> m.CiteReply:
        return enquiries.cite(request)

    async def get(call: Call, request: m.GetRequest) -> m.GetReply:
        return enquiries.get(request)

    async def status(call: Call, request: m.StatusRequest) -> m.StatusReply:
        return enquiries.status(request)

    async def why(call: Call, request: m.WhyRequest) -> m.WhyReply:
        return await enquiries.why(request)

    async def log(call: Call, request: m.LogRequest) -> m.LogReply:
        return await enquiries.log(request)

    async def history(call: Call, request: m.HistoryRequest) -> m.HistoryReply:
        return await enquiries.history(request)

    async def provenance(call: Call, request: m.ProvenanceRequest) -> m.ProvenanceReply:
        return await enquiries.provenance(request)

    async def modules(call: Call, request: m.ModulesRequest) -> m.ModulesReply:
        return enquiries.modules()

    async def info(call: Call, request: m.InfoRequest) -> m.InfoReply:
        if request.project and not call.identity.may_see(request.project):
            raise unknown_project(request.project)
        return enquiries.info(request)

    return {
        "projects": rows,
        "project/start": start,
        "project/remove": remove,
        "project/rename": rename,
        "project/priority": priority,
        "project/apply": apply,
        "project/preview": preview,
        "project/undo": undo,
        "project/upload": upload,
        "project/export": export,
        "project/list": listing,
        "project/changes": changes,
        "project/graph": graph,
        "project/cite": cite,
        "project/get": get,
        "project/status": status,
        "project/why": why,
        "project/log": log,
        "project/history": history,
        "project/provenance": provenance,
        "modules": modules,
        "info": info,
    }
