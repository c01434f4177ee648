"""A project as its client has it: what can be changed in it, what can be looked at, and edits that are committed together."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

from copernicus.model import edits as e
from copernicus.model.types import decode, parse_type
from copernicus.model.values import FileRef, Value, to_json
from copernicus.wire import messages as m

if TYPE_CHECKING:
    from copernicus.client.api import Client
    from copernicus.net.transfer import Progress


def new_request_id() -> str:
    """Return a fresh request id: the same one sent again has one effect."""
    return os.urandom(16).hex()


class Editor:
    """What a person can change in a project; each method is one edit and returns what the server tells about it."""

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

    def remove_instance(self, path: str) -> str:
        """Remove an instance; its readers keep the values they see."""
        return self.edit(e.RemoveInstance(path))

    def connect(self, source: str, destination: str) -> str:
        """Make the place `destination` a view of the place `source`."""
        return self.edit(e.Connect(source, destination))

    def disconnect(self, destination: str) -> str:
        """Remove the connection that ends at `destination`; it keeps what it showed."""
        return self.edit(e.Disconnect(destination))

    def set(self, path: str, value: Value | Path | Sequence[Any]) -> str:
        """Set a place to a Python value; `pathlib.Path` stands for a local file, which is uploaded, at any depth."""
        return self.edit(e.SetValue(path, self._plain(value)))

    def set_text(self, path: str, text: str) -> str:
        """Set a place from text, which is read by the type of the place."""
        return self.edit(e.SetText(path, text))

    def set_file(self, path: str, file: str | Path | FileRef) -> str:
        """Set a place of type file to a local file (which is uploaded) or to one that is on the server."""
        return self.edit(e.SetFile(path, file if isinstance(file, FileRef) else self.client.upload(file)))

    def unset(self, path: str) -> str:
        """Remove a value."""
        return self.edit(e.Unset(path))

    def activate(self, path: str = "") -> str:
        """Let an instance, or the whole project, run."""
        return self.edit(e.Activate(path))

    def deactivate(self, path: str = "") -> str:
        """Hold an instance, or the whole project."""
        return self.edit(e.Deactivate(path))

    def clear_error(self, path: str = "") -> str:
        """Forget the errors below `path`; failed jobs get a fresh budget of attempts."""
        return self.edit(e.ClearError(path))

    def force_rerun(self, path: str) -> str:
        """Make the evaluation of an instance anew, from nothing."""
        return self.edit(e.ForceRerun(path))

    def _plain(self, value: Any) -> Any:
        if isinstance(value, Path):
            return to_json(self.client.upload(value))
        if isinstance(value, dict):
            return {name: self._plain(member) for name, member in value.items()}
        if isinstance(value, list | tuple):
            return [self._plain(member) for member in value]
        return to_json(value)


class Project(Editor):
    """One project. Each edit is a transaction of its own, unless it is made inside of `transaction()`."""

    def __init__(self, client: Client, name: str) -> None:
        self.client = client
        self.name = name

    def edit(self, edit: e.Edit) -> str:
        """Make one edit, as a transaction of its own."""
        told = self.apply([edit]).told
        return told[0] if told else ""

    def apply(self, edits: Sequence[e.Edit], *, is_check: bool = False, request_id: str = "") -> m.ApplyReply:
        """Apply edits as one transaction, all or none; with `is_check` only find out whether they would be refused."""
        request = m.ApplyRequest(self.name, list(edits), request_id or new_request_id(), is_check)
        return self.client.caller.call(request)

    @contextmanager
    def transaction(self) -> Iterator[Transaction]:
        """Collect edits and commit them at the end of the block; an exception in it commits nothing."""
        transaction = Transaction(self)
        yield transaction
        if transaction.edits:
            transaction.reply = self.apply(transaction.edits)

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
        """Return what stands at `path`: the project's instances (""), an instance, or a place."""
        return self.client.caller.call(m.ListRequest(self.name, path))

    def get_reply(self, path: str) -> m.GetReply:
        """Return the value at `path` as plain JSON data, with its type and whether it is stale."""
        return self.client.caller.call(m.GetRequest(self.name, path))

    def get(self, path: str) -> Value:
        """Return the value at `path` (files as `FileRef`), None when it is absent."""
        reply = self.get_reply(path)
        return decode(parse_type(reply.type), reply.value, path)

    def get_file(self, path: str, target: str | Path) -> Path:
        """Download the file at `path` to `target`; raise `WrongType` when no file is there."""
        from copernicus.client.files import file_of

        return self.client.download(file_of(self.get_reply(path)), target)

    def status(self) -> m.StatusReply:
        """Return the project in numbers, with the instances in error."""
        return self.client.caller.call(m.StatusRequest(self.name))

    def why(self, target: str | int) -> Sequence[str]:
        """Return why an instance or a job is in its state, most important first."""
        return self.client.caller.call(m.WhyRequest(self.name, str(target))).lines

    def follow(self, target: str | int, when_away: Callable[[str], None] | None = None) -> Iterator[m.FollowReply]:
        """Yield what comes out of a job while it runs (see `client.following`), over all its attempts, to its end.

        `target` is a job's number, an instance with a job, or one inside of which one job runs. A server that is away is
        waited for; `when_away` is told.
        """
        from copernicus.client.following import follow

        return follow(self, str(target), when_away)

    def log(self, target: str | int = "") -> Sequence[m.LogEntry]:
        """Return what happened to the project, an instance or a job, oldest first."""
        return self.client.caller.call(m.LogRequest(self.name, str(target))).entries


class Transaction(Editor):
    """Edits that are committed together; `reply` is the answer to the commit."""

    def __init__(self, project: Project) -> None:
        self.client = project.client
        self.edits: list[e.Edit] = []
        self.reply: m.ApplyReply | None = None

    def edit(self, edit: e.Edit) -> str:
        """Put one edit on the list."""
        self.edits.append(edit)
        return ""
