"""Workflow files to the server: the text as it is, then the local files that it names, as far as they are missing there."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from copernicus.client.files import upload
from copernicus.errors import Refused, TooLarge, UsageError
from copernicus.model.edits import Edit
from copernicus.model.values import FileRef
from copernicus.net.transfer import Progress
from copernicus.wire import messages as m

if TYPE_CHECKING:
    from copernicus.client.api import Project

LIMIT_BYTES = 16 * 1024**2
TIMEOUT_S = 600.0


def upload_workflow(
    project: Project,
    path: Path,
    *,
    staged: Sequence[Edit] = (),
    is_check: bool = False,
    progress: Progress | None = None,
) -> m.UploadWorkflowReply:
    """Apply the workflow file `path` to a project; with `staged` edits before it, or `is_check`, only find out what it makes.

    Files are sent after the server has found everything else in order. Raises `UsageError` for files that cannot be read,
    `TooLarge` beyond 16 MiB, and what the server refuses, with file, line and element.
    """
    from copernicus.client.api import new_request_id

    data = read(path)
    files: dict[str, FileRef] = {}
    request_id = new_request_id()
    caller = project.client.caller
    while True:
        request = m.UploadWorkflowRequest(project.name, path.name, data, files, list(staged), request_id, is_check)
        reply = caller.call(request, timeout_s=TIMEOUT_S)
        if not reply.needs:
            return reply
        for name in reply.needs:
            if name in files or name.encode() not in data:
                # No server is told what else lies on this computer.
                raise Refused(
                    f"The server asks for the file {name!r}, which {path.name} does not name in plain words. It was not sent.",
                    "Write the name of the file without escapes.",
                )
            files[name] = upload(caller, path.parent / name, progress)


def read(path: Path) -> bytes:
    """Return the bytes of a workflow file; raise `UsageError` or `TooLarge` when it is none."""
    try:
        with path.open("rb") as file:
            data = file.read(LIMIT_BYTES + 1)
    except OSError as error:
        raise UsageError(f"The workflow file {path} cannot be read: {error.strerror}.", "Check its name.") from None
    if len(data) > LIMIT_BYTES:
        raise TooLarge(f"{path} is larger than 16 MiB, which no workflow file may be.", "Values of that size belong in files.")
    return data
