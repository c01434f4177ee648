"""An asyncio loop on virtual time: real coroutines, futures and tasks; a process that is killed simply stops being called."""

from __future__ import annotations

import asyncio
import inspect
from asyncio import events
from collections.abc import Callable
from typing import Any
from weakref import WeakSet

from tests.proof.simulation.world import Process, Timer, World


class _Handle:
    """What `call_soon` and `call_later` give back."""

    __slots__ = ("_timer",)

    def __init__(self, timer: Timer) -> None:
        self._timer = timer

    def cancel(self) -> None:
        self._timer.cancel()

    def cancelled(self) -> bool:
        return self._timer.action is None


class Loop(asyncio.AbstractEventLoop):
    """The loop of one process. An error that nobody takes ends the simulation."""

    def __init__(self, world: World, process: Process) -> None:
        self._world, self._process = world, process
        self._tasks: WeakSet[asyncio.Task[Any]] = WeakSet()
        process.when_killed.append(self._forget)

    def time(self) -> float:
        return self._world.now + self._process.monotonic_s

    def call_soon(self, callback: Callable[..., Any], *args: Any, context: Any = None) -> Any:
        return self.call_later(0.0, callback, *args)

    call_soon_threadsafe = call_soon

    def call_later(self, delay: float, callback: Callable[..., Any], *args: Any, context: Any = None) -> Any:
        def act() -> None:
            events._set_running_loop(self)
            try:
                callback(*args)
            finally:
                events._set_running_loop(None)

        return _Handle(self._world.after(max(0.0, delay), act, self._process))

    def call_at(self, when: float, callback: Callable[..., Any], *args: Any, context: Any = None) -> Any:
        return self.call_later(when - self.time(), callback, *args)

    def create_future(self) -> asyncio.Future[Any]:
        return asyncio.Future(loop=self)

    def create_task(self, coro: Any, *, name: str | None = None, context: Any = None) -> asyncio.Task[Any]:
        task = asyncio.Task(coro, loop=self, name=name)
        task.add_done_callback(self._look_for_violations)
        self._tasks.add(task)
        return task

    def _forget(self) -> None:
        """What has not begun will not be missed; what has ends where it waits."""
        for task in self._tasks:
            coroutine: Any = task.get_coro()
            if inspect.getcoroutinestate(coroutine) == inspect.CORO_CREATED:
                coroutine.close()

    def look(self, done: asyncio.Task[Any]) -> None:
        """A task must have ended without an error."""
        if not done.cancelled() and (error := done.exception()) is not None:
            self._world.failure = error

    def _look_for_violations(self, done: asyncio.Task[Any]) -> None:
        if not done.cancelled() and (error := done.exception()) is not None and not isinstance(error, Exception):
            self._world.failure = error

    def run_in_executor(self, executor: Any, func: Callable[..., Any], *args: Any) -> Any:
        future = self.create_future()
        self.call_later(0.001, lambda: future.done() or future.set_result(func(*args)))
        return future

    def get_debug(self) -> bool:
        return False

    def is_running(self) -> bool:
        return True

    def is_closed(self) -> bool:
        return not self._process.is_alive

    def call_exception_handler(self, context: dict[str, Any]) -> None:
        error = context.get("exception")
        if error is not None and self._process.is_alive:
            self._world.failure = error
