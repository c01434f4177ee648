"""What a project holds and costs, and how a person gives some of it up."""

from __future__ import annotations

from copernicus.wire.message import Message


class UsageRequest(Message, frozen=True):
    """What has a project cost, and what does it hold?"""

    project: str


class SiteRow(Message, frozen=True):
    """What the ended attempts at one site took ("": a site without a name); bytes are those of files staged and collected."""

    site: str
    attempts: int
    core_s: float
    gpu_s: float = 0.0
    bytes_in: int = 0
    bytes_out: int = 0


class UsageRow(Message, frozen=True):
    """One instance at the top ("" : instances that were removed), with all that is in it: times of ended attempts, bytes
    by class.

    A file that several hold counts for the first of them, and in the first of the classes inputs, current, checkpoints,
    superseded.
    """

    path: str
    core_s: float = 0.0
    gpu_s: float = 0.0
    bytes: dict[str, int] = {}


class UsageReply(Message, frozen=True):
    """`bytes` sums the classes up; `sites` tell where the times were spent.

    `uploads_bytes` counts files on the server that no project refers to (super users only).
    """

    project: str
    core_s: float
    gpu_s: float
    bytes: dict[str, int]
    instances: list[UsageRow]
    uploads_bytes: int | None = None
    sites: list[SiteRow] = []


class PurgeRequest(Message, frozen=True):
    """Delete the files of earlier versions at `path` (a place; or an instance, with all that is in it), for good.

    With `is_present` also what stands there now, which is unset. With `is_check` nothing is deleted: the answer says what
    would be lost.
    """

    project: str
    path: str
    is_present: bool = False
    is_check: bool = False
    request_id: str = ""


class LostFile(Message, frozen=True):
    """A version that is lost: where it stood, and what it was."""

    path: str
    name: str
    size: int


class PurgeReply(Message, frozen=True):
    """`lost` are the versions, `kept` counts those whose content something else refers to; `bytes` become free."""

    lost: list[LostFile]
    kept: int
    bytes: int
