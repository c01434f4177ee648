"""What the room of peers asks of the server's own dispatch."""

from __future__ import annotations

from collections.abc import Callable, Container
from typing import Protocol

from copernicus.model.jobs import LeasedJob, WorkerOffer
from copernicus.server.access.identity import Identity
from copernicus.wire import messages as m


class Own(Protocol):
    """This server's own dispatch."""

    heartbeat_s: float

    def announce(self, request: m.AnnounceRequest, identity: Identity) -> m.AnnounceReply:
        """See `Dispatch`, here and below."""
        ...

    async def exchange(self, request: m.ExchangeRequest, identity: Identity, is_open: Callable[[], bool]) -> m.ExchangeReply:
        """Reports and jobs."""
        ...

    async def heartbeat(self, request: m.HeartbeatRequest, identity: Identity) -> m.HeartbeatReply:
        """Signs of life."""
        ...

    async def farewell(self, request: m.FarewellRequest, identity: Identity) -> m.Done:
        """The end."""
        ...


class Loanable(Protocol):
    """A worker that may be lent."""

    @property
    def offer(self) -> WorkerOffer:
        """What is left of it."""
        ...

    @property
    def is_idle(self) -> bool:
        """Whether it has no job at all."""
        ...


class Loans(Protocol):
    """This server's workers; see `dispatch.loans`."""

    def look(self, name: str, held: Container[int]) -> Loanable | None:
        """What a worker offers besides what it holds, the jobs `held` left out; None when it is not to be lent."""
        ...

    def hold(self, worker: str, number: int, lease: LeasedJob) -> None:
        """It has a job of another server."""
        ...

    def release(self, worker: str, number: int) -> None:
        """It has it no more."""
        ...

    def is_gone(self, worker: str) -> bool:
        """Whether it counts as lost, or is not known."""
        ...

    def wake(self, worker: str) -> None:
        """Answer what it waits for, with nothing."""
        ...


class OwnStreams(Protocol):
    """The streams of this server's own jobs."""

    async def exchange(self, request: m.StreamRequest, identity: Identity) -> m.StreamReply:
        """See `dispatch.streams`."""
        ...
