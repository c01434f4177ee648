"""What is said of a job while it runs: pieces of its files, who follows. Reached as part of `copernicus.wire.messages`."""

from __future__ import annotations

from copernicus.model.jobs import JobState
from copernicus.model.values import FileRef
from copernicus.wire.checkpoint_messages import ProvisionalValue
from copernicus.wire.message import Message

STREAM_WINDOW_BYTES = 1024**2
"""So much of the end of a file is kept for those who follow it; what is older is left out for who comes late."""


class Piece(Message, frozen=True):
    """Bytes of a file of a running attempt, from `offset` on; the file had `size_bytes` bytes then."""

    job: int
    attempt: int
    file: str
    offset: int
    data: bytes
    size_bytes: int


class Wanted(Message, frozen=True):
    """Somebody follows this attempt. `have` says, file by file, up to which byte the server has it."""

    job: int
    attempt: int
    have: dict[str, int] = {}


class FileWanted(Message, frozen=True):
    """Somebody wants a file of a running attempt as it is now: of those that match the globs, one a line, the one at
    `index` (-1: the last)."""

    fetch: str
    job: int
    attempt: int
    pattern: str
    index: int = -1


class FileBrought(Message, frozen=True):
    """The file, whose content the server has; None: there is none, and `why`."""

    fetch: str
    file: FileRef | None = None
    why: str = ""


class StreamRequest(Message, frozen=True):
    """A worker brings pieces of files that somebody follows, and asks what is wanted next.

    `wait_s` > 0 makes it a long poll: answered as soon as anything is wanted of this worker. Nothing of it is stored, and
    it is no sign of life.
    """

    worker: str
    pieces: list[Piece] = []
    brought: list[FileBrought] = []
    wait_s: float = 0.0


class StreamReply(Message, frozen=True):
    """What is wanted now; all that is not in it is not wanted any more."""

    wanted: list[Wanted] = []
    files: list[FileWanted] = []


class FollowRequest(Message, frozen=True):
    """Follow what the running attempt of a job prints, and the files that it lets people watch.

    `target` is a path or a job's number. `attempt`, `offsets` (by file) and `state` say what the caller has seen: the
    answer comes as soon as there is more, or after `wait_s`.
    """

    project: str
    target: str
    attempt: int = 0
    offsets: dict[str, int] = {}
    state: str = ""
    wait_s: float = 0.0


class StreamPiece(Message, frozen=True):
    """Bytes of a file; an `offset` beyond the one that was asked for means that what is between is left out."""

    file: str
    offset: int
    data: bytes


class FollowReply(Message, frozen=True):
    """News of one attempt: when `attempt` is another one than asked for, its files begin anew.

    `is_over`: the job has ended and everything has been said. `why` is the job's reason for its state.
    """

    job: int
    path: str
    state: JobState
    attempt: int
    hostname: str = ""
    pieces: list[StreamPiece] = []
    is_over: bool = False
    why: str = ""


class FetchPartialRequest(Message, frozen=True):
    """Fetch a file of a running job as it is now.

    `target` is the path of an output, or an instance or a job's number, a slash, and the name of a file in its folder.
    `fetch` is a fresh id; the same one again waits for the same copy, up to `wait_s`.
    """

    project: str
    target: str
    fetch: str
    wait_s: float = 0.0


class FetchPartialReply(Message, frozen=True):
    """`file` None: it is not here yet, ask again. `provisional`: no attempt runs, and this is of the last checkpoint."""

    job: int
    attempt: int
    file: FileRef | None = None
    provisional: ProvisionalValue | None = None
