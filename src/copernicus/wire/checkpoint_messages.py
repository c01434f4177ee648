"""What is said of checkpoints that are taken while a job runs. Reached as part of `copernicus.wire.messages`."""

from __future__ import annotations

from typing import Any

from copernicus.model.jobs import StagedFile
from copernicus.wire.message import Message


class CheckpointRequest(Message, frozen=True):
    """From here another attempt can go on: `files`, whose content the server has; `outputs` are the partial ones so far.

    It takes the place of the last one. Without `files` that one stays, and only the outputs are new. The same request
    again has the same effect. `progress` is a short line for people. `number` counts those of an attempt from 1: one that
    arrives after a newer one changes nothing (0: an older worker's, which does not count).
    """

    worker: str
    job: int
    attempt: int
    files: tuple[StagedFile, ...] = ()
    outputs: dict[str, Any] = {}
    progress: str = ""
    number: int = 0


class ProvisionalValue(Message, frozen=True):
    """What an output was with the last checkpoint of a job that has not ended; `at` is Unix time. It is no value yet."""

    value: Any
    job: int
    attempt: int
    at: float
    progress: str = ""


class CheckpointReply(Message, frozen=True):
    """As of a report: "accepted", "stale" (attempt not current: forget it), or "refused" with the reason."""

    verdict: str
    why: str = ""
