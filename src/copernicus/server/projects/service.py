"""All projects of a server: the door through which http and dispatch reach the engine."""

from __future__ import annotations

import asyncio
import logging
import re
import secrets
from collections.abc import Callable, Iterator
from typing import Any, TypeVar

from msgspec.structs import replace

from copernicus.blobs.folder import BlobFolder
from copernicus.dataflow import engine, transaction
from copernicus.dataflow.network import Network
from copernicus.errors import CopernicusError, Refused, UsageError
from copernicus.model.edits import ClearError, DeclareFunction, Edit, SetFile, SetValue
from copernicus.model.jobs import PRIORITY_MAX, PRIORITY_MIN
from copernicus.model.values import FileRef, files_in
from copernicus.server.access.identity import unknown_project
from copernicus.server.projects.conflicts import refuse_conflicts
from copernicus.server.projects.enquiries import Enquiries
from copernicus.server.projects.live import LiveProject, all_that_is_read_stays
from copernicus.server.projects.past import Past
from copernicus.server.projects.ports import Jobs, ModuleCode
from copernicus.server.projects.previewing import preview
from copernicus.server.projects.reuse import reused
from copernicus.server.projects.snapshots import Snapshots
from copernicus.server.projects.undoing import catch_up, find_undo, refuse_what_is_gone, told, with_remark
from copernicus.server.projects.upgrades import conversions
from copernicus.server.projects.workflows.declarations import at
from copernicus.server.projects.workflows.export import export
from copernicus.server.projects.workflows.literals import LocalFiles
from copernicus.server.projects.workflows.translation import Step, counts, read_steps
from copernicus.server.storage.abc import (
    AttemptRow,
    BookStore,
    DropProject,
    JobRecord,
    ProjectRow,
    PutProject,
    RememberAnswer,
    Unit,
)  # fmt: skip
from copernicus.wire import messages as m
from copernicus.wire.codec import decode, encode

logger = logging.getLogger(__name__)
Reply = TypeVar("Reply", bound=m.Message)
_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9_.-]{0,99}")


