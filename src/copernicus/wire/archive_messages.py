"""Projects as archives: what is asked of a server beside the archive's bytes."""

from __future__ import annotations

from copernicus.model.values import FileRef
from copernicus.wire.message import Message


class LoadRequest(Message, frozen=True):
    """Make a project `name` of an archive that lies on the server as a blob. It comes back held; it may take minutes.

    The same `request_id` again waits for the same load, or gives the same answer.
    """

    name: str
    archive: FileRef
    request_id: str = ""


class LoadReply(Message, frozen=True):
    """What was loaded, and from whom (`origin`, user@server). `missing` names functions that are not installed here, `gone`
    counts files of which the archive has the record but no longer the content."""

    project: str
    seq: int
    instances: int
    jobs: int
    files: int
    origin: str
    missing: list[str] = []
    gone: int = 0
