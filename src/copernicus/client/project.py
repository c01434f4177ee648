"""A project as its client has it: what can be changed in it, what can be looked at, and edits that are committed together."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeAlias, TypeVar

from copernicus.errors import Conflict, CopernicusError, Unavailable, UnknownPath
from copernicus.model import edits as e
from copernicus.model.jobs import JobState
from copernicus.model.types import decode, parse_type
from copernicus.model.values import FileRef, Value, to_json
from copernicus.wire import messages as m

if TYPE_CHECKING:
    from copernicus.client.api import Client
    from copernicus.client.instance import Instance
    from copernicus.client.place import Place
    from copernicus.net.transfer import Progress


T = TypeVar("T")
Where: TypeAlias = "str | Instance | Place"
ANSWER_S = 30.0
"""What an answer may take beyond the time that it is asked to wait."""
PREVIEW_S = 600.0
"""What a preview may take: module code is asked about every instance that is concerned."""


def new_request_id() -> str:
    """Return a fresh request id: the same one sent again has one effect."""
    return os.urandom(16).hex()


def rows_in(reply: m.ListReply) -> int:
    """Return how many of the `total` rows are in an answer."""
    if reply.kind == "place":
        return len(reply.places)
    return len(reply.instances) - (reply.kind == "instance")


class Editor:
    """What a person can change in a project; each method is one edit and returns what the server tells about it.

    Paths are text, or an `Instance` or `Place` of the same project.
    """

    client: Client

    def edit(self, edit: e.Edit) -> str:
        """Make one edit."""
        raise NotImplementedError

    def import_module(self, module: str) -> str:
        """Make a module's functions known to the project."""
        return self.edit(e.ImportModule(module))

    def instance(self, function: str, name: str) -> str:
        """Make an instance of `function` ("module::name"); it starts held."""
        return self.edit(e.MakeInstance(function, name))

    def remove_instance(self, path: Where) -> str:
        """Remove an instance; its readers keep the values they see."""
        return self.edit(e.RemoveInstance(str(path)))

    def rename(self, path: Where, name: str) -> str:
        """Give an instance that a user made another name; results, connections and jobs stay as they are."""
        return self.edit(e.RenameInstance(str(path), name))

    def connect(self, source: Where, destination: Where) -> str:
        """Make the place `destination` a view of the place `source`."""
        return self.edit(e.Connect(str(source), str(destination)))

    def disconnect(self, destination: Where) -> str:
        """Remove the connection that ends at `destination`; it keeps what it showed."""
        return self.edit(e.Disconnect(str(destination)))

    def set(self, path: Where, value: Value | Path | Sequence[Any]) -> str:
        """Set a place to a Python value; `pathlib.Path` stands for a local file, which is uploaded, at any depth."""
        return self.edit(e.SetValue(str(path), self._plain(value)))

    def set_text(self, path: Where, text: str) -> str:
        """Set a place from text, which is read by the type of the place."""
        return self.edit(e.SetText(str(path), text))

    def set_file(self, path: Where, file: str | Path | FileRef) -> str:
        """Set a place of type file to a local file (which is uploaded) or to one that is on the server."""
        return self.edit(e.SetFile(str(path), file if isinstance(file, FileRef) else self.client.upload(file)))

    def unset(self, path: Where) -> str:
        """Remove a value."""
        return self.edit(e.Unset(str(path)))

    def activate(self, path: Where = "") -> str:
        """Let an instance, or the whole project, run."""
        return self.edit(e.Activate(str(path)))

    def deactivate(self, path: Where = "", *, is_now: bool = False) -> str:
        """Hold an instance, or the whole project; `is_now`: jobs that run stop too, with a checkpoint."""
        return self.edit(e.Deactivate(str(path), is_now))

    def clear_error(self, path: Where = "") -> str:
        """Forget the errors below `path`; failed jobs get a fresh budget of attempts."""
        return self.edit(e.ClearError(str(path)))

    def force_rerun(self, path: Where) -> str:
        """Make the evaluation of an instance anew, from nothing."""
        return self.edit(e.ForceRerun(str(path)))

    def upgrade(self, module: str) -> str:
        """Make instances of functions of `module` that have changed instances of the installed ones."""
        return self.edit(e.UpgradeModule(module))

    def _plain(self, value: Any) -> Any:
        if isinstance(value, Path):
            return to_json(self.client.upload(value))
        if isinstance(value, dict):
            return {name: self._plain(member) for name, member in value.items()}
        if isinstance(value, list | tuple):
            return [self._plain(member) for member in value]
        return to_json(value)


