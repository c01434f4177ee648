"""The queue: waiting jobs, indexed by what they ask for, so that giving out a job costs the same however many wait.

Order: priority, jobs with a checkpoint, the project with the fewest running cores (of those that have equally many the
one that was served longest ago), age. One exception sees to it that nobody starves: the first of a lane that has been
passed over for long goes before the fair share of its priority.

**No job waits longer than (a + 1)·k·W.** a: jobs before it in its lane; k: 1, or 1 + `NEAR_PASSES` where jobs read large
files; W = 2·D·((`PATIENCE`·(C + S) + M)/c + L + 1), where D is the longest time for which a job holds its cores, C the
cores that run jobs, c those of the workers that can run it, S the sum over the lanes of the fewest cores that a job of
the lane needs, L the number of lanes, M the most cores of one worker. It holds while these workers stay, and no job of
higher priority, or of its priority with a checkpoint, waits beside it.
Why: every core that runs is given anew within 2·D, half of it for a reservation in its way; so within the time of the
first term `PATIENCE`·(C + S) cores are given past its lane, which is overdue then; of the others, each that has been
overdue for longer goes first once, within 2·D; and within 2·D it has gathered its cores. (`W` is a bound, no estimate.)
"""

from __future__ import annotations

from collections.abc import Container, Iterator, Mapping
from heapq import heapify, heappop, heappush

import msgspec

from copernicus.model.jobs import WorkerOffer
from copernicus.server.scheduling.reservations import Reservations
from copernicus.server.scheduling.shapes import Shape, WorkerView, is_able, may_run_now

PATIENCE = 4
"""So many times as many cores as run (and as the lanes need, one job each) are given past a lane, then it is overdue."""
NEAR_PASSES, NEAR_LOOKED_AT = 3, 8
"""How often a job lets younger ones of its lane go first to a worker that has their files, and among how many they are."""
MOST_REMEMBERED = 20_000
"""Of so many workers a lane remembers whether they can run its jobs."""

Rank = tuple[int, bool, int]
"""(-priority, has no checkpoint, job number): what comes first is smaller; job numbers grow with age."""
Turn = tuple[int, bool, bool, int, int]
"""(-priority, has no checkpoint, is not overdue, running cores of its project, when this was last served)."""
Standing = tuple[Turn, int]
"""A job's turn, then its number."""


class Waiting(msgspec.Struct, frozen=True, gc=False):
    """A job that could be given out. `cores_max` None: as many as there are. `blobs`: the large files that it reads."""

    job: int
    shape: Shape
    priority: int = 0
    has_checkpoint: bool = False
    cores_max: int | None = 1
    blobs: tuple[str, ...] = ()

    @property
    def rank(self) -> Rank:
        """Its place within its lane."""
        return (-self.priority, not self.has_checkpoint, self.job)


class Moment(msgspec.Struct, frozen=True, gc=False):
    """What the order depends on, besides the jobs, while one batch is given. Lanes last served before `overdue` are."""

    overdue: int


class Lane:
    """Jobs of one shape, in order. Jobs that left are dropped when they come to the front.

    `size` is smaller for larger jobs. `served_at` counts the cores that had been given, of the whole queue, when this lane
    was last given something.
    """

    __slots__ = ("_able", "_head", "_heap", "_live", "_passes", "served_at", "shape", "size")

    def __init__(self, shape: Shape, served_at: int = 0) -> None:
        self.shape, self.served_at = shape, served_at
        self.size = (-shape.gpus, -shape.cores_min)
        self._able: dict[str, tuple[WorkerOffer, bool]] = {}
        self._heap: list[Rank] = []
        self._live: dict[int, tuple[Rank, Waiting]] = {}
        self._head, self._passes = 0, 0

    def __len__(self) -> int:
        return len(self._live)

    def __iter__(self) -> Iterator[Waiting]:
        return (waiting for _, waiting in self._live.values())

    def add(self, waiting: Waiting) -> None:
        """Add a job, or change its rank."""
        rank = waiting.rank
        self._live[waiting.job] = rank, waiting
        heappush(self._heap, rank)

    def get(self, job: int) -> Waiting | None:
        """A job of the lane, or None."""
        entry = self._live.get(job)
        return entry[1] if entry is not None else None

    def remove(self, job: int) -> None:
        """Take a job out."""
        del self._live[job]
        if len(self._heap) > 2 * len(self._live) + 64:
            self._heap = [rank for rank, _ in self._live.values()]
            heapify(self._heap)

    def first(self) -> Waiting | None:
        """The job that comes first, or None."""
        while self._heap:
            rank = self._heap[0]
            entry = self._live.get(rank[2])
            if entry is not None and entry[0] is rank:
                return entry[1]
            heappop(self._heap)
        return None

    def suits(self, worker: WorkerView) -> bool:
        """Say whether `worker` can run the lane's jobs (see `can_run`); what follows from its offer is remembered."""
        offer, shape = worker.offer, self.shape
        known = self._able.get(offer.worker)
        if known is None or known[0] is not offer:
            if len(self._able) > MOST_REMEMBERED:
                self._able.clear()
            known = self._able[offer.worker] = offer, is_able(shape, offer)
        return known[1] and may_run_now(shape, worker)

    def nearest(self, blobs: Container[str]) -> Waiting:
        """The first job; or one of the next few of its rank that reads one of `blobs`, which the first one does not.

        The same first job is passed over `NEAR_PASSES` times at most. The lane is not empty.
        """
        first = self.first()
        assert first is not None, "the lane has jobs"
        if first.job != self._head:
            self._head, self._passes = first.job, 0
        if not first.blobs or self._passes >= NEAR_PASSES or _is_near(first, blobs):
            return first
        looked_at: list[Rank] = []
        found = first
        while found is first and len(looked_at) < NEAR_LOOKED_AT:
            following = self.first()
            if following is None or following.rank[:2] != first.rank[:2]:
                break
            looked_at.append(heappop(self._heap))
            if _is_near(following, blobs):
                found = following
        for rank in looked_at:
            heappush(self._heap, rank)
        self._passes += found is not first
        return found


