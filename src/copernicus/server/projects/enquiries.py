"""What people ask to see, by the messages in which they ask: nothing here changes anything."""

from __future__ import annotations

from collections.abc import Callable

from msgspec.structs import replace

from copernicus.dataflow.declaring import LOCAL, is_local
from copernicus.dataflow.edits import find_instance
from copernicus.dataflow.engine import EditsRequested
from copernicus.dataflow.network import ROOT
from copernicus.dataflow.paths import parse_path
from copernicus.dataflow.transaction import Catalog
from copernicus.model.functions import FunctionSchema, ModuleSchema
from copernicus.server.projects.cards import failure_card
from copernicus.server.projects.chronicle import Chronicle
from copernicus.server.projects.followed import file_meant, job_at
from copernicus.server.projects.graph import graph
from copernicus.server.projects.history import History
from copernicus.server.projects.live import LiveProject
from copernicus.server.projects.looking import Looking
from copernicus.server.projects.past import Past
from copernicus.server.projects.ports import Jobs
from copernicus.server.projects.provenance import Provenance
from copernicus.server.projects.reasons import Reasons
from copernicus.server.storage.abc import BookStore, JobRecord, ProjectRow, Unit
from copernicus.wire import messages as m

MOST_STANDING = 20


class Enquiries:
    """Answers about projects and modules. `find` raises when there is no project of that name; `names` are all of them."""

    def __init__(
        self,
        find: Callable[[str], LiveProject],
        names: Callable[[], list[str]],
        jobs: Jobs,
        store: BookStore,
        catalog: Callable[[], Catalog],
        has_blob: Callable[[str], bool],
        clock: Callable[[], float],
    ) -> None:
        self._find, self._names, self._jobs, self._store, self._catalog = find, names, jobs, store, catalog
        self._has_blob, self._clock = has_blob, clock

    def _look(self, name: str) -> Looking:
        return Looking(self._find(name), self._jobs)

    def rows(self) -> list[m.ProjectRow]:
        """A line about each project."""
        return [self._look(name).row() for name in self._names()]

    def list(self, request: m.ListRequest) -> m.ListReply:
        """What stands at a path."""
        return self._look(request.project).listing(request.path, request.offset, request.limit)

    async def changes(self, request: m.ChangesRequest) -> m.ChangesReply:
        """Answer when the project has gone on, or the time is over."""
        project = self._find(request.project)
        if project.network.seq <= request.since and request.wait_s > 0:
            await project.changes.wait(request.wait_s)
        return m.ChangesReply(self._find(request.project).network.seq)

    def instances_below(self, name: str, path: str) -> tuple[ProjectRow, set[int] | None]:
        """A project, and the ids of the instances at and below a path (None: all that there are and were)."""
        project = self._find(name)
        if not path:
            return project.row, None
        top = find_instance(project.network, parse_path(path).names)
        return project.row, {one.id for one in project.network.subtree(top)}

    def namer(self, name: str) -> Callable[[int], str]:
        """What gives the present path of an instance, "" when it is gone."""
        network = self._find(name).network
        return lambda id: network.path_of(id) if id in network.instances else ""

    def cite(self, request: m.CiteRequest) -> m.CiteReply:
        """What is to be cited for the modules whose functions have instances, at any depth."""
        network, catalog = self._find(request.project).network, self._catalog().modules
        used = {one.function.name.partition("::")[0] for one in network.subtree(network.instances[ROOT]) if one.id != ROOT}
        known = [catalog[name] for name in sorted(used) if name in catalog]
        return m.CiteReply([m.Citation(one.name, list(one.citations)) for one in known if one.citations])

    def graph(self, request: m.GraphRequest) -> m.GraphReply:
        """How instances hang together."""
        return graph(self._find(request.project), self._jobs, request.path)

    def get(self, request: m.GetRequest) -> m.GetReply:
        """The value at a place."""
        look = self._look(request.project)
        if not request.staged:
            return look.get(request.path)
        replies: list[m.GetReply] = []
        event = EditsRequested(request.staged, "", is_check=True, look=lambda: replies.append(look.get(request.path)))
        self._find(request.project).step(Unit(), event)
        return replies[0]

    def status(self, request: m.StatusRequest) -> m.StatusReply:
        """A project in numbers."""
        return self._look(request.project).status()

    async def why(self, request: m.WhyRequest) -> m.WhyReply:
        """Why something is as it is; of a value also where it came from."""
        past = Past(self._find(request.project), self._store)
        reply = m.WhyReply(await Reasons(past, self._jobs, self._clock()).why(request.target))
        reply = replace(reply, card=failure_card(past.network, past.project.row.id, self._jobs, request.target))
        if request.target.isdigit() or not parse_path(request.target).members:
            return reply
        standing = m.HistoryRequest(request.project, request.target, MOST_STANDING, is_standing=True)
        return replace(reply, origin=(await self._history(request.project).of(standing)).versions)

    async def log(self, request: m.LogRequest) -> m.LogReply:
        """What happened."""
        past = Past(self._find(request.project), self._store)
        reply = await Chronicle(past, self._jobs).log(request)
        if not request.target or request.before:
            return reply
        return replace(reply, card=failure_card(past.network, past.project.row.id, self._jobs, request.target))

    def job_at(self, project: str, target: str) -> JobRecord:
        """The job that a path or a number leads to; raise `UnknownPath`, `UsageError`."""
        return job_at(self._find(project), self._jobs, target)

    async def history(self, request: m.HistoryRequest) -> m.HistoryReply:
        """The versions of a place."""
        return await self._history(request.project).of(request)

    async def provenance(self, request: m.ProvenanceRequest) -> m.ProvenanceReply:
        """Where a value came from."""
        past = Past(self._find(request.project), self._store)
        return await Provenance(past, self._jobs, self._history(request.project)).of(request.path)

    def _history(self, project: str) -> History:
        return History(Past(self._find(project), self._store), self._jobs, self._has_blob)

    def file_meant(self, project: str, target: str) -> tuple[JobRecord, str, int, m.ProvisionalValue | None]:
        """A file of a running job (see `followed.file_meant`)."""
        return file_meant(self._find(project), self._jobs, target)

    def modules(self) -> m.ModulesReply:
        """All modules; of their functions the names, kinds and help."""
        rows = []
        for _, module in sorted(self._catalog().modules.items()):
            brief = tuple(FunctionSchema(one.name, one.kind, help=one.help) for one in module.functions)
            rows.append(type(module)(module.name, module.help, brief, module.error, module.citations))
        return m.ModulesReply(rows)

    def info(self, request: m.InfoRequest) -> m.InfoReply:
        """A module, or a function with all its inputs and outputs."""
        module, colon, function = request.name.replace("-", "_").partition(":")
        catalog = self._catalog()
        if module == LOCAL and request.project:
            own = {name: one for name, one in self._find(request.project).network.functions.items() if is_local(name)}
            catalog = Catalog([ModuleSchema(LOCAL, "Functions of this project's own", tuple(own.values()))])
        if not colon:
            return m.InfoReply(module=catalog.module(module))
        return m.InfoReply(function=catalog.function(f"{module}::{function.removeprefix(':')}"))
