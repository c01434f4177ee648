"""Virtual time: what happens when, and to which process. All chance comes from one seed, so a seed is a history."""

from __future__ import annotations

import random
from collections.abc import Callable
from heapq import heappop, heappush

Action = Callable[[], None]
MOST_BYTES = 300


class Timer:
    """Something that will happen. `action` None: it has happened, or was called off."""

    __slots__ = ("action", "at", "process")

    def __init__(self, at: float, action: Action, process: Process | None) -> None:
        self.at, self.process = at, process
        self.action: Action | None = action

    def cancel(self) -> None:
        """Let it not happen."""
        self.action = None


class Process:
    """A program that runs: it can be killed, after which nothing of it happens any more, and stopped and continued.

    `when_killed` are called at its end, in order. `monotonic_s` is what its monotonic clock is ahead of the world's.
    """

    def __init__(self, world: World, name: str) -> None:
        self.world, self.name = world, name
        self.is_alive, self.is_stopped = True, False
        self.held: list[Timer] = []
        self.when_killed: list[Action] = []
        self.monotonic_s = world.chance.uniform(0.0, 1e6)

    def kill(self) -> None:
        """SIGKILL."""
        if self.is_alive:
            self.is_alive = False
            self.held.clear()
            self.world.trace("killed", self.name)
            for action in self.when_killed:
                action()
            self.when_killed.clear()

    def stop(self) -> None:
        """SIGSTOP."""
        self.is_stopped = True
        self.world.trace("stopped", self.name)

    def go_on(self) -> None:
        """SIGCONT: what was to happen meanwhile happens now; timers and messages in an order that nobody promises."""
        if self.is_alive and self.is_stopped:
            self.is_stopped = False
            self.world.trace("goes on", self.name)
            held, self.held = self.held, []
            if self.world.chance.random() < 0.5:
                self.world.chance.shuffle(held)
            for timer in held:
                if timer.action is not None:
                    self.world.again(timer)


class World:
    """The time, what is still to happen, and the history so far. `wall_s` is what wall clocks show at time 0."""

    def __init__(self, seed: int, *, is_traced: bool = False) -> None:
        self.seed, self.chance = seed, random.Random(seed)
        self.now, self.wall_s = 0.0, 1.7e9
        self.running: Process | None = None
        self.failure: BaseException | None = None
        """What nobody took: it ends the simulation."""
        self.is_traced = is_traced
        self.history: list[str] = []
        self.steps = 0
        self._heap: list[tuple[float, int, Timer]] = []
        self._count = 0
        self._numbers = 0

    def after(self, seconds: float, action: Action, process: Process | None = None) -> Timer:
        """Let `action` happen in `process`, unless that is killed before."""
        timer = Timer(self.now + seconds, action, process)
        self._count += 1
        heappush(self._heap, (timer.at, self._count, timer))
        return timer

    def again(self, timer: Timer) -> None:
        """Put a timer back whose process was stopped."""
        self._count += 1
        heappush(self._heap, (self.now, self._count, timer))

    def run(self, until_s: float) -> None:
        """Let everything happen up to a time."""
        while self._heap and self._heap[0][0] <= until_s:
            self.now, _, timer = heappop(self._heap)
            action, process = timer.action, timer.process
            if action is None:
                continue
            if process is not None:
                if not process.is_alive:
                    continue
                if process.is_stopped:
                    process.held.append(timer)
                    continue
            timer.action = None
            self.steps += 1
            self.running = process
            try:
                action()
            finally:
                self.running = None
            if self.failure is not None:
                raise self.failure
        self.now = max(self.now, until_s)

    def clock(self) -> float:
        """What wall clocks show."""
        return self.wall_s + self.now

    def number(self) -> int:
        """A number that was not given before."""
        self._numbers += 1
        return self._numbers

    def trace(self, *words: object) -> None:
        """Note what happens, if anybody wants to know; of messages the beginning."""
        if self.is_traced:
            said = " ".join(word[:MOST_BYTES].decode() if isinstance(word, bytes) else str(word) for word in words)
            self.history.append(f"{self.now:10.3f}  {said}")