class Queue:
    """All jobs that could be given out, and the reservations of those that gather room."""

    def __init__(self) -> None:
        self.reservations = Reservations()
        self._lanes: dict[Shape, Lane] = {}
        self._by_executable: dict[str, dict[Shape, Lane]] = {}
        self._lane_of: dict[int, Lane] = {}
        self._given = 0
        """Cores given since the start: the clock of patience."""
        self._least = 0
        """The sum over the lanes of the cores that a job needs."""
        self._served: dict[str, int] = {}
        self._priorities: dict[str, int] = {}

    def __len__(self) -> int:
        return len(self._lane_of)

    def __contains__(self, job: int) -> bool:
        return job in self._lane_of

    def get(self, job: int) -> Waiting | None:
        """A job of the queue, or None."""
        lane = self._lane_of.get(job)
        return lane.get(job) if lane is not None else None

    def add(self, waiting: Waiting) -> None:
        """Add a job; one that is there already changes its place."""
        lane = self._lane_of.get(waiting.job)
        if lane is not None and lane.shape == waiting.shape:
            lane.add(waiting)  # the lane's patience, and a reservation, stay
            self.reservations.rank(waiting.job, self.priority(waiting))
            return
        self.remove(waiting.job)
        lane = self._lanes.get(waiting.shape)
        if lane is None:
            lane = self._lanes[waiting.shape] = Lane(waiting.shape, self._given)
            self._by_executable.setdefault(waiting.shape.executable, {})[waiting.shape] = lane
            self._least += waiting.shape.cores_min
        lane.add(waiting)
        self._lane_of[waiting.job] = lane

    def remove(self, job: int) -> None:
        """Take a job out; nothing happens when it is not there."""
        lane = self._lane_of.pop(job, None)
        if lane is None:
            return
        lane.remove(job)
        self.reservations.release_job(job)
        if not lane:
            del self._lanes[lane.shape]
            self._least -= lane.shape.cores_min
            lanes = self._by_executable[lane.shape.executable]
            del lanes[lane.shape]
            if not lanes:
                del self._by_executable[lane.shape.executable]

    def give(self, waiting: Waiting, cores: int) -> None:
        """Take a job out because a worker gets it, with so many cores."""
        self._given += cores
        self._served[waiting.shape.project] = self._given
        self._lane_of[waiting.job].served_at = self._given
        self.remove(waiting.job)

    def priority(self, waiting: Waiting) -> int:
        """The priority of a job, with that of its project."""
        return waiting.priority + self.project_priority(waiting.shape.project)

    def project_priority(self, project: str) -> int:
        """What is added to the priority of each job of a project."""
        return self._priorities.get(project, 0)

    def prioritize(self, project: str, priority: int) -> list[str]:
        """The project has this priority now; return the executables that its jobs wait for. Costs O(shapes that wait)."""
        self._priorities[project] = priority
        lanes = [lane for lane in self._lanes.values() if lane.shape.project == project]
        for job in self.reservations.jobs():
            if (waiting := self.get(job)) is not None:
                self.reservations.rank(job, self.priority(waiting))
        return list({lane.shape.executable for lane in lanes})

    def forget(self, project: str) -> None:
        """The project is gone, and its jobs were removed."""
        self._served.pop(project, None)
        self._priorities.pop(project, None)

    def lanes(self, executable: str) -> Iterator[Lane]:
        """The lanes of jobs for one executable."""
        return iter(self._by_executable.get(executable, {}).values())

    def moment(self, running_cores: Mapping[str, int]) -> Moment:
        """What the order depends on now; `running_cores` by project."""
        return Moment(self._given - PATIENCE * (sum(running_cores.values()) + self._least))

    def standing(self, lane: Lane, waiting: Waiting, running: int, moment: Moment) -> Standing:
        """Where a job of `lane` stands, whose project has so many running cores; what comes first is smaller."""
        minus, has_none = -self.priority(waiting), not waiting.has_checkpoint
        if lane.served_at < moment.overdue:
            return (minus, has_none, False, lane.served_at, 0), waiting.job
        return (minus, has_none, True, running, self._served.get(lane.shape.project, 0)), waiting.job

    def in_order(self, running_cores: Mapping[str, int]) -> list[Waiting]:
        """All jobs in the order in which one worker that can run them all would get them. For people: costs O(queue)."""
        moment = self.moment(running_cores)
        placed = [
            (self.standing(lane, waiting, running_cores.get(lane.shape.project, 0), moment), waiting)
            for lane in self._lanes.values()
            for waiting in lane
        ]
        return [waiting for _, waiting in sorted(placed, key=lambda item: item[0])]


def _is_near(waiting: Waiting, blobs: Container[str]) -> bool:
    return any(blob in blobs for blob in waiting.blobs)
