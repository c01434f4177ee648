"""What is said about workflow files. Reached as part of `copernicus.wire.messages`."""

from __future__ import annotations

from copernicus.model.edits import Edit
from copernicus.model.values import FileRef
from copernicus.wire.message import Message


class UploadWorkflowRequest(Message, frozen=True):
    """Apply a workflow file (YAML or XML) as one transaction; `name` is for messages about it.

    `files` holds those local files that the file names by path and that have been uploaded. Edits in `staged` are applied
    before, with `is_check` only: nothing is changed then.
    """

    project: str
    name: str
    data: bytes
    files: dict[str, FileRef] = {}
    staged: list[Edit] = []
    request_id: str = ""
    is_check: bool = False


class UploadWorkflowReply(Message, frozen=True):
    """`needs` lists local files that must be uploaded first: nothing was changed then, but everything else is in order.

    `made` counts what the file declares (functions, instances, values, connections); `edits` are given to a
    check only, and so is `project_seq`, the project's sequence number now: their stamp.
    """

    seq: int | None
    made: dict[str, int] = {}
    needs: list[str] = []
    edits: list[Edit] = []
    project_seq: int = 0


class ExportWorkflowRequest(Message, frozen=True):
    """Write the project's network as a workflow file."""

    project: str


class ExportWorkflowReply(Message, frozen=True):
    """`text` is YAML that an upload reads again; `left_out` says what no file can hold."""

    text: str
    left_out: list[str] = []
