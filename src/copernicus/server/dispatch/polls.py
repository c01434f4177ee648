"""Workers that wait for work: one long poll each, found by the executables that they can run."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterator

from copernicus.server.dispatch.workers import Worker
from copernicus.wire.messages import ExchangeReply, ExchangeRequest


class Poll:
    """A waiting request. `is_open` says whether its connection still stands: an answer to a dead one would be a lost lease."""

    __slots__ = ("executables", "future", "is_open", "request", "worker")

    def __init__(
        self,
        worker: Worker,
        request: ExchangeRequest,
        future: asyncio.Future[ExchangeReply],
        is_open: Callable[[], bool],
    ) -> None:
        self.worker, self.request, self.future, self.is_open = worker, request, future, is_open
        offer = worker.offer
        self.executables = frozenset(executable.name for executable in offer.executables) if offer else frozenset[str]()

    def answer(self, reply: ExchangeReply, durable: asyncio.Future[None]) -> None:
        """Answer with `reply`, now that it is durable, or with the error because of which it is not."""
        if self.future.done():
            return
        error = durable.exception()
        if error is None:
            self.future.set_result(reply)
        else:
            self.future.set_exception(error)


class Polls:
    """All waiting polls, first come first; a worker has one at most."""

    def __init__(self) -> None:
        self._by_worker: dict[str, Poll] = {}
        self._by_executable: dict[str, dict[str, Poll]] = {}

    def __len__(self) -> int:
        return len(self._by_worker)

    def of(self, worker: str) -> Poll | None:
        """The waiting poll of a worker, or None."""
        return self._by_worker.get(worker)

    def add(self, poll: Poll) -> None:
        """Let `poll` wait; an earlier one of the same worker is answered with nothing."""
        earlier = self._by_worker.get(poll.worker.name)
        if earlier is not None:
            self.end(earlier)
        self._by_worker[poll.worker.name] = poll
        for executable in poll.executables:
            self._by_executable.setdefault(executable, {})[poll.worker.name] = poll

    def remove(self, poll: Poll) -> bool:
        """Take `poll` out (it is being answered); return whether it was still waiting."""
        if self._by_worker.get(poll.worker.name) is not poll:
            return False
        del self._by_worker[poll.worker.name]
        for executable in poll.executables:
            polls = self._by_executable[executable]
            del polls[poll.worker.name]
            if not polls:
                del self._by_executable[executable]
        return True

    def end(self, poll: Poll) -> None:
        """Answer `poll` with nothing, if it still waits."""
        if self.remove(poll) and not poll.future.done():
            poll.future.set_result(ExchangeReply())

    def end_of(self, worker: str) -> None:
        """Answer a worker that is gone with nothing: it must not be given anything any more."""
        poll = self._by_worker.get(worker)
        if poll is not None:
            self.end(poll)

    def end_all(self) -> None:
        """Answer all of them with nothing."""
        for poll in list(self._by_worker.values()):
            self.end(poll)

    def for_executable(self, executable: str) -> Iterator[Poll]:
        """The polls whose worker offers `executable`, first come first."""
        return iter(list(self._by_executable.get(executable, {}).values()))