class Project(Editor):
    """One project. Each edit is a transaction of its own, unless it is made inside of `transaction()`.

    `project["mdrun"]` is an instance, `project["mdrun"].out.xtc[0]` a place; both can be looked at, changed, waited for.
    """

    def __init__(self, client: Client, name: str) -> None:
        self.client = client
        self.name = name

    def __repr__(self) -> str:
        return f"<Project {self.name}>"

    def __getitem__(self, path: str) -> Instance:
        """Return the instance at `path` ("msm:build_0"); raise `UnknownPath`, which says what stands there instead."""
        from copernicus.client.instance import find

        return find(self, path)

    def __contains__(self, path: object) -> bool:
        """Say whether there is an instance at `path`."""
        try:
            return isinstance(path, str) and bool(self[path])
        except UnknownPath:
            return False

    def __iter__(self) -> Iterator[Instance]:
        """Go through the instances at the top."""
        from copernicus.client.instance import Instance

        return (Instance(self, row.path) for row in self.list().instances)

    @property
    def instances(self) -> list[Instance]:
        """The instances at the top, in the order in which they were made."""
        return list(self)

    def place(self, path: str) -> Place:
        """Return the place at `path` ("mdrun:out.xtc[0]"); raise `UnknownPath` or `WrongType`, which say what there is."""
        from copernicus.client import place

        return place.at(self, path)

    def edit(self, edit: e.Edit) -> str:
        """Make one edit, as a transaction of its own."""
        told = self.apply([edit]).told
        return told[0] if told else ""

    def apply(
        self,
        edits: Sequence[e.Edit],
        *,
        is_check: bool = False,
        request_id: str = "",
        stamps: Sequence[int] = (),
        wait_s: float = 0.0,
    ) -> m.ApplyReply:
        """Apply edits as one transaction, all or none; with `is_check` only find out whether they would be refused.

        `stamps` holds for each edit the project's sequence number when it was decided on: raises `Conflict` when somebody
        else wrote the same place since. The answer waits up to `wait_s` (at most 1 s) to tell which results were there
        already (`reused`).
        """
        request = m.ApplyRequest(self.name, list(edits), request_id or new_request_id(), is_check, list(stamps), wait_s)
        return self.client.caller.call(request)

    def preview(self, edits: Sequence[e.Edit]) -> m.PreviewReply:
        """Return what would follow if `edits` were applied as one transaction; nothing is changed."""
        return self.client.caller.call(m.PreviewRequest(self.name, list(edits)), timeout_s=PREVIEW_S)

    def undo(self, seq: int | None = None) -> m.UndoReply:
        """Take back one transaction that a person made, by default the last one that is not taken back.

        An undo can be taken back like any other transaction. Raises `Refused` when a later one wrote the same place.
        """
        return self.client.caller.call(m.UndoRequest(self.name, seq, new_request_id()), timeout_s=PREVIEW_S)

    def preview_undo(self, seq: int | None = None) -> m.UndoReply:
        """Return what `undo` would take back, and what would follow (`preview`); nothing is changed."""
        return self.client.caller.call(m.UndoRequest(self.name, seq, is_preview=True), timeout_s=PREVIEW_S)

    @contextmanager
    def transaction(self) -> Iterator[Transaction]:
        """Collect edits and commit them at the end of the block; an exception in it commits nothing.

        Raises `Conflict` at the end when somebody else wrote one of the places since the beginning; `commit()` of the
        transaction then means "I have seen it".
        """
        transaction = Transaction(self, self.apply([], is_check=True).project_seq)
        yield transaction
        transaction.commit()

    def upload_workflow(self, file: str | Path, progress: Progress | None = None) -> m.UploadWorkflowReply:
        """Apply a workflow file (YAML or XML) as one transaction, all or nothing; files that it names are uploaded.

        Raises what is wrong with it, with file, line and element.
        """
        from copernicus.client.workflows import upload_workflow

        return upload_workflow(self, Path(file), progress=progress)

    def export_workflow(self) -> str:
        """Return the project's network as a workflow file: functions of its own, instances, connections, values."""
        return self.client.caller.call(m.ExportWorkflowRequest(self.name)).text

    def list(self, path: str = "") -> m.ListReply:
        """Return what stands at `path`: the project's instances (""), an instance, or a place. All of it, in several answers
        where there are more than 10,000 rows."""
        reply = self.list_page(path)
        while (have := rows_in(reply)) < reply.total:
            more = self.list_page(path, offset=have)
            if not rows_in(more):
                break  # it has become shorter meanwhile
            reply.instances.extend(more.instances[more.kind == "instance" :])
            reply.places.extend(more.places)
        return reply

    def list_page(self, path: str = "", *, offset: int = 0, limit: int = 0) -> m.ListReply:
        """Return a part of what stands at `path`: of many rows those from `offset` on, at most `limit` (0: 10,000)."""
        return self.client.caller.call(m.ListRequest(self.name, path, offset, limit))

    def changed(self, since: int = 0, wait_s: float = 0.0) -> int:
        """Return the number of the last transaction, as soon as it is larger than `since`, or after `wait_s` seconds."""
        request = m.ChangesRequest(self.name, since, wait_s)
        return self.client.caller.call(request, timeout_s=wait_s + ANSWER_S if wait_s else None).seq

    def wait(self, until: Callable[[Project], T | None], timeout_s: float | None = None) -> T:
        """Return the first answer of `until(project)` that is something true; it is asked after each change.

        Raises `TimedOut` after `timeout_s` seconds, and what `until` raises.
        """
        from copernicus.client.waiting import wait

        return wait(self, lambda: until(self) or None, timeout_s, f"In project {self.name} it has not happened")

    def citations(self) -> Sequence[m.Citation]:
        """Return what is to be cited for the modules that the project uses."""
        return self.client.caller.call(m.CiteRequest(self.name)).modules

    def graph(self, path: str = "") -> m.GraphReply:
        """Return how the instances inside `path` ("": the project) are connected."""
        return self.client.caller.call(m.GraphRequest(self.name, path))

    def get_reply(self, path: str, staged: Sequence[e.Edit] = ()) -> m.GetReply:
        """Return the value at `path` as plain JSON data, with its type and whether it is stale; as after `staged` edits."""
        return self.client.caller.call(m.GetRequest(self.name, path, [*staged]))

    def get(self, path: str) -> Value:
        """Return the value at `path` (files as `FileRef`), None when it is absent."""
        reply = self.get_reply(path)
        return decode(parse_type(reply.type), reply.value, path)

    def get_file(self, path: str, target: str | Path) -> Path:
        """Download the file at `path` to `target`; raise `WrongType` when no file is there."""
        from copernicus.client.files import file_of

        return self.client.download(file_of(self.get_reply(path)), target)

    def get_partial(self, target: str) -> m.FetchPartialReply:
        """Bring a file of a running job to the server as it is now, and return what it is (`file`); `download` fetches it.

        `target` is the path of an output, or an instance or a job's number, a slash, and a file's name: "17/stdout".
        """
        from copernicus.client.following import fetch_partial

        return fetch_partial(self, target)

    def status(self) -> m.StatusReply:
        """Return the project in numbers, with the instances in error."""
        return self.client.caller.call(m.StatusRequest(self.name))

    def why(self, target: str | int) -> Sequence[str]:
        """Return why an instance or a job is in its state, most important first."""
        return self.why_reply(target).lines

    def why_reply(self, target: str | int) -> m.WhyReply:
        """Return why an instance, a job or a place is as it is; of a place also the versions that make it up."""
        return self.client.caller.call(m.WhyRequest(self.name, str(target)))

    def follow(self, target: str | int, when_away: Callable[[str], None] | None = None) -> Iterator[m.FollowReply]:
        """Yield what comes out of a job while it runs (see `client.following`), over all its attempts, to its end.

        `target` is a job's number, an instance with a job, or one inside of which one job runs. A server that is away is
        waited for; `when_away` is told.
        """
        from copernicus.client.following import follow

        return follow(self, str(target), when_away)

    def jobs(self, path: Where = "", states: Sequence[JobState] = ()) -> Iterator[m.JobRow]:
        """Go through all jobs of the project, or of what is at and below `path`, ended ones too, the newest first."""
        before = 0
        while rows := self.jobs_page(path, states, before=before).jobs:
            yield from rows
            before = rows[-1].job

    def jobs_page(self, path: Where = "", states: Sequence[JobState] = (), *, before: int = 0, limit: int = 0) -> m.JobsReply:
        """Return the newest jobs with numbers below `before` (0: all), at most `limit` (0: 1,000)."""
        return self.client.caller.call(m.JobsRequest(self.name, str(path), [*states], before, limit))

    def stop_job(self, job: int, *, is_check: bool = False) -> str:
        """End a job as failed, its checkpoint kept; return what the server says (`is_check`: would happen)."""
        return self.client.caller.call(m.StopJobRequest(self.name, job, new_request_id(), is_check)).note

    def rerun_job(self, job: int, *, is_check: bool = False) -> str:
        """Give a job a fresh budget of attempts; if it failed it is queued again, from its last checkpoint."""
        return self.client.caller.call(m.RerunJobRequest(self.name, job, new_request_id(), is_check)).note

    def command_failed(self, job: int, *, is_check: bool = False) -> str:
        """Declare the attempt at a job that is under way lost: the job is queued again."""
        return self.client.caller.call(m.CommandFailedRequest(self.name, job, new_request_id(), is_check)).note

    def log(self, target: str | int = "", limit: int = 0) -> Sequence[m.LogEntry]:
        """Return what happened to the project, an instance or a job, oldest first: the newest `limit` things (0: 1,000)."""
        return self.log_page(target, limit).entries

    def log_page(self, target: str | int = "", limit: int = 0, before: int = 0) -> m.LogReply:
        """Return a part of the log: of what happened before a transaction (0: at all) the newest `limit` things."""
        return self.client.caller.call(m.LogRequest(self.name, str(target), limit, before))

    def history(self, path: Where, limit: int | None = None) -> Iterator[m.Version]:
        """Yield the versions of a place (or of all places of an instance or a side), the newest first, at most `limit`."""
        from copernicus.client.past import versions

        return versions(self, str(path), limit)

    def origin(self, path: Where) -> Sequence[m.Version]:
        """Return the versions that make up what stands at a place, with who, what call or what job they came from."""
        from copernicus.client.past import versions

        return tuple(versions(self, str(path), is_standing=True))

    def provenance(self, path: Where) -> m.ProvenanceReply:
        """Return what the value at a place was made from, back to what people gave: `steps[0]` is the place itself."""
        return self.client.caller.call(m.ProvenanceRequest(self.name, str(path)))


class Transaction(Editor):
    """Edits that are committed together; `reply` is the answer to the commit, `seq` what the project had come to before."""

    def __init__(self, project: Project, seq: int) -> None:
        self.client = project.client
        self.seq = seq
        self.edits: list[e.Edit] = []
        self.reply: m.ApplyReply | None = None
        self._project, self._request_id = project, new_request_id()

    def preview(self) -> m.PreviewReply:
        """Return what would follow if the edits collected so far were committed; nothing is changed."""
        return self._project.preview(self.edits)

    def edit(self, edit: e.Edit) -> str:
        """Put one edit on the list."""
        self.edits.append(edit)
        return ""

    def commit(self) -> m.ApplyReply | None:
        """Make the edits once, all or none (without any: nothing). After a `Conflict` the next call goes through."""
        if self.edits and self.reply is None:
            stamps = [self.seq] * len(self.edits)
            try:
                self.reply = self._project.apply(self.edits, request_id=self._request_id, stamps=stamps)
            except Unavailable:
                raise  # it may have arrived: the same request again has one effect
            except CopernicusError as error:
                self._request_id = new_request_id()
                if isinstance(error, Conflict):
                    self.seq = error.seq
                raise
        return self.reply
