"""What workers say, and what they are told. Reached as part of `copernicus.wire.messages`."""

from __future__ import annotations

from copernicus.model.jobs import LeasedJob, Report, StopReason, WorkerOffer
from copernicus.wire.message import Message


class InlineBlob(Message, frozen=True):
    """The content of a small file, inside a message (base64 in JSON)."""

    blob: str
    data: bytes


class AnnounceRequest(Message, frozen=True):
    """A worker introduces itself, or says what has changed. Sent once at the start and whenever the server asks."""

    offer: WorkerOffer


class AnnounceReply(Message, frozen=True):
    """`heartbeat_s` is the interval after which a silent worker counts as lost; beat at least three times as often."""

    heartbeat_s: float
    inline_limit_bytes: int = 65536


class ExchangeRequest(Message, frozen=True):
    """A worker reports ended attempts and asks for jobs, in one request and one transaction.

    `wait_s` > 0 makes it a long poll: answered as soon as there is a job, or when the time is over. `free_cores` is what
    may be filled now; `most_jobs` bounds the batch. `has_no_more` says that the worker takes nothing any more. Small
    result files travel in `blobs`. `request_id` makes a repeated request safe: same answer, one effect.
    """

    worker: str
    free_cores: int
    most_jobs: int
    reports: list[Report] = []
    blobs: list[InlineBlob] = []
    wait_s: float = 0.0
    request_id: str = ""


class Verdict(Message, frozen=True):
    """What became of a report: "accepted", or "stale" (attempt not current: drop it), or "refused" with the reason."""

    job: int
    attempt: int
    verdict: str
    why: str = ""


class ExchangeReply(Message, frozen=True):
    """New jobs, with the small input files they need in `blobs`; one verdict for each report."""

    jobs: list[LeasedJob] = []
    blobs: list[InlineBlob] = []
    verdicts: list[Verdict] = []
    is_unknown_worker: bool = False


class Beat(Message, frozen=True):
    """Sign of life of one attempt; `progress` is a short line for people."""

    job: int
    attempt: int
    progress: str = ""


class HeartbeatRequest(Message, frozen=True):
    """Sent by a thread of its own, also when there are no jobs (`beats` empty)."""

    worker: str
    beats: list[Beat] = []


class HeartbeatReply(Message, frozen=True):
    """`stop` lists jobs whose attempts are to end, `why` the reason of each; `is_unknown_worker` asks for an announcement."""

    stop: list[int] = []
    heartbeat_s: float = 120.0
    is_unknown_worker: bool = False
    why: dict[int, StopReason] = {}


class FarewellRequest(Message, frozen=True):
    """The worker ends; what it still had counts as interrupted."""

    worker: str
    why: str = ""
