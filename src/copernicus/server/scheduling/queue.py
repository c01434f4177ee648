"""The queue: waiting jobs, indexed by what they ask for, so that giving out a job costs the same however many wait."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from heapq import heapify, heappop, heappush

import msgspec

from copernicus.server.scheduling.shapes import Shape

Rank = tuple[int, bool, int]
"""(-priority, has no checkpoint, job number): what comes first is smaller; job numbers grow with age."""


class Waiting(msgspec.Struct, frozen=True):
    """A job that could be given out. `cores_max` None: as many as there are."""

    job: int
    shape: Shape
    priority: int = 0
    has_checkpoint: bool = False
    cores_max: int | None = 1

    @property
    def rank(self) -> Rank:
        """Its place within its project."""
        return (-self.priority, not self.has_checkpoint, self.job)


class Lane:
    """Jobs of one shape, in order. Jobs that left are dropped when they come to the front."""

    __slots__ = ("_heap", "_live", "shape")

    def __init__(self, shape: Shape) -> None:
        self.shape = shape
        self._heap: list[Rank] = []
        self._live: dict[int, Waiting] = {}

    def __len__(self) -> int:
        return len(self._live)

    def __iter__(self) -> Iterator[Waiting]:
        return iter(self._live.values())

    def add(self, waiting: Waiting) -> None:
        """Add a job, or change its rank."""
        self._live[waiting.job] = waiting
        heappush(self._heap, waiting.rank)

    def remove(self, job: int) -> None:
        """Take a job out."""
        del self._live[job]
        if len(self._heap) > 2 * len(self._live) + 64:
            self._heap = [waiting.rank for waiting in self._live.values()]
            heapify(self._heap)

    def first(self) -> Waiting | None:
        """The job that comes first, or None."""
        while self._heap:
            waiting = self._live.get(self._heap[0][2])
            if waiting is not None and waiting.rank == self._heap[0]:
                return waiting
            heappop(self._heap)
        return None


class Queue:
    """All jobs that could be given out."""

    def __init__(self) -> None:
        self._lanes: dict[Shape, Lane] = {}
        self._by_executable: dict[str, dict[Shape, Lane]] = {}
        self._lane_of: dict[int, Lane] = {}

    def __len__(self) -> int:
        return len(self._lane_of)

    def __contains__(self, job: int) -> bool:
        return job in self._lane_of

    def add(self, waiting: Waiting) -> None:
        """Add a job; one that is there already changes its place."""
        self.remove(waiting.job)
        lane = self._lanes.get(waiting.shape)
        if lane is None:
            lane = self._lanes[waiting.shape] = Lane(waiting.shape)
            self._by_executable.setdefault(waiting.shape.executable, {})[waiting.shape] = lane
        lane.add(waiting)
        self._lane_of[waiting.job] = lane

    def remove(self, job: int) -> None:
        """Take a job out; nothing happens when it is not there."""
        lane = self._lane_of.pop(job, None)
        if lane is None:
            return
        lane.remove(job)
        if not lane:
            del self._lanes[lane.shape]
            lanes = self._by_executable[lane.shape.executable]
            del lanes[lane.shape]
            if not lanes:
                del self._by_executable[lane.shape.executable]

    def lanes(self, executable: str) -> Iterator[Lane]:
        """The lanes of jobs for one executable."""
        return iter(self._by_executable.get(executable, {}).values())

    def in_order(self, running_cores: Mapping[str, int]) -> list[Waiting]:
        """All jobs in the order in which one worker that can run them all would get them. For people: costs O(queue)."""
        queued = [waiting for lane in self._lanes.values() for waiting in lane]
        return sorted(queued, key=lambda waiting: order(waiting, running_cores.get(waiting.shape.project, 0)))


def order(waiting: Waiting, running_cores: int) -> tuple[int, bool, int, int]:
    """The order among projects: priority, work already begun, the project that has least, age."""
    return (-waiting.priority, not waiting.has_checkpoint, running_cores, waiting.job)
