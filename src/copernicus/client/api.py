"""The typed Python API: `Client` talks to one server, `Project` to one project on it. Thin over the wire's messages.

    with Client.connect() as client:
        project = client.start_project("first")
        project.import_module("gromacs")
        with project.transaction() as change:
            change.instance("gromacs::grompps", "grompp")
            change.set("grompp:in.conf", [Path("conf.gro")])
            change.activate()
        print(project.get("grompp:out.tpr"))

Every method raises `CopernicusError`: `Unreachable` when there is no server, `NotAuthenticated` without a session or
bundle, `UnknownPath` and `WrongType` for what the project does not have, `Refused` for what would break a rule.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

from copernicus.client.project import (
    Editor as Editor,
    Project as Project,
    Transaction as Transaction,
    new_request_id as new_request_id,
)
from copernicus.errors import InternalError, UsageError
from copernicus.model.functions import FunctionSchema, ModuleSchema
from copernicus.model.values import FileRef
from copernicus.wire import messages as m

if TYPE_CHECKING:
    from types import TracebackType

    from copernicus.client.bundles import Bundles
    from copernicus.client.users import Users
    from copernicus.net.caller import Caller
    from copernicus.net.transfer import Progress


class Client:
    """One server, as one identity (`identity` names the session or bundle in the client's own files).

    `caller` is the seam: `copernicus.net.caller.Caller`, or anything that answers `call(request)` as it does.
    """

    def __init__(self, caller: Caller, identity: str = "") -> None:
        self.caller = caller
        self.identity = identity

    @classmethod
    def connect(cls, bundle: str | Path | None = None) -> Client:
        """Connect with `bundle`, or with what `cpcc` would use: the session of the server in use, or a bundle.

        Raises `BundleNotFound` (with the places looked at) or `NotAuthenticated`. Nothing is sent yet.
        """
        from copernicus.client.credentials import find

        credentials = find(bundle)
        return cls(credentials.caller(), credentials.identity)

    def again(self) -> Client:
        """Return another client of the same server and identity, with a connection of its own: for another thread."""
        return Client(self.caller.again(), self.identity)

    def __enter__(self) -> Client:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        self.close()

    def close(self) -> None:
        """Close the connections; a later call opens new ones."""
        self.caller.close()

    def server_info(self) -> m.ServerInfoReply:
        """Return who the server is and who it takes the caller for."""
        return self.caller.call(m.ServerInfoRequest())

    def audit(self, limit: int = 100) -> list[m.AuditEntry]:
        """Return the newest lines of the server's audit log, the oldest first; raise `NotAllowed`."""
        return self.caller.call(m.AuditRequest(limit)).entries

    def stop_server(self) -> str:
        """Stop the server, in good order; raise `NotAllowed` for those who are no super users."""
        return self.caller.call(m.StopServerRequest()).note

    def read_settings(self) -> m.ReadSettingsReply:
        """Have the server read its settings file again; raise `NotAllowed` or `SettingsError`."""
        return self.caller.call(m.ReadSettingsRequest())

    @property
    def bundles(self) -> Bundles:
        """Connection bundles that act for the caller."""
        from copernicus.client.bundles import Bundles

        return Bundles(self.caller)

    @property
    def users(self) -> Users:
        """Users, and who has access to which project."""
        from copernicus.client.users import Users

        return Users(self.caller)

    def projects(self) -> list[m.ProjectRow]:
        """Return the projects that the caller may see, by name."""
        return self.caller.call(m.ProjectsRequest()).projects

    def project(self, name: str) -> Project:
        """Return the project called `name`; whether it exists is found out by the first call."""
        return Project(self, name)

    def start_project(self, name: str) -> Project:
        """Make a project; raise `Refused` when there is one of that name."""
        self.caller.call(m.StartProjectRequest(name, request_id=new_request_id()))
        return Project(self, name)

    def rename_project(self, name: str, new_name: str) -> str:
        """Give a project another name, with all access to it; return the server's note. Raises `Refused` when it is taken."""
        return self.caller.call(m.RenameProjectRequest(name, new_name, new_request_id())).note

    def set_priority(self, name: str, priority: int) -> str:
        """Give a project a priority (-30 to 30), which is added to that of its jobs; return a note. For super users."""
        return self.caller.call(m.ProjectPriorityRequest(name, priority, new_request_id())).note

    def remove_project(self, name: str) -> str:
        """Remove a project for good, with its log, jobs and values; return the server's note."""
        return self.caller.call(m.RemoveProjectRequest(name, request_id=new_request_id())).note

    def map(
        self,
        function: str | Callable[..., Any],
        *iterables: Iterable[Any],
        project: str = "",
        name: str = "",
        cores: int = 1,
        priority: int = 0,
        timeout_s: float | None = None,
    ) -> Iterator[Any]:
        """Call a Python function on workers for the elements of the iterables; yield the results in order, as they come.

        The function goes by its name ("module:function"); a worker's owner must allow its module
        (`cpc-worker --allow python:MODULE`). Arguments and results are what JSON can say. The calls are a bag of jobs called
        `name` in `project` (default: the current one, as `cpcc cd` chose it); the same name again goes on with what is
        there, and calls only what has not been called. Raises `RemoteError` for a call that failed, `TimeoutError`.
        """
        from copernicus.client.executor import BagExecutor, results

        bag = BagExecutor(self.project(project or self._current_project()), name, cores=cores, priority=priority)
        return results(bag.replace(function, *iterables), timeout_s)

    def _current_project(self) -> str:
        from copernicus.client import memory

        name = memory.load().projects.get(self.identity, "")
        if not name:
            raise UsageError("No project is chosen.", "Name it: client.map(…, project=NAME)")
        return name

    def modules(self) -> list[ModuleSchema]:
        """Return the modules that the server has; broken ones have an `error`."""
        return self.caller.call(m.ModulesRequest()).modules

    def info(self, name: str, project: str = "") -> ModuleSchema | FunctionSchema:
        """Return a module ("gromacs") or a function ("gromacs::grompp") with its inputs and outputs.

        With the name of a project, "project" and "project::NAME" are its own functions, which came with workflow files.
        """
        reply = self.caller.call(m.InfoRequest(name, project))
        found = reply.function or reply.module
        if found is None:
            raise InternalError(f"The server's answer about {name} is empty.")
        return found

    def queue(self, project: str = "") -> list[m.JobRow]:
        """Return the jobs that nobody has yet, in the order in which they would be given out."""
        return self.caller.call(m.QueueRequest(project)).jobs

    def running(self, project: str = "") -> list[m.JobRow]:
        """Return the jobs that workers have."""
        return self.caller.call(m.RunningRequest(project)).jobs

    def workers(self) -> list[m.WorkerRow]:
        """Return the workers that have been heard of lately."""
        return self.caller.call(m.WorkersRequest()).workers

    def quarantined(self) -> list[m.QuarantineRow]:
        """Return the hosts whose workers get no jobs, and why."""
        return self.caller.call(m.QuarantineRequest()).hosts

    def quarantine(self, worker: str, why: str = "") -> str:
        """Give the workers of a host (its name, or the id of a worker on it) no more jobs; return what the server says.

        Raise `NotAllowed` for those who are no super users, `UnknownPath`, `Refused`.
        """
        return self.caller.call(m.AddQuarantineRequest(worker, new_request_id(), why)).note

    def release(self, worker: str) -> str:
        """Give the workers of a host jobs again; return what the server says. Raises as `quarantine` does."""
        return self.caller.call(m.ReleaseQuarantineRequest(worker, new_request_id())).note

    def upload(self, file: str | Path, progress: Progress | None = None) -> FileRef:
        """Bring a local file to the server, only what is missing there of it; raise `UsageError` when it cannot be read."""
        from copernicus.client.files import upload

        return upload(self.caller, Path(file), progress)

    def download(self, file: FileRef, target: str | Path, progress: Progress | None = None) -> Path:
        """Write the content of `file` to `target`, verified, wholly or not at all; return the path."""
        from copernicus.client.files import download

        return download(self.caller, file, Path(target), progress)
