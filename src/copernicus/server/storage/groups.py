"""Group commit: one thread writes; all units that wait become durable with one fsync."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable
from functools import partial
from queue import Empty, SimpleQueue
from threading import Thread

from copernicus.errors import CopernicusError, CorruptData, Unavailable
from copernicus.server.storage.abc import Unit

_log = logging.getLogger(__name__)
_Waiting = tuple[Unit, "asyncio.Future[None]"]


class _Reset:
    """Asks the writer to open its store afresh; `done` ends with the error, or None."""

    __slots__ = ("done", "loop")

    def __init__(self, loop: asyncio.AbstractEventLoop) -> None:
        self.loop = loop
        self.done: asyncio.Future[CopernicusError | None] = loop.create_future()


class _Close:
    """Asks the writer to end."""

    __slots__ = ()


class GroupWriter:
    """Takes units in the event loop, hands them in groups to `commit` in a thread of its own, and tells the outcome.

    `commit` makes a list of units durable, wholly or not at all, and raises `CopernicusError` when it cannot; `reopen`
    brings the store back after that. Once a group is refused all units are, until `recover`: what follows a refused unit
    was decided on a state that never came to be.
    """

    def __init__(self, commit: Callable[[list[Unit]], None], reopen: Callable[[], None], name: str) -> None:
        self._commit, self._reopen = commit, reopen
        self._gathered: list[_Waiting] = []
        self._pending = 0
        self._refusal: CopernicusError | None = None
        self._told: list[Callable[[CopernicusError], None]] = []
        self._queue: SimpleQueue[list[_Waiting] | _Reset | _Close] = SimpleQueue()
        self._loop: asyncio.AbstractEventLoop | None = None
        self._thread = Thread(target=self._write, name=name, daemon=True)
        self._thread.start()

    def submit(self, unit: Unit) -> asyncio.Future[None]:
        """See `BookStore.submit`."""
        loop = self._loop = asyncio.get_running_loop()
        future: asyncio.Future[None] = loop.create_future()
        if self._refusal is not None:
            refuse(future, self._refusal)
        elif not unit.changes and not self._pending:
            settle(unit, future)
        else:
            self._pending += 1
            self._gathered.append((unit, future))
            if len(self._gathered) == 1:
                loop.call_soon(self._flush)  # whoever acts in this turn of the loop comes into the same group
        return future

    def when_refused(self, action: Callable[[CopernicusError], None]) -> None:
        """See `BookStore.when_refused`."""
        self._told.append(action)

    async def recover(self) -> None:
        """See `BookStore.recover`."""
        self._flush()
        reset = _Reset(asyncio.get_running_loop())
        self._queue.put(reset)
        error = await reset.done
        if error is not None:
            raise error
        self._refusal = None

    def close(self) -> None:
        """Write what waits and end the thread."""
        if self._thread.is_alive():
            self._flush()
            self._queue.put(_Close())
            self._thread.join()

    def _flush(self) -> None:
        if self._gathered:
            group, self._gathered = self._gathered, []
            self._queue.put(group)

    # --- in the writer's thread

    def _write(self) -> None:
        refusal: CopernicusError | None = None
        while True:
            group, order = self._gather()
            if group:
                if refusal is None:
                    refusal = self._try(partial(self._commit, [unit for unit, _ in group]))
                self._tell(group, refusal)
            if isinstance(order, _Reset):
                refusal = self._try(self._reopen)
                order.loop.call_soon_threadsafe(order.done.set_result, refusal)
            elif isinstance(order, _Close):
                return

    def _gather(self) -> tuple[list[_Waiting], _Reset | _Close | None]:
        """Wait for something; return all units that wait, and the order that stands behind them, if one does."""
        group: list[_Waiting] = []
        item = self._queue.get()
        while isinstance(item, list):
            group.extend(item)
            try:
                item = self._queue.get_nowait()
            except Empty:
                return group, None
        return group, item

    @staticmethod
    def _try(action: Callable[[], None]) -> CopernicusError | None:
        try:
            action()
        except CorruptData as error:  # a damaged book: nothing is wrong with what was asked for
            return Unavailable(error.message, error.hint)
        except CopernicusError as error:
            return error
        except Exception as error:
            _log.exception("the writer failed")
            return Unavailable(f"The server's book could not be written: {error}.")
        return None

    def _tell(self, group: list[_Waiting], refusal: CopernicusError | None) -> None:
        loop = self._loop
        if loop is not None and not loop.is_closed():
            loop.call_soon_threadsafe(self._settle_group, group, refusal)

    # --- in the event loop

    def _settle_group(self, group: list[_Waiting], refusal: CopernicusError | None) -> None:
        self._pending -= len(group)
        if refusal is None:
            for unit, future in group:
                settle(unit, future)
            return
        is_news, self._refusal = self._refusal is None, refusal
        for _, future in group:
            refuse(future, refusal)
        if is_news:
            for action in self._told:
                action(refusal)


def settle(unit: Unit, future: asyncio.Future[None]) -> None:
    """Run what had to wait until `unit` is durable, and end its future."""
    for action in unit.after:
        try:
            action()
        except Exception:
            _log.exception("an action after a commit failed")
    if not future.done():
        future.set_result(None)


def refuse(future: asyncio.Future[None], error: CopernicusError) -> None:
    """End a unit's future with `error`."""
    if not future.done():
        future.set_exception(error)
        future.exception()  # who waits still gets it; who does not leaves no complaint in the log