class Projects:
    """Implements `storage.abc.JobEnds`. Everything runs in the event loop; answers wait until they are durable."""

    def __init__(
        self, *, store: BookStore, jobs: Jobs, blobs: BlobFolder, pool: ModuleCode, snapshots: Snapshots,
        clock: Callable[[], float],
    ) -> None:  # fmt: skip
        self._store, self._jobs, self._blobs, self._code, self._clock = store, jobs, blobs, pool, clock
        self._snapshots = snapshots
        self._catalog = transaction.Catalog([])
        self._live: dict[str, LiveProject] = {}
        self._by_id: dict[str, LiveProject] = {}
        self.enquiries = Enquiries(self._find, lambda: sorted(self._live), jobs, store, lambda: self._catalog, blobs.has, clock)

    # --- life ----------------------------------------------------------------------------------------------------

    async def open(self) -> None:
        """Start the pool, read the modules, fold the logs, and begin what is to be done."""
        await self._code.start()
        self._catalog = transaction.Catalog(await self._code.catalog())
        for module in self._catalog.modules.values():
            if module.error:
                logger.warning("module %s cannot be used: %s", module.name, module.error)
        self.reopen()

    def reopen(self) -> None:
        """Throw away what is in memory and read all projects again."""
        for project in self._live.values():
            project.close()
        self._live, self._by_id = {}, {}
        with all_that_is_read_stays():
            for row in self._store.projects():
                self._add(row)
            for project in self._live.values():
                project.resume()

    def _add(self, row: ProjectRow, network: Network | None = None) -> LiveProject:
        project = LiveProject(row, self._catalog, self._store, self._jobs, self._code, self._clock, self._snapshots, network)
        self._live[row.name] = self._by_id[row.id] = project
        return project

    async def close(self) -> None:
        """Stop the pool; answers under way are thrown away, and asked for again at the next start."""
        for project in self._live.values():
            project.close()
        await self._snapshots.close()
        await self._code.stop()

    def answer_waiting(self) -> None:
        """Answer all who wait for a project to change."""
        for project in self._live.values():
            project.changes.tell()

    # --- projects ------------------------------------------------------------------------------------------------

    def names(self) -> list[ProjectRow]:
        """All projects, by name."""
        return [self._live[name].row for name in sorted(self._live)]

    def name_of(self, project: str) -> str:
        """The name of the project with this id, or the id itself when there is none."""
        live = self._by_id.get(project)
        return live.row.name if live else project

    @property
    def catalog(self) -> transaction.Catalog:
        """The modules that are installed."""
        return self._catalog

    def find(self, name: str) -> LiveProject:
        """The project with this name; raise `UnknownPath`."""
        return self._find(name)

    def live(self) -> list[LiveProject]:
        """All projects."""
        return list(self._live.values())

    def check_new_name(self, name: str) -> None:
        """Raise `UsageError` or `Refused` when no project can be made under this name."""
        if not _NAME.fullmatch(name):
            raise UsageError(f"{name!r} cannot be a project's name.", "Use letters, digits, '_', '-' and '.', at most 100.")
        if name in self._live:
            raise Refused(f"There is already a project {name!r}.", "Choose another name.")

    def take_in(self, row: ProjectRow, network: Network) -> None:
        """Let a project live that was written down with this network."""
        self._add(row, network).resume()

    def _find(self, name: str) -> LiveProject:
        project = self._live.get(name)
        if project is None:
            raise unknown_project(name)
        return project

    async def start_project(self, name: str, who: str, request_id: str = "") -> m.Done:
        """Make a project; `Refused` when the name is taken."""
        known = self._known(request_id, who, m.Done)
        if known is not None:
            await self._store.submit(Unit())
            return known
        self.check_new_name(name)
        row = ProjectRow(secrets.token_hex(8), name, self._clock())
        unit, reply = Unit(), m.Done(f"Project {name} started.")
        unit.add(PutProject(row))
        self._add(row)
        self._remember(unit, request_id, who, reply)
        await self._store.submit(unit)
        return reply

    async def rename_project(self, request: m.RenameProjectRequest, who: str) -> m.Done:
        """Give a project another name; `Refused` when that is taken."""
        known = self._known(request.request_id, who, m.Done)
        if known is not None:
            await self._store.submit(Unit())
            return known
        project = self._find(request.project)
        self.check_new_name(request.name)
        unit, reply = Unit(), m.Done(f"Project {request.project} is called {request.name} now.")
        project.row = replace(project.row, name=request.name)
        self._live[request.name] = self._live.pop(request.project)
        unit.add(PutProject(project.row))
        self._remember(unit, request.request_id, who, reply)
        await self._store.submit(unit)
        return reply

    async def set_priority(self, request: m.ProjectPriorityRequest, who: str) -> m.Done:
        """Give a project another priority, which holds at once, for what is queued, too; raise `UsageError`."""
        known = self._known(request.request_id, who, m.Done)
        if known is not None:
            await self._store.submit(Unit())
            return known
        if not PRIORITY_MIN <= request.priority <= PRIORITY_MAX:
            raise UsageError(
                f"{request.priority} is no priority.", f"They go from {PRIORITY_MIN} to {PRIORITY_MAX}, higher first."
            )
        project = self._find(request.project)
        unit, reply = Unit(), m.Done(f"Project {request.project} has the priority {request.priority} now.")
        project.row = replace(project.row, priority=request.priority)
        unit.add(PutProject(project.row))
        self._remember(unit, request.request_id, who, reply)
        self._jobs.prioritize(project.row.id, request.priority)
        await self._store.submit(unit)
        return reply

    async def remove_project(self, name: str, who: str, request_id: str = "") -> m.Done:
        """Remove a project for good, with its log, jobs and values."""
        known = self._known(request_id, who, m.Done)
        if known is not None:
            await self._store.submit(Unit())
            return known
        project = self._find(name)
        project.close()
        del self._live[name], self._by_id[project.row.id]
        unit, reply = Unit(), m.Done(f"Project {name} removed.")
        self._jobs.forget(unit, project.row.id)
        unit.add(DropProject(project.row.id))
        unit.then(lambda: self._snapshots.drop(project.row.id))
        self._remember(unit, request_id, who, reply)
        await self._store.submit(unit)
        return reply

    async def apply(self, request: m.ApplyRequest, who: str) -> m.ApplyReply:
        """Apply edits as one transaction; the answer comes when it is durable."""
        if request.stamps and not request.is_check and self._known(request.request_id, who, m.ApplyReply) is None:
            await refuse_conflicts(Past(self._find(request.project), self._store), request, who, self._clock())
        known = self._known(request.request_id, who, m.ApplyReply)
        if known is not None:
            await self._store.submit(Unit())
            return known
        project = self._find(request.project)
        # A check comes before the upload: whoever names a wrong path shall not have sent a gigabyte first.
        if not request.is_check:
            self._must_be_here(request.edits)
        converted = await conversions(project, request.edits, self._code)
        unit = Unit()
        event = engine.EditsRequested(list(request.edits), who, request.is_check, conversions=converted)
        outcome = project.step(unit, event)
        reply = m.ApplyReply(outcome.seq, outcome.told, project.network.seq)
        if not request.is_check:
            self._remember(unit, request.request_id, who, reply)
            await self._store.submit(unit)
            if request.wait_s > 0 and outcome.seq is not None:
                reply = replace(reply, reused=await reused(Past(project, self._store), outcome, request.wait_s, self._clock()))
        return reply

    async def preview(self, request: m.PreviewRequest, who: str) -> m.PreviewReply:
        """Say what would follow from edits; nothing is changed."""
        project, edits = self._find(request.project), list(request.edits)
        self._must_be_here(edits)

        async def requested() -> engine.Event:
            return engine.EditsRequested(edits, who, conversions=await conversions(project, edits, self._code))

        return await preview(project, requested, self._code, self._jobs, self._clock)

    async def undo(self, request: m.UndoRequest, who: str) -> m.UndoReply:
        """Take a transaction back; the answer comes when that is durable."""
        past = Past(self._find(request.project), self._store)
        known = self._known(request.request_id, who, m.UndoReply)
        undoing = await find_undo(past, request.seq, self._clock()) if known is None else None
        known = self._known(request.request_id, who, m.UndoReply)
        if known is not None or undoing is None:
            await self._store.submit(Unit())
            return known or m.UndoReply(None, 0, [])
        refuse_what_is_gone(undoing, self._blobs.has)
        lines = told(undoing, self._clock())

        async def requested() -> engine.Event:
            await catch_up(past, undoing, self._clock())
            return engine.UndoRequested(undoing, who)

        if request.is_preview:
            found = await preview(past.project, requested, self._code, self._jobs, self._clock)
            return m.UndoReply(None, undoing.seq, lines, with_remark(found, undoing))
        unit = Unit()
        outcome = past.project.step(unit, engine.UndoRequested(undoing, who))
        reply = m.UndoReply(outcome.seq, undoing.seq, [*lines, *outcome.told])
        self._remember(unit, request.request_id, who, reply)
        await self._store.submit(unit)
        return reply

    async def upload_workflow(self, request: m.UploadWorkflowRequest, who: str) -> m.UploadWorkflowReply:
        """Apply a workflow file as one transaction; files that it names and that are not here are asked for instead."""
        known = self._known(request.request_id, who, m.UploadWorkflowReply)
        if known is not None:
            await self._store.submit(Unit())
            return known
        try:
            # Large files take seconds. The thread only looks names up; whatever it found is checked again by the step.
            network, files = self._find(request.project).network, LocalFiles(request.files)
            steps = await asyncio.to_thread(read_steps, request.name, request.data, network, self._catalog, files)
            return await self._upload(request, steps, files, who)
        except CopernicusError as error:
            error.hint = f"{error.hint} Nothing was uploaded.".lstrip()
            raise

    async def _upload(
        self, request: m.UploadWorkflowRequest, steps: list[Step], files: LocalFiles, who: str
    ) -> m.UploadWorkflowReply:
        project, unit = self._find(request.project), Unit()
        edits: list[Edit] = [*request.staged, *(step.edit for step in steps)]
        # What is refused shall be refused before a gigabyte was sent.
        is_check = request.is_check or bool(files.needs or request.staged)
        for step in steps if not files.needs else ():
            with at(step.spot):
                self._must_be_here([step.edit])
        spots = (*("" for _ in request.staged), *(str(step.spot) for step in steps))
        outcome = project.step(unit, engine.EditsRequested(edits, who, is_check, spots))
        made = edits[len(request.staged) :] if is_check and not files.needs else []
        reply = m.UploadWorkflowReply(outcome.seq, counts(steps), list(files.needs), made, project.network.seq)
        if not is_check:
            self._remember(unit, request.request_id, who, reply)
            await self._store.submit(unit)
        return reply

    def export_workflow(self, request: m.ExportWorkflowRequest) -> m.ExportWorkflowReply:
        """Write a project's network as a workflow file."""
        return m.ExportWorkflowReply(*export(self._find(request.project).network, f"project {request.project}"))

    def _must_be_here(self, edits: list[Edit]) -> None:
        for file in _files(edits):
            if not self._blobs.has(file.blob) or self._blobs.size(file.blob) != file.size:
                raise Refused(f"The content of {file.name} is not on the server.", "Upload it first (setf does).")

    def _known(self, request_id: str, who: str, kind: type[Reply]) -> Reply | None:
        data = self._store.answer(request_id, who) if request_id else None
        return decode(data, kind) if data is not None else None

    def _remember(self, unit: Unit, request_id: str, who: str, reply: m.Message) -> None:
        if request_id:
            unit.add(RememberAnswer(request_id, who, encode(reply), self._clock()))

    # --- the ends of jobs ----------------------------------------------------------------------------------------

    def job_finished(self, unit: Unit, job: JobRecord, outputs: dict[str, object], core_s: float) -> str:
        """File a finished job's outputs; return why they were refused, or ""."""
        return self._job_ended(unit, job, outputs, "", core_s)

    def job_glimpsed(self, unit: Unit, job: JobRecord) -> None:
        """Let controllers that follow a job's instance see that it has newer provisional outputs."""
        project = self._by_id.get(job.project)
        if project is not None and not job.reproduces:
            project.step(unit, engine.CheckpointTaken(job.key))

    def job_failed(self, unit: Unit, job: JobRecord, error: str, core_s: float) -> None:
        """File a job that failed for good."""
        self._job_ended(unit, job, None, error, core_s)

    def job_rerun(self, unit: Unit, job: JobRecord, who: str) -> bool:
        """Clear the error of whoever wants a failed job; return whether anybody does."""
        project = self._by_id.get(job.project)
        evaluation = project.network.evaluations.get(job.key) if project is not None else None
        if project is None or evaluation is None or not evaluation.wanted or evaluation.state != "failed":
            return False
        path = project.network.path_of(min(evaluation.wanted))
        project.step(unit, engine.EditsRequested([ClearError(path)], who))
        return True

    def _job_ended(
        self, unit: Unit, job: JobRecord, outputs: dict[str, Any] | None, error: str, core_s: float
    ) -> str:  # fmt: skip
        project = self._by_id.get(job.project)
        if project is None:
            return ""
        if job.reproduces:
            # What it brought is kept with the job, to be compared; for the project nothing has happened.
            if outputs is not None:
                self._jobs.put(unit, replace(job, outputs=outputs))
            return ""
        last = job.attempts[-1] if job.attempts else AttemptRow(job.attempt, job.worker)
        event = engine.JobEnded(
            job.key, outputs, error, core_s, job.id, last.attempt, last.worker, last.version, last.hostname, last.site,
            last.execution.program_hash, sum(row.gpu_s for row in job.attempts),
        )  # fmt: skip
        return project.step(unit, event).refused


def _files(edits: list[Edit]) -> Iterator[FileRef]:
    for edit in edits:
        if isinstance(edit, SetFile):
            yield edit.file
        elif isinstance(edit, SetValue):
            yield from files_in(edit.value)
        elif isinstance(edit, DeclareFunction):
            yield from files_in([one.default for one in edit.schema.inputs])
            yield from files_in([one.values for one in edit.schema.instances])
