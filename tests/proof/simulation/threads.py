"""Threads, locks and clocks of the simulated programs: each thread is a greenlet, which gives way only where it waits.

The objects here stand for the modules `threading`, `time`, `queue`, `random` and `uuid` in the code that is simulated
(`in_place`). A thread may also give way where it takes a lock, as chance has it.
"""

from __future__ import annotations

import queue
from collections import deque
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from types import SimpleNamespace
from typing import Any
from unittest.mock import patch

from greenlet import GreenletExit, getcurrent, greenlet
from tests.proof.simulation.world import Process, Timer, World

GIVES_WAY = 0.02
_here: list[World] = []


def here() -> World:
    """The world that is being simulated."""
    return _here[-1]


@contextmanager
def inhabited(world: World) -> Iterator[None]:
    """Let `world` be the one that threads and clocks belong to."""
    _here.append(world)
    try:
        yield
    finally:
        _here.pop()


class Thread(greenlet):
    """A thread of the process in which it is made. Its `run` is the target; an error in it ends the simulation."""

    def __init__(
        self, target: Callable[..., Any] | None = None, args: tuple[Any, ...] = (), name: str = "", daemon: bool = True,
        process: Process | None = None,
    ) -> None:  # fmt: skip
        super().__init__(self._begin, parent=_hub())
        self.process = process or own_process()
        self.name, self._target, self._args = name, target, args
        self._joining: deque[Waiting] = deque()
        self.process.when_killed.append(self._end)

    def start(self) -> None:
        """Let it run, soon."""
        here().after(_soon(), self.switch, self.process)

    def is_alive(self) -> bool:
        """Whether it has not ended."""
        return not self.dead

    def join(self, timeout: float | None = None) -> None:
        """Wait for its end."""
        if not self.dead:
            wait(self._joining, timeout)

    def _begin(self) -> None:
        assert self._target is not None
        self._target(*self._args)
        while self._joining:
            self._joining.popleft().wake()

    def _end(self) -> None:
        if not self.dead and self is not getcurrent():
            self.throw(GreenletExit)


class Waiting:
    """One thread's waiting, ended once: by `wake`, or by its time."""

    __slots__ = ("is_over", "is_woken", "thread", "timer")

    def __init__(self, thread: Thread, timeout: float | None) -> None:
        self.thread, self.is_over, self.is_woken = thread, False, False
        self.timer: Timer | None = None
        if timeout is not None:
            self.timer = here().after(max(0.0, timeout), self._expire, thread.process)

    def wake(self) -> None:
        if not self.is_over:
            self.is_over = self.is_woken = True
            if self.timer is not None:
                self.timer.cancel()
            here().after(_soon(), self.thread.switch, self.thread.process)

    def _expire(self) -> None:
        if not self.is_over:
            self.is_over = True
            self.thread.switch()


def _hub() -> greenlet:
    current = getcurrent()
    while current.parent is not None:
        current = current.parent
    return current


def _thread() -> Thread:
    current = getcurrent()
    assert isinstance(current, Thread), "the event loop must not wait for a thread"
    return current


def own_process() -> Process:
    current = getcurrent()
    process = current.process if isinstance(current, Thread) else here().running
    assert process is not None, "nothing runs outside of a process"
    return process


def _soon() -> float:
    return here().chance.random() * 1e-4


def wait(waiting: deque[Waiting], timeout: float | None) -> bool:
    """Let the present thread wait among `waiting`; return whether it was woken in time."""
    thread = _thread()
    if not thread.process.is_alive:
        raise GreenletExit
    one = Waiting(thread, timeout)
    waiting.append(one)
    thread.parent.switch()
    if not one.is_woken and one in waiting:
        waiting.remove(one)
    return one.is_woken


def sleep(seconds: float) -> None:
    """Let the present thread wait."""
    wait(deque(), seconds)


def monotonic() -> float:
    """The monotonic clock of the present process."""
    return here().now + own_process().monotonic_s


class Lock:
    """A lock that its owner may take again, as `threading.RLock`."""

    def __init__(self) -> None:
        self._owner: greenlet | None = None
        self._times = 0
        self._waiting: deque[Waiting] = deque()

    def acquire(self, blocking: bool = True, timeout: float = -1) -> bool:
        me = getcurrent()
        if self._owner is not me:
            if blocking and isinstance(me, Thread) and me.process.is_alive and here().chance.random() < GIVES_WAY:
                sleep(_soon())
            deadline = None if timeout < 0 else here().now + timeout
            while self._owner is not None:
                if not blocking:
                    return False
                if not wait(self._waiting, None if deadline is None else deadline - here().now):
                    return False
        self._owner = me
        self._times += 1
        return True

    def release(self) -> None:
        self._times -= 1
        if not self._times:
            self._owner = None
            if self._waiting:
                self._waiting.popleft().wake()

    __enter__ = acquire

    def __exit__(self, *error: object) -> None:
        self.release()

    def let_go(self) -> int:
        """Release it wholly; return how often it was taken."""
        times, self._times = self._times, 1
        self.release()
        return times

    def take_back(self, times: int) -> None:
        """Take it as often as before."""
        self.acquire()
        self._times = times


class Condition:
    """As `threading.Condition`."""

    def __init__(self) -> None:
        self._lock = Lock()
        self._waiting: deque[Waiting] = deque()

    def __enter__(self) -> bool:
        return self._lock.acquire()

    def __exit__(self, *error: object) -> None:
        self._lock.release()

    def wait(self, timeout: float | None = None) -> bool:
        times = self._lock.let_go()
        try:
            return wait(self._waiting, timeout)
        finally:
            if _thread().process.is_alive:
                self._lock.take_back(times)
            else:
                self._lock._times += 1

    def wait_for(self, predicate: Callable[[], Any], timeout: float | None = None) -> Any:
        deadline = None if timeout is None else here().now + timeout
        while not (found := predicate()):
            left = None if deadline is None else deadline - here().now
            if left is not None and left <= 0:
                break
            self.wait(left)
        return found

    def notify_all(self) -> None:
        while self._waiting:
            self._waiting.popleft().wake()


class Event:
    """As `threading.Event`."""

    def __init__(self) -> None:
        self._is_set = False
        self._waiting: deque[Waiting] = deque()

    def is_set(self) -> bool:
        return self._is_set

    def set(self) -> None:
        self._is_set = True
        while self._waiting:
            self._waiting.popleft().wake()

    def clear(self) -> None:
        self._is_set = False

    def wait(self, timeout: float | None = None) -> bool:
        return self._is_set or wait(self._waiting, timeout) or self._is_set


class SimpleQueue:
    """As `queue.SimpleQueue`."""

    def __init__(self) -> None:
        self._items: deque[Any] = deque()
        self._waiting: deque[Waiting] = deque()

    def put(self, item: Any) -> None:
        self._items.append(item)
        if self._waiting:
            self._waiting.popleft().wake()

    def empty(self) -> bool:
        return not self._items

    def get(self, block: bool = True, timeout: float | None = None) -> Any:
        if not self._items:
            wait(self._waiting, timeout)
        return self.get_nowait()

    def get_nowait(self) -> Any:
        if not self._items:
            raise queue.Empty
        return self._items.popleft()


THREADING = SimpleNamespace(Thread=Thread, Lock=Lock, RLock=Lock, Condition=Condition, Event=Event)
TIME = SimpleNamespace(monotonic=monotonic, time=lambda: here().clock(), sleep=sleep)
QUEUE = SimpleNamespace(SimpleQueue=SimpleQueue, Empty=queue.Empty)
RANDOM = SimpleNamespace(random=lambda: here().chance.random())
UUID = SimpleNamespace(uuid4=lambda: SimpleNamespace(hex=f"{here().chance.getrandbits(128):032x}"))


@contextmanager
def in_place(places: dict[str, Any]) -> Iterator[None]:
    """Put objects into modules, by dotted name, for a while."""
    with ExitStack() as stack:
        for place, stand_in in places.items():
            stack.enter_context(patch(place, stand_in))
        yield
